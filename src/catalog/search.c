/*-------------------------------------------------------------------------
 *
 * search.c
 *	  vektonn.search: the nearest data points of an index, by its name.
 *
 * Runs the statement a user could write, with the caller's rights, once per
 * query vector: SELECT ... FROM table WHERE split = ... ORDER BY vector <->
 * query LIMIT k.  Many query vectors of a flat index of dense vectors are
 * searched in one pass instead, by vektonn.knn: the rows are the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "catalog/datapoint.h"
#include "catalog/index_cache.h"
#include "catalog/partial.h"
#include "types/types.h"

#define SEARCH_COLUMNS	5

/* Columns of the statement. */
#define COLUMN_DISTANCE		1
#define COLUMN_ATTRIBUTES	2
#define COLUMN_VECTOR		3
#define COLUMN_QUERY		4	/* of a batch */

/*
 * A pass over an index reads all of its vectors, while single searches look at
 * codes of them first: measured with 20,000 to 100,000 vectors of 128 to 784
 * dimensions, as many searches cost what the pass does at k = 10 or 100.
 */
#define MIN_BATCH			128
#define MAX_BATCH_K			1000

typedef struct VkSearch
{
	VkIndexDef *def;
	int			k;
	bool		vectors;
	Datum	   *queries;
	int			num_queries;
	uint32		filter;			/* split attributes given */
	Datum		filter_values[VK_MAX_SPLIT_ATTRIBUTES]; /* those given, in order */
	int			num_filters;
	ReturnSetInfo *result;
	SPIPlanPtr	plan;
	VkSearchKind kind;
	Datum		query;			/* under way, and its number */
	int			query_number;
} VkSearch;

PG_FUNCTION_INFO_V1(vk_search);

static void
search_take_filter(VkSearch *search, Jsonb *filter, VkComplaints *complaints)
{
	const VkSource *splits = &search->def->splits;
	VkAttributeValue values[VK_MAX_SPLIT_ATTRIBUTES];
	bool		given[VK_MAX_SPLIT_ATTRIBUTES] = {0};
	JsonbValue	json;

	json.type = jbvBinary;
	json.val.binary.data = &filter->root;
	json.val.binary.len = VARSIZE(filter) - VARHDRSZ;
	vk_split_filter_from_json(splits, &json, values, given, complaints);
	if (complaints->count > 0)
		return;
	for (int i = 0; i < splits->num_attributes; i++)
	{
		if (!given[i])
			continue;
		search->filter |= 1U << i;
		search->filter_values[search->num_filters++] = vk_attribute_to_datum(&values[i]);
	}
}

static void
search_check_query(VkSearch *search, Oid type, int i, VkComplaints *complaints)
{
	VkIndexDef *def = search->def;
	int			dimension;

	if (type != def->vector_type)
	{
		vk_complain(complaints, def->sparse ? "Vector must be sparse" : "Vector must be dense");
		return;
	}
	dimension = def->sparse ? DatumGetVkSparsevec(search->queries[i])->dim :
		DatumGetVkVector(search->queries[i])->dim;
	if (dimension != def->dimension)
		vk_complain(complaints, "Vector coordinates must have dimension: %d", def->dimension);
}

