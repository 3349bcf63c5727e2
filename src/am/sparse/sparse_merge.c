/*-------------------------------------------------------------------------
 *
 * sparse_merge.c
 *	  Logs become segments, segments of a size become one, dead rows go.
 *
 * All of it is the same: the live rows of some sources become a new segment,
 * which then takes their place by one change of the head page, and the
 * sources' pages are freed.  Records are most of the bytes: they stay in their
 * pages, which the new segment adopts, unless too much of these is waste; then
 * they are written anew.  Searches and inserts go on meanwhile; the
 * merge lock, a heavyweight lock on the head's block, keeps other merges and
 * VACUUM out, so that no row dies unnoticed while it is copied.
 *
 *	  open log --seal--> sealed log --swap--> retired log --free--> (none)
 *	  sealed log --swap, adopted--> (none)
 *	  (none) --register--> BUILDING --swap--> LIVE --swap--> RETIRED --free--> (none)
 *	  LIVE --swap, records adopted--> MERGED --free all but records--> (none)
 *
 * Each arrow is one WAL record, except that pages are freed one by one.  Who
 * takes the merge lock first ends what a crash or an error interrupted
 * (vk_sparse_merge_cleanup).  Freeing can be repeated: a page is freed only if
 * it bears the number of the segment or log that is to go, or, if it is one of
 * records, has not been begun anew since.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"

#include "am/sparse/sparse.h"

/* What a merge reads. */
typedef struct MergeSources
{
	VkSparseLog log;			/* number 0: none */
	bool		adopt_log;		/* its pages stay */
	int			count;
	VkSparseSegment *segments;
	bool	   *adopt;			/* per segment: its pages of records stay */
} MergeSources;

/* What it writes: mostly one segment, more if the log grew beyond one. */
typedef struct MergeTarget
{
	VkIndex    *index;
	VkStoreRef	ref;
	VkSparseBuilder *builder;
	float	   *values;			/* of the row being copied */
	int			count;
	VkSparseSegment segments[VK_SPARSE_HEAD_ROOM];
} MergeTarget;

const VkMergePolicy vk_sparse_insert_policy = {.fanin = 4,.larger = 2,.bounded = true,.part = 1};
const VkMergePolicy vk_sparse_vacuum_policy = {.fanin = 2,.larger = 8,.bounded = false,.part = 3};

void
vk_sparse_merge_lock(VkIndex *index, VkStoreRef ref)
{
	LockPage(index->rel, ref.head, ExclusiveLock);
}

bool
vk_sparse_merge_try_lock(VkIndex *index, VkStoreRef ref)
{
	return ConditionalLockPage(index->rel, ref.head, ExclusiveLock);
}

void
vk_sparse_merge_unlock(VkIndex *index, VkStoreRef ref)
{
	UnlockPage(index->rel, ref.head, ExclusiveLock);
}

/* ------------------------------------------------------------------------
 * Freeing
 * ------------------------------------------------------------------------ */

/* Whether a page is to go: it is `number`'s, and of these kinds. */
typedef enum FreeWhich
{
	FREE_ALL,					/* written for `number` */
	FREE_BUT_RECORDS,			/* likewise; records have been adopted */
	FREE_HELD					/* records, begun when no number was greater */
} FreeWhich;

static bool
is_to_go(Page page, VkStoreRef ref, uint32 number, FreeWhich which)
{
	VkPageOpaque *opaque = VkPageGetOpaque(page);
	VkSparsePage *header = VkSparsePageGet(page);

	if (opaque->owner != ref.split_id || opaque->kind < VK_SPARSE_RECORDS ||
		opaque->kind > VK_SPARSE_POSTINGS)
		return false;
	if (which == FREE_HELD)
		return opaque->kind == VK_SPARSE_RECORDS && header->stamp <= number;
	return header->number == number &&
		(which == FREE_ALL || opaque->kind != VK_SPARSE_RECORDS);
}

