/*-------------------------------------------------------------------------
 *
 * flat_scan.c
 *	  Exact search of a flat split: codes first, rows for what they leave.
 *
 * Each group's codes give a lower bound per row.  Rows whose bound does not
 * exceed the distance of the k-th best become pending; pending rows are
 * compared in the order of their bounds, which makes the k-th best good early
 * and leaves few to compare.  Where bounds exclude too little, the rest of the
 * split is compared row by row, page after page.
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

#include "am/flat/flat_codec.h"
#include "am/flat/flat_private.h"

/* Pending rows at most, but at least this many times k. */
#define MAX_PENDING		2048
#define PENDING_PER_K	4

/* Beyond this k a pass keeps so much that bounds are not worth their while. */
#define MAX_K_FOR_CODES	16384

/* Rows compared first, when nothing is known yet: this many times k. */
#define FIRST_SHARE		2

/*
 * When so many codes have been seen (times k, but at least) the most promising
 * k rows are compared, and again whenever their number has grown so much: each
 * time the k-th best gets better, and excludes more of the rows that follow.
 * Few rows are compared that would not be in the end.
 */
#define FIRST_STAGE_PER_K	8
#define FIRST_STAGE		128
#define STAGE_GROWTH	4

/* Codes seen before bounds may be given up. */
#define TRIAL_CODES		1024

/* Nanoseconds to read a byte in sequence, and to find a row at random. */
#define BYTE_NS			0.09
#define RANDOM_NS		200.0

/* Bytes of the next row that are fetched into the CPU's cache in advance. */
#define MAX_AHEAD		4096
#define CACHE_LINE		64
#define PREFETCHED_ROWS	2

/* A group as it was when its page was read. */
typedef struct GroupCopy
{
	VkFlatLayout layout;
	VkFlatGroup group;
	BlockNumber next;
	BlockNumber blocks[BLCKSZ / sizeof(BlockNumber)];
	ItemPointerData tids[BLCKSZ / sizeof(ItemPointerData)];
} GroupCopy;

/* Room for one group at a time. */
typedef struct FlatWork
{
	GroupCopy	copy;
	int32		dots[BLCKSZ / sizeof(int32)];
	uint16		slots[BLCKSZ / sizeof(int32)];
	double		lower[BLCKSZ / sizeof(int32)];
} FlatWork;

/* A row to be compared, unless a better k-th best excludes it first. */
typedef struct PendingRow
{
	double		lower;			/* bound of its distance */
	uint64		tid;
	BlockNumber group;
	BlockNumber blocks[2];		/* row pages, if they are no more than two */
	uint16		slot;
} PendingRow;

/* What follows from the query, kept from pass to pass. */
typedef struct QueryCache
{
	uint16		codec;
	VkFlatQuery *query;
} QueryCache;

typedef struct FlatScan
{
	VkScan	   *scan;
	VkStoreRef	ref;
	const VkIndexInfo *info;
	VkDenseDistance distance;
	const char *query;			/* elements; NULL: none */
	char	   *row;			/* one row, put together from its pages */
	int			row_pages;		/* a row is on at most so many */
	const VkFlatKernels *kernels;
	QueryCache *cache;
	bool		use_codes;
	double		give_up_share;	/* of survivors among codes */
	int64		codes;
	int64		next_stage;		/* so many codes: see FIRST_STAGE */
	int64		survivors;		/* of them compared */
	int64		trial_codes;	/* what these two were when pending was full */
	int64		trial_survivors;
	PendingRow *pending;
	int			npending;
	int			max_pending;
	double		limit;			/* bounds beyond this exclude a row */
	FlatWork   *work;
} FlatScan;

/* ------------------------------------------------------------------------
 * Rows one after the other
 * ------------------------------------------------------------------------ */

static void
copy_group(FlatScan *state, VkFlatGroup *group)
{
	GroupCopy  *copy = &state->work->copy;

	copy->group = *group;
	memcpy(copy->blocks, VkFlatBlocks(group, &copy->layout),
		   group->nblocks * sizeof(BlockNumber));
	memcpy(copy->tids, VkFlatTids(group, &copy->layout),
		   group->nslots * sizeof(ItemPointerData));
}

