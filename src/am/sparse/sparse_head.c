/*-------------------------------------------------------------------------
 *
 * sparse_head.c
 *	  The head page of a split: its logs and its segments.
 *
 * Everything a split consists of hangs on the head page, so that one look at
 * it under a share lock is a consistent view; whoever follows the pointers
 * later checks the number every page bears (vk_sparse_page_try), and starts
 * again when a page is another's by now.
 *
 * Where the head has no room left, segments move to LIST pages.  These are
 * read after the head: a segment that moves meanwhile is seen twice, which
 * the view sorts out, but never missed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/sparse/sparse.h"

BlockNumber
vk_sparse_create(VkIndex *index, uint32 split_id)
{
	VkEdit		edit;
	Buffer		buffer = vk_page_allocate(index);
	BlockNumber block = BufferGetBlockNumber(buffer);
	Page		page;
	VkSparseHead *head;

	vk_edit_start(&edit, index);
	page = vk_edit_new(&edit, buffer, VK_SPARSE_HEAD, split_id);
	head = (VkSparseHead *) VkPageData(page);
	memset(head, 0, offsetof(VkSparseHead, segments));
	head->next_number = 1;
	head->more = InvalidBlockNumber;
	VkPageSetUsed(page, offsetof(VkSparseHead, segments));
	vk_edit_commit_release(&edit);
	return block;
}

/*
 * Reads, pins and locks a page of the segment or log `number`; InvalidBuffer
 * if it is not that any more.
 */
Buffer
vk_sparse_page_try(VkIndex *index, BlockNumber block, int kind, uint32 split_id,
				   uint32 number, int lock)
{
	Buffer		buffer = vk_page_try(index, block, kind, split_id, lock);
	Page		page;

	if (!BufferIsValid(buffer))
		return InvalidBuffer;
	page = BufferGetPage(buffer);
	if (VkSparsePageGet(page)->number != number)
	{
		vk_page_release(buffer);
		return InvalidBuffer;
	}
	vk_sparse_page_limits(index, buffer, 0, sizeof(VkSparsePage));
	return buffer;
}

/* Raises an error unless bytes begin..end of the page's data are in use. */
void
vk_sparse_page_limits(VkIndex *index, Buffer buffer, Size begin, Size end)
{
	PageHeader	header = (PageHeader) BufferGetPage(buffer);

	if (unlikely(begin > end || header->pd_lower < MAXALIGN(SizeOfPageHeaderData) + end))
		vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
							 "Bytes %zu to %zu of the page are not in use.", begin, end);
}

/* Checks what the head page says; the rest is checked where it leads to. */
static void
check_segments(VkIndex *index, Buffer buffer, const VkSparseSegment *segments,
			   uint32 count, uint32 limit)
{
	if (count > limit)
		vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
							 "Number of segments %u is out of range.", count);
	vk_sparse_page_limits(index, buffer, 0,
						  (const char *) (segments + count) - VkPageData(BufferGetPage(buffer)));
	for (uint32 i = 0; i < count; i++)
	{
		const VkSparseSegment *segment = &segments[i];

		if (segment->documents > VK_SPARSE_SEGMENT_DOCS ||
			segment->dead > segment->documents ||
			segment->state < VK_SEGMENT_BUILDING || segment->state > VK_SEGMENT_MERGED)
			vk_report_corruption(index->rel, BufferGetBlockNumber(buffer),
								 "Descriptor of segment %u is damaged.", segment->number);
	}
}

/*
 * Locks the head page exclusively.  InvalidBuffer if the split was removed.
 */
Buffer
vk_sparse_head_lock(VkIndex *index, VkStoreRef ref, VkSparseHead **head)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_SPARSE_HEAD, ref.split_id,
									 BUFFER_LOCK_EXCLUSIVE);

	if (!BufferIsValid(buffer))
		return InvalidBuffer;
	*head = (VkSparseHead *) VkPageData(BufferGetPage(buffer));
	check_segments(index, buffer, (*head)->segments, (*head)->count,
				   VK_SPARSE_HEAD_SEGMENTS);
	return buffer;
}

static bool
view_has(const VkSparseView *view, uint32 number)
{
	for (int i = 0; i < view->head_count; i++)
	{
		if (view->segments[i].number == number)
			return true;
	}
	return false;
}

