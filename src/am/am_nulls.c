/*-------------------------------------------------------------------------
 *
 * am_nulls.c
 *	  Rows whose vector is NULL: per split a chain of pages of heap TIDs.
 *
 * Scans return them last.  All changes but VACUUM's removal of single TIDs
 * are made under the exclusive lock of the split's directory leaf.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/float.h"

#include "am/am_private.h"

#define NULLS_PER_PAGE	((int) (VK_PAGE_SPACE / sizeof(ItemPointerData)))

static int
nulls_count(Page page)
{
	int			used = ((PageHeader) page)->pd_lower - (int) MAXALIGN(SizeOfPageHeaderData);

	return Max(used, 0) / (int) sizeof(ItemPointerData);
}

#define VkPageGetNulls(page)	((ItemPointer) VkPageData(page))

/*
 * Pushes the TIDs of one chain.  A page that VACUUM freed under us ends it
 * early, so the caller begins again from the entry: false.
 */
static bool
collect_chain(VkScan *scan, const VkSplitMatch *match)
{
	BlockNumber block = match->nulls;
	double		distance = scan->query == NULL ? 0.0 : get_float8_infinity();

	for (BlockNumber visited = 1; block != InvalidBlockNumber; visited++)
	{
		Buffer		buffer = vk_page_try(scan->index, block, VK_PAGE_NULLS, match->split_id,
										 BUFFER_LOCK_SHARE);
		Page		page;

		CHECK_FOR_INTERRUPTS();
		vk_page_check_chain(scan->index, visited, block);
		if (buffer == InvalidBuffer)
			return false;
		page = BufferGetPage(buffer);
		scan->stats->pages++;
		for (int i = 0; i < nulls_count(page); i++)
			vk_scan_push(scan, distance, vk_tid_encode(&VkPageGetNulls(page)[i]));
		block = VkPageGetOpaque(page)->next;
		vk_page_release(buffer);
	}
	return true;
}

/* Pushes the rows with a NULL vector of the matching splits; false: match again. */
bool
vk_nulls_collect(VkScan *scan, const VkMatches *matches)
{
	for (int64 i = 0; i < matches->count; i++)
		if (matches->items[i].nulls != InvalidBlockNumber &&
			!collect_chain(scan, &matches->items[i]))
			return false;
	return true;
}

/* Adds a TID to the split at offset of a leaf the caller holds exclusively. */
void
vk_nulls_insert(VkIndex *index, Buffer leaf, OffsetNumber offset, ItemPointer tid)
{
	VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);
	Buffer		buffer;
	Page		page;
	VkEdit		edit;
	int			number;

	vk_edit_start(&edit, index);
	if (entry->nulls != InvalidBlockNumber)
	{
		buffer = vk_page_read(index, entry->nulls, VK_PAGE_NULLS, entry->split_id,
							  BUFFER_LOCK_EXCLUSIVE);
		page = BufferGetPage(buffer);
		number = nulls_count(page);
		if (number < NULLS_PER_PAGE)
		{
			int			edit_page = vk_edit_page(&edit, buffer);

			vk_edit_put(&edit, edit_page, &VkPageGetNulls(page)[number], tid, sizeof(*tid));
			vk_edit_put_uint16(&edit, edit_page, &((PageHeader) page)->pd_lower,
							   ((PageHeader) page)->pd_lower + sizeof(*tid));
			vk_edit_commit_release(&edit);
			return;
		}
		vk_page_release(buffer);
	}
	buffer = vk_page_allocate(index);
	page = vk_edit_new(&edit, buffer, VK_PAGE_NULLS, entry->split_id);
	VkPageGetNulls(page)[0] = *tid;
	VkPageSetUsed(page, sizeof(*tid));
	VkPageGetOpaque(page)->next = entry->nulls;
	vk_edit_put_uint32(&edit, vk_edit_page(&edit, leaf), &entry->nulls,
					   BufferGetBlockNumber(buffer));
	vk_edit_commit(&edit);
	vk_page_release(buffer);
}

/*
 * Removes dead TIDs, and pages that became empty, from the chain of the
 * split at offset of a leaf the caller holds exclusively.
 */
void
vk_nulls_vacuum(VkVacuum *vacuum, Buffer leaf, OffsetNumber offset)
{
	VkIndex    *index = vacuum->index;
	VkSplitEntry *entry = vk_dir_entry(index, leaf, offset);
	BlockNumber block = entry->nulls;
	Buffer		previous = InvalidBuffer;

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_read(index, block, VK_PAGE_NULLS, entry->split_id,
										  BUFFER_LOCK_EXCLUSIVE);
		Page		page = BufferGetPage(buffer);
		BlockNumber next = VkPageGetOpaque(page)->next;
		ItemPointer kept = palloc(BLCKSZ);
		int			nkept = 0;
		int			count = nulls_count(page);
		VkEdit		edit;

		for (int i = 0; i < count; i++)
			if (vacuum->callback == NULL ||
				!vacuum->callback(&VkPageGetNulls(page)[i], vacuum->callback_state))
				kept[nkept++] = VkPageGetNulls(page)[i];
		vacuum->stats->tuples_removed += count - nkept;
		vacuum->stats->num_index_tuples += nkept;
		vk_edit_start(&edit, index);
		if (nkept == 0)
		{
			Buffer		above = previous != InvalidBuffer ? previous : leaf;
			void	   *link = previous != InvalidBuffer ?
			&VkPageGetOpaque(BufferGetPage(previous))->next : &entry->nulls;

			vk_edit_put_uint32(&edit, vk_edit_page(&edit, above), link, next);
			vk_edit_free(&edit, buffer);
			vk_edit_commit(&edit);
			vk_page_release(buffer);
			vk_page_freed(index, block);
			vacuum->stats->pages_newly_deleted++;
		}
		else
		{
			if (nkept < count)
			{
				Page		copy = vk_edit_copy(&edit, buffer);

				memcpy(VkPageGetNulls(copy), kept, nkept * sizeof(ItemPointerData));
				VkPageSetUsed(copy, nkept * sizeof(ItemPointerData));
				vk_edit_commit(&edit);
			}
			if (previous != InvalidBuffer)
				vk_page_release(previous);
			previous = buffer;
		}
		pfree(kept);
		block = next;
	}
	if (previous != InvalidBuffer)
		vk_page_release(previous);
}