static void
free_own_page(VkIndex *index, VkStoreRef ref, BlockNumber block, uint32 number,
			  FreeWhich which)
{
	Buffer		buffer = vk_page_read_any(index, block, BUFFER_LOCK_EXCLUSIVE);
	VkEdit		edit;

	if (!is_to_go(BufferGetPage(buffer), ref, number, which))
	{
		vk_page_release(buffer);
		return;
	}
	vk_edit_start(&edit, index);
	vk_edit_free(&edit, buffer);
	vk_edit_commit_release(&edit);
	vk_page_freed(index, block);
}

/*
 * Lists the pages of a chain whose first page is `block`, as far as they
 * still belong to `number`.
 */
static void
list_chain(VkIndex *index, VkStoreRef ref, BlockNumber block, int kind, uint32 number,
		   VkBlockList *chain)
{
	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_sparse_page_try(index, block, kind, ref.split_id, number,
												BUFFER_LOCK_SHARE);

		if (!BufferIsValid(buffer))
			return;
		vk_blocks_add(chain, block);
		if ((BlockNumber) chain->count > RelationGetNumberOfBlocks(index->rel))
			vk_report_corruption(index->rel, block, "The pages of segment %u form a circle.",
								 number);
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
		CHECK_FOR_INTERRUPTS();
	}
}

/* From the last to the first, so that what is left remains reachable. */
static void
free_chain(VkIndex *index, VkStoreRef ref, VkBlockList *chain, uint32 number)
{
	for (int i = chain->count - 1; i >= 0; i--)
	{
		CHECK_FOR_INTERRUPTS();
		free_own_page(index, ref, chain->blocks[i], number, FREE_ALL);
	}
	if (chain->blocks != NULL)
		pfree(chain->blocks);
}

/*
 * The blocks on one page of a list, BLOCKS or HOLDINGS; NULL if the page is
 * not the segment's any more.
 */
BlockNumber *
vk_sparse_read_blocks(VkIndex *index, VkStoreRef ref, BlockNumber block, int kind,
					  uint32 number, int *count, BlockNumber *next)
{
	Buffer		buffer = vk_sparse_page_try(index, block, kind, ref.split_id, number,
											BUFFER_LOCK_SHARE);
	BlockNumber *blocks;

	if (!BufferIsValid(buffer))
		return NULL;
	*count = VkSparsePageGet(BufferGetPage(buffer))->count;
	*next = VkPageGetOpaque(BufferGetPage(buffer))->next;
	vk_sparse_page_limits(index, buffer, 0,
						  sizeof(VkSparsePage) + *count * sizeof(BlockNumber));
	blocks = palloc(Max(1, *count) * sizeof(BlockNumber));
	memcpy(blocks, VkSparsePageItems(BufferGetPage(buffer)), *count * sizeof(BlockNumber));
	vk_page_release(buffer);
	return blocks;
}

/* Frees what a chain of lists names, but not the lists themselves. */
static void
free_listed(VkIndex *index, VkStoreRef ref, const VkBlockList *chain, int kind,
			uint32 number, FreeWhich which)
{
	for (int i = 0; i < chain->count; i++)
	{
		int			count;
		BlockNumber next;
		BlockNumber *blocks = vk_sparse_read_blocks(index, ref, chain->blocks[i], kind,
													number, &count, &next);

		for (int j = 0; blocks != NULL && j < count; j++)
		{
			CHECK_FOR_INTERRUPTS();
			free_own_page(index, ref, blocks[j], number, which);
		}
		if (blocks != NULL)
			pfree(blocks);
	}
}

/* Records first: the list that leads to them is a page of the segment. */
static void
free_segment(VkIndex *index, VkStoreRef ref, const VkSparseSegment *segment)
{
	VkBlockList holdings = {0};
	VkBlockList chain = {0};

	if (segment->state == VK_SEGMENT_RETIRED)
	{
		list_chain(index, ref, segment->holdings, VK_SPARSE_HOLDINGS, segment->number, &holdings);
		free_listed(index, ref, &holdings, VK_SPARSE_HOLDINGS, segment->number, FREE_HELD);
		if (holdings.blocks != NULL)
			pfree(holdings.blocks);
	}
	list_chain(index, ref, segment->blocks, VK_SPARSE_BLOCKS, segment->number, &chain);
	free_listed(index, ref, &chain, VK_SPARSE_BLOCKS, segment->number,
				segment->state == VK_SEGMENT_MERGED ? FREE_BUT_RECORDS : FREE_ALL);
	free_chain(index, ref, &chain, segment->number);
}

