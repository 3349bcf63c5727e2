/*-------------------------------------------------------------------------
 *
 * graph_batch.h
 *	  Rows that wait to be inserted by a build, and the order of insertion.
 *
 * An insertion reads some two hundred slots, nearly all of them near its own
 * place in the graph.  When the row inserted before it lies near, most of
 * these slots are in the CPU's cache still, instead of one cache miss for each
 * 64 bytes of them.  So rows are gathered and inserted in an order in which
 * each is near the one before.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_GRAPH_BATCH_H
#define VK_GRAPH_BATCH_H

#include "am/graph/graph_space.h"

/* Rows of a batch at most; twice as many were measured to gain 1 % more. */
#define VK_BATCH_ROWS		4096

/*
 * Rows are compared by so many coordinates of the rotated vectors, a random
 * projection: twice as many gave no better order.
 */
#define VK_BATCH_KEY_DIM	32

typedef struct VkBatchRow
{
	float		key[VK_BATCH_KEY_DIM];
	ItemPointerData tid;
	uint32		size;			/* of data */
	char		data[FLEXIBLE_ARRAY_MEMBER];	/* as slots store it */
} VkBatchRow;

typedef struct VkGraphBatch
{
	const VkSpace *space;
	char	   *memory;
	Size		size;			/* of memory */
	Size		used;
	int			nrows;
	int			limit;			/* of nrows */
	VkBatchRow *rows[VK_BATCH_ROWS];
	int			group[VK_BATCH_ROWS];	/* scratch of vk_batch_sort() */
	VkBatchRow *sorted[VK_BATCH_ROWS];
} VkGraphBatch;

/* In the current context; bytes: of rows; more only if one would not fit. */
extern void vk_batch_init(VkGraphBatch *batch, const VkSpace *space, Size bytes);

/* False: there is no room for it. */
extern bool vk_batch_add(VkGraphBatch *batch, ItemPointer tid, const struct varlena *value);

/*
 * Reorders the rows so that each is near the one before; not those of sparse
 * vectors.  The center is known.
 */
extern void vk_batch_sort(VkGraphBatch *batch);

static inline void
vk_batch_clear(VkGraphBatch *batch)
{
	batch->nrows = 0;
	batch->used = 0;
}

#endif							/* VK_GRAPH_BATCH_H */
