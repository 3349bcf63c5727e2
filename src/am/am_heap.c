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

/* The buffer the block was in last, or InvalidBuffer. */
static inline Buffer
hinted_buffer(Relation heap, BlockNumber block)
{
	const HeapHint *hint = hint_slot(heap, block);

	return hint->block == block && hint->relation == RelationGetRelNumber_compat(heap) ?
		hint->buffer : InvalidBuffer;
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
	Relation	heap;
	Buffer		buffer;

	if (!is_heap(desc))
		return;
	heap = fetch->xs_base.rel;
	buffer = hinted_buffer(heap, block);
	if (!BufferIsValid(buffer) || buffer == fetch->xs_cbuf ||
		!ReadRecentBuffer(RelationGetLocator_compat(heap), MAIN_FORKNUM, block, buffer))
		return;
	pgstat_count_buffer_read(heap);
	pgstat_count_buffer_hit(heap);
	if (BufferIsValid(fetch->xs_cbuf))
		ReleaseBuffer(fetch->xs_cbuf);
	fetch->xs_cbuf = buffer;
	/* as the heap does with each page it comes to */
	heap_page_prune_opt(heap, buffer);
}

/* The rows that will be returned next. */
void
vk_heap_prefetch(IndexScanDesc desc, const VkCandidate *rows, int64 count)
{
	Relation	heap;
	ItemId		pointers[MAX_AHEAD];
	Page		pages[MAX_AHEAD];
	int			found = 0;

	if (!is_heap(desc))
		return;
	heap = desc->xs_heapfetch->rel;
	for (int64 i = 0; i < Min(count, MAX_AHEAD); i++)
	{
		ItemPointerData tid;
		Buffer		buffer;

		vk_tid_decode(rows[i].tid, &tid);
		buffer = hinted_buffer(heap, ItemPointerGetBlockNumber(&tid));
		if (!BufferIsValid(buffer) || ItemPointerGetOffsetNumber(&tid) > MaxHeapTuplesPerPage)
			continue;
		pages[found] = BufferGetPage(buffer);
		pointers[found] = PageGetItemId(pages[found], ItemPointerGetOffsetNumber(&tid));
		__builtin_prefetch(GetBufferDescriptor(buffer - 1));
		__builtin_prefetch(pages[found]);
		__builtin_prefetch(pointers[found]);
		found++;
	}
	for (int i = 0; i < found; i++)
		__builtin_prefetch((char *) pages[i] + pointers[i]->lp_off % BLCKSZ);
}