/* Forgets the retired log. */
static void
forget_log(VkIndex *index, VkStoreRef ref)
{
	VkSparseHead *head;
	Buffer		buffer = vk_sparse_head_lock(index, ref, &head);
	VkSparseLog none = {0};
	VkEdit		edit;

	if (!BufferIsValid(buffer))
		return;
	vk_edit_start(&edit, index);
	vk_edit_put(&edit, vk_edit_page(&edit, buffer), &head->retired, &none, sizeof(none));
	vk_edit_commit_release(&edit);
}

/*
 * Frees what a swap retired and what an interrupted merge left behind.
 * Caller holds the merge lock.
 */
void
vk_sparse_merge_cleanup(VkIndex *index, VkStoreRef ref)
{
	VkSparseView view;
	bool		freed = false;

	if (!vk_sparse_head_view(index, ref, &view))
		return;
	for (int i = 0; i < view.count; i++)
	{
		VkSparseSegment gone = view.segments[i];

		if (gone.state == VK_SEGMENT_LIVE)
			continue;
		freed = true;
		free_segment(index, ref, &gone);
		gone.state = 0;
		vk_sparse_segment_update(index, ref, &gone);
	}
	if (view.retired.number != 0)
	{
		VkBlockList chain = {0};

		list_chain(index, ref, view.retired.first, VK_SPARSE_RECORDS, view.retired.number, &chain);
		free_chain(index, ref, &chain, view.retired.number);
		forget_log(index, ref);
		freed = true;
	}
	/* Else nobody finds the pages before the next VACUUM. */
	if (freed && !index->building)
		IndexFreeSpaceMapVacuum(index->rel);
	pfree(view.segments);
}

/* ------------------------------------------------------------------------
 * Merging
 * ------------------------------------------------------------------------ */

/* Closes the open log, unless one is closed already; false if there is none. */
static bool
seal_log(VkIndex *index, VkStoreRef ref, VkSparseLog *sealed)
{
	VkSparseHead *head;
	Buffer		buffer = vk_sparse_head_lock(index, ref, &head);
	VkSparseLog none = {0};
	Buffer		last;
	VkEdit		edit;
	int			at;

	memset(sealed, 0, sizeof(*sealed));
	if (!BufferIsValid(buffer))
		return false;
	if (head->sealed.number != 0 || head->open.number == 0)
	{
		*sealed = head->sealed;
		vk_page_release(buffer);
		return sealed->number != 0;
	}
	last = vk_page_read(index, head->open.last, VK_SPARSE_RECORDS, ref.split_id,
						BUFFER_LOCK_EXCLUSIVE);
	*sealed = head->open;
	sealed->rows += VkSparsePageGet(BufferGetPage(last))->count;
	vk_edit_start(&edit, index);
	at = vk_edit_page(&edit, buffer);
	vk_edit_put(&edit, at, &head->sealed, &head->open, sizeof(VkSparseLog));
	vk_edit_put(&edit, at, &head->open, &none, sizeof(none));
	at = vk_edit_page(&edit, last);
	vk_edit_put_uint16(&edit, at, &VkPageGetOpaque(BufferGetPage(last))->flags,
					   VK_SPARSE_SEALED);
	vk_edit_commit_release(&edit);
	return true;
}

static void
begin_segment(MergeTarget *target)
{
	target->builder = vk_sparse_builder_begin(target->index, target->ref,
											  (Size) maintenance_work_mem * 1024);
}

static void
finish_target(MergeTarget *target)
{
	vk_sparse_builder_finish(target->builder, &target->segments[target->count++]);
	target->builder = NULL;
}

