/*-------------------------------------------------------------------------
 *
 * am_build_sort.c
 *	  CREATE INDEX with split columns: rows sorted by split, then loaded split
 *	  by split.
 *
 * The order is that of the split directory, by the low bits of the hash first:
 * so neighbours in the order share leaves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "miscadmin.h"
#include "utils/tuplesort.h"

#include "am/am_build.h"

struct VkSplitSort
{
	VkIndex    *index;
	Tuplesortstate *state;
	TupleDesc	desc;
	TupleTableSlot *slot;		/* for input */
	int			store_kb;		/* for a store's bulk load */
};

VkSplitSort *
vk_split_sort_begin(VkIndex *index, int sort_kb, int store_kb)
{
	VkSplitSort *sort = palloc0(sizeof(VkSplitSort));
	AttrNumber	column = VK_SPLIT_ROW_ORDER;
	Oid			operator = Int8LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	sort->index = index;
	sort->store_kb = store_kb;
	sort->desc = vk_split_row_desc();
	sort->slot = MakeSingleTupleTableSlot(sort->desc, &TTSOpsVirtual);
	sort->state = tuplesort_begin_heap(sort->desc, 1, &column, &operator, &collation, &nulls_first,
									   Max(64, sort_kb), NULL, TUPLESORT_NONE);
	return sort;
}

/* A row of the table; in a context the caller resets. */
void
vk_split_sort_add(VkSplitSort *sort, Datum *values, bool *isnull, ItemPointer tid)
{
	(void) vk_split_row_form(sort->index, sort->slot, values, isnull, tid);
	tuplesort_puttupleslot(sort->state, sort->slot);
}

/* A row in a slot of vk_split_row_desc(). */
void
vk_split_sort_put(VkSplitSort *sort, TupleTableSlot *slot)
{
	tuplesort_puttupleslot(sort->state, slot);
}

/* Sorts, loads all rows and frees the sort; calls loaded(arg) after each row. */
void
vk_split_sort_load(VkSplitSort *sort, void (*loaded) (void *arg), void *arg)
{
	VkSplitLoad *load = vk_split_load_begin(sort->index, sort->store_kb);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(sort->desc, &TTSOpsMinimalTuple);

	tuplesort_performsort(sort->state);
	while (tuplesort_gettupleslot(sort->state, true, false, slot, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		vk_split_load_add(load, slot);
		loaded(arg);
	}
	vk_split_load_end(load);
	tuplesort_end(sort->state);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(sort->slot);
	pfree(sort);
}
