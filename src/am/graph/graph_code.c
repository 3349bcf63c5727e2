/*-------------------------------------------------------------------------
 *
 * graph_code.c
 *	  The parts of the edge codes that do not depend on the CPU.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "am/graph/graph_code.h"

/*
 * The largest sum of four coordinates, less what rounding may add: it must fit a
 * byte, and the sums of all tables 16 bits, those of the first of two planes twice.
 */
static float
table_max(int code_dim, int planes)
{
	int			tables = code_dim / 4 * (planes == 1 ? 1 : 3);

	return (float) (Min(PG_UINT8_MAX, PG_UINT16_MAX / tables) - 2);
}

const VkGraphKernels *
vk_graph_kernels(void)
{
#ifdef __x86_64__
	/* avx512vnni, too, has no more of what is used here */
	if (strncmp(vk_kernels->name, vk_graph_kernels_avx512.name, 6) == 0)
		return &vk_graph_kernels_avx512;
	if (strcmp(vk_kernels->name, vk_graph_kernels_avx2.name) == 0)
		return &vk_graph_kernels_avx2;
#endif
#ifdef __aarch64__
	if (strcmp(vk_kernels->name, vk_graph_kernels_neon.name) == 0)
		return &vk_graph_kernels_neon;
#endif
	return &vk_graph_kernels_portable;
}

/* splitmix64: the signs are a function of the seed on every platform. */
static uint64
next_random(uint64 *state)
{
	uint64		z = (*state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

void
vk_rotation_init(VkRotation *rotation, int dim, uint64 seed, uint32 *signs)
{
	uint64		bits = 0;

	rotation->dim = dim;
	rotation->window = 1;
	while (rotation->window * 2 <= dim)
		rotation->window *= 2;
	rotation->signs = signs;
	for (int i = 0; i < VK_ROTATION_ROUNDS * dim; i++)
	{
		if (i % 64 == 0)
			bits = next_random(&seed);
		signs[i] = (uint32) (bits & 1) << 31;
		bits >>= 1;
	}
}

/*
 * The nearest integer of a number below 2^22: added to 1.5 * 2^23 it is what
 * the last bits are.  rintf() would be a call for each dimension.
 */
static inline int
round_small(float value)
{
	float		shifted = value + 12582912.0f;
	int32		bits;

	memcpy(&bits, &shifted, sizeof(bits));
	return bits - 0x4B400000;
}

/*
 * With integer coordinates c_i and bits b_i of an edge, the sum over i of
 * |c_i| where b_i is the sign of c_i is what the tables add up; the signed sum
 * is twice that less the sum of all |c_i|.  Of two planes, the first counts twice.
 */
void
vk_code_table_build(const VkGraphKernels *kernels, VkCodeTable *table, const float *query,
					int code_dim, int planes, uint8 *tables)
{
	uint8		coords[VK_CODE_MAX_DIM] = {0};
	uint8		negatives[VK_CODE_MAX_DIM] = {0};
	float		largest = 0;
	float		per_unit;
	int			total = 0;

	for (int i = 0; i < code_dim; i += 4)
	{
		float		sum = (fabsf(query[i]) + fabsf(query[i + 1])) +
		(fabsf(query[i + 2]) + fabsf(query[i + 3]));

		largest = Max(largest, sum);
	}
	/* Also false for NaN: then there is nothing to navigate by. */
	per_unit = largest > 0 && largest < 1e37f && largest > 1e-35f ? table_max(code_dim, planes) / largest : 0;

	for (int i = 0; i < code_dim; i++)
	{
		int			coord = per_unit > 0 ? round_small(query[i] * per_unit) : 0;

		coords[i] = (uint8) coord;
		negatives[i] = coord < 0 ? -coord : 0;
		total += abs(coord);
	}
	kernels->fill_tables(coords, negatives, code_dim, tables);

	table->code_dim = code_dim;
	table->planes = planes;
	table->unit = per_unit > 0 ? 2.0f / per_unit : 0;
	table->offset = per_unit > 0 ? -(float) (total * (planes == 1 ? 1 : 3)) / per_unit : 0;
	table->tables = tables;
}

/* <owner, nbr - owner>, added in an order of its own on every CPU. */
static float
product_of_edge(const float *owner, const float *nbr, int dim)
{
	float		sums[16] = {0};
	float		sum = 0;

	for (int i = 0; i < dim; i += lengthof(sums))
	{
		for (int lane = 0; lane < (int) lengthof(sums); lane++)
			sums[lane] += owner[i + lane] * (nbr[i + lane] - owner[i + lane]);
	}
	for (int lane = 0; lane < (int) lengthof(sums); lane++)
		sum += sums[lane];
	return sum;
}

void
vk_edge_encode(const VkGraphKernels *kernels, const VkGraphLayout *lay, const float *owner,
			   const float *nbr, VkEdgeCode *code)
{
	float		norm2;
	float		diff_code;
	float		owner_code;
	float		ratio;

	kernels->encode(owner, nbr, lay->nav_dim, lay->code_dim, lay->planes, code->bits,
					&norm2, &diff_code, &owner_code);
	ratio = diff_code > 0 ? norm2 / diff_code : 0;
	if (vk_codes_inner(lay))
	{
		/* nav of cosine is the squared distance of unit vectors */
		float		unit = lay->metric == VK_METRIC_COSINE ? 2 : 1;

		code->scale = unit * ratio;
		code->bias = unit * (product_of_edge(owner, nbr, lay->nav_dim) - ratio * owner_code);
	}
	else
	{
		code->scale = 2 * ratio;
		code->bias = norm2 + code->scale * owner_code;
	}
	/* Vectors beyond the range of float: an edge that is always worth a look. */
	if (!isfinite(code->bias) || !isfinite(code->scale))
		code->bias = code->scale = 0;
}

const float *
vk_inner_bias(const VkGraphLayout *lay, const float *bias, float nav, double norm2, float *scaled)
{
	double		times = lay->metric == VK_METRIC_COSINE ? 1 - nav / 2 : -nav / norm2;
	float		factor = isfinite(times) ? (float) -times : 0;

	for (int i = 0; i < VK_EDGE_GROUP; i++)
		scaled[i] = factor * bias[i];
	return scaled;
}

void
vk_edge_put(const VkGraphLayout *lay, char *rec, int edge, VkNodeId id, uint8 gen,
			const VkEdgeCode *code)
{
	char	   *to = rec + vk_edge_code_offset(lay, edge);

	for (int byte = 0; byte < lay->code_bytes; byte += VK_CODE_PIECE)
	{
		memcpy(to, code->bits + byte, VK_CODE_PIECE);
		to += VK_CODE_STRIDE;
	}
	VK_EDGE_IDS(lay, rec)[edge] = id;
	VK_EDGE_BIAS(lay, rec)[edge] = code->bias;
	VK_EDGE_SCALE(lay, rec)[edge] = code->scale;
	VK_EDGE_GEN(lay, rec)[edge] = gen;
}

void
vk_edge_get(const VkGraphLayout *lay, const char *rec, int edge, VkEdgeCode *code)
{
	const char *from = rec + vk_edge_code_offset(lay, edge);

	for (int byte = 0; byte < lay->code_bytes; byte += VK_CODE_PIECE)
	{
		memcpy(code->bits + byte, from, VK_CODE_PIECE);
		from += VK_CODE_STRIDE;
	}
	code->bias = VK_EDGE_BIAS(lay, rec)[edge];
	code->scale = VK_EDGE_SCALE(lay, rec)[edge];
}
