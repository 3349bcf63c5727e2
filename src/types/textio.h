/*-------------------------------------------------------------------------
 *
 * textio.h
 *	  Readers of the text formats "[1,2.5]" and "{1:0.5,3:2}/5".
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_TEXTIO_H
#define VK_TEXTIO_H

#include "types/readerr.h"

/* One non-zero of a sparsevec while it is read; index from 0. */
typedef struct VkSparseItem
{
	int32_t		index;
	float		value;
} VkSparseItem;

/*
 * Reads a dense literal of element type elem into out, which holds VK_MAX_DIM
 * elements of that type.  typmod is the required number of dimensions or -1.
 */
extern bool vk_text_read_dense(const char *literal, VkElem elem, int typmod,
							   void *out, int *dim, VkReadError *error);

/*
 * Reads a sparse literal into items, which holds VK_SPARSE_MAX_NNZ of them:
 * *nnz items that ascend by index, none zero, all below *dim.
 */
extern bool vk_text_read_sparse(const char *literal, int typmod,
								VkSparseItem *items, int *nnz, int *dim,
								VkReadError *error);

#endif							/* VK_TEXTIO_H */
