/*-------------------------------------------------------------------------
 *
 * graph_sparse.c
 *	  Codes of sparse vectors: their largest terms; and of sets.
 *
 * With n' the terms of a code, the estimate of an inner product is
 *
 *	<q, n> is about <q, n'> |n|^2 / <n, n'>
 *
 * which is exact for q = n and takes the terms left out to be as alike as
 * those kept; without this factor long vectors seem far.  README.md tells what
 * else was measured.
 *
 * Sets have no largest elements.  Their code is a bit for each of their hashes,
 * and from the bits a query has in common with it follows how many elements,
 * less those that are so by chance.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "am/graph/graph_search.h"

/* Weights of a query are integers up to this: sums of products fit 32 bits. */
#define WEIGHT_MAX		32767
#define CODE_WEIGHT_MAX	127

StaticAssertDecl((int64) VK_SPARSE_TERMS * WEIGHT_MAX * CODE_WEIGHT_MAX < PG_INT32_MAX,
				 "sums of a code's terms fit 32 bits");

#define VK_SPARSE_HASHES	65536

/* How many nodes a visited one shows for the first time; the table grows. */
#define LOOKED_PER_EF	16

/* A set is sampled if it has more elements, for a code has no more than twice the bits. */
#define SET_MAX			288

/* The upper half is the hash of a code, all of it decides between equal weights. */
static inline uint32
hash_index(const VkSpace *space, int32 index)
{
	uint64		z = space->seed + (uint64) index * UINT64CONST(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return (uint32) (z >> 32);
}

/* Another hash than the one that sampled. */
static inline uint32
mix_again(uint32 hash)
{
	return (hash ^ hash >> 15) * 2246822519U >> 7;
}

/* What makes a vector the one that is navigated by. */
static float
nav_scale(const VkSpace *space, const VkPoint *point)
{
	if (space->lay.metric != VK_METRIC_COSINE)
		return 1;
	return point->norm2 > 0 ? (float) (1 / sqrt(point->norm2)) : 0;
}

/* Squared norm of what is navigated by. */
static float
nav_norm2(const VkSpace *space, const VkPoint *point)
{
	if (space->lay.metric == VK_METRIC_COSINE)
		return point->norm2 > 0 ? 1 : 0;
	return (float) point->norm2;
}

/* ------------------------------------------------------------------------
 * Sets
 * ------------------------------------------------------------------------ */

/* Without the instruction, which not every CPU has, the builtin is a call. */
static inline int
count_ones(uint32 x)
{
	x -= x >> 1 & 0x55555555;
	x = (x & 0x33333333) + (x >> 2 & 0x33333333);
	x = (x + (x >> 4)) & 0x0F0F0F0F;
	return (x * 0x01010101) >> 24;
}

/* A bit for each of the set's hashes; returns the number of bits set. */
static int
set_bits(const VkSpace *space, const VkSparse *sparse, uint32 sample, uint32 *bits)
{
	int			count = 0;

	memset(bits, 0, VK_SPARSE_CODE_BITS / 8);
	for (int i = 0; i < sparse->nnz; i++)
	{
		uint32		hash = hash_index(space, sparse->indices[i]);
		uint32		place;

		if (hash > sample)
			continue;
		place = mix_again(hash) % VK_SPARSE_CODE_BITS;
		bits[place / 32] |= (uint32) 1 << place % 32;
	}
	for (int i = 0; i < VK_SPARSE_CODE_BITS / 32; i++)
		count += count_ones(bits[i]);
	return count;
}

static void
encode_set(const VkSpace *space, const VkSparse *sparse, VkEdgeCode *code)
{
	uint32		bits[VK_SPARSE_CODE_BITS / 32];
	float		rate = sparse->nnz > SET_MAX ? (float) SET_MAX / sparse->nnz : 1;
	int			count = set_bits(space, sparse, rate < 1 ? (uint32) (rate * 4294967040.0f) : PG_UINT32_MAX,
								 bits);

	memcpy(code->bits, bits, sizeof(bits));
	if (sparse->nnz == 0 || count == VK_SPARSE_CODE_BITS)
		return;
	code->scale = 2 / (sqrtf((float) sparse->nnz) * rate * (1 - (float) count / VK_SPARSE_CODE_BITS));
	code->bias = code->scale * count;
}

static void
query_set(VkSparseQuery *query, const VkSpace *space, const VkSparse *sparse)
{
	int			count = set_bits(space, sparse, PG_UINT32_MAX, query->bits);

	query->base = 2;
	query->share = (float) count / VK_SPARSE_CODE_BITS;
	query->unit = sparse->nnz == 0 || count == VK_SPARSE_CODE_BITS ? 0 :
		1 / (sqrtf((float) sparse->nnz) * (1 - query->share));
}

/* How many bits the code of an edge has in common with the query. */
static inline int
count_common(const VkSparseQuery *query, const char *code)
{
	int			count = 0;

	for (int i = 0; i < VK_SPARSE_CODE_BITS / 32; i++)
		count += count_ones(query->bits[i] & *(const uint32 *) (code + i * VK_CODE_STRIDE));
	return count;
}

/* ------------------------------------------------------------------------
 * Weights
 * ------------------------------------------------------------------------ */

void
vk_sparse_query_init(VkSparseQuery *query)
{
	memset(query, 0, sizeof(*query));
	query->weights = palloc0(sizeof(int16) * VK_SPARSE_HASHES);
}

static inline int32
query_weight(float value, float per_unit)
{
	return (int32) rintf(value * per_unit);
}

void
vk_sparse_query_set(VkSparseQuery *query, const VkSpace *space, const VkPoint *point)
{
	VkSparse	sparse = vk_point_sparse(point);
	float		scale = nav_scale(space, point);
	float		largest = 0;
	float		per_unit;

	if (space->lay.metric == VK_METRIC_JACCARD)
	{
		query_set(query, space, &sparse);
		return;
	}
	for (int i = 0; i < query->nused; i++)
		query->weights[query->used[i]] = 0;
	query->nused = 0;
	if (sparse.nnz > query->used_allocated)
	{
		if (query->used != NULL)
			pfree(query->used);
		query->used_allocated = Max(sparse.nnz, 256);
		query->used = palloc(sizeof(uint16) * query->used_allocated);
	}
	for (int i = 0; i < sparse.nnz; i++)
		largest = Max(largest, fabsf(sparse.values[i] * scale));
	/* Also false for NaN: then there is nothing to navigate by. */
	per_unit = largest > 1e-30f && largest < 1e30f ? WEIGHT_MAX / largest : 0;
	query->unit = per_unit > 0 ? 1 / per_unit : 0;
	query->base = space->lay.ip ? 0 : nav_norm2(space, point);
	if (per_unit == 0)
		return;
	for (int i = 0; i < sparse.nnz; i++)
	{
		uint16		place = hash_index(space, sparse.indices[i]) >> 16;
		int32		weight = query->weights[place] +
		query_weight(sparse.values[i] * scale, per_unit);

		query->weights[place] = (int16) Max(Min(weight, WEIGHT_MAX), -WEIGHT_MAX);
		query->used[query->nused++] = place;
	}
}

typedef struct Term
{
	uint64		key;			/* weight, then hash: larger ones are kept */
	int			at;
} Term;

/* The largest terms, descending; returns how many. */
static int
choose_terms(const VkSpace *space, const VkSparse *sparse, float scale, Term *terms)
{
	int			nterms = 0;

	for (int i = 0; i < sparse->nnz; i++)
	{
		float		weight = fabsf(sparse->values[i] * scale);
		uint32		bits;
		uint64		key;
		int			at;

		memcpy(&bits, &weight, sizeof(bits));
		key = (uint64) bits << 32 | hash_index(space, sparse->indices[i]);
		if (nterms == VK_SPARSE_TERMS && terms[nterms - 1].key >= key)
			continue;
		if (nterms < VK_SPARSE_TERMS)
			nterms++;
		for (at = nterms - 1; at > 0 && terms[at - 1].key < key; at--)
			terms[at] = terms[at - 1];
		terms[at].key = key;
		terms[at].at = i;
	}
	return nterms;
}

void
vk_sparse_encode(const VkSpace *space, const VkPoint *point, VkEdgeCode *code)
{
	VkSparse	sparse = vk_point_sparse(point);
	float		scale = nav_scale(space, point);
	float		norm2 = nav_norm2(space, point);
	Term		terms[VK_SPARSE_TERMS];
	uint16	   *hashes = (uint16 *) code->bits;
	int8	   *weights = (int8 *) (hashes + VK_SPARSE_TERMS);
	float		largest;
	float		product = 0;
	float		ratio;
	int			nterms;

	memset(code, 0, sizeof(*code));
	if (space->lay.metric == VK_METRIC_JACCARD)
	{
		encode_set(space, &sparse, code);
		return;
	}
	nterms = choose_terms(space, &sparse, scale, terms);
	largest = nterms > 0 ? fabsf(sparse.values[terms[0].at] * scale) : 0;
	if (!(largest > 1e-30f && largest < 1e30f))
		return;
	for (int i = 0; i < nterms; i++)
	{
		float		value = sparse.values[terms[i].at] * scale;
		int			weight = (int) rintf(value * (CODE_WEIGHT_MAX / largest));

		hashes[i] = (uint32) terms[i].key >> 16;
		weights[i] = weight;
		product += weight * value;
	}
	ratio = product > 0 ? norm2 / product : 0;
	code->bias = space->lay.ip ? 0 : norm2;
	code->scale = space->lay.ip ? ratio : 2 * ratio;
	/* Vectors beyond the range of float: an edge that is always worth a look. */
	if (!isfinite(code->bias) || !isfinite(code->scale))
		code->bias = code->scale = 0;
}

void
vk_sparse_begin(VkSparseQuery *query, int ef)
{
	vk_set_begin(&query->looked, Max(256, (uint32) ef * LOOKED_PER_EF));
}

void
vk_sparse_trim(VkSparseQuery *query)
{
	vk_set_free(&query->looked);
}

/* The sum of products of the code of one edge with the query. */
static inline int32
sum_terms(const int16 *weights, const char *code)
{
	int32		sum = 0;

	for (int i = 0; i < VK_SPARSE_TERMS; i += 4)
	{
		const uint16 *first = (const uint16 *) (code + i / 2 * VK_CODE_STRIDE);
		const uint16 *second = (const uint16 *) (code + (i / 2 + 1) * VK_CODE_STRIDE);
		const int8 *factors = (const int8 *) (code + (VK_SPARSE_TERMS / 2 + i / 4) * VK_CODE_STRIDE);

		sum += weights[first[0]] * factors[0] + weights[first[1]] * factors[1] +
			weights[second[0]] * factors[2] + weights[second[1]] * factors[3];
	}
	return sum;
}

static inline float
estimate_edge(const VkSparseQuery *query, bool sets, const char *code, float bias, float scale)
{
	if (sets)
		return query->base - query->unit *
			(scale * (float) count_common(query, code) - bias * query->share);
	return query->base + bias - scale * query->unit * (float) sum_terms(query->weights, code);
}

/*
 * Puts the neighbours of the slot not looked at before into the beam whose
 * estimates are good enough; returns the first place that changed, INT_MAX if none.
 */
int
vk_sparse_expand(VkGraphSearch *search, const char *rec, int ef)
{
	VkSparseQuery *query = &search->sparse;
	const VkGraphLayout *lay = &search->space->lay;
	const VkNodeId *ids = VK_EDGE_IDS(lay, rec);
	const float *bias = VK_EDGE_BIAS(lay, rec);
	const float *scale = VK_EDGE_SCALE(lay, rec);
	int			nedges = ((const VkGraphNode *) rec)->nedges;
	bool		sets = lay->metric == VK_METRIC_JACCARD;
	int			first = INT_MAX;

	for (int e = 0; e < nedges; e++)
	{
		float		estimate;
		VkBeamEntry entry;

		if (ids[e] >= VK_NODE_LIMIT || !vk_set_add(&query->looked, ids[e]))
			continue;
		estimate = estimate_edge(query, sets, rec + vk_edge_code_offset(lay, e), bias[e], scale[e]);
		entry = vk_beam_entry(ids[e], estimate);
		if (search->nbeam == ef && entry > search->beam[ef - 1])
			continue;
		vk_beam_offer(search, entry, ef, &first);
	}
	return first;
}
