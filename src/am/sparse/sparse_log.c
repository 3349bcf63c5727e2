/*-------------------------------------------------------------------------
 *
 * sparse_log.c
 *	  Inserts: rows are appended to the open log of their split.
 *
 * Most inserts change one page, the log's last, under its lock alone.  Where
 * that has no room, a page is added: head, last and new page in one record.
 * A record longer than a page is written piece by piece under the head's
 * lock; it is marked incomplete until its end is there, so that neither a
 * crash nor an error in between leaves anything a reader would take for a row.
 *
 * Readers see an incomplete record only as the last thing of the log: they
 * skip it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/sparse/sparse.h"

/* Others may be faster time and again, but not so often. */
#define MAX_ATTEMPTS	10000

/* Where an insert goes on. */
typedef enum AppendResult
{
	APPEND_DONE,
	APPEND_EXTEND,				/* no room: add a page */
	APPEND_AGAIN,				/* the log has moved on */
	APPEND_GONE					/* the split was removed */
} AppendResult;

static inline int
page_used(Page page)
{
	return ((PageHeader) page)->pd_lower - MAXALIGN(SizeOfPageHeaderData);
}

/* Adds the changes that append a record, or its beginning, to a page. */
static void
put_record(VkEdit *edit, int number, Page page, const char *bytes, int length)
{
	VkSparsePage *header = VkSparsePageGet(page);
	int			used = page_used(page);

	vk_edit_put(edit, number, VkPageData(page) + used, bytes, length);
	vk_edit_put_uint16(edit, number, &header->count, header->count + 1);
	if (header->count == 0)
		vk_edit_put_uint16(edit, number, &header->first, used);
	vk_edit_put_uint16(edit, number, &((PageHeader) page)->pd_lower,
					   ((PageHeader) page)->pd_lower + length);
}

/* The common case: the record fits into the last page. */
static AppendResult
append_to_last(VkIndex *index, VkStoreRef ref, const char *record, int length)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_SPARSE_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);
	VkSparseLog log;
	VkEdit		edit;
	Page		page;

	if (!BufferIsValid(buffer))
		return APPEND_GONE;
	log = ((VkSparseHead *) VkPageData(BufferGetPage(buffer)))->open;
	vk_page_release(buffer);
	if (log.number == 0 || log.first == InvalidBlockNumber)
		return APPEND_EXTEND;
	buffer = vk_sparse_page_try(index, log.last, VK_SPARSE_RECORDS, ref.split_id,
								log.number, BUFFER_LOCK_EXCLUSIVE);
	if (!BufferIsValid(buffer))
		return APPEND_AGAIN;
	page = BufferGetPage(buffer);
	if ((VkPageGetOpaque(page)->flags & VK_SPARSE_SEALED) ||
		VkPageGetOpaque(page)->next != InvalidBlockNumber)
	{
		vk_page_release(buffer);
		return APPEND_AGAIN;
	}
	if (page_used(page) + length > (int) VK_PAGE_SPACE)
	{
		vk_page_release(buffer);
		return APPEND_EXTEND;
	}
	vk_edit_start(&edit, index);
	put_record(&edit, vk_edit_page(&edit, buffer), page, record, length);
	vk_edit_commit_release(&edit);
	return APPEND_DONE;
}

/*
 * Adds a page to the open log, which begins with length bytes of a record;
 * `begins` says whether these are the record's first.  The caller holds the
 * head's lock.
 */
static void
add_page(VkIndex *index, VkStoreRef ref, Buffer head_buffer, const char *bytes,
		 int length, bool begins)
{
	VkSparseHead *head = (VkSparseHead *) VkPageData(BufferGetPage(head_buffer));
	VkSparseLog log = head->open;
	Buffer		last = InvalidBuffer;
	Buffer		buffer;
	VkEdit		edit;
	VkSparsePage *header;
	Page		page;
	int			at;
	uint32		next_number = head->next_number;

	if (log.number == 0)
	{
		memset(&log, 0, sizeof(log));
		log.number = next_number++;
		log.first = InvalidBlockNumber;
	}
	if (log.first != InvalidBlockNumber)
	{
		last = vk_page_read(index, log.last, VK_SPARSE_RECORDS, ref.split_id,
							BUFFER_LOCK_EXCLUSIVE);
		log.rows += VkSparsePageGet(BufferGetPage(last))->count;
	}
	buffer = vk_page_allocate(index);
	log.last = BufferGetBlockNumber(buffer);
	if (log.first == InvalidBlockNumber)
		log.first = log.last;
	log.pages++;

	vk_edit_start(&edit, index);
	page = vk_edit_new(&edit, buffer, VK_SPARSE_RECORDS, ref.split_id);
	header = VkSparsePageGet(page);
	header->number = log.number;
	header->stamp = next_number;
	header->count = begins ? 1 : 0;
	header->first = sizeof(VkSparsePage) + (begins ? 0 : length);
	memcpy(VkSparsePageItems(page), bytes, length);
	VkPageSetUsed(page, sizeof(VkSparsePage) + length);
	at = vk_edit_page(&edit, head_buffer);
	vk_edit_put(&edit, at, &head->open, &log, sizeof(log));
	vk_edit_put_uint32(&edit, at, &head->next_number, next_number);
	if (BufferIsValid(last))
	{
		at = vk_edit_page(&edit, last);
		vk_edit_put_uint32(&edit, at, &VkPageGetOpaque(BufferGetPage(last))->next, log.last);
	}
	vk_edit_commit(&edit);
	vk_page_release(buffer);
	if (BufferIsValid(last))
		vk_page_release(last);
}

