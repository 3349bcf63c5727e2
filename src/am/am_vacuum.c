/*-------------------------------------------------------------------------
 *
 * am_vacuum.c
 *	  VACUUM: removal of dead rows, and of splits that have none left.
 *
 * Rows move from shared pages to stores, never back: shared pages are
 * vacuumed first, and the stores as the directory names them afterwards, so a
 * row that moves meanwhile is met at least once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/indexfsm.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

typedef struct LeafVacuum
{
	VkVacuum   *vacuum;
	VkBlockList shared;			/* first walk: shared pages */
	VkBlockList freed;			/* last walk: pages of removed splits */
} LeafVacuum;

static void
list_shared(VkIndex *index, Buffer leaf, void *arg)
{
	LeafVacuum *state = arg;
	VkDirLeaf  *header = vk_dir_header(index, leaf);
	OffsetNumber last = PageGetMaxOffsetNumber(BufferGetPage(leaf));

	if (header->fill != InvalidBlockNumber)
		vk_blocks_add(&state->shared, header->fill);
	for (OffsetNumber offset = FirstOffsetNumber + 1; offset <= last; offset++)
	{
		VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);

		for (int i = 0; i < entry->nshared; i++)
			vk_blocks_add(&state->shared, entry->shared[i]);
	}
}

static void
vacuum_shared(VkVacuum *vacuum, VkBlockList *blocks)
{
	vk_blocks_sort(blocks);
	for (int i = 0; i < blocks->count; i++)
	{
		vacuum_delay_point_compat();
		if (i == 0 || blocks->blocks[i] != blocks->blocks[i - 1])
			vk_tiny_vacuum_page(vacuum, blocks->blocks[i]);
	}
}

/* Removes the entry at offset, in the same record as what edit holds already. */
static void
delete_entry(VkEdit *edit, Buffer leaf, OffsetNumber offset)
{
	PageIndexTupleDelete(vk_edit_copy(edit, leaf), offset);
	vk_edit_commit(edit);
}

/* Drops shared pages without rows of the split; true if none is left. */
static bool
compact_tiny(VkIndex *index, Buffer leaf, OffsetNumber offset)
{
	VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);
	BlockNumber kept[VK_TINY_BLOCKS];
	int			nkept = 0;
	Size		bytes = 0;
	VkEdit		edit;
	int			page;

	for (int i = 0; i < entry->nshared; i++)
	{
		Size		here = vk_tiny_bytes_on(index, entry->shared[i], entry->split_id);

		if (here > 0)
			kept[nkept++] = entry->shared[i];
		bytes += here;
	}
	if (bytes == 0)
		return true;
	if (bytes == entry->tiny_bytes && nkept == entry->nshared)
		return false;
	vk_edit_start(&edit, index);
	page = vk_edit_page(&edit, leaf);
	vk_edit_put(&edit, page, entry->shared, kept, nkept * sizeof(BlockNumber));
	vk_edit_put_uint16(&edit, page, &entry->nshared, nkept);
	vk_edit_put_uint16(&edit, page, &entry->tiny_bytes, bytes);
	vk_edit_commit(&edit);
	return false;
}

/* Removes the split at offset of a leaf held exclusively, if it is empty. */
static bool
remove_if_empty(LeafVacuum *state, Buffer leaf, OffsetNumber offset)
{
	VkIndex    *index = state->vacuum->index;
	VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);
	VkStoreRef	ref = {entry->split_id, entry->head};
	VkBlockList blocks = {0};
	VkEdit		edit;

	if (entry->nulls != InvalidBlockNumber)
		return false;
	vk_edit_start(&edit, index);
	if (entry->head == InvalidBlockNumber)
	{
		if (!compact_tiny(index, leaf, offset))
			return false;
		delete_entry(&edit, leaf, offset);
		return true;
	}
	if (!index->store->retire(index, ref, &edit, &blocks))
		return false;
	delete_entry(&edit, leaf, offset);
	vk_page_release(edit.buffers[0]);
	vk_page_freed(index, ref.head);
	for (int i = 0; i < blocks.count; i++)
		vk_blocks_add(&state->freed, blocks.blocks[i]);
	state->vacuum->stats->pages_newly_deleted += blocks.count + 1;
	return true;
}

static void
vacuum_leaf(VkIndex *index, Buffer leaf, void *arg)
{
	LeafVacuum *state = arg;
	OffsetNumber offset = FirstOffsetNumber + 1;

	while (offset <= PageGetMaxOffsetNumber(BufferGetPage(leaf)))
	{
		if (vk_dir_entry(index, leaf, offset)->nulls != InvalidBlockNumber)
			vk_nulls_vacuum(state->vacuum, leaf, offset);
		if (!remove_if_empty(state, leaf, offset))
			offset++;
	}
}

static void
vacuum_stores(VkVacuum *vacuum)
{
	VkConditions all;
	VkMatches	matches;

	vk_conditions_build(vacuum->index, NULL, 0, &all);
	vk_dir_match(vacuum->index, &all, &matches);
	for (int64 i = 0; i < matches.count; i++)
	{
		VkStoreRef	ref = {matches.items[i].split_id, matches.items[i].head};

		if (ref.head != InvalidBlockNumber)
			vacuum->index->store->vacuum(vacuum, ref);
	}
}

IndexBulkDeleteResult *
vk_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			   IndexBulkDeleteCallback callback, void *callback_state)
{
	VkVacuum	vacuum = {0};
	LeafVacuum	state = {0};

	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	stats->num_index_tuples = 0;
	vacuum.index = vk_index_open(info->index);
	vacuum.info = info;
	vacuum.stats = stats;
	vacuum.callback = callback;
	vacuum.callback_state = callback_state;
	state.vacuum = &vacuum;

	vk_dir_walk(vacuum.index, BUFFER_LOCK_SHARE, list_shared, &state);
	vacuum_shared(&vacuum, &state.shared);
	vacuum_stores(&vacuum);
	vk_dir_walk(vacuum.index, BUFFER_LOCK_EXCLUSIVE, vacuum_leaf, &state);
	vk_pages_free(vacuum.index, &state.freed);
	return stats;
}

static void
tidy_stores(VkIndex *index)
{
	VkConditions all;
	VkMatches	matches;

	vk_conditions_build(index, NULL, 0, &all);
	vk_dir_match(index, &all, &matches);
	for (int64 i = 0; i < matches.count; i++)
	{
		VkStoreRef	ref = {matches.items[i].split_id, matches.items[i].head};

		vacuum_delay_point_compat();
		if (ref.head != InvalidBlockNumber)
			index->store->tidy(index, ref);
	}
}

IndexBulkDeleteResult *
vk_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only)
		return stats;
	if (stats == NULL)
	{
		VkIndex    *index = vk_index_open(info->index);

		if (index->store->tidy != NULL)
			tidy_stores(index);
		stats = palloc0(sizeof(IndexBulkDeleteResult));
		stats->num_index_tuples = info->num_heap_tuples;
		stats->estimated_count = true;
	}
	vk_space_find_lost(vk_index_open(info->index), info->strategy);
	IndexFreeSpaceMapVacuum(info->index);
	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	return stats;
}
