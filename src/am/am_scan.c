/*-------------------------------------------------------------------------
 *
 * am_scan.c
 *	  Index scans: passes over all matching splits with one collector.
 *
 * A pass finds the k best rows beyond the last one returned.  The first k is
 * what earlier scans of this backend needed; it grows from pass to pass, and
 * once it reaches a good part of all rows, or would not fit into work_mem, a
 * pass sorts everything that is left.  Nothing is pinned or locked between
 * calls, and splits may move meanwhile.
 *
 * TIDs are returned without a lock on the page they were read from.  Only
 * MVCC snapshots may use the index: a TID that VACUUM removed, or gave to
 * another row, meanwhile leads to a row that the scan's snapshot does not
 * see.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relscan.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "pgstat.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "am/am_batch.h"
#include "am/am_private.h"

/* Bounds of the first k. */
#define MIN_FIRST_K	10
#define MAX_FIRST_K	10000

/* Each pass asks for this many times as much. */
#define K_GROWTH	4

/* k beyond 1/this of the rows of the last pass: sort all of them. */
#define SORT_SHARE	8

typedef struct ScanState
{
	VkIndex    *index;
	VkScan		scan;
	VkTopk		topk;
	VkConditions conditions;
	MemoryContext query_context;	/* conditions, query, the store's query
									 * state */
	MemoryContext pass_context; /* collector */
	bool		started;		/* a pass has been made; topk is valid */
	bool		final;			/* no further pass can find anything */
	int64		next;			/* index into topk.items */
	int64		returned;
	VkCandidate last;			/* the last pair returned */
	VkScanStats totals;			/* of all passes, whatever the query */
} ScanState;

/* What vektonn.scan_stats shows. */
VkScanStats vk_last_scan;

/*
 * vektonn.strict_order: a row that an approximate pass finds late, nearer than
 * one returned before, is left out.
 */
bool		vk_strict_order = false;

/* How many rows recent scans returned. */
static double learned_k = MIN_FIRST_K;

IndexScanDesc
vk_begin_scan(Relation rel, int nkeys, int norderbys)
{
	IndexScanDesc desc = RelationGetIndexScan(rel, nkeys, norderbys);
	ScanState  *state = palloc0(sizeof(ScanState));

	state->index = vk_index_open(rel);
	state->query_context = AllocSetContextCreate(CurrentMemoryContext, "vektonn scan",
												 ALLOCSET_DEFAULT_SIZES);
	state->pass_context = AllocSetContextCreate(CurrentMemoryContext, "vektonn scan pass",
												ALLOCSET_DEFAULT_SIZES);
	if (norderbys > 0)
	{
		desc->xs_orderbyvals = palloc0(sizeof(Datum) * norderbys);
		desc->xs_orderbynulls = palloc0(sizeof(bool) * norderbys);
	}
	desc->opaque = state;
	return desc;
}

static void
end_passes(ScanState *state)
{
	if (state->started)
	{
		if (state->scan.query != NULL)
			learned_k = state->returned > learned_k ? state->returned :
				(3 * learned_k + state->returned) / 4;	/* forget slowly */
		vk_topk_free(&state->topk);
	}
	if (state->scan.returned != NULL)
		hash_destroy(state->scan.returned);
	state->scan.returned = NULL;
	state->started = state->final = false;
	state->next = state->returned = 0;
}

static int
value_dim(VkElem elem, const struct varlena *value)
{
	return elem == VK_ELEM_SPARSE ? ((const VkSparsevec *) value)->dim :
		((const VkVector *) value)->dim;
}

static void
set_query(ScanState *state, ScanKey orderby)
{
	VkIndex    *index = state->index;
	struct varlena *value;

	if (orderby->sk_flags & SK_ISNULL)
		return;
	value = PG_DETOAST_DATUM_COPY(orderby->sk_argument);
	if (value_dim(index->info.elem, value) != index->info.dim)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different vector dimensions %d and %d", index->info.dim,
						value_dim(index->info.elem, value))));
	state->scan.query = value;
}

