/*-------------------------------------------------------------------------
 *
 * sparse_query.c
 *	  Scores of documents, their upper bounds, and the cut below which a
 *	  document cannot be near enough.
 *
 * Bounds of single contributions are computed in double precision and kept
 * as floats; sums over postings are floats.  All that rounding can do is
 * taken off the cut, see vk_sparse_cut().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/sparse/sparse_query.h"

/* Half a unit in the last place of 1.0f: relative error of one operation. */
#define FLOAT_ERROR			(1.0 / (1 << 24))

/* The distance itself is a sum of at most 32,000 doubles. */
#define DISTANCE_ERROR		1e-11

/* Roundings of one contribution: its base, slope, product, sum, weight. */
#define TERM_ROUNDINGS		16

bool
vk_sparse_regular(VkMetric metric, const VkSparse *vec)
{
	if (metric == VK_METRIC_JACCARD)
		return true;
	for (int i = 0; i < vec->nnz; i++)
	{
		double		size = fabs((double) vec->values[i]);

		if (!(size >= VK_SPARSE_LEAST_VALUE && size <= VK_SPARSE_MOST_VALUE))
			return false;
	}
	return true;
}

/* The greatest float that is not greater than x. */
static float
round_down(double x)
{
	float		rounded = (float) x;

	return rounded > x ? nextafterf(rounded, -INFINITY) : rounded;
}

static double
sum_magnitudes(const VkSparse *vec)
{
	double		sum = 0;

	for (int i = 0; i < vec->nnz; i++)
		sum += fabs((double) vec->values[i]);
	return sum;
}

float
vk_sparse_document_norm(VkMetric metric, const VkSparse *vec)
{
	switch (metric)
	{
		case VK_METRIC_L2:
			return round_down(vk_sparse_norm_squared(vec) * (1 - DISTANCE_ERROR) / 2);
		case VK_METRIC_L1:
			return round_down(sum_magnitudes(vec) * (1 - DISTANCE_ERROR));
		case VK_METRIC_JACCARD:
			return vec->nnz;
		default:
			return 0;
	}
}

double
vk_sparse_weight_scale(VkMetric metric, const VkSparse *vec)
{
	if (metric != VK_METRIC_COSINE || vec->nnz == 0)
		return 1;
	return 1 / sqrt(vk_sparse_norm_squared(vec));
}

float
vk_sparse_step(float least, float most)
{
	double		range = (double) most - least;
	float		step = (float) (range / VK_SPARSE_LEVELS);

	while ((double) step * VK_SPARSE_LEVELS < range)
		step = nextafterf(step, INFINITY);
	return step;
}

uint8
vk_sparse_code(float least, float step, float weight)
{
	double		above = (double) weight - least;
	int			code;

	if (step == 0)
		return 0;
	code = (int) (above / step);
	if (code > VK_SPARSE_LEVELS - 1)
		code = VK_SPARSE_LEVELS - 1;
	/* The products are exact: an 8-bit number times a float. */
	while (code > 0 && (double) step * code > above)
		code--;
	while (code < VK_SPARSE_LEVELS - 1 && (double) step * (code + 1) < above)
		code++;
	return code;
}

/* Bits of a float that a packed weight lacks: of its mantissa, 6 remain. */
#define PACK_SHIFT		17
#define PACK_SIGN		0x4000

typedef union FloatBits
{
	float		value;
	uint32		bits;
} FloatBits;

uint16
vk_sparse_weight_pack(float weight)
{
	FloatBits	cast = {.value = weight};

	return cast.bits >> PACK_SHIFT;
}

void
vk_sparse_weight_unpack(uint16 packed, float *least, float *step)
{
	uint32		magnitude = packed & (PACK_SIGN - 1);
	FloatBits	low = {.bits = magnitude << PACK_SHIFT};
	FloatBits	high = {.bits = (magnitude + 1) << PACK_SHIFT};

	/* Neighbours of 6 bits: their difference is exact. */
	*step = high.value - low.value;
	*least = packed & PACK_SIGN ? -high.value : low.value;
}

