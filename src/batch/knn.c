/*-------------------------------------------------------------------------
 *
 * knn.c
 *	  vektonn.knn: the nearest rows of an index for many query vectors.
 *
 * A round is one pass over the index for all queries that still lack rows,
 * then the candidates' visibility is looked up in the table.  A query whose
 * candidates turn out invisible takes part in the next round with a larger k;
 * when few such queries are left, an index scan answers each.  Index scans also
 * answer what cannot be done by products: see vk_batch_possible().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/predicate.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "batch/batch_private.h"
#include "batch/knn_filter.h"

#define KNN_COLUMNS		4

/* Fewer queries than this are searched one by one. */
#define MIN_BATCH		4

/* So are those with a larger k. */
#define MAX_BATCH_K		10000

/* Candidates beyond k, in case some are invisible: k / this, and some more. */
#define SPARE_SHARE		8
#define SPARE_MIN		2

/* Queries answered by one scan after the other, before their rows are put out. */
#define SCANS_TOGETHER	16

/* k grows by this from round to round. */
#define K_GROWTH		4

typedef struct Knn
{
	Relation	heap;
	Relation	rel;
	VkIndex    *index;
	Snapshot	snapshot;
	int			k;
	int			nqueries;
	VkBatchQuery *queries;
	ScanKey		keys;
	int			nkeys;
	ReturnSetInfo *result;
	IndexFetchTableData *fetch;
	TupleTableSlot *slot;
} Knn;

PG_FUNCTION_INFO_V1(vk_knn);

/* ------------------------------------------------------------------------
 * Arguments
 * ------------------------------------------------------------------------ */

/*
 * The caller may read what the index is made of.  A table-level right is
 * enough, else every column of the index must be readable.
 */
static void
check_rights(Knn *knn)
{
	Oid			table = RelationGetRelid(knn->heap);
	bool		columns = RelationGetIndexExpressions(knn->rel) == NIL &&
	RelationGetIndexPredicate(knn->rel) == NIL;

	if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
	{
		for (int i = 0; columns && i < knn->rel->rd_index->indnatts; i++)
			columns = pg_attribute_aclcheck(table, knn->rel->rd_index->indkey.values[i],
											GetUserId(), ACL_SELECT) == ACLCHECK_OK;
		if (!columns)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(knn->heap));
	}
	if (check_enable_rls(table, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot search index \"%s\" of a table with row-level security",
						RelationGetRelationName(knn->rel)),
				 errdetail("Table \"%s\" has policies that apply to the current user.",
						   RelationGetRelationName(knn->heap)),
				 errhint("Use ORDER BY ... LIMIT in a LATERAL join.")));
}

/* The same rules by which the planner leaves an index out. */
static void
check_usable(Knn *knn)
{
	if (!knn->rel->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not valid", RelationGetRelationName(knn->rel)),
				 errhint("Build it again with REINDEX.")));
	if (knn->rel->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(knn->rel->rd_indextuple->t_data),
							   TransactionXmin))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" cannot be used yet by this transaction",
						RelationGetRelationName(knn->rel)),
				 errdetail("Rows were updated while it was built."),
				 errhint("Try again in a new transaction.")));
}

static void
open_relations(Knn *knn, Oid index)
{
	Oid			table = IndexGetRelation(index, true);

	/* the table first, as everybody does */
	if (OidIsValid(table))
		knn->heap = table_open(table, AccessShareLock);
	knn->rel = vk_open_index(index, AccessShareLock);
	if (knn->heap == NULL || IndexGetRelation(index, false) != table)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("could not open the table of index \"%s\"",
						RelationGetRelationName(knn->rel))));
	check_rights(knn);
	check_usable(knn);
	knn->index = vk_index_open(knn->rel);
}

static int
value_dim(VkElem elem, const struct varlena *value)
{
	return elem == VK_ELEM_SPARSE ? ((const VkSparsevec *) value)->dim :
		((const VkVector *) value)->dim;
}

