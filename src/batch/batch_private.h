/*-------------------------------------------------------------------------
 *
 * batch_private.h
 *	  What the files of src/batch share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_BATCH_PRIVATE_H
#define VK_BATCH_PRIVATE_H

#include "am/am_batch.h"
#include "blas/blas.h"

/* One query vector. */
typedef struct VkBatchQuery
{
	int			number;			/* from 0 */
	const struct varlena *value;
	VkTopk		topk;			/* of the pass; after it sorted, without
								 * duplicates */
	bool		all_found;		/* the pass found fewer than it looked for */
} VkBatchQuery;

/* What bounds are made of, on the side of the query; see README.md. */
typedef struct VkBatchBound
{
	bool		usable;			/* else every row must be compared */
	double		square;			/* |q'|^2 */
	double		norm;
	VkSketchQuery sketch;
} VkBatchBound;

/* The factors of one query's filter: rows with value < limit are excluded. */
typedef struct VkFilter
{
	float		of_norm;
	float		of_error;
	float		limit;
} VkFilter;

/* batch_blas.c: NULL if there is no vektonn_blas.so */
extern VkBlasProducts vk_batch_products(void);

/* batch_filter.c */
extern void vk_filter_values(const float *products, const float *norms, const float *errors,
							 const float *offsets, const VkFilter *filter, int count,
							 float *values);
extern int	vk_filter_select(const float *products, const float *norms, const float *errors,
							 const float *offsets, const VkFilter *filter, int count,
							 float *values, int *selected);
extern float vk_filter_greatest(float *values, int count, int wanted);

/* batch_pass.c */
extern bool vk_batch_possible(VkIndex *index);
extern int	vk_batch_size(VkIndex *index, int64 k);
extern void vk_batch_pass(VkIndex *index, ScanKey keys, int nkeys, VkBatchQuery **queries,
						  int nqueries, int64 k);

#endif							/* VK_BATCH_PRIVATE_H */