static void
push_row(void *arg, int slot, const char *elements)
{
	FlatScan   *state = arg;
	VkScan	   *scan = state->scan;

	if (!ItemPointerIsValid(&state->work->copy.tids[slot]))
		return;
	scan->stats->rows++;
	vk_scan_push(scan, state->distance(state->query, elements, state->info->dim),
				 vk_tid_encode(&state->work->copy.tids[slot]));
}

/* Compares all rows of the group just copied. */
static void
scan_rows(FlatScan *state)
{
	GroupCopy  *copy = &state->work->copy;

	state->scan->stats->pages += copy->group.nblocks;
	(void) vk_flat_visit_rows(state->scan->index, state->ref.split_id, copy->blocks,
							  copy->group.nslots, state->row, push_row, state);
}

static void
push_tids(FlatScan *state)
{
	for (int slot = 0; slot < state->work->copy.group.nslots; slot++)
		if (ItemPointerIsValid(&state->work->copy.tids[slot]))
			vk_scan_push(state->scan, 0.0, vk_tid_encode(&state->work->copy.tids[slot]));
}

/* ------------------------------------------------------------------------
 * Pending rows
 * ------------------------------------------------------------------------ */

/*
 * The blocks first..first+count-1 of the row pages of a row's group, as they
 * are now; false if the row has gone.
 */
bool
vk_flat_find_blocks(VkIndex *index, const VkFlatRowRef *row, int first, int count,
					BlockNumber *blocks)
{
	Buffer		buffer = vk_page_try(index, row->group, VK_PAGE_FLAT_GROUP, row->split_id,
									 BUFFER_LOCK_SHARE);
	VkFlatLayout layout = {0};
	VkFlatGroup *group;
	bool		found = false;

	if (buffer == InvalidBuffer)
		return false;
	group = vk_flat_group(index, buffer, &layout);
	if (row->slot < group->nslots &&
		vk_tid_encode(&VkFlatTids(group, &layout)[row->slot]) == row->tid)
	{
		memcpy(blocks, VkFlatBlocks(group, &layout) + first, count * sizeof(BlockNumber));
		found = true;
	}
	vk_page_release(buffer);
	return found;
}

/*
 * The row page could not be had.  That is right if the row was vacuumed
 * meanwhile, and corruption if its group still names the page.
 */
void
vk_flat_check_row_gone(VkIndex *index, const VkFlatRowRef *row, int number, BlockNumber block)
{
	BlockNumber now;

	if (vk_flat_find_blocks(index, row, number, 1, &now) && now == block)
		vk_report_corruption(index->rel, block,
							 "The page is no row page of split %u, but group %u names it.",
							 row->split_id, row->group);
}

static VkFlatRowRef
pending_ref(const FlatScan *state, const PendingRow *pending)
{
	VkFlatRowRef row = {state->ref.split_id, pending->group, pending->slot, pending->tid};

	return row;
}

/* Compares a pending row exactly and offers it. */
static void
compare_pending(FlatScan *state, PendingRow *pending)
{
	VkScan	   *scan = state->scan;
	int64		start = (int64) pending->slot * state->info->row_bytes;
	int			first = start / VK_PAGE_SPACE;
	int			last = (start + state->info->row_bytes - 1) / VK_PAGE_SPACE;
	int			at = start - (int64) first * VK_PAGE_SPACE;
	int			have = 0;
	BlockNumber many[VK_MAX_DIM * sizeof(float) / VK_PAGE_SPACE + 2];
	BlockNumber *blocks = pending->blocks;

	if (state->row_pages > 2)
	{
		VkFlatRowRef row = pending_ref(state, pending);

		blocks = many;
		if (!vk_flat_find_blocks(scan->index, &row, first, last - first + 1, many))
			return;
	}
	for (int number = first; number <= last; number++)
	{
		int			part = Min(state->info->row_bytes - have, VK_PAGE_SPACE - at);
		Buffer		buffer = vk_page_try(scan->index, blocks[number - first],
										 VK_PAGE_FLAT_ROWS, state->ref.split_id,
										 BUFFER_LOCK_SHARE);
		const char *data;

		if (buffer == InvalidBuffer)
		{
			VkFlatRowRef row = pending_ref(state, pending);

			vk_flat_check_row_gone(scan->index, &row, number, blocks[number - first]);
			return;
		}
		scan->stats->pages++;
		data = VkPageData(BufferGetPage(buffer)) + at;
		if (part == state->info->row_bytes)
			vk_scan_push(scan, state->distance(state->query, data, state->info->dim),
						 pending->tid);
		else
		{
			memcpy(state->row + have, data, part);
			if (have + part == state->info->row_bytes)
				vk_scan_push(scan, state->distance(state->query, state->row, state->info->dim),
							 pending->tid);
		}
		have += part;
		at = 0;
		vk_page_release(buffer);
	}
	scan->stats->rows++;
	state->survivors++;
}