static void
take_queries(Knn *knn, ArrayType *array)
{
	Oid			type = ARR_ELEMTYPE(array);
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *values;
	bool	   *nulls;

	if (type != knn->rel->rd_opcintype[0])
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("index \"%s\" is on type %s, query vectors are of type %s",
						RelationGetRelationName(knn->rel),
						format_type_be(knn->rel->rd_opcintype[0]), format_type_be(type))));
	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, &values, &nulls, &knn->nqueries);
	knn->queries = palloc_extended(sizeof(VkBatchQuery) * (Size) Max(knn->nqueries, 1),
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < knn->nqueries; i++)
	{
		VkBatchQuery *query = &knn->queries[i];
		int			dim;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("query vector %d is null", i + 1)));
		query->number = i;
		query->value = PG_DETOAST_DATUM(values[i]);
		dim = value_dim(knn->index->info.elem, query->value);
		if (dim != knn->index->info.dim)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("different vector dimensions %d and %d", knn->index->info.dim, dim),
					 errdetail("Query vector %d does not fit index \"%s\".", i + 1,
							   RelationGetRelationName(knn->rel))));
	}
}

/* ------------------------------------------------------------------------
 * Results
 * ------------------------------------------------------------------------ */

/* A query's rows, which its topk holds in the end. */
static void
put_rows(Knn *knn, VkBatchQuery *query)
{
	Datum		values[KNN_COLUMNS];
	bool		nulls[KNN_COLUMNS] = {0};

	for (int64 i = 0; i < query->topk.count; i++)
	{
		ItemPointerData tid;

		vk_tid_decode(query->topk.items[i].tid, &tid);
		values[0] = Int32GetDatum(query->number + 1);
		values[1] = Int32GetDatum((int) i + 1);
		values[2] = Float8GetDatum(vk_operator_value(query->topk.items[i].distance));
		values[3] = PointerGetDatum(&tid);
		tuplestore_putvalues(knn->result->setResult, knn->result->setDesc, values, nulls);
	}
	vk_topk_free(&query->topk);
}

/* Whether the snapshot sees the row; tid becomes that of the version it sees. */
static bool
row_visible(Knn *knn, ItemPointer tid)
{
	bool		again = false;

	if (!table_index_fetch_tuple(knn->fetch, tid, knn->snapshot, knn->slot, &again, NULL))
		return false;
	*tid = knn->slot->tts_tid;
	return true;
}

/* ------------------------------------------------------------------------
 * One by one
 * ------------------------------------------------------------------------ */

static void
set_order_key(Knn *knn, ScanKey key, const struct varlena *value)
{
	Oid			type = knn->rel->rd_opcintype[0];
	int			strategy = 1 + knn->index->info.metric;
	Oid			op = get_opfamily_member(knn->rel->rd_opfamily[0], type, type, strategy);

	if (!OidIsValid(op))
		elog(ERROR, "missing ordering operator of index \"%s\"",
			 RelationGetRelationName(knn->rel));
	ScanKeyEntryInitialize(key, SK_ORDER_BY, 1, strategy, type, InvalidOid, get_opcode(op),
						   PointerGetDatum(value));
}

/*
 * Searches one query by an index scan.  Rows whose vector is NULL end it: they
 * are no neighbours.  An approximate index may return a row late: they are
 * sorted.
 */
static void
search_one(Knn *knn, IndexScanDesc scan, VkBatchQuery *query)
{
	ScanKeyData order;

	set_order_key(knn, &order, query->value);
	index_rescan(scan, knn->keys, knn->nkeys, &order, 1);
	vk_topk_init(&query->topk, knn->k, NULL);
	while (query->topk.count < knn->k && index_getnext_slot(scan, ForwardScanDirection, knn->slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (scan->xs_orderbynulls[0])
			break;
		vk_topk_push(&query->topk, DatumGetFloat8(scan->xs_orderbyvals[0]),
					 vk_tid_encode(&knn->slot->tts_tid));
	}
	ExecClearTuple(knn->slot);
	vk_topk_finish(&query->topk);
}

static void
search_one_by_one(Knn *knn, VkBatchQuery **queries, int nqueries)
{
	IndexScanDesc scan;

	if (nqueries == 0)
		return;
	scan = vk_index_beginscan_compat(knn->heap, knn->rel, knn->snapshot, knn->nkeys, 1);
	for (int i = 0; i < nqueries; i++)
		search_one(knn, scan, queries[i]);
	index_endscan(scan);
}

/* ------------------------------------------------------------------------
 * Rounds
 * ------------------------------------------------------------------------ */

/*
 * Leaves the visible ones among a query's candidates, if there are k of them or
 * no more to be had; else false.
 */
static bool
finish_query(Knn *knn, VkBatchQuery *query)
{
	VkCandidate *candidates = query->topk.items;
	int64		nvisible = 0;

	for (int64 i = 0; i < query->topk.count && nvisible < knn->k; i++)
	{
		ItemPointerData tid;

		vk_tid_decode(candidates[i].tid, &tid);
		if (!row_visible(knn, &tid))
			continue;
		candidates[nvisible].distance = candidates[i].distance;
		candidates[nvisible++].tid = vk_tid_encode(&tid);
	}
	query->topk.count = nvisible;
	return nvisible == knn->k || query->all_found;
}

/* One pass; returns how many queries must go on, at the front. */
static int
search_round(Knn *knn, VkBatchQuery **queries, int nqueries, int64 k)
{
	int			nleft = 0;

	vk_batch_pass(knn->index, knn->keys, knn->nkeys, queries, nqueries, k);
	for (int i = 0; i < nqueries; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!finish_query(knn, queries[i]))
		{
			vk_topk_free(&queries[i]->topk);
			queries[nleft++] = queries[i];
		}
	}
	ExecClearTuple(knn->slot);
	return nleft;
}

