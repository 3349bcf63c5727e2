/*-------------------------------------------------------------------------
 *
 * am_insert.c
 *	  aminsert: finds or makes the row's split and adds the row to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/memutils.h"

#include "am/am_private.h"

/* More than concurrent changes of one split can explain. */
#define MAX_ATTEMPTS	1000

/*
 * Adds an empty entry to a leaf held exclusively; invalid if there is no
 * room.  One split in an index without split columns: it gets its store at
 * once, there is nobody to share pages with.
 */
static OffsetNumber
add_entry(VkIndex *index, Buffer leaf, const VkSplitKey *key)
{
	Size		size = VK_ENTRY_SIZE(key->size);
	VkSplitEntry *entry;
	OffsetNumber offset;
	VkEdit		edit;

	if (PageGetFreeSpace(BufferGetPage(leaf)) < MAXALIGN(size))
		return InvalidOffsetNumber;
	entry = palloc0(size);
	entry->hash = key->hash;
	entry->split_id = vk_meta_new_split_id(index);
	entry->head = entry->nulls = InvalidBlockNumber;
	for (int i = 0; i < VK_TINY_BLOCKS; i++)
		entry->shared[i] = InvalidBlockNumber;
	entry->key_size = key->size;
	if (key->tuple != NULL)
		memcpy(entry->key, key->tuple, key->size);
	vk_edit_start(&edit, index);
	offset = PageAddItem(vk_edit_copy(&edit, leaf), (Item) entry, size, InvalidOffsetNumber,
						 false, false);
	if (offset == InvalidOffsetNumber)
		elog(ERROR, "could not add an entry to the split directory");
	vk_edit_commit(&edit);
	pfree(entry);
	return offset;
}

/* Adds the row to its split's store, if it has one. */
static bool
insert_into_store(VkIndex *index, const VkSplitKey *key, ItemPointer tid,
				  const struct varlena *value)
{
	VkStoreRef	ref = index->only;
	Buffer		leaf;
	OffsetNumber offset;

	if (ref.split_id != 0 && index->store->insert(index, ref, tid, value))
		return true;
	ref.head = InvalidBlockNumber;
	leaf = vk_dir_leaf(index, key->hash, BUFFER_LOCK_SHARE);
	offset = vk_dir_find(index, leaf, key);
	if (offset != InvalidOffsetNumber)
	{
		VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);

		ref.split_id = entry->split_id;
		ref.head = entry->head;
	}
	vk_page_release(leaf);
	if (ref.head == InvalidBlockNumber || !index->store->insert(index, ref, tid, value))
		return false;
	if (index->info.nsplit_columns == 0)
		index->only = ref;
	return true;
}

/*
 * Adds the row under the exclusive lock of its leaf, if that is the place:
 * a small split, a NULL, a split that is new or outgrows shared pages.
 * False: look again.
 */
static bool
insert_at_leaf(VkIndex *index, const VkSplitKey *key, ItemPointer tid,
			   const struct varlena *value)
{
	Buffer		leaf = vk_dir_leaf(index, key->hash, BUFFER_LOCK_EXCLUSIVE);
	OffsetNumber offset = vk_dir_find(index, leaf, key);
	bool		done = false;

	if (offset == InvalidOffsetNumber)
		offset = add_entry(index, leaf, key);
	if (offset == InvalidOffsetNumber)
	{
		vk_page_release(leaf);
		vk_dir_split_leaf(index, key->hash);
		return false;
	}
	if (value == NULL)
	{
		vk_nulls_insert(index, leaf, offset, tid);
		done = true;
	}
	else if (vk_dir_entry(index, leaf, offset)->head == InvalidBlockNumber)
	{
		if (index->info.nsplit_columns > 0)
			done = vk_tiny_insert(index, leaf, offset, tid, value);
		if (!done)
			vk_tiny_promote(index, leaf, offset);
	}
	vk_page_release(leaf);
	return done;
}

/*
 * For a bulk load: the id of a split whose store does not exist yet; and later
 * the store.
 */
uint32
vk_split_reserve(VkIndex *index, const VkSplitKey *key)
{
	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		Buffer		leaf = vk_dir_leaf(index, key->hash, BUFFER_LOCK_EXCLUSIVE);
		OffsetNumber offset = vk_dir_find(index, leaf, key);
		uint32		split_id = 0;

		if (offset == InvalidOffsetNumber)
			offset = add_entry(index, leaf, key);
		if (offset != InvalidOffsetNumber)
			split_id = vk_dir_entry(index, leaf, offset)->split_id;
		vk_page_release(leaf);
		if (offset != InvalidOffsetNumber)
			return split_id;
		vk_dir_split_leaf(index, key->hash);
	}
	elog(ERROR, "the split directory of a new index does not grow");
}

void
vk_split_set_head(VkIndex *index, const VkSplitKey *key, BlockNumber head)
{
	Buffer		leaf = vk_dir_leaf(index, key->hash, BUFFER_LOCK_EXCLUSIVE);
	OffsetNumber offset = vk_dir_find(index, leaf, key);
	VkEdit		edit;

	vk_edit_start(&edit, index);
	vk_edit_put_uint32(&edit, vk_edit_page(&edit, leaf), &vk_dir_entry(index, leaf, offset)->head,
					   head);
	vk_edit_commit_release(&edit);
}

/* value is detoasted, or NULL for a NULL vector. */
void
vk_insert_row(VkIndex *index, const VkSplitKey *key, ItemPointer tid,
			  const struct varlena *value)
{
	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		if (value != NULL && insert_into_store(index, key, tid, value))
			return;
		if (insert_at_leaf(index, key, tid, value))
			return;
		CHECK_FOR_INTERRUPTS();
	}
	vk_report_corruption(index->rel, VK_DIR_ROOT_BLOCK,
						 "The split directory leads to a split that does not exist.");
}

/* Forms the key, detoasts, inserts; in a context the caller resets. */
void
vk_insert_values(VkIndex *index, Datum *values, bool *isnull, ItemPointer tid)
{
	VkSplitKey	key;
	struct varlena *value = NULL;

	vk_key_form(index, values, isnull, &key);
	if (!isnull[0])
		value = PG_DETOAST_DATUM(values[0]);
	vk_insert_row(index, &key, tid, value);
}

typedef struct InsertState
{
	VkIndex    *index;
	MemoryContext context;		/* per row */
} InsertState;

bool
vk_aminsert(Relation rel, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
			IndexUniqueCheck check_unique, bool index_unchanged, struct IndexInfo *info)
{
	InsertState *state = info->ii_AmCache;
	MemoryContext old;

	if (state == NULL)
	{
		old = MemoryContextSwitchTo(info->ii_Context);
		state = palloc0(sizeof(InsertState));
		state->index = vk_index_open(rel);
		state->context = AllocSetContextCreate(info->ii_Context, "vektonn insert",
											   ALLOCSET_DEFAULT_SIZES);
		info->ii_AmCache = state;
		MemoryContextSwitchTo(old);
	}
	state->index->rel = rel;
	old = MemoryContextSwitchTo(state->context);
	vk_insert_values(state->index, values, isnull, tid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->context);
	return false;
}
