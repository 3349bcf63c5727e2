/*-------------------------------------------------------------------------
 *
 * sparse_kernel.h
 *	  Loops over score accumulators, one per document of a segment.
 *
 * Uses no symbol of the server, so that unit tests link it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_SPARSE_KERNEL_H
#define VK_SPARSE_KERNEL_H

#include "am/sparse/sparse_query.h"

/* Documents of a segment: postings number them in 16 bits. */
#define VK_SPARSE_SEGMENT_DOCS	65536

/* Accumulators are padded with -infinity to a multiple of this. */
#define VK_SPARSE_BLOCK			64

/*
 * A block's greatest score says whether any of them matters: most searches
 * read the scores once for these and then a few blocks again.
 */
#define VK_SPARSE_MAX_BLOCKS	(VK_SPARSE_SEGMENT_DOCS / VK_SPARSE_BLOCK)
#define VkSparseBlocks(count)	(((count) + VK_SPARSE_BLOCK - 1) / VK_SPARSE_BLOCK)

typedef struct VkSparseCandidate
{
	float		score;			/* upper bound */
	uint32		document;
} VkSparseCandidate;

typedef struct VkSparseKernel
{
	/* scores[offset] += base + slope * code, for every posting */
	void		(*add) (float *scores, const uint16 *offsets, const uint8 *codes,
						int count, const VkSparseTerm *term);

	/* The same with the contribution kept within 0..limit */
	void		(*add_limited) (float *scores, const uint16 *offsets,
								const uint8 *codes, int count,
								const VkSparseTerm *term);

	/* The greatest score of each block */
	void		(*maxima) (const float *scores, int count, float *maxima);

	/*
	 * Candidates with low <= score < high, in order of document; their
	 * number.  maxima: of these scores.
	 */
	int			(*select) (const float *scores, const float *maxima, int count,
						   float low, float high, VkSparseCandidate *out);

	/* The first document from `from` on with score > low and < high, or count */
	int			(*next_above) (const float *scores, int count, int from,
							   float low, float high);

	/* How many of the scores are not less than low */
	int			(*reaching) (const float *scores, int count, float low);

	/* The least and the greatest score; count > 0 */
	void		(*extent) (const float *scores, int count, float *least, float *most);

	/* scores[0 .. count - 1] = -0.0; may write as far as the next full block */
	void		(*clear) (float *scores, int count);
} VkSparseKernel;

/* The kernel for this CPU. */
extern const VkSparseKernel *vk_sparse_kernel(void);
extern const VkSparseKernel vk_sparse_kernel_portable;

/* scores[offset] += value, for every posting. */
extern void vk_sparse_add_constant(float *scores, const uint16 *offsets,
								   int count, float value);

/* Sets the scores of documents without postings to -0.0, and the padding. */
extern void vk_sparse_scores_clear(float *scores, int count);

/*
 * Sets the scores of documents first .. first + count - 1 to minus their
 * norms, made smaller by `factor`, what rounding may do to the sum.
 */
extern void vk_sparse_scores_norm(float *scores, int first, int count,
								  const float *norms, double factor);

/* Turns counts of common indices into Jaccard similarities. */
extern void vk_sparse_scores_jaccard(float *scores, int first, int count,
									 const float *norms, int query_nnz);

/* Whether no posting was added to a cleared score. */
static inline bool
vk_sparse_score_untouched(float score)
{
	union
	{
		float		value;
		uint32		bits;
	}			cast;

	cast.value = score;
	return cast.bits == 0x80000000;
}

/*
 * The greatest score `low` such that at least `wanted` documents have
 * low <= score < high; -infinity if there are fewer.  heap: room for `wanted`.
 */
extern float vk_sparse_scores_rank(const float *scores, int count, float high,
								   int wanted, float *heap);

/*
 * `cut`, if at most twice `wanted` scores reach it; else a higher one that at
 * least `wanted` scores reach, and mostly at most twice as many.  -infinity if
 * there are fewer, and no cut.  heap as above.
 */
extern float vk_sparse_scores_lead(const float *scores, int count, float cut,
								   int wanted, float *heap);

/* Sorts by descending score, then ascending document. */
extern void vk_sparse_candidates_sort(VkSparseCandidate *candidates, int count);

#endif							/* VK_SPARSE_KERNEL_H */
