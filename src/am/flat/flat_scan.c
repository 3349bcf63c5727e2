/*-------------------------------------------------------------------------
 *
 * flat_scan.c
 *	  Exact search of a flat split.
 *
 * Locks are held for one page at a time.  A row that VACUUM removes, and whose
 * slot is taken again, between the reading of a group and of its row pages is
 * dead to every snapshot, and its successor is invisible to ours: whatever
 * distance it gets does not matter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/flat/flat_private.h"

/* A group as it was when its page was read. */
typedef struct GroupCopy
{
	VkFlatLayout layout;
	VkFlatGroup group;
	BlockNumber next;
	BlockNumber blocks[BLCKSZ / sizeof(BlockNumber)];
	ItemPointerData tids[BLCKSZ / sizeof(ItemPointerData)];
} GroupCopy;

typedef struct FlatScan
{
	VkScan	   *scan;
	VkStoreRef	ref;
	VkDenseDistance distance;
	const char *query;			/* elements */
	char	   *row;			/* one row, put together from its pages */
	GroupCopy	copy;
} FlatScan;

/* Reads the group at block; false if the split was removed meanwhile. */
static bool
read_group(FlatScan *state, BlockNumber block)
{
	VkIndex    *index = state->scan->index;
	GroupCopy  *copy = &state->copy;
	Buffer		buffer = vk_page_try(index, block, VK_PAGE_FLAT_GROUP, state->ref.split_id,
									 BUFFER_LOCK_SHARE);
	VkFlatGroup *group;

	if (buffer == InvalidBuffer)
		return false;
	state->scan->stats->pages++;
	group = vk_flat_group(index, buffer, &copy->layout);
	copy->group = *group;
	copy->next = VkPageGetOpaque(BufferGetPage(buffer))->next;
	memcpy(copy->blocks, VkFlatBlocks(group, &copy->layout),
		   group->nblocks * sizeof(BlockNumber));
	memcpy(copy->tids, VkFlatTids(group, &copy->layout),
		   group->nslots * sizeof(ItemPointerData));
	vk_page_release(buffer);
	return true;
}

static void
push_row(FlatScan *state, int slot, const char *elements)
{
	VkScan	   *scan = state->scan;

	if (!ItemPointerIsValid(&state->copy.tids[slot]))
		return;
	scan->stats->rows++;
	vk_scan_push(scan,
				 state->distance(state->query, elements, scan->index->info.dim),
				 vk_tid_encode(&state->copy.tids[slot]));
}

/*
 * Compares all rows of the group just read: page by page, each row where it
 * lies, but for those that span pages.
 */
static void
scan_rows(FlatScan *state)
{
	VkIndex    *index = state->scan->index;
	GroupCopy  *copy = &state->copy;
	int			row_bytes = index->info.row_bytes;
	int			slot = 0;
	int			have = 0;		/* bytes of the slot's row from earlier pages */

	for (int number = 0; number < copy->group.nblocks && slot < copy->group.nslots; number++)
	{
		Buffer		buffer = vk_page_try(index, copy->blocks[number], VK_PAGE_FLAT_ROWS,
										 state->ref.split_id, BUFFER_LOCK_SHARE);
		const char *data;
		int			at = 0;

		CHECK_FOR_INTERRUPTS();
		if (buffer == InvalidBuffer)
			return;				/* all rows of the group died */
		state->scan->stats->pages++;
		data = VkPageData(BufferGetPage(buffer));
		while (slot < copy->group.nslots && at < (int) VK_PAGE_SPACE)
		{
			int			part = Min(row_bytes - have, (int) VK_PAGE_SPACE - at);

			if (part == row_bytes)
				push_row(state, slot, data + at);
			else
			{
				memcpy(state->row + have, data + at, part);
				if (have + part == row_bytes)
					push_row(state, slot, state->row);
			}
			have += part;
			at += part;
			if (have == row_bytes)
			{
				slot++;
				have = 0;
			}
		}
		vk_page_release(buffer);
	}
}

static void
push_tids(FlatScan *state)
{
	for (int slot = 0; slot < state->copy.group.nslots; slot++)
		if (ItemPointerIsValid(&state->copy.tids[slot]))
			vk_scan_push(state->scan, 0.0, vk_tid_encode(&state->copy.tids[slot]));
}

void
vk_flat_collect(VkScan *scan, VkStoreRef ref)
{
	VkIndex    *index = scan->index;
	FlatScan   *state;
	Buffer		buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);
	BlockNumber block;

	if (buffer == InvalidBuffer)
		return;
	scan->stats->pages++;
	block = VkPageGetFlatHead(BufferGetPage(buffer))->first;
	vk_page_release(buffer);

	state = palloc0(sizeof(FlatScan));
	state->scan = scan;
	state->ref = ref;
	if (scan->query != NULL)
	{
		state->distance = vk_dense_distance(index->info.elem, index->info.metric);
		state->query = (const char *) ((const VkVector *) scan->query)->x;
		state->row = palloc(index->info.row_bytes);
	}
	while (block != InvalidBlockNumber && read_group(state, block))
	{
		if (scan->query == NULL)
			push_tids(state);
		else
			scan_rows(state);
		block = state->copy.next;
		CHECK_FOR_INTERRUPTS();
	}
	if (state->row != NULL)
		pfree(state->row);
	pfree(state);
}
