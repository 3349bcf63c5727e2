/*-------------------------------------------------------------------------
 *
 * am_tiny.c
 *	  Rows of small splits, which share pages.
 *
 * A row is an item of a shared page, tagged with its split.  Which pages a
 * split has rows on stands in its directory entry; a row whose split's entry
 * does not name the page is left over from a move to a store, and ignored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/am_batch.h"
#include "am/am_private.h"

/* Item at offset of a locked shared page, checked; NULL for an unused one. */
VkSharedRow *
vk_tiny_row(VkIndex *index, Buffer buffer, OffsetNumber offset)
{
	Page		page = BufferGetPage(buffer);
	PageHeader	header = (PageHeader) page;
	ItemId		id = PageGetItemId(page, offset);
	VkSharedRow *row;
	const char *fault = "An item is damaged.";

	if (!ItemIdIsUsed(id))
		return NULL;
	if (ItemIdIsNormal(id) && ItemIdGetOffset(id) == MAXALIGN(ItemIdGetOffset(id)) &&
		ItemIdGetOffset(id) >= header->pd_upper &&
		ItemIdGetOffset(id) + ItemIdGetLength(id) <= header->pd_special &&
		ItemIdGetLength(id) > offsetof(VkSharedRow, value) + VARHDRSZ)
	{
		row = (VkSharedRow *) PageGetItem(page, id);
		fault = vk_value_fault(&index->info, (struct varlena *) row->value,
							   ItemIdGetLength(id) - offsetof(VkSharedRow, value));
		if (fault == NULL)
			return row;
	}
	vk_report_corruption(index->rel, BufferGetBlockNumber(buffer), "%s", fault);
}

typedef struct SharedRef
{
	BlockNumber block;
	uint32		split_id;
} SharedRef;

static int
compare_refs(const void *a, const void *b)
{
	const SharedRef *left = a;
	const SharedRef *right = b;

	if (left->block != right->block)
		return left->block < right->block ? -1 : 1;
	if (left->split_id != right->split_id)
		return left->split_id < right->split_id ? -1 : 1;
	return 0;
}

/* For a batch search: the caller has made room. */
static void
take_row(VkRowSink *sink, VkIndex *index, const VkSharedRow *row)
{
	VkRawRows  *raw = &sink->raw;

	Assert(raw->count < raw->capacity);
	raw->tids[raw->count] = vk_tid_encode((ItemPointer) &row->tid);
	memcpy(raw->elements + (Size) raw->count * index->info.row_bytes,
		   ((const VkVector *) row->value)->x, index->info.row_bytes);
	raw->count++;
}

/* Pushes the rows of the page whose splits refs name; of all if refs is NULL. */
static void
collect_page(VkScan *scan, BlockNumber block, const SharedRef *refs, int64 nrefs)
{
	VkIndex    *index = scan->index;
	Buffer		buffer;
	OffsetNumber last;

	if (scan->sink != NULL &&
		scan->sink->raw.count + VK_RAW_ROWS_MIN(index->info.row_bytes) > scan->sink->raw.capacity)
		scan->sink->flush_raw(scan->sink);
	buffer = vk_page_try(index, block, VK_PAGE_SHARED, 0, BUFFER_LOCK_SHARE);
	if (buffer == InvalidBuffer)
		return;
	scan->stats->pages++;
	last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		VkSharedRow *row = vk_tiny_row(index, buffer, offset);
		SharedRef	wanted;

		if (row == NULL)
			continue;
		wanted.block = block;
		wanted.split_id = row->split_id;
		if (refs != NULL &&
			(nrefs == 1 ? refs->split_id != row->split_id :
			 bsearch(&wanted, refs, nrefs, sizeof(SharedRef), compare_refs) == NULL))
			continue;
		if (scan->sink != NULL)
		{
			take_row(scan->sink, index, row);
			continue;
		}
		scan->stats->rows++;
		vk_scan_push(scan,
					 scan->query == NULL ? 0.0 :
					 vk_distance(index->info.elem, index->info.metric, scan->query, row->value),
					 vk_tid_encode(&row->tid));
	}
	vk_page_release(buffer);
}

