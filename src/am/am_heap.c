/*-------------------------------------------------------------------------
 *
 * am_heap.c
 *	  Has the CPU fetch what the executor will read of the rows of a pass.
 *
 * For every row an index returns, the executor reads the descriptor of the
 * heap page's buffer, the page's header, a line pointer and the row's header:
 * cache misses one after the other.  The rows of a pass are known together, so
 * all of it can be on its way before the first is asked for.  Which buffer a
 * heap page was in last is learned from the scan, which holds the page of the
 * row before.  A hint that is wrong costs time and nothing else: what is behind
 * it is not looked at, but for a line pointer that tells which line to fetch.
 *
 * A buffer that still has the page is given to the table access method before
 * it asks for the row: that spares the lookup in the shared buffer mapping
 * table, which is more than half of what fetching a row costs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "common/hashfn.h"
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

/* Heap pages remembered by a backend, direct-mapped; a power of two. */
#define HINTS		4096

/* Rows of a pass: later ones would push the first out of the cache. */
#define MAX_AHEAD	64

typedef struct HeapHint
{
	Oid			relation;		/* relfilenumber */
	BlockNumber block;
	Buffer		buffer;
} HeapHint;

static HeapHint hints[HINTS];

static inline HeapHint *
hint_slot(Relation heap, BlockNumber block)
{
	return &hints[(block + murmurhash32(RelationGetRelNumber_compat(heap))) & (HINTS - 1)];
}

/* The page where the row's block was last, or NULL. */
static inline Page
hint_page(Relation heap, ItemPointer tid)
{
	const HeapHint *hint = hint_slot(heap, ItemPointerGetBlockNumber(tid));

	if (hint->buffer <= 0 || hint->buffer > NBuffers ||
		hint->block != ItemPointerGetBlockNumber(tid) ||
		hint->relation != RelationGetRelNumber_compat(heap) ||
		ItemPointerGetOffsetNumber(tid) > MaxHeapTuplesPerPage)
		return NULL;
	__builtin_prefetch(GetBufferDescriptor(hint->buffer - 1));
	return BufferGetPage(hint->buffer);
}

static inline bool
is_heap(IndexScanDesc desc)
{
	return desc->xs_heapfetch != NULL &&
		desc->xs_heapfetch->rel->rd_tableam == GetHeapamTableAmRoutine();
}

/* Remembers where the row returned last was found. */
void
vk_heap_learn(IndexScanDesc desc)
{
	Relation	heap;
	BlockNumber block;
	Buffer		buffer;
	HeapHint   *hint;

	if (!is_heap(desc))
		return;
	heap = desc->xs_heapfetch->rel;
	buffer = ((IndexFetchHeapData *) desc->xs_heapfetch)->xs_cbuf;
	if (!BufferIsValid(buffer) || BufferIsLocal(buffer))
		return;
	block = BufferGetBlockNumber(buffer);
	hint = hint_slot(heap, block);
	hint->relation = RelationGetRelNumber_compat(heap);
	hint->block = block;
	hint->buffer = buffer;
}

/*
 * The row in xs_heaptid is returned next: pins its page, if it is where it was.
 * The scan of the heap releases the page as it does those it has read itself.
 */
void
vk_heap_pin(IndexScanDesc desc)
{
	IndexFetchHeapData *fetch = (IndexFetchHeapData *) desc->xs_heapfetch;
	BlockNumber block = ItemPointerGetBlockNumber(&desc->xs_heaptid);
	const HeapHint *hint;
	Relation	heap;

	if (!is_heap(desc))
		return;
	heap = fetch->xs_base.rel;
	hint = hint_slot(heap, block);
	if (hint->buffer <= 0 || hint->buffer == fetch->xs_cbuf || hint->block != block ||
		hint->relation != RelationGetRelNumber_compat(heap) ||
		!ReadRecentBuffer(RelationGetLocator_compat(heap), MAIN_FORKNUM, block, hint->buffer))
		return;
	pgstat_count_buffer_read(heap);
	pgstat_count_buffer_hit(heap);
	if (BufferIsValid(fetch->xs_cbuf))
		ReleaseBuffer(fetch->xs_cbuf);
	fetch->xs_cbuf = hint->buffer;
	/* as the heap does with each page it comes to */
	heap_page_prune_opt(heap, hint->buffer);
}

/* The rows that will be returned next. */
void
vk_heap_prefetch(IndexScanDesc desc, const VkCandidate *rows, int64 count)
{
	Relation	heap;
	ItemPointerData tid;

	if (!is_heap(desc))
		return;
	heap = desc->xs_heapfetch->rel;
	count = Min(count, MAX_AHEAD);
	for (int64 i = 0; i < count; i++)
	{
		Page		page;

		vk_tid_decode(rows[i].tid, &tid);
		page = hint_page(heap, &tid);
		if (page == NULL)
			continue;
		__builtin_prefetch(page);
		__builtin_prefetch(PageGetItemId(page, ItemPointerGetOffsetNumber(&tid)));
	}
	for (int64 i = 0; i < count; i++)
	{
		Page		page;

		vk_tid_decode(rows[i].tid, &tid);
		page = hint_page(heap, &tid);
		if (page != NULL)
			__builtin_prefetch((char *) page +
							   PageGetItemId(page, ItemPointerGetOffsetNumber(&tid))->lp_off % BLCKSZ);
	}
}
