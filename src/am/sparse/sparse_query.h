/*-------------------------------------------------------------------------
 *
 * sparse_query.h
 *	  Scores and their bounds: what makes the inverted index exact.
 *
 * Each document of a segment gets a score that falls as its distance grows:
 *
 *	ip		<q,x>						distance = -score
 *	cosine	<q/|q|, x/|x|>				distance = 1 - score
 *	l2		<q,x> - |x|^2/2				distance^2 = |q|^2 - 2 score
 *	l1		2 sum min(|q|,|x|) - |x|_1	distance = |q|_1 - score
 *	jaccard	|both| / |either|			distance = 1 - score
 *
 * Postings give an upper bound of the score; a document whose bound lies
 * below the cut cannot be among the nearest.  README.md has the proofs.
 *
 * Uses no symbol of the server, so that unit tests link it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_SPARSE_QUERY_H
#define VK_SPARSE_QUERY_H

#include "distance/distance.h"

/*
 * Elements whose magnitude lies outside this range would over- or underflow
 * float sums.  Documents that have one are not bounded but always evaluated,
 * and such a query is answered by evaluating every document.
 */
#define VK_SPARSE_LEAST_VALUE	1e-15
#define VK_SPARSE_MOST_VALUE	1e15

/* Levels a weight is quantised to within its list. */
#define VK_SPARSE_LEVELS		256

/* A query, prepared once per scan. */
typedef struct VkSparseQuery
{
	VkMetric	metric;
	VkSparse	vec;			/* the caller's arrays */
	double	   *weights;		/* per element; normalised for cosine */
	double		norm;			/* ip, cosine: 0; l2: |q|^2; l1: |q|_1;
								 * jaccard: nnz */
	double		norm_squared;	/* bits of the inner product with itself */
	double		factor;			/* what rounding may add, relative to the
								 * magnitude */
	bool		irregular;		/* scores are of no use */
} VkSparseQuery;

/* What a posting list contributes to the score of a document in it. */
typedef struct VkSparseTerm
{
	float		base;			/* contribution of code 0 ... */
	float		slope;			/* ... and per level */
	float		limit;			/* l1: contributions lie in 0..limit */
	double		most;			/* no contribution is greater; >= 0 */
	double		magnitude;		/* nor greater in absolute value */
} VkSparseTerm;

/* Whether the document's elements are all within range; jaccard: always. */
extern bool vk_sparse_regular(VkMetric metric, const VkSparse *vec);

/*
 * The document's own part of its score, subtracted from the sum over its
 * postings: l2 |x|^2/2, l1 |x|_1, each rounded down; jaccard: its elements.
 */
extern float vk_sparse_document_norm(VkMetric metric, const VkSparse *vec);

/* Whether documents of this metric have such a part. */
static inline bool
vk_sparse_has_norms(VkMetric metric)
{
	return metric == VK_METRIC_L2 || metric == VK_METRIC_L1 ||
		metric == VK_METRIC_JACCARD;
}

/* Whether postings carry weights. */
static inline bool
vk_sparse_has_codes(VkMetric metric)
{
	return metric != VK_METRIC_JACCARD;
}

/* What the weight of each element of the document is multiplied with. */
extern double vk_sparse_weight_scale(VkMetric metric, const VkSparse *vec);

/*
 * The step of a list whose least and greatest weight are known, so that
 * least + step * VK_SPARSE_LEVELS >= most.
 */
extern float vk_sparse_step(float least, float most);

/* The code c of a weight: least + step * c <= weight <= least + step * (c + 1). */
extern uint8 vk_sparse_code(float least, float step, float weight);

/* A weight in 15 bits, and what it may be then: least <= weight <= least + step. */
extern uint16 vk_sparse_weight_pack(float weight);
extern void vk_sparse_weight_unpack(uint16 packed, float *least, float *step);

/* Prepares a query; weights has room for vec->nnz. */
extern void vk_sparse_query_prepare(VkSparseQuery *query, VkMetric metric,
									const VkSparse *vec, double *weights);

/* Bounds of the contributions of a list of element i of the query. */
extern void vk_sparse_term_bound(const VkSparseQuery *query, int i,
								 float least, float step, VkSparseTerm *term);

/*
 * Documents whose computed score bound is less than the cut are farther than
 * `distance`.  magnitude: sum over the terms' magnitudes.
 */
extern float vk_sparse_cut(const VkSparseQuery *query, double distance,
						   double magnitude);

#endif							/* VK_SPARSE_QUERY_H */