/*
 * All splits match: all rows of all pages they name.  Left-over rows of a
 * split that moved to a store are copies of rows there, see topk.c.
 */
static void
collect_all_pages(VkScan *scan, const VkMatches *matches)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(scan->index->rel);
	bool	   *named = MemoryContextAllocExtended(CurrentMemoryContext, nblocks + 1,
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (int64 i = 0; i < matches->count; i++)
		for (int j = 0; j < matches->items[i].nshared; j++)
			if (matches->items[i].shared[j] < nblocks)
				named[matches->items[i].shared[j]] = true;
	for (BlockNumber block = 0; block < nblocks; block++)
	{
		if (!named[block])
			continue;
		CHECK_FOR_INTERRUPTS();
		collect_page(scan, block, NULL, 0);
	}
	pfree(named);
}

static void
collect_named_rows(VkScan *scan, const VkMatches *matches)
{
	SharedRef  *refs = palloc_extended(sizeof(SharedRef) * Max(matches->nshared, 1),
									   MCXT_ALLOC_HUGE);
	int64		nrefs = 0;

	for (int64 i = 0; i < matches->count; i++)
		for (int j = 0; j < matches->items[i].nshared; j++)
		{
			refs[nrefs].block = matches->items[i].shared[j];
			refs[nrefs++].split_id = matches->items[i].split_id;
		}
	qsort(refs, nrefs, sizeof(SharedRef), compare_refs);
	for (int64 from = 0, to; from < nrefs; from = to)
	{
		for (to = from + 1; to < nrefs && refs[to].block == refs[from].block; to++)
			;
		CHECK_FOR_INTERRUPTS();
		collect_page(scan, refs[from].block, refs + from, to - from);
	}
	pfree(refs);
}

/*
 * Pushes the rows of all small splits among the matches, page after page.
 * all: every split matches.
 */
void
vk_tiny_collect(VkScan *scan, const VkMatches *matches, bool all)
{
	if (all)
		collect_all_pages(scan, matches);
	else
		collect_named_rows(scan, matches);
}

/* ------------------------------------------------------------------------
 * Insertion.  The caller holds the split's leaf exclusively.
 * ------------------------------------------------------------------------ */

static bool
has_room(Buffer buffer, Size size)
{
	return PageGetFreeSpace(BufferGetPage(buffer)) >= MAXALIGN(size);
}

/* A shared page with room that is already known, locked; or InvalidBuffer. */
static Buffer
try_page(VkIndex *index, BlockNumber block, Size size)
{
	Buffer		buffer;

	if (block == InvalidBlockNumber)
		return InvalidBuffer;
	buffer = vk_page_try(index, block, VK_PAGE_SHARED, 0, BUFFER_LOCK_EXCLUSIVE);
	if (buffer == InvalidBuffer || has_room(buffer, size))
		return buffer;
	vk_page_release(buffer);
	return InvalidBuffer;
}

static bool
entry_names(const VkSplitEntry *entry, BlockNumber block)
{
	for (int i = 0; i < entry->nshared; i++)
		if (entry->shared[i] == block)
			return true;
	return false;
}

/*
 * Adds a row to a small split whose entry is at offset of the leaf.  False if
 * the split has outgrown shared pages; then nothing has changed.
 */
