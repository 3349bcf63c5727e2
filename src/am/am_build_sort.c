/*-------------------------------------------------------------------------
 *
 * am_build_sort.c
 *	  CREATE INDEX with split columns: rows sorted by split, then loaded split
 *	  by split.
 *
 * The order is that of the split directory, by the low bits of the hash first:
 * so neighbours in the order share leaves, and rows of small splits fill one
 * shared page after the other.  A split's first rows are kept until it is
 * clear whether it is small.  If not, it gets a store, loaded in bulk where
 * the store can.  Its pages are then one after the other.
 *
 * Two keys of one hash are not expected, but possible: rows of the second wait
 * in memory and are inserted when the first split has been loaded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "commands/progress.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "am/am_build.h"

enum
{
	SORT_ORDER = 1,				/* see order_of() */
	SORT_TID,
	SORT_KEY,					/* index tuple of the split columns */
	SORT_VALUE,					/* the vector, or NULL */
	SORT_COLUMNS = SORT_VALUE
};

struct VkSplitSort
{
	VkIndex    *index;
	Tuplesortstate *state;
	TupleDesc	desc;
	TupleTableSlot *slot;		/* for input */
	int			work_mem_kb;	/* left for a store's bulk load */
};

/* A row in memory. */
typedef struct SortedRow
{
	ItemPointerData tid;
	VkSplitKey	key;
	struct varlena *value;		/* NULL for a NULL vector */
} SortedRow;

/* A split that is being loaded. */
typedef struct SplitLoad
{
	VkSplitSort *sort;
	MemoryContext context;		/* of what is kept for this split */
	MemoryContext row_context;
	uint64		order;
	VkSplitKey	key;
	VkSplitEntry *as_entry;		/* the key, to compare others with */
	List	   *waiting;		/* SortedRow: not known yet whether small */
	List	   *others;			/* SortedRow: of other keys with this hash */
	Size		bytes;			/* of waiting rows, if on shared pages */
	bool		started;		/* it is not small */
	VkStoreRef	ref;			/* started, no bulk load: its store */
	void	   *bulk;
} SplitLoad;

/* Orders hashes as the directory's leaves do: by the lowest bit first. */
static int64
order_of(uint64 hash)
{
	uint64		reversed = 0;

	for (int bit = 0; bit < 64; bit++)
		reversed |= ((hash >> bit) & 1) << (63 - bit);
	return (int64) (reversed ^ (UINT64CONST(1) << 63));
}

VkSplitSort *
vk_split_sort_begin(VkIndex *index, int work_mem_kb)
{
	VkSplitSort *sort = palloc0(sizeof(VkSplitSort));
	AttrNumber	column = SORT_ORDER;
	Oid			operator = Int8LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	sort->index = index;
	sort->work_mem_kb = Max(64, work_mem_kb / 2);
	sort->desc = CreateTemplateTupleDesc(SORT_COLUMNS);
	TupleDescInitEntry(sort->desc, SORT_ORDER, "order", INT8OID, -1, 0);
	TupleDescInitEntry(sort->desc, SORT_TID, "tid", INT8OID, -1, 0);
	TupleDescInitEntry(sort->desc, SORT_KEY, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(sort->desc, SORT_VALUE, "value", BYTEAOID, -1, 0);
	sort->slot = MakeSingleTupleTableSlot(sort->desc, &TTSOpsVirtual);
	sort->state = tuplesort_begin_heap(sort->desc, 1, &column, &operator, &collation,
									   &nulls_first, sort->work_mem_kb, NULL, TUPLESORT_NONE);
	return sort;
}

/* A row of the table; in a context the caller resets. */
void
vk_split_sort_add(VkSplitSort *sort, Datum *values, bool *isnull, ItemPointer tid)
{
	TupleTableSlot *slot = sort->slot;
	VkSplitKey	key;
	struct varlena *bytes;

	vk_key_form(sort->index, values, isnull, &key);
	bytes = palloc(VARHDRSZ + key.size);
	SET_VARSIZE(bytes, VARHDRSZ + key.size);
	memcpy(VARDATA(bytes), key.tuple, key.size);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, 0, sizeof(bool) * SORT_COLUMNS);
	slot->tts_values[SORT_ORDER - 1] = Int64GetDatum(order_of(key.hash));
	slot->tts_values[SORT_TID - 1] = Int64GetDatum((int64) vk_tid_encode(tid));
	slot->tts_values[SORT_KEY - 1] = PointerGetDatum(bytes);
	slot->tts_isnull[SORT_VALUE - 1] = isnull[0];
	slot->tts_values[SORT_VALUE - 1] = isnull[0] ? (Datum) 0 :
		PointerGetDatum(PG_DETOAST_DATUM(values[0]));
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(sort->state, slot);
}

/* The sorted row in slot, in the current context. */
static void
read_row(TupleTableSlot *slot, SortedRow *row, uint64 *order)
{
	bool		isnull;
	struct varlena *key;
	Datum		value;

	*order = (uint64) DatumGetInt64(slot_getattr(slot, SORT_ORDER, &isnull));
	vk_tid_decode((uint64) DatumGetInt64(slot_getattr(slot, SORT_TID, &isnull)), &row->tid);
	key = PG_DETOAST_DATUM_COPY(slot_getattr(slot, SORT_KEY, &isnull));
	row->key.size = VARSIZE(key) - VARHDRSZ;
	/* an index tuple must be aligned */
	row->key.tuple = palloc(row->key.size);
	memcpy(row->key.tuple, VARDATA(key), row->key.size);
	row->key.hash = (uint64) order_of(*order ^ (UINT64CONST(1) << 63)) ^ (UINT64CONST(1) << 63);
	value = slot_getattr(slot, SORT_VALUE, &isnull);
	row->value = isnull ? NULL : PG_DETOAST_DATUM_COPY(value);
}

