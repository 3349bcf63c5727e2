/*-------------------------------------------------------------------------
 *
 * sparse_vacuum.c
 *	  VACUUM: dead rows are marked, then what has many of them is written anew.
 *
 * The merge lock is held all the time, so that rows do not move while they
 * are marked.  Rows inserted meanwhile are not met, and need not be.  A mark
 * is one bit of a document's entry or of a record in a log; postings of dead
 * documents stay until their segment is written anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"

#include "am/sparse/sparse.h"
#include "compat/pgcompat.h"

/* Each round of merging what was inserted during the one before is shorter. */
#define MERGE_ROUNDS	8

/* Places of records to be marked in a log. */
typedef struct DeadRecords
{
	int			count;
	int			allocated;
	struct DeadRecord
	{
		BlockNumber block;
		int			offset;
	}		   *records;
} DeadRecords;

static bool
is_dead(VkVacuum *vacuum, const ItemPointerData * tid)
{
	ItemPointerData copy = *tid;

	return vacuum->callback != NULL && vacuum->callback(&copy, vacuum->callback_state);
}

static void
remember(DeadRecords *dead, BlockNumber block, int offset)
{
	if (dead->count == dead->allocated)
	{
		dead->allocated = Max(64, dead->allocated * 2);
		dead->records = dead->records == NULL ?
			palloc(sizeof(*dead->records) * dead->allocated) :
			repalloc_huge(dead->records, sizeof(*dead->records) * dead->allocated);
	}
	dead->records[dead->count].block = block;
	dead->records[dead->count++].offset = offset;
}

/* Sets the mark of records[from..to - 1], all on one page. */
static void
mark_records(VkVacuum *vacuum, VkStoreRef ref, uint32 number, const DeadRecords *dead,
			 int from, int to)
{
	Buffer		buffer = vk_sparse_page_try(vacuum->index, dead->records[from].block,
											VK_SPARSE_RECORDS, ref.split_id, number,
											BUFFER_LOCK_EXCLUSIVE);
	VkEdit		edit;
	int			at;

	if (!BufferIsValid(buffer))
		vk_sparse_report_gone(vacuum->index, ref, number);
	vk_edit_start(&edit, vacuum->index);
	at = vk_edit_page(&edit, buffer);
	for (int i = from; i < to; i++)
	{
		VkSparseRecord *record = (VkSparseRecord *)
		(VkPageData(BufferGetPage(buffer)) + dead->records[i].offset);
		uint8		flags = record->flags | VK_SPARSE_DEAD;

		vk_edit_put(&edit, at, &record->flags, &flags, sizeof(flags));
	}
	vk_edit_commit_release(&edit);
}

/* Marks the dead rows of a log; returns the number of live ones. */
static int64
vacuum_log(VkVacuum *vacuum, VkStoreRef ref, const VkSparseLog *log, int64 *removed)
{
	VkSparseLogScan scan;
	VkLogResult result;
	DeadRecords dead = {0};
	int64		live = 0;

	vk_sparse_log_begin(&scan, vacuum->index, ref.split_id, log);
	while ((result = vk_sparse_log_next(&scan)) == VK_LOG_RECORD)
	{
		if (is_dead(vacuum, &scan.fetch.record->tid))
			remember(&dead, scan.block, scan.at);
		else
			live++;
	}
	vk_sparse_log_end(&scan);
	if (result == VK_LOG_GONE)
		vk_sparse_report_gone(vacuum->index, ref, log->number);
	for (int from = 0, to; from < dead.count; from = to)
	{
		for (to = from + 1; to < dead.count && to - from < VK_EDIT_MAX_PUTS &&
			 dead.records[to].block == dead.records[from].block; to++)
			;
		mark_records(vacuum, ref, log->number, &dead, from, to);
		vacuum_delay_point_compat();
	}
	*removed += dead.count;
	return live;
}

/* Marks the dead among the documents of one page; counts all that are marked. */
static uint32
vacuum_documents(VkVacuum *vacuum, VkStoreRef ref, const VkSparseSegment *segment,
				 BlockNumber block, int count, int64 *removed)
{
	Buffer		buffer = vk_sparse_page_try(vacuum->index, block, VK_SPARSE_DOCUMENTS,
											ref.split_id, segment->number,
											BUFFER_LOCK_EXCLUSIVE);
	VkSparseDocument *documents;
	VkSparseDocument *changed;
	VkEdit		edit;
	uint32		dead = 0;
	int64		before = *removed;

	if (!BufferIsValid(buffer))
		vk_sparse_report_gone(vacuum->index, ref, segment->number);
	vk_sparse_page_limits(vacuum->index, buffer, 0,
						  sizeof(VkSparsePage) + count * sizeof(VkSparseDocument));
	documents = (VkSparseDocument *) VkSparsePageItems(BufferGetPage(buffer));
	changed = palloc(count * sizeof(VkSparseDocument));
	memcpy(changed, documents, count * sizeof(VkSparseDocument));
	for (int i = 0; i < count; i++)
	{
		if (!(changed[i].place & VK_SPARSE_DOCUMENT_DEAD) &&
			is_dead(vacuum, &changed[i].tid))
		{
			changed[i].place |= VK_SPARSE_DOCUMENT_DEAD;
			(*removed)++;
		}
		dead += changed[i].place & VK_SPARSE_DOCUMENT_DEAD;
	}
	if (*removed > before)
	{
		vk_edit_start(&edit, vacuum->index);
		memcpy(VkSparsePageItems(vk_edit_copy(&edit, buffer)), changed,
			   count * sizeof(VkSparseDocument));
		vk_edit_commit(&edit);
	}
	vk_page_release(buffer);
	pfree(changed);
	return dead;
}

