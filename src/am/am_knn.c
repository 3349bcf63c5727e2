/*-------------------------------------------------------------------------
 *
 * am_knn.c
 *	  vektonn.knn: the nearest neighbours of many vectors at once.
 *
 * Queries are answered some hundred at a time: every page of the index is
 * read once for all of them.  Candidates are checked against the snapshot in
 * the heap; a query that lost candidates to it takes part in further passes
 * until it has k rows or there are no more.  README.md says when a LATERAL
 * join is better.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "am/am_private.h"
#include "compat/pgcompat.h"

PG_FUNCTION_INFO_V1(vk_knn);

/* Queries answered by one pass. */
#define BATCH_QUERIES	256

/* Candidates asked for beyond k, in the hope that no further pass is needed. */
#define EXTRA_CANDIDATES	2
#define K_GROWTH			4
#define MAX_K				1000000

typedef struct KnnQuery
{
	VkScan		scan;
	VkTopk		topk;
	VkScanStats stats;
	int			number;			/* 1-based, of the caller's array */
	int			found;			/* visible rows so far */
	bool		done;
	bool		has_last;
	VkCandidate last;			/* candidate looked at last */
} KnnQuery;

typedef struct KnnState
{
	VkIndex    *index;
	Relation	heap;
	IndexFetchTableData *fetch;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	VkConditions conditions;
	int			k;
	Tuplestorestate *store;
	TupleDesc	desc;
} KnnState;

/* ------------------------------------------------------------------------
 * The filter: {"column": value or [values] or null, ...} on split columns
 * ------------------------------------------------------------------------ */

static int
split_column(VkIndex *index, const char *name)
{
	StringInfoData names;

	for (int i = 0; i < index->info.nsplit_columns; i++)
		if (strcmp(NameStr(TupleDescAttr(index->key_desc, i)->attname), name) == 0)
			return i;
	initStringInfo(&names);
	for (int i = 0; i < index->info.nsplit_columns; i++)
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "",
						 NameStr(TupleDescAttr(index->key_desc, i)->attname));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a split column of index \"%s\"", name,
					RelationGetRelationName(index->rel)),
			 names.len > 0 ? errhint("Split columns are %s.", names.data) :
			 errhint("The index has no split columns.")));
}

/* A JSON scalar as a value of the column's type, through its input function. */
static Datum
column_value(VkIndex *index, int column, const JsonbValue *value)
{
	Form_pg_attribute att = TupleDescAttr(index->key_desc, column);
	char	   *text;
	Oid			input;
	Oid			param;

	switch (value->type)
	{
		case jbvString:
			text = pnstrdup(value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			text = DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
			break;
		case jbvBool:
			text = pstrdup(value->val.boolean ? "true" : "false");
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("filter of column \"%s\" is neither a value, nor null, nor an array of values",
							NameStr(att->attname))));
	}
	getTypeInputInfo(att->atttypid, &input, &param);
	return OidInputFunctionCall(input, text, param, att->atttypmod);
}

static void
add_value(VkIndex *index, VkColumnCondition *condition, int column, const JsonbValue *value)
{
	FmgrInfo   *hash = index_getprocinfo(index->rel, column + 2, VK_PROC_HASH);
	Datum		datum = column_value(index, column, value);
	int			at = condition->nvalues++;

	condition->values = at == 0 ? palloc(sizeof(Datum)) :
		repalloc(condition->values, sizeof(Datum) * (at + 1));
	condition->hashes = at == 0 ? palloc(sizeof(uint64)) :
		repalloc(condition->hashes, sizeof(uint64) * (at + 1));
	condition->values[at] = datum;
	condition->hashes[at] = DatumGetUInt64(FunctionCall2Coll(hash, condition->collation, datum,
															 Int64GetDatum(0)));
}

static void
add_condition(VkIndex *index, VkConditions *conditions, const char *name, JsonbValue *value)
{
	int			column = split_column(index, name);
	Oid			type = index->rel->rd_opcintype[column + 1];
	VkColumnCondition *condition = palloc0(sizeof(VkColumnCondition));
	JsonbIterator *it;
	JsonbValue	element;
	JsonbIteratorToken token;

	conditions->conditions[column] = condition;
	conditions->nconditions[column] = 1;
	condition->collation = index->rel->rd_indcollation[column + 1];
	if (value->type == jbvNull)
	{
		condition->is_null = true;
		return;
	}
	condition->by_value = true;
	fmgr_info(get_opcode(get_opfamily_member(index->rel->rd_opfamily[column + 1], type, type,
											 VK_STRATEGY_EQUAL)), &condition->equal);
	if (value->type != jbvBinary)
	{
		add_value(index, condition, column, value);
		return;
	}
	it = JsonbIteratorInit(value->val.binary.data);
	if (JsonbIteratorNext(&it, &element, true) != WJB_BEGIN_ARRAY)
		add_value(index, condition, column, value); /* an object: complains */
	while ((token = JsonbIteratorNext(&it, &element, true)) == WJB_ELEM)
		add_value(index, condition, column, &element);
}