void
vk_rescan(IndexScanDesc desc, ScanKey keys, int nkeys, ScanKey orderbys, int norderbys)
{
	ScanState  *state = desc->opaque;
	MemoryContext old;

	end_passes(state);
	MemoryContextReset(state->query_context);
	MemoryContextReset(state->pass_context);
	if (keys != NULL && desc->numberOfKeys > 0)
		memmove(desc->keyData, keys, desc->numberOfKeys * sizeof(ScanKeyData));
	if (orderbys != NULL && desc->numberOfOrderBys > 0)
		memmove(desc->orderByData, orderbys, desc->numberOfOrderBys * sizeof(ScanKeyData));

	old = MemoryContextSwitchTo(state->query_context);
	memset(&state->scan, 0, sizeof(state->scan));
	vk_conditions_build(state->index, desc->keyData, desc->numberOfKeys, &state->conditions);
	if (desc->numberOfOrderBys > 0)
		set_query(state, &desc->orderByData[0]);
	state->scan.index = state->index;
	state->scan.topk = &state->topk;
	state->scan.stats = &vk_last_scan;
	state->scan.query_context = state->query_context;
	MemoryContextSwitchTo(old);
}

/*
 * Offers every row of the matching splits to the collector.  Shared pages
 * come before the stores as the directory names them after that: a row on its
 * way from one to the other is met at least once.
 */
static void
collect_all(ScanState *state)
{
	VkScan	   *scan = &state->scan;
	VkMatches	matches;

	vk_dir_match(state->index, &state->conditions, &matches);
	if (matches.nshared > 0 && !state->conditions.vector_null)
	{
		vk_tiny_collect(scan, &matches, vk_conditions_none(&state->conditions));
		vk_dir_match(state->index, &state->conditions, &matches);
	}
	scan->stats->splits = matches.count;
	for (int64 i = 0; i < matches.count && !state->conditions.vector_null; i++)
	{
		VkStoreRef	ref = {matches.items[i].split_id, matches.items[i].head};

		CHECK_FOR_INTERRUPTS();
		if (ref.head == InvalidBlockNumber)
			continue;
		if (scan->sink != NULL)
			state->index->store->batch->read(scan, ref, scan->sink);
		else
			state->index->store->collect(scan, ref);
	}
	if (!state->conditions.vector_not_null)
		while (!vk_nulls_collect(scan, &matches))
			vk_dir_match(state->index, &state->conditions, &matches);
}

void
vk_read_rows(VkIndex *index, ScanKey keys, int nkeys, VkRowSink *sink)
{
	ScanState	state = {0};

	state.index = index;
	state.scan.index = index;
	state.scan.stats = &vk_last_scan;
	state.scan.sink = sink;
	vk_conditions_build(index, keys, nkeys, &state.conditions);
	state.conditions.vector_not_null = true;
	vk_last_scan.passes++;
	vk_last_scan.rows = vk_last_scan.codes = vk_last_scan.survivors = 0;
	collect_all(&state);
}

/* k of the next pass; PG_INT64_MAX: sort all that is left. */
static int64
next_k(ScanState *state)
{
	int64		rows = Max(vk_last_scan.rows + vk_last_scan.codes, (int64) state->scan.rows_held);
	int64		k;

	if (state->scan.query == NULL)
		return PG_INT64_MAX;
	if (!state->started)
		return Max(MIN_FIRST_K, Min(MAX_FIRST_K, (int64) (learned_k * 1.1) + 2));
	if (state->scan.k == PG_INT64_MAX)
		return PG_INT64_MAX;
	k = state->scan.k * K_GROWTH;
	if (k > rows / SORT_SHARE || k > work_mem * (int64) 1024 / 2 / (int64) sizeof(VkCandidate))
		return PG_INT64_MAX;
	return k;
}