/* Has the elements of a row that is compared soon brought into the CPU's cache. */
static void
prefetch_pending(FlatScan *state, const PendingRow *pending)
{
	int			at = (int64) pending->slot * state->info->row_bytes % VK_PAGE_SPACE;
	int			left = Min(state->info->row_bytes, MAX_AHEAD);

	if (state->row_pages > 2)
		return;
	for (int number = 0; number < 2 && left > 0; number++, at = 0)
	{
		const char *page = pending->blocks[number] == InvalidBlockNumber ? NULL :
		vk_page_hint(state->scan->index, pending->blocks[number]);
		int			part = Min(left, VK_PAGE_SPACE - at);

		if (page == NULL)
			return;
		__builtin_prefetch(page);
		__builtin_prefetch(page + BLCKSZ - 1);
		for (int line = 0; line < part; line += CACHE_LINE)
			__builtin_prefetch(VkPageData(page) + at + line);
		left -= part;
	}
}

static int
compare_lower(const void *a, const void *b)
{
	double		left = ((const PendingRow *) a)->lower;
	double		right = ((const PendingRow *) b)->lower;

	return left < right ? -1 : left > right;
}

/* Moves the count rows of least bound to the front, in no order. */
static void
select_least(PendingRow *rows, int total, int count)
{
	int			low = 0;
	int			high = total - 1;

	while (low < high)
	{
		double		pivot = rows[low + (high - low) / 2].lower;
		int			left = low;
		int			right = high;

		while (left <= right)
		{
			while (rows[left].lower < pivot)
				left++;
			while (rows[right].lower > pivot)
				right--;
			if (left <= right)
			{
				PendingRow	row = rows[left];

				rows[left++] = rows[right];
				rows[right--] = row;
			}
		}
		if (count - 1 <= right)
			high = right;
		else if (count - 1 >= left)
			low = left;
		else
			break;
	}
}

/* The k-th best may have become better: forget what it excludes. */
static void
update_limit(FlatScan *state)
{
	int			kept = 0;

	state->limit = vk_flat_prune_limit(state->info, state->scan->topk->threshold);
	for (int i = 0; i < state->npending; i++)
		if (!(state->pending[i].lower > state->limit))
			state->pending[kept++] = state->pending[i];
	state->npending = kept;
}

/* Compares the most promising count pending rows, then prunes the others. */
static void
compare_best(FlatScan *state, int count)
{
	int			done;

	count = Min(count, state->npending);
	select_least(state->pending, state->npending, count);
	qsort(state->pending, count, sizeof(PendingRow), compare_lower);
	for (done = 0; done < Min(count, PREFETCHED_ROWS); done++)
		prefetch_pending(state, &state->pending[done]);
	for (done = 0; done < count; done++)
	{
		if (done + PREFETCHED_ROWS < count)
			prefetch_pending(state, &state->pending[done + PREFETCHED_ROWS]);
		if (state->pending[done].lower >
			vk_flat_prune_limit(state->info, state->scan->topk->threshold))
			break;
		compare_pending(state, &state->pending[done]);
		CHECK_FOR_INTERRUPTS();
	}
	state->npending -= done;
	memmove(state->pending, state->pending + done, state->npending * sizeof(PendingRow));
	update_limit(state);
}

/* Pending is full: compare enough of it to go on. */
static void
make_room(FlatScan *state)
{
	compare_best(state, (int) Min(state->max_pending / 2, FIRST_SHARE * state->scan->k));
	if (state->npending > state->max_pending / 2)
		compare_best(state, state->npending);

	/* not counting the first time: the first k rows always survive */
	if (state->trial_codes > 0 && state->codes - state->trial_codes > TRIAL_CODES &&
		state->survivors - state->trial_survivors >
		(state->codes - state->trial_codes) * state->give_up_share)
		state->use_codes = false;
	state->trial_codes = state->codes;
	state->trial_survivors = state->survivors;
}