static void
parse_filter(VkIndex *index, Jsonb *filter, VkConditions *conditions)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	char	   *name = NULL;

	vk_conditions_build(index, NULL, 0, conditions);
	conditions->vector_not_null = true;
	if (filter == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(filter))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("filter is not a JSON object"),
				 errhint("Write {\"column\": value, ...}; an array means any of its values.")));
	it = JsonbIteratorInit(&filter->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			add_condition(index, conditions, name, &value);
	}
}

/* ------------------------------------------------------------------------
 * Passes
 * ------------------------------------------------------------------------ */

/* Every row of the matching splits, for all queries that are not done. */
static void
collect_batch(KnnState *state, VkScan **scans, int nscans)
{
	VkIndex    *index = state->index;
	VkMatches	matches;
	bool		all = vk_conditions_none(&state->conditions);

	vk_dir_match(index, &state->conditions, &matches);
	if (matches.nshared > 0)
	{
		for (int i = 0; i < nscans; i++)
			vk_tiny_collect(scans[i], &matches, all);
		vk_dir_match(index, &state->conditions, &matches);
	}
	for (int64 i = 0; i < matches.count; i++)
	{
		VkStoreRef	ref = {matches.items[i].split_id, matches.items[i].head};

		CHECK_FOR_INTERRUPTS();
		if (ref.head == InvalidBlockNumber)
			continue;
		if (index->store->collect_batch != NULL)
			index->store->collect_batch(scans, nscans, ref);
		else
			for (int j = 0; j < nscans; j++)
				index->store->collect(scans[j], ref);
	}
}

static void
put_result(KnnState *state, KnnQuery *query, const VkCandidate *candidate)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = Int32GetDatum(query->number);
	values[1] = Int32GetDatum(query->found);
	values[2] = Float8GetDatum(candidate->distance);
	values[3] = PointerGetDatum(&state->slot->tts_tid);
	tuplestore_putvalues(state->store, state->desc, values, nulls);
}

/* Whether the snapshot sees a row at this TID; then the slot has it. */
static bool
fetch_row(KnnState *state, const VkCandidate *candidate)
{
	ItemPointerData tid;
	bool		again = false;
	bool		all_dead = false;

	vk_tid_decode(candidate->tid, &tid);
	return table_index_fetch_tuple(state->fetch, &tid, state->snapshot, state->slot,
								   &again, &all_dead);
}

/* Looks the pass' candidates up in the heap; true if the query needs no more. */
static bool
finish_pass(KnnState *state, KnnQuery *query)
{
	VkTopk	   *topk = &query->topk;
	bool		more = topk->count == topk->capacity;

	vk_topk_finish(topk);
	for (int64 i = 0; i < topk->count && query->found < state->k; i++)
	{
		query->last = topk->items[i];
		query->has_last = true;
		if (!fetch_row(state, &topk->items[i]))
			continue;
		query->found++;
		put_result(state, query, &topk->items[i]);
	}
	vk_topk_free(topk);
	return query->found == state->k || !more;
}

/* Answers some queries; everything is allocated in the current context. */
static void
answer_batch(KnnState *state, KnnQuery *queries, int nqueries)
{
	VkScan	  **scans = palloc(sizeof(VkScan *) * nqueries);
	int64		k = (int64) state->k + EXTRA_CANDIDATES;

	for (;;)
	{
		int			nscans = 0;

		for (int i = 0; i < nqueries; i++)
		{
			KnnQuery   *query = &queries[i];

			if (query->done)
				continue;
			vk_topk_init(&query->topk, k, query->has_last ? &query->last : NULL);
			query->scan.k = k;
			scans[nscans++] = &query->scan;
		}
		if (nscans == 0)
			return;
		collect_batch(state, scans, nscans);
		for (int i = 0; i < nqueries; i++)
			if (!queries[i].done)
				queries[i].done = finish_pass(state, &queries[i]);
		k *= K_GROWTH;
	}
}