static void
remember_returned(ScanState *state)
{
	if (state->scan.returned == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = control.entrysize = sizeof(uint64);
		control.hcxt = state->query_context;
		state->scan.returned = hash_create("vektonn returned rows", 1024, &control,
										   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	for (int64 i = 0; i < state->topk.count; i++)
		(void) hash_search(state->scan.returned, &state->topk.items[i].tid, HASH_ENTER, NULL);
}

/* Of one pass; pages is what there was before it. */
static void
add_totals(VkScanStats *totals, int64 pages)
{
	totals->passes++;
	totals->splits += vk_last_scan.splits;
	totals->codes += vk_last_scan.codes;
	totals->survivors += vk_last_scan.survivors;
	totals->rows += vk_last_scan.rows;
	totals->pages += vk_last_scan.pages - pages;
}

/* What a scan has done so far, in all its passes and rescans. */
const VkScanStats *
vk_scan_totals(IndexScanDesc desc)
{
	return &((ScanState *) desc->opaque)->totals;
}

static void
make_pass(IndexScanDesc desc)
{
	ScanState  *state = desc->opaque;
	VkScan	   *scan = &state->scan;
	bool		approximate = state->index->store->approximate;
	const VkCandidate *cursor = NULL;
	int64		k = next_k(state);
	int64		pages;
	MemoryContext old;

	if (state->started)
	{
		if (approximate)
			remember_returned(state);
		if (state->returned > 0 && (!approximate || vk_strict_order))
			cursor = &state->last;
		vk_topk_free(&state->topk);
	}
	else
		memset(&vk_last_scan, 0, sizeof(vk_last_scan));
	MemoryContextReset(state->pass_context);
	old = MemoryContextSwitchTo(state->pass_context);
	vk_last_scan.passes++;
	vk_last_scan.rows = vk_last_scan.codes = vk_last_scan.survivors = 0;
	pages = vk_last_scan.pages;
	scan->rows_held = 0;
	scan->k = k;
	scan->last_pass = k == PG_INT64_MAX;
	if (k == PG_INT64_MAX)
		vk_topk_init_sort(&state->topk, cursor, work_mem);
	else
		vk_topk_init(&state->topk, k, cursor);
	state->started = true;
	collect_all(state);
	add_totals(&state->totals, pages);

	/* an exact pass that found fewer than k found all there is */
	state->final = scan->last_pass || (!approximate && state->topk.count < k);
	vk_topk_finish(&state->topk);
	state->next = 0;
	if (state->topk.sort == NULL)
		vk_heap_prefetch(desc, state->topk.items, state->topk.count);
	MemoryContextSwitchTo(old);
}

static bool
next_of_pass(ScanState *state, VkCandidate *candidate)
{
	if (state->topk.sort != NULL)
		return vk_topk_next_sorted(&state->topk, candidate);
	if (state->next >= state->topk.count)
		return false;
	*candidate = state->topk.items[state->next++];
	return true;
}

static void
set_orderby(IndexScanDesc desc, ScanState *state, double distance)
{
	if (desc->numberOfOrderBys == 0)
		return;
	desc->xs_orderbynulls[0] = state->scan.query == NULL || isinf(distance);
	desc->xs_orderbyvals[0] = (Datum) 0;
	if (!desc->xs_orderbynulls[0])
		desc->xs_orderbyvals[0] = Float8GetDatum(distance);

	/* of further ordering operators all we know is a lower bound */
	for (int i = 1; i < desc->numberOfOrderBys; i++)
	{
		desc->xs_orderbyvals[i] = Float8GetDatum(-get_float8_infinity());
		desc->xs_orderbynulls[i] = false;
	}
	desc->xs_recheckorderby = desc->numberOfOrderBys > 1;
}

bool
vk_get_tuple(IndexScanDesc desc, ScanDirection direction)
{
	ScanState  *state = desc->opaque;
	VkCandidate candidate;

	Assert(ScanDirectionIsForward(direction));
	if (!state->started)
	{
		if (!IsMVCCSnapshot(desc->xs_snapshot))
			elog(ERROR, "non-MVCC snapshots are not supported with index \"%s\"",
				 RelationGetRelationName(desc->indexRelation));
		pgstat_count_index_scan(desc->indexRelation);
		make_pass(desc);
	}
	else
		vk_heap_learn(desc);
	while (!next_of_pass(state, &candidate))
	{
		if (state->final)
			return false;
		make_pass(desc);
	}
	state->last = candidate;
	state->returned++;
	vk_tid_decode(candidate.tid, &desc->xs_heaptid);
	vk_heap_pin(desc);
	desc->xs_recheck = false;
	set_orderby(desc, state, candidate.distance);
	return true;
}

int64
vk_get_bitmap(IndexScanDesc desc, TIDBitmap *bitmap)
{
	ScanState  *state = desc->opaque;
	VkCandidate candidate;
	int64		count = 0;

	pgstat_count_index_scan(desc->indexRelation);
	make_pass(desc);
	while (next_of_pass(state, &candidate))
	{
		ItemPointerData tid;

		vk_tid_decode(candidate.tid, &tid);
		tbm_add_tuples(bitmap, &tid, 1, false);
		count++;
	}
	return count;
}

void
vk_end_scan(IndexScanDesc desc)
{
	ScanState  *state = desc->opaque;

	end_passes(state);
	MemoryContextDelete(state->pass_context);
	MemoryContextDelete(state->query_context);
}