void
vk_sparse_query_prepare(VkSparseQuery *query, VkMetric metric,
						const VkSparse *vec, double *weights)
{
	double		scale = vk_sparse_weight_scale(metric, vec);

	memset(query, 0, sizeof(*query));
	query->metric = metric;
	query->vec = *vec;
	query->weights = weights;
	/* Of an empty set, an empty document is no document without postings. */
	query->irregular = !vk_sparse_regular(metric, vec) ||
		(metric == VK_METRIC_JACCARD && vec->nnz == 0);
	for (int i = 0; i < vec->nnz; i++)
		weights[i] = vec->values[i] * scale;
	query->norm_squared = vk_sparse_norm_squared(vec);
	if (metric == VK_METRIC_L2)
		query->norm = query->norm_squared;
	else if (metric == VK_METRIC_L1)
		query->norm = sum_magnitudes(vec);
	else if (metric == VK_METRIC_JACCARD)
		query->norm = vec->nnz;
	/* One addition per element, and what each contribution brings along. */
	query->factor = 2 * (vec->nnz + TERM_ROUNDINGS) * FLOAT_ERROR;
}

/* l1: an overlap of the same sign lessens the distance by twice the smaller. */
static void
overlap_bound(double weight, double least, double most, double step,
			  VkSparseTerm *term)
{
	double		size = fabs(weight);
	double		reach = weight > 0 ? most : -least;

	if (weight > 0)
	{
		term->base = 2 * (least + step);
		term->slope = 2 * step;
	}
	else
	{
		term->base = -2 * least;
		term->slope = -2 * step;
	}
	term->limit = 2 * size;
	term->most = 2 * Max(0, Min(size, reach));

	/*
	 * Rounding of base and slope is relative to the weights of the list, not
	 * to the limit, so the list's extent counts in full.
	 */
	term->magnitude = 2 * Max(fabs(least), fabs(most));
}

void
vk_sparse_term_bound(const VkSparseQuery *query, int i,
					 float least, float step, VkSparseTerm *term)
{
	double		weight = query->weights[i];
	double		most = least + (double) step * VK_SPARSE_LEVELS;

	switch (query->metric)
	{
		case VK_METRIC_JACCARD:
			term->base = 1;
			term->slope = 0;
			term->limit = 1;
			term->most = 1;
			term->magnitude = 1;
			break;
		case VK_METRIC_L1:
			overlap_bound(weight, least, most, step, term);
			break;
		default:

			/*
			 * A positive element meets the top of the level, a negative one
			 * its bottom.
			 */
			term->base = weight > 0 ? weight * (least + (double) step) : weight * least;
			term->slope = weight * step;
			term->limit = 0;
			term->most = Max(0, Max(weight * least, weight * most));
			term->magnitude = fabs(weight) * Max(fabs(least), fabs(most));
			break;
	}
	/* -0.0 marks documents without postings: no contribution may be that. */
	term->base += 0.0f;
	term->slope += 0.0f;
}

float
vk_sparse_cut(const VkSparseQuery *query, double distance, double magnitude)
{
	double		error = query->factor * magnitude;
	double		cut;

	switch (query->metric)
	{
		case VK_METRIC_IP:
			cut = -distance;
			error += DISTANCE_ERROR * magnitude;
			break;
		case VK_METRIC_COSINE:
			cut = 1 - distance;
			error += DISTANCE_ERROR;
			break;
		case VK_METRIC_L2:
			cut = (query->norm - distance * distance) / 2;
			error += DISTANCE_ERROR * (query->norm + distance * distance);
			break;
		case VK_METRIC_L1:
			cut = query->norm - distance;
			error += DISTANCE_ERROR * (query->norm + distance);
			break;
		default:
			/* Counts are exact; their quotient is rounded to a float. */
			cut = 1 - distance;
			error = 4 * FLOAT_ERROR;
			break;
	}
	cut -= error;
	if (!(cut > -FLT_MAX))
		return -INFINITY;
	return round_down(cut);
}