static SortedRow *
keep_row(SplitLoad *load, const SortedRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(load->context);
	SortedRow  *kept = palloc(sizeof(SortedRow));

	*kept = *row;
	kept->key.tuple = palloc(row->key.size);
	memcpy(kept->key.tuple, row->key.tuple, row->key.size);
	kept->value = palloc(VARSIZE(row->value));
	memcpy(kept->value, row->value, VARSIZE(row->value));
	MemoryContextSwitchTo(old);
	return kept;
}

static void
insert_row(SplitLoad *load, SortedRow *row)
{
	vk_insert_row(load->sort->index, &row->key, &row->tid, row->value);
}

/* Adds a row to a split that has a store, or a bulk load of one. */
static void
load_row(SplitLoad *load, SortedRow *row)
{
	VkIndex    *index = load->sort->index;

	if (load->bulk != NULL)
		index->store->build_add(load->bulk, &row->tid, row->value);
	else if (!index->store->insert(index, load->ref, &row->tid, row->value))
		elog(ERROR, "a new store of index \"%s\" is gone", RelationGetRelationName(index->rel));
}

/* The split is not small. */
static void
start_split(SplitLoad *load)
{
	VkIndex    *index = load->sort->index;
	MemoryContext old = MemoryContextSwitchTo(load->context);
	ListCell   *cell;

	load->started = true;
	load->ref.split_id = vk_split_reserve(index, &load->key);
	if (index->store->build_begin != NULL)
		load->bulk = index->store->build_begin(index, load->ref.split_id, load->sort->work_mem_kb);
	else
	{
		load->ref.head = index->store->create(index, load->ref.split_id);
		vk_split_set_head(index, &load->key, load->ref.head);
	}
	MemoryContextSwitchTo(load->row_context);
	foreach(cell, load->waiting)
		load_row(load, lfirst(cell));
	load->waiting = NIL;
	MemoryContextSwitchTo(old);
}

static void
begin_split(SplitLoad *load, const SortedRow *row, uint64 order)
{
	MemoryContext old = MemoryContextSwitchTo(load->context);

	load->order = order;
	load->key = row->key;
	load->key.tuple = palloc(row->key.size);
	memcpy(load->key.tuple, row->key.tuple, row->key.size);
	load->as_entry = palloc0(VK_ENTRY_SIZE(row->key.size));
	load->as_entry->hash = row->key.hash;
	load->as_entry->key_size = row->key.size;
	memcpy(load->as_entry->key, row->key.tuple, row->key.size);
	MemoryContextSwitchTo(old);
}

static void
end_split(SplitLoad *load)
{
	VkIndex    *index = load->sort->index;
	MemoryContext old = MemoryContextSwitchTo(load->row_context);
	ListCell   *cell;

	if (load->bulk != NULL)
		vk_split_set_head(index, &load->key, index->store->build_end(load->bulk));
	foreach(cell, load->waiting)
		insert_row(load, lfirst(cell));
	foreach(cell, load->others)
		insert_row(load, lfirst(cell));
	MemoryContextSwitchTo(old);
	MemoryContextReset(load->context);
	load->as_entry = NULL;
	load->waiting = load->others = NIL;
	load->bytes = 0;
	load->started = false;
	load->bulk = NULL;
}

static void
add_row(SplitLoad *load, SortedRow *row, uint64 order)
{
	Size		bytes;
	MemoryContext old;

	if (load->as_entry != NULL && load->order != order)
		end_split(load);
	if (load->as_entry == NULL)
		begin_split(load, row, order);
	if (row->value == NULL)
	{
		insert_row(load, row);
		return;
	}
	old = MemoryContextSwitchTo(load->context);
	if (!vk_key_equal(load->sort->index, &row->key, load->as_entry))
		load->others = lappend(load->others, keep_row(load, row));
	else if (!load->started)
	{
		bytes = offsetof(VkSharedRow, value) + VARSIZE(row->value);
		load->waiting = lappend(load->waiting, keep_row(load, row));
		load->bytes += bytes;
		if (bytes > VK_TINY_MAX_ROW || load->bytes > VK_TINY_MAX_BYTES)
			start_split(load);
	}
	else
	{
		MemoryContextSwitchTo(load->row_context);
		load_row(load, row);
	}
	MemoryContextSwitchTo(old);
}

/* Sorts, loads all rows and frees the sort. */
void
vk_split_sort_load(VkSplitSort *sort)
{
	SplitLoad	load = {0};
	TupleTableSlot *slot = MakeSingleTupleTableSlot(sort->desc, &TTSOpsMinimalTuple);
	int64		rows = 0;

	tuplesort_performsort(sort->state);
	load.sort = sort;
	load.context = AllocSetContextCreate(CurrentMemoryContext, "vektonn split load",
										 ALLOCSET_DEFAULT_SIZES);
	load.row_context = AllocSetContextCreate(CurrentMemoryContext, "vektonn sorted row",
											 ALLOCSET_DEFAULT_SIZES);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, VK_PHASE_SPLITS);
	while (tuplesort_gettupleslot(sort->state, true, false, slot, NULL))
	{
		MemoryContext old = MemoryContextSwitchTo(load.row_context);
		SortedRow	row;
		uint64		order;

		CHECK_FOR_INTERRUPTS();
		read_row(slot, &row, &order);
		add_row(&load, &row, order);
		MemoryContextSwitchTo(old);
		MemoryContextReset(load.row_context);
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, ++rows);
	}
	if (load.as_entry != NULL)
		end_split(&load);
	MemoryContextDelete(load.context);
	MemoryContextDelete(load.row_context);
	tuplesort_end(sort->state);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(sort->slot);
	pfree(sort);
}