static void
compare_all_pending(FlatScan *state)
{
	int			count = (int) Min(MAX_PENDING, FIRST_SHARE * state->scan->k);

	while (state->npending > 0)
	{
		compare_best(state, count);
		count = Min(state->max_pending, count * 2);
	}
}

/* ------------------------------------------------------------------------
 * Codes
 * ------------------------------------------------------------------------ */

static VkFlatQuery *
query_code(FlatScan *state, uint16 codec)
{
	if (state->cache == NULL)
	{
		state->cache = MemoryContextAllocZero(state->scan->query_context, sizeof(QueryCache));
		state->scan->store_query = state->cache;
	}
	if (state->cache->codec != codec)
	{
		MemoryContext old = MemoryContextSwitchTo(state->scan->query_context);

		state->cache->query = vk_flat_encode_query(vk_flat_codec_get(state->scan->index, codec),
												   state->query);
		state->cache->codec = codec;
		MemoryContextSwitchTo(old);
	}
	return state->cache->query;
}

static void
add_pending(FlatScan *state, BlockNumber block, VkFlatGroup *group, const VkFlatLayout *layout,
			int slot, double lower)
{
	PendingRow *pending = &state->pending[state->npending];
	int64		start = (int64) slot * state->info->row_bytes;
	int			first = start / VK_PAGE_SPACE;
	ItemPointer tid = &VkFlatTids(group, layout)[slot];

	if (!ItemPointerIsValid(tid))
		return;
	pending->lower = lower;
	pending->tid = vk_tid_encode(tid);
	pending->group = block;
	pending->slot = slot;
	if (state->row_pages <= 2)
	{
		pending->blocks[0] = VkFlatBlocks(group, layout)[first];
		pending->blocks[1] = first + 1 < group->nblocks ?
			VkFlatBlocks(group, layout)[first + 1] : InvalidBlockNumber;
	}
	state->npending++;
}

/* Bounds of all rows of a locked group; what they do not exclude is pending. */
static void
scan_codes(FlatScan *state, BlockNumber block, VkFlatGroup *group, const VkFlatLayout *layout,
		   VkFlatQuery *query, const char *ahead)
{
	VkFlatCodes codes;
	int			count;

	codes.count = group->nslots;
	codes.code_bytes = layout->code_bytes;
	codes.codes = VkFlatCodeBytes(group, layout);
	codes.scale = VkFlatFloats(group, layout->scale);
	codes.square = VkFlatSquares(group, layout);
	codes.error = VkFlatFloats(group, layout->error);
	codes.rest_low = VkFlatFloats(group, layout->rest_low);
	codes.rest_high = VkFlatFloats(group, layout->rest_high);
	codes.ahead = ahead;
	state->kernels->dots(&codes, query->code, state->work->dots);
	count = (state->info->metric == VK_METRIC_IP ? state->kernels->select_ip :
			 state->kernels->select_l2) (&codes, state->work->dots, &query->bound, state->limit,
										 state->work->slots, state->work->lower);
	state->codes += group->nslots;
	for (int i = 0; i < count; i++)
		add_pending(state, block, group, layout, state->work->slots[i], state->work->lower[i]);
}

/*
 * Searches the group at block; returns the next one's, or an invalid one at
 * the end, or if the split was removed meanwhile.
 */