/* A copy of a vector that lies in a page, valid until the next one. */
static VkSparse
copy_vector(MergeTarget *target, const VkSparse *vec)
{
	VkSparse	copy = *vec;

	memcpy(target->values, vec->values, vec->nnz * sizeof(float));
	copy.values = target->values;
	return copy;
}

/* Writes a row.  This waits for locks and interrupts: the caller holds no page. */
static void
write_row(MergeTarget *target, const ItemPointerData * tid, const VkSparse *vec)
{
	if (target->builder != NULL && vk_sparse_builder_full(target->builder) &&
		target->count < VK_SPARSE_HEAD_ROOM - 1)
		finish_target(target);
	if (target->builder == NULL)
		begin_segment(target);
	vk_sparse_builder_add(target->builder, tid, vec);
}

/* The segment under construction takes over the pages of a segment's records. */
static void
adopt_holdings(MergeTarget *target, const VkSparseSegment *segment)
{
	BlockNumber block = segment->holdings;
	BlockNumber visited = 0;

	while (block != InvalidBlockNumber)
	{
		int			count;
		BlockNumber *blocks;

		vk_page_check_chain(target->index, ++visited, block);
		blocks = vk_sparse_read_blocks(target->index, target->ref, block, VK_SPARSE_HOLDINGS,
									   segment->number, &count, &block);
		if (blocks == NULL)
			vk_sparse_report_gone(target->index, target->ref, segment->number);
		for (int i = 0; i < count; i++)
			vk_sparse_builder_adopt_page(target->builder, blocks[i]);
		pfree(blocks);
	}
}

/* Hands the live rows of a segment to the target. */
static void
take_segment(MergeTarget *target, const VkSparseSegment *segment, bool adopt)
{
	VkIndex    *index = target->index;
	VkStoreRef	ref = target->ref;
	VkSparseReader *reader = palloc(sizeof(VkSparseReader));

	if (!vk_sparse_reader_open(reader, index, ref.split_id, segment))
		vk_sparse_report_gone(index, ref, segment->number);
	if (adopt)
		adopt_holdings(target, segment);
	for (uint32 d = 0; d < segment->documents; d++)
	{
		VkSparseDocument document;
		VkSparse	vec;

		if (d % VK_SPARSE_INTERRUPT == 0)
		{
			vk_sparse_reader_release(reader);
			CHECK_FOR_INTERRUPTS();
		}
		if (!vk_sparse_reader_document(reader, d, &document))
			vk_sparse_report_gone(index, ref, segment->number);
		if (document.place & VK_SPARSE_DOCUMENT_DEAD)
			continue;
		if (!vk_sparse_reader_record(reader, &document))
			vk_sparse_report_gone(index, ref, segment->number);
		if (adopt)
		{
			vk_sparse_builder_adopt(target->builder, reader->fetch.record, document.block,
									VkSparseDocumentOffset(&document), &reader->fetch.vec);
			continue;
		}
		vec = copy_vector(target, &reader->fetch.vec);
		vk_sparse_reader_release(reader);
		write_row(target, &document.tid, &vec);
	}
	vk_sparse_reader_close(reader);
	pfree(reader);
}

/* The same for a log. */
static void
take_log(MergeTarget *target, const VkSparseLog *log, bool adopt)
{
	VkSparseLogScan scan;
	VkLogResult result;

	vk_sparse_log_begin(&scan, target->index, target->ref.split_id, log);
	while ((result = vk_sparse_log_next(&scan)) == VK_LOG_RECORD)
	{
		ItemPointerData tid = scan.fetch.record->tid;
		VkSparse	vec;

		vk_sparse_fetch_decode(&scan.fetch);
		if (adopt)
		{
			vk_sparse_builder_adopt(target->builder, scan.fetch.record, scan.block, scan.at,
									&scan.fetch.vec);
			continue;
		}
		vec = copy_vector(target, &scan.fetch.vec);
		vk_sparse_fetch_release(&scan.fetch);
		write_row(target, &tid, &vec);
	}
	vk_sparse_log_end(&scan);
	if (result == VK_LOG_GONE)
		vk_sparse_report_gone(target->index, target->ref, log->number);
}

