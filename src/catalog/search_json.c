/*-------------------------------------------------------------------------
 *
 * search_json.c
 *	  A search as Vektonn's HTTP API writes it, taken apart and checked.
 *
 *	{"splitFilter": [{"key": "lang", "value": {"string": "en"}}],
 *	 "queryVectors": [{"isSparse": false, "coordinates": [0, 2]}],
 *	 "k": 2, "retrieveVectors": false}
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "catalog/datapoint.h"

#define QUERY_COLUMNS	4

PG_FUNCTION_INFO_V1(vk_search_query);

/* The field of the query; false when it is not there or null. */
static bool
query_field(Jsonb *query, const char *name, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(&query->root, name, strlen(name), value) != NULL &&
		value->type != jbvNull;
}

static bool
is_array(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsArray(json->val.binary.data) &&
		!JsonContainerIsScalar(json->val.binary.data);
}

/* k; anything that is no number of a sensible size is not positive either. */
static int
query_k(Jsonb *query, VkComplaints *complaints)
{
	JsonbValue	field;
	VkAttributeValue value;

	if (!query_field(query, "k", &field) ||
		!vk_attribute_from_json(&field, VK_ATTRIBUTE_INT64, true, &value) ||
		value.as.int64 <=0 || value.as.int64 >PG_INT32_MAX)
	{
		vk_complain(complaints, "K must be positive");
		return 0;
	}
	return (int) value.as.int64;
}

static ArrayType *
query_vectors(const VkSource *source, Jsonb *query, VkComplaints *complaints)
{
	JsonbValue	field;
	JsonbValue	item;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	Datum	   *texts;
	int			count = 0;

	if (!query_field(query, "queryVectors", &field) || !is_array(&field) ||
		JsonContainerSize(field.val.binary.data) == 0)
	{
		vk_complain(complaints, "At least one query vector is required");
		return construct_empty_array(TEXTOID);
	}
	texts = palloc(sizeof(Datum) * JsonContainerSize(field.val.binary.data));
	iterator = JsonbIteratorInit(field.val.binary.data);
	JsonbIteratorNext(&iterator, &item, false);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		VkDataPoint point = {0};

		if (token != WJB_ELEM)
			continue;
		if (vk_vector_from_json(source, &item, &point, complaints))
			texts[count++] = CStringGetTextDatum(vk_vector_text(source, &point));
		else if (complaints->count >= 10)
			break;
	}
	return construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT);
}

/* The split filter as an object of keys and values. */
static Datum
query_split_filter(const VkSource *source, ArrayType *split_names, Jsonb *query,
				   VkComplaints *complaints)
{
	VkSource   *splits = vk_source_of_splits(source, split_names);
	VkAttributeValue *values = palloc0(sizeof(VkAttributeValue) * (splits->num_attributes + 1));
	bool	   *given = palloc0(sizeof(bool) * (splits->num_attributes + 1));
	JsonbValue	field;
	StringInfoData out;

	if (query_field(query, "splitFilter", &field))
		vk_split_filter_from_json(splits, &field, values, given, complaints);
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (int i = 0; i < splits->num_attributes; i++)
	{
		if (!given[i])
			continue;
		if (out.len > 1)
			appendStringInfoString(&out, ", ");
		escape_json(&out, splits->attributes[i].name);
		appendStringInfoString(&out, ": ");
		vk_attribute_to_json(&values[i], &out);
	}
	appendStringInfoChar(&out, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data));
}

static Datum
query_retrieve_vectors(Jsonb *query, VkComplaints *complaints)
{
	JsonbValue	field;

	if (!query_field(query, "retrieveVectors", &field))
		return BoolGetDatum(false);
	if (field.type != jbvBool)
		vk_complain(complaints, "retrieveVectors must be true or false");
	return BoolGetDatum(field.type == jbvBool && field.val.boolean);
}

/*
 * vektonn._search_query(source vektonn.data_source, split_attributes text[], query jsonb,
 *						 OUT vectors text[], OUT k int, OUT split_filter jsonb, OUT retrieve_vectors boolean)
 */
Datum
vk_search_query(PG_FUNCTION_ARGS)
{
	VkSource   *source = vk_source_from_datum(PG_GETARG_DATUM(0));
	Jsonb	   *query = PG_GETARG_JSONB_P(2);
	VkComplaints complaints;
	TupleDesc	desc;
	Datum		values[QUERY_COLUMNS];
	bool		nulls[QUERY_COLUMNS] = {0};

	if (!JB_ROOT_IS_OBJECT(query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a search query must be a JSON object")));
	vk_complaints_init(&complaints);
	values[1] = Int32GetDatum(query_k(query, &complaints));
	values[0] = PointerGetDatum(query_vectors(source, query, &complaints));
	values[2] = query_split_filter(source, PG_GETARG_ARRAYTYPE_P(1), query, &complaints);
	values[3] = query_retrieve_vectors(query, &complaints);
	if (complaints.count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", complaints.text.data)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
