/*-------------------------------------------------------------------------
 *
 * am_build_load.c
 *	  CREATE INDEX with split columns: rows that come split by split.
 *
 * A split's first rows are kept until it is clear whether it is small.  If not,
 * it gets a store, loaded in bulk where the store can.  Its pages are then one
 * after the other.  Rows of small splits that are neighbours in the order fill
 * one shared page after the other.
 *
 * Two keys of one hash are not expected, but possible: rows of the second wait
 * in memory and are inserted when the first split has been loaded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type_d.h"
#include "utils/memutils.h"

#include "am/am_build.h"

/* A split that is being loaded. */
struct VkSplitLoad
{
	VkIndex    *index;
	int			work_mem_kb;	/* for a store's bulk load */
	MemoryContext context;		/* of what is kept for this split */
	MemoryContext row_context;
	uint64		order;
	VkSplitKey	key;
	VkSplitEntry *as_entry;		/* the key, to compare others with */
	List	   *waiting;		/* VkSplitRow: not known yet whether small */
	List	   *others;			/* VkSplitRow: of other keys with this hash */
	Size		bytes;			/* of waiting rows, if on shared pages */
	bool		started;		/* it is not small */
	VkStoreRef	ref;			/* started, no bulk load: its store */
	void	   *bulk;
};

/* Orders hashes as the directory's leaves do: by the lowest bit first. */
int64
vk_split_order(uint64 hash)
{
	uint64		reversed = 0;

	for (int bit = 0; bit < 64; bit++)
		reversed |= ((hash >> bit) & 1) << (63 - bit);
	return (int64) (reversed ^ (UINT64CONST(1) << 63));
}

TupleDesc
vk_split_row_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(VK_SPLIT_ROW_COLUMNS);

	TupleDescInitEntry(desc, VK_SPLIT_ROW_ORDER, "order", INT8OID, -1, 0);
	TupleDescInitEntry(desc, VK_SPLIT_ROW_TID, "tid", INT8OID, -1, 0);
	TupleDescInitEntry(desc, VK_SPLIT_ROW_KEY, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, VK_SPLIT_ROW_VALUE, "value", BYTEAOID, -1, 0);
	return desc;
}

/*
 * A row of the table in a virtual slot of that description, in the current
 * context.  Returns the detoasted vector, NULL for a NULL one.
 */
struct varlena *
vk_split_row_form(VkIndex *index, TupleTableSlot *slot, Datum *values, bool *isnull,
				  ItemPointer tid)
{
	struct varlena *value = isnull[0] ? NULL : PG_DETOAST_DATUM(values[0]);
	VkSplitKey	key;
	struct varlena *bytes;

	vk_key_form(index, values, isnull, &key);
	bytes = palloc(VARHDRSZ + key.size);
	SET_VARSIZE(bytes, VARHDRSZ + key.size);
	memcpy(VARDATA(bytes), key.tuple, key.size);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, 0, sizeof(bool) * VK_SPLIT_ROW_COLUMNS);
	slot->tts_values[VK_SPLIT_ROW_ORDER - 1] = Int64GetDatum(vk_split_order(key.hash));
	slot->tts_values[VK_SPLIT_ROW_TID - 1] = Int64GetDatum((int64) vk_tid_encode(tid));
	slot->tts_values[VK_SPLIT_ROW_KEY - 1] = PointerGetDatum(bytes);
	slot->tts_isnull[VK_SPLIT_ROW_VALUE - 1] = value == NULL;
	slot->tts_values[VK_SPLIT_ROW_VALUE - 1] = PointerGetDatum(value);
	ExecStoreVirtualTuple(slot);
	return value;
}

/* The row in a slot, in the current context. */
void
vk_split_row_read(TupleTableSlot *slot, VkSplitRow *row)
{
	bool		isnull;
	struct varlena *key;
	Datum		value;

	row->order = (uint64) DatumGetInt64(slot_getattr(slot, VK_SPLIT_ROW_ORDER, &isnull));
	vk_tid_decode((uint64) DatumGetInt64(slot_getattr(slot, VK_SPLIT_ROW_TID, &isnull)), &row->tid);
	key = PG_DETOAST_DATUM_COPY(slot_getattr(slot, VK_SPLIT_ROW_KEY, &isnull));
	row->key.size = VARSIZE(key) - VARHDRSZ;
	/* an index tuple must be aligned */
	row->key.tuple = palloc(row->key.size);
	memcpy(row->key.tuple, VARDATA(key), row->key.size);
	row->key.hash = (uint64) vk_split_order(row->order ^ (UINT64CONST(1) << 63)) ^ (UINT64CONST(1) << 63);
	value = slot_getattr(slot, VK_SPLIT_ROW_VALUE, &isnull);
	row->value = isnull ? NULL : PG_DETOAST_DATUM_COPY(value);
}