/* The segment under construction takes over the pages of a log. */
static void
adopt_log_pages(MergeTarget *target, const VkSparseLog *log)
{
	VkBlockList chain = {0};

	list_chain(target->index, target->ref, log->first, VK_SPARSE_RECORDS, log->number, &chain);
	if ((uint32) chain.count != log->pages)
		vk_sparse_report_gone(target->index, target->ref, log->number);
	for (int i = 0; i < chain.count; i++)
		vk_sparse_builder_adopt_page(target->builder, chain.blocks[i]);
	pfree(chain.blocks);
}

/*
 * Whether so many bytes in so many pages are worth to be written anew: more
 * than a part is waste, beyond what the last page of each source leaves.
 */
static bool
is_wasteful(uint64 bytes, uint64 pages)
{
	uint64		space = pages * VK_SPARSE_SPACE;

	return bytes * VK_SPARSE_WASTE_PART + 2 * VK_SPARSE_WASTE_PART * VK_SPARSE_SPACE <
		space * (VK_SPARSE_WASTE_PART - 1);
}

/* Whether the segment's records are. */
bool
vk_sparse_is_wasteful(const VkSparseSegment *segment)
{
	uint64		live = segment->documents - segment->dead;
	uint64		words = live * segment->record_words / Max(1, segment->documents);

	return (uint64) segment->dead * VK_SPARSE_DEAD_PART > segment->documents ||
		is_wasteful(4 * words, segment->record_pages);
}

/* What is live in a log that is closed. */
static void
measure_log(VkIndex *index, VkStoreRef ref, const VkSparseLog *log, uint64 *rows,
			uint64 *bytes)
{
	VkSparseLogScan scan;

	*rows = *bytes = 0;
	vk_sparse_log_begin(&scan, index, ref.split_id, log);
	while (vk_sparse_log_next(&scan) == VK_LOG_RECORD)
	{
		*bytes += scan.fetch.record->length;
		(*rows)++;
	}
	vk_sparse_log_end(&scan);
}

/*
 * Decides whose records stay where they are; returns the number of live rows,
 * or slightly more.  A page has one holder, so that none stays if there are too
 * many rows for one segment.
 */
static uint64
choose_adopted(VkIndex *index, VkStoreRef ref, MergeSources *sources)
{
	uint64		log_bytes;
	uint64		rows;

	measure_log(index, ref, &sources->log, &rows, &log_bytes);
	sources->adopt = palloc0(sizeof(bool) * Max(1, sources->count));
	sources->adopt_log = false;
	for (int i = 0; i < sources->count; i++)
		rows += sources->segments[i].documents - sources->segments[i].dead;
	if (rows == 0 || rows > VK_SPARSE_SEGMENT_DOCS)
		return rows;
	for (int i = 0; i < sources->count; i++)
		sources->adopt[i] = !vk_sparse_is_wasteful(&sources->segments[i]);
	sources->adopt_log = sources->log.number != 0 &&
		!is_wasteful(log_bytes, sources->log.pages);
	return rows;
}

/* If the segment is a source, sets what becomes of it. */
static bool
retire_source(const MergeSources *sources, VkSparseSegment *segment)
{
	for (int i = 0; i < sources->count; i++)
	{
		if (sources->segments[i].number != segment->number)
			continue;
		segment->state = sources->adopt[i] ? VK_SEGMENT_MERGED : VK_SEGMENT_RETIRED;
		return true;
	}
	return false;
}

/*
 * Adds to the edit the LIST page that has a source, if one has: sources
 * beyond the head page come alone.  InvalidBuffer if none has.
 */