static BlockNumber
scan_group(FlatScan *state, BlockNumber block)
{
	VkIndex    *index = state->scan->index;
	Buffer		buffer = vk_page_try(index, block, VK_PAGE_FLAT_GROUP, state->ref.split_id,
									 BUFFER_LOCK_SHARE);
	VkFlatGroup *group;
	VkFlatLayout *layout = &state->work->copy.layout;
	BlockNumber next;
	const char *ahead;

	if (buffer == InvalidBuffer)
		return InvalidBlockNumber;
	state->scan->stats->pages++;
	group = vk_flat_group(index, buffer, layout);
	next = VkPageGetOpaque(BufferGetPage(buffer))->next;
	ahead = next != InvalidBlockNumber ? vk_page_hint(index, next) : NULL;
	if (ahead == NULL)
		vk_page_prefetch(index, next);
	if (group->codec != 0 && state->use_codes)
	{
		VkFlatQuery *query = query_code(state, group->codec);

		if (query->code_bytes != layout->code_bytes)
			vk_report_corruption(index->rel, block,
								 "A group has codes of %d bytes, its codec makes %d.",
								 layout->code_bytes, query->code_bytes);

		if (query->usable)
		{
			scan_codes(state, block, group, layout, query, ahead);
			vk_page_release(buffer);
			if (state->codes >= state->next_stage)
			{
				compare_best(state, (int) Min(state->max_pending, state->scan->k));
				state->next_stage *= STAGE_GROWTH;
			}
			if (state->npending > state->max_pending - BLCKSZ / (int) sizeof(int32))
				make_room(state);
			return next;
		}
	}
	copy_group(state, group);
	vk_page_release(buffer);
	if (state->query == NULL)
		push_tids(state);
	else
		scan_rows(state);
	return next;
}

static FlatWork *
make_work(void)
{
	FlatWork   *work = palloc(sizeof(FlatWork));

	memset(&work->copy.layout, 0, sizeof(work->copy.layout));
	return work;
}

static FlatScan *
begin_scan(VkScan *scan, VkStoreRef ref, FlatWork *work)
{
	FlatScan   *state = palloc0(sizeof(FlatScan));
	double		row_ns;

	state->work = work;
	state->scan = scan;
	state->ref = ref;
	state->info = &scan->index->info;
	if (scan->query == NULL)
		return state;
	state->distance = vk_dense_distance(state->info->elem, state->info->metric);
	state->query = (const char *) ((const VkVector *) scan->query)->x;
	state->row = palloc(state->info->row_bytes);
	state->row_pages = (state->info->row_bytes + VK_PAGE_SPACE - 2) / VK_PAGE_SPACE + 1;
	state->kernels = vk_flat_kernels();
	state->cache = scan->store_query;
	state->use_codes = scan->k <= MAX_K_FOR_CODES;
	row_ns = state->info->row_bytes * BYTE_NS;
	state->give_up_share = row_ns / (row_ns + RANDOM_NS);
	if (state->use_codes)
	{
		state->next_stage = Max(FIRST_STAGE, FIRST_STAGE_PER_K * scan->k);
		state->max_pending = Max(MAX_PENDING, PENDING_PER_K * (int) scan->k) +
			BLCKSZ / (int) sizeof(int32);
		state->pending = palloc(sizeof(PendingRow) * state->max_pending);
		state->limit = vk_flat_prune_limit(state->info, scan->topk->threshold);
	}
	return state;
}

static void
end_scan(FlatScan *state)
{
	if (state->npending > 0)
		compare_all_pending(state);
	state->scan->stats->codes += state->codes;
	state->scan->stats->survivors += state->survivors;
	if (state->pending != NULL)
		pfree(state->pending);
	if (state->row != NULL)
		pfree(state->row);
	pfree(state);
}

/* The split's first group; invalid if there is none, or no split any more. */
static BlockNumber
first_group(VkIndex *index, VkStoreRef ref)
{
	Buffer		buffer = vk_page_try(index, ref.head, VK_PAGE_FLAT_HEAD, ref.split_id,
									 BUFFER_LOCK_SHARE);
	BlockNumber block = InvalidBlockNumber;

	if (buffer != InvalidBuffer)
	{
		block = VkPageGetFlatHead(BufferGetPage(buffer))->first;
		vk_page_release(buffer);
	}
	return block;
}

void
vk_flat_collect(VkScan *scan, VkStoreRef ref)
{
	BlockNumber block = first_group(scan->index, ref);
	FlatWork   *work = make_work();
	FlatScan   *state = begin_scan(scan, ref, work);

	scan->stats->pages++;
	for (BlockNumber visited = 1; block != InvalidBlockNumber; visited++)
	{
		block = scan_group(state, block);
		vk_page_check_chain(scan->index, visited, block);
		CHECK_FOR_INTERRUPTS();
	}
	end_scan(state);
	pfree(work);
}