bool
vk_tiny_insert(VkIndex *index, Buffer leaf, OffsetNumber offset, ItemPointer tid,
			   const struct varlena *value)
{
	VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);
	VkDirLeaf  *header = vk_dir_header(index, leaf);
	Size		size = offsetof(VkSharedRow, value) + VARSIZE(value);
	Buffer		buffer = InvalidBuffer;
	bool		is_new = false;
	VkSharedRow *row;
	VkEdit		edit;
	Page		page;
	int			leaf_page;

	if (size > VK_TINY_MAX_ROW || entry->tiny_bytes + size > VK_TINY_MAX_BYTES)
		return false;
	if (entry->nshared > 0)
		buffer = try_page(index, entry->shared[entry->nshared - 1], size);
	if (buffer == InvalidBuffer)
	{
		buffer = try_page(index, header->fill, size);
		/* rows come sorted: the page of the leaf before will do */
		if (buffer == InvalidBuffer && index->building && index->build_fill != 0)
			buffer = try_page(index, index->build_fill, size);
		if (buffer == InvalidBuffer)
		{
			if (entry->nshared == VK_TINY_BLOCKS)
				return false;
			buffer = vk_page_allocate(index);
			index->build_fill = BufferGetBlockNumber(buffer);
			is_new = true;
		}
		else if (entry->nshared == VK_TINY_BLOCKS &&
				 !entry_names(entry, BufferGetBlockNumber(buffer)))
		{
			vk_page_release(buffer);
			return false;
		}
	}

	row = palloc0(size);
	row->split_id = entry->split_id;
	row->tid = *tid;
	memcpy(row->value, value, VARSIZE(value));
	vk_edit_start(&edit, index);
	page = is_new ? vk_edit_new(&edit, buffer, VK_PAGE_SHARED, 0) : vk_edit_copy(&edit, buffer);
	if (PageAddItem(page, (Item) row, size, InvalidOffsetNumber, false, false) ==
		InvalidOffsetNumber)
		elog(ERROR, "could not add a row to a shared page");
	leaf_page = vk_edit_page(&edit, leaf);
	vk_edit_put_uint16(&edit, leaf_page, &entry->tiny_bytes, entry->tiny_bytes + size);
	if (!entry_names(entry, BufferGetBlockNumber(buffer)))
	{
		vk_edit_put_uint32(&edit, leaf_page, &entry->shared[entry->nshared],
						   BufferGetBlockNumber(buffer));
		vk_edit_put_uint16(&edit, leaf_page, &entry->nshared, entry->nshared + 1);
	}
	if (is_new)
		vk_edit_put_uint32(&edit, leaf_page, &header->fill, BufferGetBlockNumber(buffer));
	vk_edit_commit(&edit);
	vk_page_release(buffer);
	pfree(row);
	return true;
}

/* Copies a small split's rows into the store at ref. */
static void
move_rows(VkIndex *index, const VkSplitEntry *entry, VkStoreRef ref)
{
	for (int i = 0; i < entry->nshared; i++)
	{
		Buffer		buffer = vk_page_try(index, entry->shared[i], VK_PAGE_SHARED, 0,
										 BUFFER_LOCK_SHARE);
		OffsetNumber last;
		VkSharedRow **rows;
		int			nrows = 0;

		if (buffer == InvalidBuffer)
			continue;
		last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
		rows = palloc(sizeof(VkSharedRow *) * Max(last, 1));
		for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
		{
			VkSharedRow *row = vk_tiny_row(index, buffer, offset);
			Size		size;

			if (row == NULL || row->split_id != entry->split_id)
				continue;
			size = offsetof(VkSharedRow, value) + VARSIZE(row->value);
			rows[nrows] = palloc(size);
			memcpy(rows[nrows++], row, size);
		}
		vk_page_release(buffer);
		for (int j = 0; j < nrows; j++)
		{
			if (!index->store->insert(index, ref, &rows[j]->tid,
									  (struct varlena *) rows[j]->value))
				elog(ERROR, "a new store of index \"%s\" is gone",
					 RelationGetRelationName(index->rel));
			pfree(rows[j]);
		}
		pfree(rows);
	}
}

/* Removes the rows of a split from a shared page. */
static void
remove_rows(VkIndex *index, BlockNumber block, uint32 split_id)
{
	Buffer		buffer = vk_page_try(index, block, VK_PAGE_SHARED, 0, BUFFER_LOCK_EXCLUSIVE);
	OffsetNumber doomed[MaxOffsetNumber];
	int			ndoomed = 0;
	OffsetNumber last;
	VkEdit		edit;

	if (buffer == InvalidBuffer)
		return;
	last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		VkSharedRow *row = vk_tiny_row(index, buffer, offset);

		if (row != NULL && row->split_id == split_id)
			doomed[ndoomed++] = offset;
	}
	if (ndoomed > 0)
	{
		vk_edit_start(&edit, index);
		PageIndexMultiDelete(vk_edit_copy(&edit, buffer), doomed, ndoomed);
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
}