/* Rounds for some queries, as many as memory allows; returns how many. */
static int
search_some(Knn *knn, VkBatchQuery **queries, int nqueries)
{
	int64		k = (int64) knn->k + knn->k / SPARE_SHARE + SPARE_MIN;
	int			count = Min(nqueries, vk_batch_size(knn->index, k));
	int			nleft = count;

	while (nleft >= MIN_BATCH && k <= MAX_BATCH_K && nleft <= vk_batch_size(knn->index, k))
	{
		nleft = search_round(knn, queries, nleft, k);
		k *= K_GROWTH;
	}
	search_one_by_one(knn, queries, nleft);
	return count;
}

static void
search_all(Knn *knn)
{
	bool		batch = vk_batch_possible(knn->index);

	memset(&vk_last_scan, 0, sizeof(vk_last_scan));
	if (batch)
		PredicateLockRelation(knn->rel, knn->snapshot);
	for (int done = 0, count; done < knn->nqueries; done += count)
	{
		VkBatchQuery **queries = palloc(sizeof(VkBatchQuery *) *
										Min(knn->nqueries - done, PG_INT16_MAX));
		int			ngiven = Min(knn->nqueries - done, PG_INT16_MAX);

		for (int i = 0; i < ngiven; i++)
			queries[i] = &knn->queries[done + i];
		if (batch)
			count = search_some(knn, queries, ngiven);
		else
			search_one_by_one(knn, queries, count = Min(ngiven, SCANS_TOGETHER));
		for (int i = done; i < done + count; i++)
			put_rows(knn, &knn->queries[i]);
		pfree(queries);
	}
}

/*
 * vektonn.knn(index regclass, query_vectors vector[] | halfvec[] | sparsevec[],
 *			   k integer, filter jsonb)
 */
Datum
vk_knn(PG_FUNCTION_ARGS)
{
	Knn			knn = {0};

	for (int i = 0; i <= 2; i += 2)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", i == 0 ? "index" : "k")));
	knn.k = PG_GETARG_INT32(2);
	if (knn.k < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must be positive")));
	InitMaterializedSRF(fcinfo, 0);
	knn.result = (ReturnSetInfo *) fcinfo->resultinfo;
	open_relations(&knn, PG_GETARG_OID(0));
	/* array_agg() of no rows is NULL */
	if (!PG_ARGISNULL(1))
		take_queries(&knn, PG_GETARG_ARRAYTYPE_P(1));
	knn.keys = vk_knn_filter(knn.heap, knn.rel, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3),
							 &knn.nkeys);
	knn.snapshot = GetActiveSnapshot();
	knn.fetch = table_index_fetch_begin(knn.heap);
	knn.slot = table_slot_create(knn.heap, NULL);
	if (knn.nqueries > 0)
		search_all(&knn);
	ExecDropSingleTupleTableSlot(knn.slot);
	table_index_fetch_end(knn.fetch);
	relation_close(knn.rel, AccessShareLock);
	table_close(knn.heap, AccessShareLock);
	return (Datum) 0;
}