/* Adds the segments of the LIST pages to the view. */
static void
view_lists(VkIndex *index, VkStoreRef ref, BlockNumber block, VkSparseView *view)
{
	BlockNumber visited = 0;

	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_try(index, block, VK_SPARSE_LIST, ref.split_id,
										 BUFFER_LOCK_SHARE);
		VkSparseList *list;

		if (++visited > RelationGetNumberOfBlocks(index->rel))
			vk_report_corruption(index->rel, block, "The lists of segments form a circle.");

		/* LIST pages go with the split only. */
		if (!BufferIsValid(buffer))
			return;
		list = (VkSparseList *) VkPageData(BufferGetPage(buffer));
		check_segments(index, buffer, list->segments, list->count, VK_SPARSE_LIST_SEGMENTS);
		view->segments = repalloc(view->segments, sizeof(VkSparseSegment) *
								  Max(1, view->count + list->count));
		for (uint32 i = 0; i < list->count; i++)
		{
			if (!view_has(view, list->segments[i].number))
				view->segments[view->count++] = list->segments[i];
		}
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
		CHECK_FOR_INTERRUPTS();
	}
}

/* False if the split was removed. */
bool
vk_sparse_head_view(VkIndex *index, VkStoreRef ref, VkSparseView *view)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_SPARSE_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);
	VkSparseHead *head;
	BlockNumber more;

	if (!BufferIsValid(buffer))
		return false;
	head = (VkSparseHead *) VkPageData(BufferGetPage(buffer));
	check_segments(index, buffer, head->segments, head->count, VK_SPARSE_HEAD_SEGMENTS);
	view->open = head->open;
	view->sealed = head->sealed;
	view->retired = head->retired;
	view->next_number = head->next_number;
	view->count = view->head_count = head->count;
	view->segments = palloc(sizeof(VkSparseSegment) * Max(1, head->count));
	memcpy(view->segments, head->segments, sizeof(VkSparseSegment) * head->count);
	more = head->more;
	vk_page_release(buffer);
	view_lists(index, ref, more, view);
	return true;
}

/*
 * A page of a segment or log is another's, though the head page still refers
 * to it and, where pages are not free to go, nobody can have freed it.
 */
void
vk_sparse_report_gone(VkIndex *index, VkStoreRef ref, uint32 number)
{
	vk_report_corruption(index->rel, ref.head,
						 "A page of segment %u, which this page refers to, is another's.", number);
}

VkSparseSegment *
vk_sparse_find_segment(VkSparseHead *head, uint32 number)
{
	for (uint32 i = 0; i < head->count; i++)
	{
		if (head->segments[i].number == number)
			return &head->segments[i];
	}
	return NULL;
}

/* Replaces the segment's descriptor in an array, or drops it if its state is 0. */
static bool
update_array(VkSparseSegment *segments, uint32 *count, const VkSparseSegment *segment)
{
	for (uint32 i = 0; i < *count; i++)
	{
		if (segments[i].number != segment->number)
			continue;
		if (segment->state != 0)
			segments[i] = *segment;
		else
			segments[i] = segments[--*count];
		return true;
	}
	return false;
}

/*
 * Writes a changed descriptor, wherever it is; state 0 drops it.  Caller
 * holds the merge lock.
 */
void
vk_sparse_segment_update(VkIndex *index, VkStoreRef ref, const VkSparseSegment *segment)
{
	VkEdit		edit;
	VkSparseHead *head;
	Buffer		buffer = vk_sparse_head_lock(index, ref, &head);
	BlockNumber block;

	if (!BufferIsValid(buffer))
		return;
	block = head->more;
	if (vk_sparse_find_segment(head, segment->number) != NULL)
	{
		Page		page;

		vk_edit_start(&edit, index);
		page = vk_edit_copy(&edit, buffer);
		head = (VkSparseHead *) VkPageData(page);
		update_array(head->segments, &head->count, segment);
		VkPageSetUsed(page, offsetof(VkSparseHead, segments) +
					  head->count * sizeof(VkSparseSegment));
		vk_edit_commit_release(&edit);
		return;
	}
	vk_page_release(buffer);
	while (block != InvalidBlockNumber)
	{
		Page		page;
		VkSparseList *list;

		buffer = vk_page_read(index, block, VK_SPARSE_LIST, ref.split_id,
							  BUFFER_LOCK_EXCLUSIVE);
		list = (VkSparseList *) VkPageData(BufferGetPage(buffer));
		check_segments(index, buffer, list->segments, list->count, VK_SPARSE_LIST_SEGMENTS);
		vk_edit_start(&edit, index);
		page = vk_edit_copy(&edit, buffer);
		list = (VkSparseList *) VkPageData(page);
		block = VkPageGetOpaque(page)->next;
		if (update_array(list->segments, &list->count, segment))
			block = InvalidBlockNumber;
		VkPageSetUsed(page, offsetof(VkSparseList, segments) +
					  list->count * sizeof(VkSparseSegment));
		vk_edit_commit_release(&edit);
	}
}

static int
compare_documents(const void *a, const void *b)
{
	const VkSparseSegment *left = a;
	const VkSparseSegment *right = b;

	return left->documents < right->documents ? 1 : left->documents > right->documents ? -1 : 0;
}