static Buffer
retire_listed(VkIndex *index, VkStoreRef ref, BlockNumber block,
			  const MergeSources *sources, VkEdit *edit)
{
	while (block != InvalidBlockNumber)
	{
		Buffer		buffer = vk_page_read(index, block, VK_SPARSE_LIST, ref.split_id,
										  BUFFER_LOCK_EXCLUSIVE);
		VkSparseList *list = (VkSparseList *) VkPageData(BufferGetPage(buffer));

		for (uint32 i = 0; i < list->count; i++)
		{
			VkSparseSegment segment = list->segments[i];

			if (retire_source(sources, &segment))
			{
				list = (VkSparseList *) VkPageData(vk_edit_copy(edit, buffer));
				list->segments[i] = segment;
				return buffer;
			}
		}
		block = VkPageGetOpaque(BufferGetPage(buffer))->next;
		vk_page_release(buffer);
	}
	return InvalidBuffer;
}

/* Puts the finished segments in the place of the sources. */
static void
swap_segments(const MergeTarget *target, const MergeSources *sources)
{
	VkIndex    *index = target->index;
	VkStoreRef	ref = target->ref;
	VkSparseHead *head;
	Buffer		buffer = vk_sparse_head_lock(index, ref, &head);
	Buffer		list = InvalidBuffer;
	VkEdit		edit;
	int			found = 0;

	if (!BufferIsValid(buffer))
		elog(ERROR, "split %u vanished under a merge", ref.split_id);
	vk_edit_start(&edit, index);
	head = (VkSparseHead *) VkPageData(vk_edit_copy(&edit, buffer));
	for (int i = 0; i < target->count; i++)
	{
		VkSparseSegment *place = vk_sparse_find_segment(head, target->segments[i].number);

		if (place == NULL)
			vk_sparse_report_gone(index, ref, target->segments[i].number);
		*place = target->segments[i];
	}
	for (uint32 i = 0; i < head->count; i++)
	{
		if (retire_source(sources, &head->segments[i]))
			found++;
	}
	if (found < sources->count)
		list = retire_listed(index, ref, head->more, sources, &edit);
	if (sources->log.number != 0)
	{
		Assert(head->sealed.number == sources->log.number);
		if (!sources->adopt_log)
			head->retired = head->sealed;
		memset(&head->sealed, 0, sizeof(VkSparseLog));
	}
	vk_edit_commit(&edit);
	vk_page_release(buffer);
	if (BufferIsValid(list))
		vk_page_release(list);
}

static void
merge(VkIndex *index, VkStoreRef ref, MergeSources *sources)
{
	MergeTarget *target = palloc0(sizeof(MergeTarget));
	uint64		rows;

	target->index = index;
	target->ref = ref;
	target->values = palloc(sizeof(float) * VK_SPARSE_MAX_NNZ);
	rows = choose_adopted(index, ref, sources);
	vk_sparse_make_room(index, ref);
	if (rows > 0)
		begin_segment(target);
	for (int i = 0; i < sources->count; i++)
		take_segment(target, &sources->segments[i], sources->adopt[i]);
	if (sources->adopt_log)
		adopt_log_pages(target, &sources->log);
	if (sources->log.number != 0)
		take_log(target, &sources->log, sources->adopt_log);
	if (target->builder != NULL)
		finish_target(target);
	swap_segments(target, sources);
	vk_sparse_merge_cleanup(index, ref);
	pfree(sources->adopt);
	pfree(target->values);
	pfree(target);
}

static int
compare_live(const void *a, const void *b)
{
	const VkSparseSegment *left = a;
	const VkSparseSegment *right = b;
	uint32		left_live = left->documents - left->dead;
	uint32		right_live = right->documents - right->dead;

	return left_live < right_live ? -1 : left_live > right_live;
}

/*
 * Chooses the segments to merge with `rows` more, or, if that is 0, with the
 * smallest: as long as there are as many as the policy wants that are not much
 * larger than what they would join, so that a row is merged once per factor of
 * fanin.
 */