static void
vacuum_segment(VkVacuum *vacuum, VkStoreRef ref, VkSparseSegment segment, int64 *removed)
{
	VkSparseReader *reader = palloc(sizeof(VkSparseReader));
	VkSparseRoot root;
	uint32		dead = 0;

	if (!vk_sparse_reader_open(reader, vacuum->index, ref.split_id, &segment))
		vk_sparse_report_gone(vacuum->index, ref, segment.number);
	root = reader->root;
	vk_sparse_reader_close(reader);
	pfree(reader);
	for (uint32 page = 0; page * VK_SPARSE_DOCUMENTS_PER_PAGE < root.documents; page++)
	{
		vacuum_delay_point_compat();
		dead += vacuum_documents(vacuum, ref, &segment, root.document_blocks[page],
								 Min(VK_SPARSE_DOCUMENTS_PER_PAGE, root.documents -
									 page * VK_SPARSE_DOCUMENTS_PER_PAGE), removed);
	}
	if (dead != segment.dead)
	{
		segment.dead = dead;
		vk_sparse_segment_update(vacuum->index, ref, &segment);
	}
	vacuum->stats->num_index_tuples += segment.documents - dead;
}

/* Whether VACUUM should make the log a segment. */
static bool
log_is_due(const VkSparseView *view, int64 live, int64 removed)
{
	uint32		limit = vk_sparse_log_pages() / VK_SPARSE_VACUUM_PART;

	return view->sealed.number != 0 || view->open.pages >= Max(1, limit) ||
		removed * VK_SPARSE_DEAD_PART > live;
}

/*
 * Merges the log if it is due, then small segments, and writes anew what has many dead rows.
 * Caller holds the merge lock.
 */
static void
tidy(VkIndex *index, VkStoreRef ref, bool merge_log)
{
	if (merge_log)
		vk_sparse_merge_log(index, ref, vk_sparse_vacuum_policy);
	while (vk_sparse_merge_segments(index, ref, vk_sparse_vacuum_policy))
		CHECK_FOR_INTERRUPTS();
	vk_sparse_merge_compact(index, ref);

	/* Inserts that could not merge meanwhile may have made the log long. */
	for (int round = 0; round < MERGE_ROUNDS; round++)
	{
		VkSparseView view;

		if (!vk_sparse_head_view(index, ref, &view) || view.open.pages < vk_sparse_log_pages())
			break;
		vk_sparse_merge_log(index, ref, vk_sparse_vacuum_policy);
	}
}

void
vk_sparse_vacuum(VkVacuum *vacuum, VkStoreRef ref)
{
	VkSparseView view;
	int64		removed = 0;
	int64		live;
	bool		due;

	vk_sparse_merge_lock(vacuum->index, ref);
	vk_sparse_merge_cleanup(vacuum->index, ref);
	if (vk_sparse_head_view(vacuum->index, ref, &view))
	{
		live = vacuum_log(vacuum, ref, &view.open, &removed);
		live += vacuum_log(vacuum, ref, &view.sealed, &removed);
		due = log_is_due(&view, live, removed);
		vacuum->stats->num_index_tuples += live;
		for (int i = 0; i < view.count; i++)
		{
			if (view.segments[i].state == VK_SEGMENT_LIVE)
				vacuum_segment(vacuum, ref, view.segments[i], &removed);
		}
		vacuum->stats->tuples_removed += removed;
		tidy(vacuum->index, ref, due);
		pfree(view.segments);
	}
	vk_sparse_merge_unlock(vacuum->index, ref);
}

/* VACUUM of a table without dead rows: what inserts left to be done. */
void
vk_sparse_tidy(VkIndex *index, VkStoreRef ref)
{
	VkSparseView view;

	vk_sparse_merge_lock(index, ref);
	if (vk_sparse_head_view(index, ref, &view))
	{
		tidy(index, ref, log_is_due(&view, 1, 0));
		pfree(view.segments);
	}
	vk_sparse_merge_unlock(index, ref);
}