/*
 * Sees to it that the head page has room for VK_SPARSE_HEAD_ROOM segments:
 * moves the half with most documents, which change last, to a LIST page.
 * Caller holds the merge lock, and no segment is BUILDING.
 */
void
vk_sparse_make_room(VkIndex *index, VkStoreRef ref)
{
	VkSparseHead *head;
	Buffer		buffer = vk_sparse_head_lock(index, ref, &head);
	Buffer		list_buffer;
	VkSparseList *list;
	VkEdit		edit;
	Page		page;
	uint32		moved;

	if (!BufferIsValid(buffer))
		return;
	if (head->count + VK_SPARSE_HEAD_ROOM <= VK_SPARSE_HEAD_SEGMENTS)
	{
		vk_page_release(buffer);
		return;
	}
	list_buffer = vk_page_allocate(index);
	vk_edit_start(&edit, index);
	page = vk_edit_copy(&edit, buffer);
	head = (VkSparseHead *) VkPageData(page);
	qsort(head->segments, head->count, sizeof(VkSparseSegment), compare_documents);
	moved = head->count / 2;
	head->count -= moved;
	VkPageSetUsed(page, offsetof(VkSparseHead, segments) +
				  head->count * sizeof(VkSparseSegment));
	page = vk_edit_new(&edit, list_buffer, VK_SPARSE_LIST, ref.split_id);
	list = (VkSparseList *) VkPageData(page);
	list->count = moved;
	list->zero = 0;
	memcpy(list->segments, head->segments, moved * sizeof(VkSparseSegment));
	memmove(head->segments, head->segments + moved, head->count * sizeof(VkSparseSegment));
	VkPageSetUsed(page, offsetof(VkSparseList, segments) + moved * sizeof(VkSparseSegment));
	VkPageGetOpaque(page)->next = head->more;
	head->more = BufferGetBlockNumber(list_buffer);
	vk_edit_commit_release(&edit);
}

/*
 * The directory has the split locked, so this may not wait for a merge: one
 * under way means that there are rows.
 */
bool
vk_sparse_retire(VkIndex *index, VkStoreRef ref, VkEdit *edit, VkBlockList *blocks)
{
	VkSparseHead *head;
	Buffer		buffer;
	BlockNumber block;

	if (!vk_sparse_merge_try_lock(index, ref))
		return false;
	buffer = vk_sparse_head_lock(index, ref, &head);
	vk_sparse_merge_unlock(index, ref);
	if (!BufferIsValid(buffer))
		return false;
	block = head->more;
	if (head->count > 0 || head->open.first != InvalidBlockNumber ||
		head->sealed.number != 0 || head->retired.number != 0)
	{
		vk_page_release(buffer);
		return false;
	}
	while (block != InvalidBlockNumber)
	{
		Buffer		list = vk_page_read(index, block, VK_SPARSE_LIST, ref.split_id,
										BUFFER_LOCK_SHARE);
		uint32		count = ((VkSparseList *) VkPageData(BufferGetPage(list)))->count;

		vk_blocks_add(blocks, block);
		block = VkPageGetOpaque(BufferGetPage(list))->next;
		vk_page_release(list);
		if (count > 0)
		{
			vk_page_release(buffer);
			blocks->count = 0;
			return false;
		}
	}
	vk_edit_free(edit, buffer);
	return true;
}

void
vk_sparse_stats(VkIndex *index, VkStoreRef ref, VkStoreStats *stats)
{
	VkSparseView view;
	const VkSparseLog *logs[2];

	memset(stats, 0, sizeof(*stats));
	if (!vk_sparse_head_view(index, ref, &view))
		return;
	stats->pages = 1;
	logs[0] = &view.open;
	logs[1] = &view.sealed;
	for (int i = 0; i < 2; i++)
	{
		Buffer		buffer;

		if (logs[i]->number == 0 || logs[i]->first == InvalidBlockNumber)
			continue;
		stats->pages += logs[i]->pages;
		stats->rows += logs[i]->rows;
		buffer = vk_sparse_page_try(index, logs[i]->last, VK_SPARSE_RECORDS, ref.split_id,
									logs[i]->number, BUFFER_LOCK_SHARE);
		if (BufferIsValid(buffer))
		{
			stats->rows += VkSparsePageGet(BufferGetPage(buffer))->count;
			vk_page_release(buffer);
		}
	}
	for (int i = 0; i < view.count; i++)
	{
		stats->pages += view.segments[i].pages;
		if (view.segments[i].state != VK_SEGMENT_MERGED)
			stats->pages += view.segments[i].record_pages;
		if (view.segments[i].state == VK_SEGMENT_LIVE)
			stats->rows += view.segments[i].documents - view.segments[i].dead;
	}
	pfree(view.segments);
}