/* An approximate store is asked query by query through an index scan. */
static void
answer_by_scan(KnnState *state, KnnQuery *query)
{
	IndexScanDesc desc;
	ScanKeyData key;
	ItemPointer tid;

	ScanKeyEntryInitialize(&key, SK_ORDER_BY, 1, state->index->info.metric + 1, InvalidOid,
						   InvalidOid, InvalidOid, PointerGetDatum(query->scan.query));
	desc = vk_index_beginscan_compat(state->heap, state->index->rel, state->snapshot, 0, 1);
	index_rescan(desc, NULL, 0, &key, 1);
	vk_scan_set_conditions(desc, &state->conditions);
	while (query->found < state->k &&
		   (tid = index_getnext_tid(desc, ForwardScanDirection)) != NULL)
	{
		VkCandidate candidate;

		if (!index_fetch_heap(desc, state->slot))
			continue;
		candidate.distance = DatumGetFloat8(desc->xs_orderbyvals[0]);
		query->found++;
		put_result(state, query, &candidate);
	}
	index_endscan(desc);
}

static void
init_query(KnnState *state, KnnQuery *query, int number, Datum value)
{
	VkIndex    *index = state->index;
	struct varlena *vector = PG_DETOAST_DATUM(value);
	int			dim = index->info.elem == VK_ELEM_SPARSE ? ((VkSparsevec *) vector)->dim :
		((VkVector *) vector)->dim;

	if (dim != index->info.dim)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different vector dimensions %d and %d", index->info.dim, dim),
				 errdetail("Query vector number %d does not fit index \"%s\".", number,
						   RelationGetRelationName(index->rel))));
	memset(query, 0, sizeof(*query));
	query->number = number;
	query->scan.index = index;
	query->scan.query = vector;
	query->scan.topk = &query->topk;
	query->scan.stats = &query->stats;
	query->scan.query_context = CurrentMemoryContext;
}

static void
answer_all(KnnState *state, ArrayType *array)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "vektonn knn batch",
												  ALLOCSET_DEFAULT_SIZES);
	KnnQuery   *queries = palloc(sizeof(KnnQuery) * BATCH_QUERIES);
	Datum	   *values;
	bool	   *nulls;
	int			total;
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &values, &nulls,
					  &total);
	for (int from = 0; from < total; from += BATCH_QUERIES)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		int			nqueries = 0;

		for (int i = from; i < total && i < from + BATCH_QUERIES; i++)
			if (!nulls[i])
				init_query(state, &queries[nqueries++], i + 1, values[i]);
		if (state->index->store->approximate)
			for (int i = 0; i < nqueries; i++)
				answer_by_scan(state, &queries[i]);
		else if (nqueries > 0)
			answer_batch(state, queries, nqueries);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

/* The caller must be allowed to read the rows, all of them. */
static void
check_rights(Relation heap)
{
	Oid			oid = RelationGetRelid(heap);
	AclResult	result = pg_class_aclcheck(oid, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, RelationGetRelationName(heap));
	if (check_enable_rls(oid, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot search table \"%s\", which has row-level security, by vektonn.knn",
						RelationGetRelationName(heap)),
				 errhint("A query with ORDER BY and LIMIT applies its policies.")));
}

/*
 * vektonn.knn(index regclass, query_vectors, k integer, filter jsonb)
 */
Datum
vk_knn(PG_FUNCTION_ARGS)
{
	KnnState	state = {0};
	ArrayType  *array;
	Relation	rel;
	Oid			oid;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	oid = PG_GETARG_OID(0);
	array = PG_GETARG_ARRAYTYPE_P(1);
	state.k = PG_GETARG_INT32(2);
	if (state.k < 1 || state.k > MAX_K)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k is %d, but must be between 1 and %d", state.k, MAX_K)));
	rel = vk_open_index(oid, AccessShareLock);
	state.heap = table_open(IndexGetRelation(oid, false), AccessShareLock);
	check_rights(state.heap);
	if (!rel->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not valid", RelationGetRelationName(rel)),
				 errhint("Its CREATE INDEX CONCURRENTLY has not finished, or failed: drop it, or REINDEX it.")));
	state.index = vk_index_open(rel);
	if (ARR_ELEMTYPE(array) != rel->rd_opcintype[0])
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("index \"%s\" is on type %s, but query vectors are of type %s",
						RelationGetRelationName(rel), format_type_be(rel->rd_opcintype[0]),
						format_type_be(ARR_ELEMTYPE(array)))));
	parse_filter(state.index, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3), &state.conditions);
	state.snapshot = GetActiveSnapshot();
	state.store = ((ReturnSetInfo *) fcinfo->resultinfo)->setResult;
	state.desc = ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc;
	state.slot = table_slot_create(state.heap, NULL);
	state.fetch = table_index_fetch_begin(state.heap);
	answer_all(&state, array);
	table_index_fetch_end(state.fetch);
	ExecDropSingleTupleTableSlot(state.slot);
	table_close(state.heap, AccessShareLock);
	relation_close(rel, AccessShareLock);
	PG_RETURN_NULL();
}