/* The array's elements; all that is wrong with the arguments is one error. */
static void
search_take_arguments(VkSearch *search, FunctionCallInfo fcinfo)
{
	VkComplaints complaints;
	Oid			type = InvalidOid;
	bool	   *nulls = NULL;

	vk_complaints_init(&complaints);
	search->k = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	search->vectors = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
	if (!PG_ARGISNULL(2))
	{
		ArrayType  *array = PG_GETARG_ARRAYTYPE_P(2);
		int16		length;
		bool		by_value;
		char		alignment;

		type = ARR_ELEMTYPE(array);
		get_typlenbyvalalign(type, &length, &by_value, &alignment);
		deconstruct_array(array, type, length, by_value, alignment, &search->queries, &nulls,
						  &search->num_queries);
	}
	if (search->k <= 0)
		vk_complain(&complaints, "K must be positive");
	if (search->num_queries == 0)
		vk_complain(&complaints, "At least one query vector is required");
	if (!PG_ARGISNULL(4))
		search_take_filter(search, PG_GETARG_JSONB_P(4), &complaints);
	for (int i = 0; i < search->num_queries && complaints.count < 10; i++)
	{
		if (nulls[i])
			vk_complain(&complaints, "query vector %d is null", i + 1);
		else
			search_check_query(search, type, i, &complaints);
	}
	if (complaints.count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", complaints.text.data)));
}

/* Rows into the result: all of one query, or of a batch, which says of which; ordered by it. */
static void
search_put_rows(int query_number, VkSearchKind kind, ReturnSetInfo *result)
{
	int			rank = 0;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		values[SEARCH_COLUMNS];
		bool		nulls[SEARCH_COLUMNS] = {0};

		if (kind == VK_SEARCH_BATCH)
		{
			int			before = query_number;

			query_number = DatumGetInt32(SPI_getbinval(row, desc, COLUMN_QUERY, &nulls[0]));
			if (query_number != before)
				rank = 0;
		}
		values[0] = Int32GetDatum(query_number);
		values[1] = Int32GetDatum(++rank);
		values[2] = SPI_getbinval(row, desc, COLUMN_DISTANCE, &nulls[2]);
		values[3] = SPI_getbinval(row, desc, COLUMN_ATTRIBUTES, &nulls[3]);
		values[4] = SPI_getbinval(row, desc, COLUMN_VECTOR, &nulls[4]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* The query under way, or the batch. */
static void
search_run(void *arg)
{
	VkSearch   *search = arg;
	Datum		values[1 + VK_MAX_SPLIT_ATTRIBUTES];

	values[0] = search->query;
	memcpy(&values[1], search->filter_values, sizeof(Datum) * search->num_filters);
	if (SPI_execute_plan(search->plan, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "search of index \"%s\" returned no rows", search->def->name);
	search_put_rows(search->query_number, search->kind, search->result);
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The same, and where a node does not answer without it: this query, and
 * those that follow.
 */
static void
search_run_partial(VkSearch *search)
{
	char	   *reason;

	if (search->plan == NULL || vk_partial_try(search_run, search, &reason))
		return;
	search->plan = vk_index_def_partial_plan(search->def, search->k, search->filter, search->vectors,
											 vk_partial_find_away(search->def));
	if (search->plan)
		search_run(search);
}

/*
 * vektonn.search(index_name text, index_version text, query_vectors vector[],
 *				  k int, split_filter jsonb, retrieve_vectors boolean)
 */
Datum
vk_search(PG_FUNCTION_ARGS)
{
	VkSearch	search = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("index_name must not be null")));
	InitMaterializedSRF(fcinfo, 0);
	search.result = (ReturnSetInfo *) fcinfo->resultinfo;
	SPI_connect();
	search.def = vk_index_def_get(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	search_take_arguments(&search, fcinfo);
	search.kind = vk_index_def_kind(search.def, search.filter);
	if (search.num_queries >= MIN_BATCH && search.k <= MAX_BATCH_K && ARR_NDIM(PG_GETARG_ARRAYTYPE_P(2)) == 1 &&
		vk_index_def_batch_possible(search.def, search.filter))
		search.kind = VK_SEARCH_BATCH;
	search.plan = vk_index_def_plan(search.def, search.k, search.filter, search.vectors, search.kind);
	if (search.kind == VK_SEARCH_BATCH)
	{
		search.query = PG_GETARG_DATUM(2);
		search_run(&search);
		search.num_queries = 0;
	}
	for (int i = 0; i < search.num_queries; i++)
	{
		CHECK_FOR_INTERRUPTS();
		search.query = search.queries[i];
		search.query_number = i + 1;
		if (vk_partial_results && vk_index_def_may_fan_out(search.def))
			search_run_partial(&search);
		else
			search_run(&search);
	}
	SPI_finish();
	return (Datum) 0;
}