/* Changes the flags of the record at `where` of a page. */
static void
set_flags(VkIndex *index, Buffer buffer, VkSparseRecord *where, uint8 flags)
{
	VkEdit		edit;

	vk_edit_start(&edit, index);
	vk_edit_put(&edit, vk_edit_page(&edit, buffer), &where->flags, &flags, sizeof(flags));
	vk_edit_commit(&edit);
}

/* Appends a record that takes more than one page, each full but the last. */
static void
append_long(VkIndex *index, VkStoreRef ref, Buffer head_buffer, char *record, int length)
{
	VkSparseHead *head = (VkSparseHead *) VkPageData(BufferGetPage(head_buffer));
	int			written = VK_SPARSE_SPACE;
	BlockNumber first;
	Buffer		buffer;

	((VkSparseRecord *) record)->flags = VK_SPARSE_INCOMPLETE;
	add_page(index, ref, head_buffer, record, written, true);
	first = head->open.last;
	while (written < length)
	{
		int			piece = Min(length - written, VK_SPARSE_SPACE);

		add_page(index, ref, head_buffer, record + written, piece, false);
		written += piece;
	}
	buffer = vk_page_read(index, first, VK_SPARSE_RECORDS, ref.split_id, BUFFER_LOCK_EXCLUSIVE);
	set_flags(index, buffer, (VkSparseRecord *) VkSparsePageItems(BufferGetPage(buffer)), 0);
	vk_page_release(buffer);
}

/* Adds a page, or several, for the record.  Sets *pages to those of the log. */
static AppendResult
append_extending(VkIndex *index, VkStoreRef ref, char *record, int length, uint32 *pages)
{
	VkSparseHead *head;
	Buffer		buffer = vk_sparse_head_lock(index, ref, &head);
	AppendResult result = APPEND_DONE;

	if (!BufferIsValid(buffer))
		return APPEND_GONE;
	if (head->open.number != 0 && head->open.first != InvalidBlockNumber)
	{
		Buffer		last = vk_page_read(index, head->open.last, VK_SPARSE_RECORDS, ref.split_id,
										BUFFER_LOCK_SHARE);

		/* Somebody else may have added a page meanwhile. */
		if (page_used(BufferGetPage(last)) + length <= (int) VK_PAGE_SPACE)
			result = APPEND_AGAIN;
		vk_page_release(last);
	}
	if (result == APPEND_DONE)
	{
		if (length <= VK_SPARSE_SPACE)
			add_page(index, ref, buffer, record, length, true);
		else
			append_long(index, ref, buffer, record, length);
		*pages = head->open.pages;
	}
	vk_page_release(buffer);
	return result;
}

/*
 * Appends a row to the split's open log.  Returns the pages of the log if one
 * was added, else 0; -1 if the split was removed.
 */
int64
vk_sparse_append(VkIndex *index, VkStoreRef ref, ItemPointer tid, const VkSparsevec *vec)
{
	VkSparse	view = vk_sparse_view(vec);
	int			length = vk_sparse_record_size(&view);
	char	   *record = palloc(length);
	AppendResult result;
	uint32		pages = 0;
	int			attempts = 0;

	vk_sparse_record_encode(&view, vec->dim, tid, record);
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (++attempts > MAX_ATTEMPTS)
			vk_report_corruption(index->rel, ref.head,
								 "The log this page refers to does not end where it says.");
		result = append_to_last(index, ref, record, length);
		if (result == APPEND_EXTEND)
			result = append_extending(index, ref, record, length, &pages);
	} while (result == APPEND_AGAIN);
	pfree(record);
	return result == APPEND_GONE ? -1 : (int64) pages;
}

/* Pages of a log that is long enough to become a segment. */
uint32
vk_sparse_log_pages(void)
{
	return Max(1, vk_sparse_log_limit / (BLCKSZ / 1024));
}

bool
vk_sparse_insert(VkIndex *index, VkStoreRef ref, ItemPointer tid,
				 const struct varlena *value)
{
	int64		pages;

	if (index->building)
	{
		vk_sparse_bulk_insert(index, ref, tid, (const VkSparsevec *) value);
		return true;
	}
	pages = vk_sparse_append(index, ref, tid, (const VkSparsevec *) value);
	if (pages >= vk_sparse_log_pages() && vk_sparse_merge_try_lock(index, ref))
	{
		vk_sparse_merge_log(index, ref, vk_sparse_insert_policy);
		vk_sparse_merge_unlock(index, ref);
	}
	return pages >= 0;
}
