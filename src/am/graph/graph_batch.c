/*-------------------------------------------------------------------------
 *
 * graph_batch.c
 *	  Rows that wait to be inserted by a build, and the order of insertion.
 *
 * The order is a walk from each row to the nearest that has not been walked to
 * yet.  To find it among all rows would take as long as the insertion saves:
 * rows are divided among some of them, each to the nearest, and the walk goes
 * through one such group after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "am/graph/graph_batch.h"

/* Groups of a full batch: the square root, so that both steps cost the same. */
#define MAX_GROUPS		64

void
vk_batch_init(VkGraphBatch *batch, const VkSpace *space, Size bytes)
{
	int			largest = space->lay.elem == VK_ELEM_SPARSE ?
	(int) sizeof(int32) + 8 * VK_SPARSE_MAX_NNZ : vk_graph_dense_size(&space->lay);

	batch->space = space;
	batch->size = Max(bytes, MAXALIGN(offsetof(VkBatchRow, data) + largest));
	batch->memory = palloc(batch->size);
	batch->limit = VK_BATCH_ROWS;
	vk_batch_clear(batch);
}

bool
vk_batch_add(VkGraphBatch *batch, ItemPointer tid, const struct varlena *value)
{
	uint32		size = vk_space_size(batch->space, value);
	Size		needed = MAXALIGN(offsetof(VkBatchRow, data) + size);
	VkBatchRow *row = (VkBatchRow *) (batch->memory + batch->used);

	if (batch->nrows == batch->limit || needed > batch->size - batch->used)
		return false;
	row->tid = *tid;
	row->size = size;
	vk_space_store(batch->space, value, row->data);
	batch->rows[batch->nrows++] = row;
	batch->used += needed;
	return true;
}

static inline float
distance(const VkBatchRow *a, const VkBatchRow *b)
{
	return vk_kernels->dense[VK_ELEM_FLOAT4].l2_squared((const char *) a->key,
														(const char *) b->key,
														VK_BATCH_KEY_DIM);
}

/* Which of the rows is nearest to this one; the first, if distances are no numbers. */
static int
nearest(const VkBatchRow *row, VkBatchRow *const *rows, int count)
{
	float		least = INFINITY;
	int			result = 0;

	for (int i = 0; i < count; i++)
	{
		float		at = distance(row, rows[i]);

		if (at < least)
		{
			least = at;
			result = i;
		}
	}
	return result;
}

/* Reorders rows: the nearest to `from`, the nearest to that one, and so on. */
static void
walk(const VkBatchRow *from, VkBatchRow **rows, int count)
{
	for (int i = 0; i < count; i++)
	{
		int			next = i + nearest(from, rows + i, count - i);
		VkBatchRow *row = rows[next];

		rows[next] = rows[i];
		rows[i] = row;
		from = row;
	}
}

void
vk_batch_sort(VkGraphBatch *batch)
{
	const VkSpace *space = batch->space;
	VkBatchRow *seeds[MAX_GROUPS];
	int			start[MAX_GROUPS + 1] = {0};
	int			end[MAX_GROUPS];
	int			ngroups = Min(MAX_GROUPS, (batch->nrows + MAX_GROUPS - 1) / MAX_GROUPS);
	float	   *rotated;

	/*
	 * sparse vectors are not rotated, and nothing as short as a key tells
	 * their distances
	 */
	if (batch->nrows == 0 || space->lay.elem == VK_ELEM_SPARSE)
		return;
	rotated = palloc(sizeof(float) * space->lay.nav_dim);
	for (int i = 0; i < batch->nrows; i++)
	{
		VkBatchRow *row = batch->rows[i];
		VkPoint		point = {row->data, vk_space_norm2(space, row->data)};

		vk_space_rotate(space, &point, rotated);
		memcpy(row->key, rotated, sizeof(row->key));
	}
	pfree(rotated);

	for (int g = 0; g < ngroups; g++)
		seeds[g] = batch->rows[(int64) g * batch->nrows / ngroups];
	walk(seeds[0], seeds, ngroups);
	for (int i = 0; i < batch->nrows; i++)
	{
		batch->group[i] = nearest(batch->rows[i], seeds, ngroups);
		start[batch->group[i] + 1]++;
	}
	for (int g = 0; g < ngroups; g++)
	{
		start[g + 1] += start[g];
		end[g] = start[g];
	}
	for (int i = 0; i < batch->nrows; i++)
		batch->sorted[end[batch->group[i]]++] = batch->rows[i];
	for (int g = 0; g < ngroups; g++)
		walk(start[g] == 0 ? seeds[0] : batch->sorted[start[g] - 1],
			 batch->sorted + start[g], end[g] - start[g]);
	memcpy(batch->rows, batch->sorted, sizeof(VkBatchRow *) * batch->nrows);
}