static VkSplitRow *
keep_row(VkSplitLoad *load, const VkSplitRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(load->context);
	VkSplitRow *kept = palloc(sizeof(VkSplitRow));

	*kept = *row;
	kept->key.tuple = palloc(row->key.size);
	memcpy(kept->key.tuple, row->key.tuple, row->key.size);
	kept->value = palloc(VARSIZE(row->value));
	memcpy(kept->value, row->value, VARSIZE(row->value));
	MemoryContextSwitchTo(old);
	return kept;
}

static void
insert_row(VkSplitLoad *load, VkSplitRow *row)
{
	vk_insert_row(load->index, &row->key, &row->tid, row->value);
}

/* Adds a row to a split that has a store, or a bulk load of one. */
static void
load_row(VkSplitLoad *load, VkSplitRow *row)
{
	VkIndex    *index = load->index;

	if (load->bulk != NULL)
		index->store->build_add(load->bulk, &row->tid, row->value);
	else if (!index->store->insert(index, load->ref, &row->tid, row->value))
		elog(ERROR, "a new store of index \"%s\" is gone", RelationGetRelationName(index->rel));
}

/* The split is not small. */
static void
start_split(VkSplitLoad *load)
{
	VkIndex    *index = load->index;
	MemoryContext old = MemoryContextSwitchTo(load->context);
	ListCell   *cell;

	load->started = true;
	load->ref.split_id = vk_split_reserve(index, &load->key);
	if (index->store->build_begin != NULL)
		load->bulk = index->store->build_begin(index, load->ref.split_id, load->work_mem_kb);
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

/* The key as the directory would have it, to compare others with. */
VkSplitEntry *
vk_split_key_entry(const VkSplitKey *key)
{
	VkSplitEntry *entry = palloc0(VK_ENTRY_SIZE(key->size));

	entry->hash = key->hash;
	entry->key_size = key->size;
	memcpy(entry->key, key->tuple, key->size);
	return entry;
}

static void
begin_split(VkSplitLoad *load, const VkSplitRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(load->context);

	load->order = row->order;
	load->key = row->key;
	load->key.tuple = palloc(row->key.size);
	memcpy(load->key.tuple, row->key.tuple, row->key.size);
	load->as_entry = vk_split_key_entry(&load->key);
	MemoryContextSwitchTo(old);
}

static void
end_split(VkSplitLoad *load)
{
	VkIndex    *index = load->index;
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
add_row(VkSplitLoad *load, VkSplitRow *row)
{
	Size		bytes;
	MemoryContext old;

	if (load->as_entry != NULL && load->order != row->order)
		end_split(load);
	if (load->as_entry == NULL)
		begin_split(load, row);
	if (row->value == NULL)
	{
		insert_row(load, row);
		return;
	}
	old = MemoryContextSwitchTo(load->context);
	if (!vk_key_equal(load->index, &row->key, load->as_entry))
		load->others = lappend(load->others, keep_row(load, row));
	else if (!load->started)
	{
		bytes = vk_split_row_bytes(row->value);
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

VkSplitLoad *
vk_split_load_begin(VkIndex *index, int work_mem_kb)
{
	VkSplitLoad *load = palloc0(sizeof(VkSplitLoad));

	load->index = index;
	load->work_mem_kb = work_mem_kb;
	load->context = AllocSetContextCreate(CurrentMemoryContext, "vektonn split load",
										  ALLOCSET_DEFAULT_SIZES);
	load->row_context = AllocSetContextCreate(CurrentMemoryContext, "vektonn split row",
											  ALLOCSET_DEFAULT_SIZES);
	return load;
}

/* The rows of one split come one after the other. */
void
vk_split_load_add(VkSplitLoad *load, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(load->row_context);
	VkSplitRow	row;

	vk_split_row_read(slot, &row);
	add_row(load, &row);
	MemoryContextSwitchTo(old);
	MemoryContextReset(load->row_context);
}

void
vk_split_load_end(VkSplitLoad *load)
{
	if (load->as_entry != NULL)
		end_split(load);
	MemoryContextDelete(load->context);
	MemoryContextDelete(load->row_context);
	pfree(load);
}
