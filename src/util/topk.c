/*-------------------------------------------------------------------------
 *
 * topk.c
 *	  The k best (distance, heap TID) pairs beyond a cursor: a bounded
 *	  max-heap, or, where k reaches a good part of all rows, a tuplesort.
 *
 * The same pair may be offered twice (a row seen before and after its split
 * moved).  Both copies may take a place in the heap; they are dropped when
 * the result is sorted.  That only makes a pass return fewer than k rows,
 * never lose one: the next pass goes on beyond the last row returned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "util/topk.h"

#define TOPK_INITIAL_SIZE	64

struct VkTopkSort
{
	Tuplesortstate *state;
	TupleTableSlot *slot;
	TupleDesc	desc;
	bool		has_last;
	TupleTableSlot *input;
	VkCandidate last;
};

static void
set_cursor(VkTopk *topk, const VkCandidate *cursor)
{
	memset(topk, 0, sizeof(*topk));
	topk->threshold = get_float8_infinity();
	if (cursor != NULL)
	{
		topk->has_cursor = true;
		topk->cursor = *cursor;
	}
}

/* Memory comes from the current context; k >= 1.  cursor may be NULL. */
void
vk_topk_init(VkTopk *topk, int64 k, const VkCandidate *cursor)
{
	Assert(k >= 1);
	set_cursor(topk, cursor);
	topk->capacity = k;
	topk->allocated = Min(k, TOPK_INITIAL_SIZE);
	topk->items = palloc(sizeof(VkCandidate) * topk->allocated);
}

/* Keeps everything beyond the cursor, in at most work_mem_kb, then on disk. */
void
vk_topk_init_sort(VkTopk *topk, const VkCandidate *cursor, int work_mem_kb)
{
	VkTopkSort *sort = palloc0(sizeof(VkTopkSort));
	AttrNumber	columns[] = {1, 2};
	Oid			operators[] = {Float8LessOperator, Int8LessOperator};
	Oid			collations[] = {InvalidOid, InvalidOid};
	bool		nulls_first[] = {false, false};

	set_cursor(topk, cursor);
	sort->desc = CreateTemplateTupleDesc(2);
	TupleDescInitEntry(sort->desc, 1, "distance", FLOAT8OID, -1, 0);
	TupleDescInitEntry(sort->desc, 2, "tid", INT8OID, -1, 0);
	sort->slot = MakeSingleTupleTableSlot(sort->desc, &TTSOpsMinimalTuple);
	sort->input = MakeSingleTupleTableSlot(sort->desc, &TTSOpsVirtual);
	sort->state = tuplesort_begin_heap(sort->desc, 2, columns, operators, collations,
									   nulls_first, work_mem_kb, NULL, TUPLESORT_NONE);
	topk->sort = sort;
}

static void
insert_sorted(VkTopk *topk, const VkCandidate *candidate)
{
	VkTopkSort *sort = topk->sort;
	TupleTableSlot *slot = sort->input;

	ExecClearTuple(slot);
	slot->tts_values[0] = Float8GetDatum(candidate->distance);
	slot->tts_values[1] = Int64GetDatum((int64) candidate->tid);
	slot->tts_isnull[0] = slot->tts_isnull[1] = false;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(sort->state, slot);
}

static void
sift_down(VkCandidate *items, int64 count, int64 at)
{
	VkCandidate moving = items[at];

	for (;;)
	{
		int64		child = at * 2 + 1;

		if (child >= count)
			break;
		if (child + 1 < count && vk_candidate_compare(&items[child + 1], &items[child]) > 0)
			child++;
		if (vk_candidate_compare(&items[child], &moving) <= 0)
			break;
		items[at] = items[child];
		at = child;
	}
	items[at] = moving;
}

static void
sift_up(VkCandidate *items, int64 at)
{
	VkCandidate moving = items[at];

	while (at > 0)
	{
		int64		parent = (at - 1) / 2;

		if (vk_candidate_compare(&items[parent], &moving) >= 0)
			break;
		items[at] = items[parent];
		at = parent;
	}
	items[at] = moving;
}

/* The slow half of vk_topk_push(): the pair is beyond the cursor. */
void
vk_topk_insert(VkTopk *topk, const VkCandidate *candidate)
{
	topk->pushed++;
	if (topk->sort != NULL)
	{
		insert_sorted(topk, candidate);
		return;
	}
	if (topk->count < topk->capacity)
	{
		if (topk->count == topk->allocated)
		{
			topk->allocated = Min(topk->allocated * 2, topk->capacity);
			topk->items = repalloc_huge(topk->items, sizeof(VkCandidate) * topk->allocated);
		}
		topk->items[topk->count] = *candidate;
		sift_up(topk->items, topk->count);
		topk->count++;
	}
	else if (vk_candidate_compare(candidate, &topk->items[0]) < 0)
	{
		topk->items[0] = *candidate;
		sift_down(topk->items, topk->count, 0);
	}
	if (topk->count == topk->capacity)
		topk->threshold = topk->items[0].distance;
}

/*
 * Ends filling.  Heap: items[0..count) are sorted ascending, without
 * duplicates.  Sort: vk_topk_next_sorted() delivers them.
 */
void
vk_topk_finish(VkTopk *topk)
{
	int64		kept = 0;

	if (topk->sort != NULL)
	{
		tuplesort_performsort(topk->sort->state);
		return;
	}
	for (int64 last = topk->count - 1; last > 0; last--)
	{
		VkCandidate greatest = topk->items[0];

		topk->items[0] = topk->items[last];
		topk->items[last] = greatest;
		sift_down(topk->items, last, 0);
	}
	for (int64 i = 0; i < topk->count; i++)
		if (kept == 0 || vk_candidate_compare(&topk->items[i], &topk->items[kept - 1]) != 0)
			topk->items[kept++] = topk->items[i];
	topk->count = kept;
}

bool
vk_topk_next_sorted(VkTopk *topk, VkCandidate *candidate)
{
	VkTopkSort *sort = topk->sort;
	bool		isnull;

	while (tuplesort_gettupleslot(sort->state, true, false, sort->slot, NULL))
	{
		candidate->distance = DatumGetFloat8(slot_getattr(sort->slot, 1, &isnull));
		candidate->tid = (uint64) DatumGetInt64(slot_getattr(sort->slot, 2, &isnull));
		if (sort->has_last && vk_candidate_compare(candidate, &sort->last) == 0)
			continue;
		sort->has_last = true;
		sort->last = *candidate;
		return true;
	}
	return false;
}

void
vk_topk_free(VkTopk *topk)
{
	if (topk->sort != NULL)
	{
		VkTopkSort *sort = topk->sort;

		tuplesort_end(sort->state);
		ExecDropSingleTupleTableSlot(sort->slot);
		ExecDropSingleTupleTableSlot(sort->input);
		pfree(sort);
		topk->sort = NULL;
	}
	if (topk->items != NULL)
		pfree(topk->items);
	topk->items = NULL;
}