static void
choose_segments(VkSparseView *view, uint64 rows, VkMergePolicy policy, MergeSources *sources)
{
	uint64		most_pages = PG_UINT64_MAX;
	uint64		chosen_pages = sources->log.number == 0 ? 0 : sources->log.pages;
	uint64		most_rows = sources->log.rows;
	int			candidates = 0;

	if (policy.bounded)
		most_pages = (uint64) vk_sparse_log_pages() * VK_SPARSE_MERGE_LOGS *
			Max(1, view->head_count / VK_SPARSE_MANY_SEGMENTS);
	sources->segments = view->segments;
	sources->count = 0;
	for (int i = 0; i < view->count; i++)
		most_rows += view->segments[i].documents - view->segments[i].dead;
	most_rows = Min(VK_SPARSE_SEGMENT_DOCS, Max(VK_SPARSE_MERGE_ROWS, most_rows / policy.part));
	for (int i = 0; i < view->head_count; i++)
	{
		if (view->segments[i].state == VK_SEGMENT_LIVE)
			view->segments[candidates++] = view->segments[i];
	}
	qsort(view->segments, candidates, sizeof(VkSparseSegment), compare_live);
	if (rows == 0 && candidates > 0)
	{
		sources->count = 1;
		rows = Max(1, view->segments[0].documents - view->segments[0].dead);
	}
	for (;;)
	{
		uint64		sum = rows;
		uint64		pages = chosen_pages;
		int			next = sources->count;

		while (next < candidates)
		{
			uint64		live = view->segments[next].documents - view->segments[next].dead;

			if (live > policy.larger * rows || sum + live > most_rows ||
				pages + view->segments[next].record_pages > most_pages)
				break;
			sum += live;
			pages += view->segments[next].record_pages;
			next++;
		}
		if (next - sources->count < policy.fanin - 1)
			return;
		sources->count = next;
		rows = sum;
		chosen_pages = pages;
	}
}

/*
 * Makes the log a segment, together with others as the policy wants.  Caller holds the merge lock.
 */
void
vk_sparse_merge_log(VkIndex *index, VkStoreRef ref, VkMergePolicy policy)
{
	MergeSources sources;
	VkSparseView view;

	memset(&sources, 0, sizeof(sources));
	vk_sparse_merge_cleanup(index, ref);
	if (!seal_log(index, ref, &sources.log) || !vk_sparse_head_view(index, ref, &view))
		return;
	choose_segments(&view, Max(1, sources.log.rows), policy, &sources);
	merge(index, ref, &sources);
	pfree(view.segments);
}

/* Makes small segments one, if there are.  Caller holds the merge lock. */
bool
vk_sparse_merge_segments(VkIndex *index, VkStoreRef ref, VkMergePolicy policy)
{
	MergeSources sources;
	VkSparseView view;

	memset(&sources, 0, sizeof(sources));
	vk_sparse_merge_cleanup(index, ref);
	if (!vk_sparse_head_view(index, ref, &view))
		return false;
	choose_segments(&view, 0, policy, &sources);
	if (sources.count > 1)
		merge(index, ref, &sources);
	pfree(view.segments);
	return sources.count > 1;
}

/* Writes segments with many dead rows anew.  Caller holds the merge lock. */
void
vk_sparse_merge_compact(VkIndex *index, VkStoreRef ref)
{
	VkSparseView view;

	vk_sparse_merge_cleanup(index, ref);
	if (!vk_sparse_head_view(index, ref, &view))
		return;
	for (int i = 0; i < view.count; i++)
	{
		VkSparseSegment *segment = &view.segments[i];

		if (segment->state != VK_SEGMENT_LIVE ||
			(segment->dead < segment->documents && !vk_sparse_is_wasteful(segment)))
			continue;
		if (segment->dead == segment->documents)
		{
			segment->state = VK_SEGMENT_RETIRED;
			vk_sparse_segment_update(index, ref, segment);
		}
		else
		{
			MergeSources sources;

			memset(&sources, 0, sizeof(sources));
			sources.count = 1;
			sources.segments = segment;
			merge(index, ref, &sources);
		}
	}
	vk_sparse_merge_cleanup(index, ref);
	pfree(view.segments);
}