/*
 * Gives the split at offset of the leaf a store of its own and moves its rows
 * there.  First the rows are copied, then the entry changes, then the old
 * rows are removed: whoever reads shared pages before entries sees each row
 * at least once.  After a crash in between rows are left over, which no entry
 * names; VACUUM removes them when they die.
 */
void
vk_tiny_promote(VkIndex *index, Buffer leaf, OffsetNumber offset)
{
	VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);
	VkSplitEntry old = *entry;
	VkStoreRef	ref;
	VkEdit		edit;
	int			page;

	ref.split_id = entry->split_id;
	ref.head = index->store->create(index, entry->split_id);
	move_rows(index, &old, ref);

	vk_edit_start(&edit, index);
	page = vk_edit_page(&edit, leaf);
	vk_edit_put_uint32(&edit, page, &entry->head, ref.head);
	vk_edit_put_uint16(&edit, page, &entry->nshared, 0);
	vk_edit_put_uint16(&edit, page, &entry->tiny_bytes, 0);
	vk_edit_commit(&edit);
	for (int i = 0; i < old.nshared; i++)
		remove_rows(index, old.shared[i], old.split_id);
}

/* ------------------------------------------------------------------------
 * VACUUM
 * ------------------------------------------------------------------------ */

/*
 * Removes dead rows of one shared page; frees the page once it is empty.
 * Entries and leaves may go on naming it: they find a page of another kind,
 * or a shared page with room, and either is fine.
 */
void
vk_tiny_vacuum_page(VkVacuum *vacuum, BlockNumber block)
{
	VkIndex    *index = vacuum->index;
	Buffer		buffer = vk_page_try(index, block, VK_PAGE_SHARED, 0, BUFFER_LOCK_EXCLUSIVE);
	OffsetNumber doomed[MaxOffsetNumber];
	int			ndoomed = 0;
	int			nrows = 0;
	OffsetNumber last;
	VkEdit		edit;

	if (buffer == InvalidBuffer)
		return;
	last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		VkSharedRow *row = vk_tiny_row(index, buffer, offset);

		if (row == NULL)
			continue;
		nrows++;
		if (vacuum->callback != NULL && vacuum->callback(&row->tid, vacuum->callback_state))
			doomed[ndoomed++] = offset;
	}
	vacuum->stats->tuples_removed += ndoomed;
	vacuum->stats->num_index_tuples += nrows - ndoomed;
	if (nrows == ndoomed)
	{
		vk_edit_start(&edit, index);
		vk_edit_free(&edit, buffer);
		vk_edit_commit_release(&edit);
		vk_page_freed(index, block);
		vacuum->stats->pages_newly_deleted++;
		return;
	}
	if (ndoomed > 0)
	{
		vk_edit_start(&edit, index);
		PageIndexMultiDelete(vk_edit_copy(&edit, buffer), doomed, ndoomed);
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
}

/* Rows a split has on a shared page, and their bytes; 0 if the page is gone. */
static int64
count_rows(VkIndex *index, BlockNumber block, uint32 split_id, Size *bytes)
{
	Buffer		buffer = vk_page_try(index, block, VK_PAGE_SHARED, 0, BUFFER_LOCK_SHARE);
	int64		nrows = 0;
	OffsetNumber last;

	*bytes = 0;
	if (buffer == InvalidBuffer)
		return 0;
	last = PageGetMaxOffsetNumber(BufferGetPage(buffer));
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		VkSharedRow *row = vk_tiny_row(index, buffer, offset);

		if (row == NULL || row->split_id != split_id)
			continue;
		nrows++;
		*bytes += offsetof(VkSharedRow, value) + VARSIZE(row->value);
	}
	vk_page_release(buffer);
	return nrows;
}

int64
vk_tiny_rows_on(VkIndex *index, BlockNumber block, uint32 split_id)
{
	Size		bytes;

	return count_rows(index, block, split_id, &bytes);
}

Size
vk_tiny_bytes_on(VkIndex *index, BlockNumber block, uint32 split_id)
{
	Size		bytes;

	(void) count_rows(index, block, split_id, &bytes);
	return bytes;
}
