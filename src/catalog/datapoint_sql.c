/*-------------------------------------------------------------------------
 *
 * datapoint_sql.c
 *	  Checked data points for SQL: as messages, and as rows.
 *
 * Points are checked in order up to the first that is wrong, as upstream
 * does; nothing comes out unless all are right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "catalog/datapoint.h"

#define ROW_COLUMNS		4

PG_FUNCTION_INFO_V1(vk_data_points_messages);
PG_FUNCTION_INFO_V1(vk_data_points_rows);

typedef bool (*TakePoint) (const VkSource *source, const JsonbValue *json, VkDataPoint *point,
						   VkComplaints *complaints);

static void
point_error(const VkSource *source, const VkComplaints *complaints, int number, int count)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", complaints->text.data),
			 errdetail("This is data point %d of %d for data source \"%s\" version \"%s\".",
					   number, count, source->name, source->version)));
}

/* The points of an array, all of them valid; an error otherwise. */
static VkDataPoint *
points_take(const VkSource *source, Jsonb *json, bool keys_only, int *count)
{
	TakePoint	take = keys_only ? vk_data_point_from_key : vk_data_point_from_json;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	VkDataPoint *points;
	VkComplaints complaints;
	int			total = JB_ROOT_COUNT(json);

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("data points must be a JSON array")));
	vk_complaints_init(&complaints);
	points = palloc_extended(sizeof(VkDataPoint) * Max(total, 1), MCXT_ALLOC_HUGE);
	*count = 0;
	iterator = JsonbIteratorInit(&json->root);
	JsonbIteratorNext(&iterator, &item, false);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		CHECK_FOR_INTERRUPTS();
		if (!take(source, &item, &points[*count], &complaints))
			point_error(source, &complaints, *count + 1, total);
		(*count)++;
	}
	return points;
}

/* vektonn._messages(source vektonn.data_source, data_points jsonb, keys_only boolean) */
Datum
vk_data_points_messages(PG_FUNCTION_ARGS)
{
	VkSource   *source = vk_source_from_datum(PG_GETARG_DATUM(0));
	int			count;
	VkDataPoint *points = points_take(source, PG_GETARG_JSONB_P(1), PG_GETARG_BOOL(2), &count);
	Datum	   *keys = palloc(sizeof(Datum) * Max(count, 1));
	Datum	   *values = palloc0(sizeof(Datum) * Max(count, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(count, 1));
	int			lower_bound = 1;
	TupleDesc	desc;
	Datum		result[2];
	bool		result_nulls[2] = {false, false};

	for (int i = 0; i < count; i++)
	{
		bytea	   *value = vk_message_value(source, &points[i]);

		CHECK_FOR_INTERRUPTS();
		keys[i] = PointerGetDatum(vk_message_key(source, &points[i]));
		nulls[i] = value == NULL;
		if (value)
			values[i] = PointerGetDatum(value);
	}
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result[0] = PointerGetDatum(construct_array(keys, count, BYTEAOID, -1, false, TYPALIGN_INT));
	result[1] = PointerGetDatum(construct_md_array(values, nulls, count > 0 ? 1 : 0, &count,
												   &lower_bound, BYTEAOID, -1, false, TYPALIGN_INT));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), result, result_nulls)));
}

/* vektonn._rows(source vektonn.data_source, data_points jsonb, keys_only boolean) */
Datum
vk_data_points_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	VkSource   *source = vk_source_from_datum(PG_GETARG_DATUM(0));
	int			count;
	VkDataPoint *points = points_take(source, PG_GETARG_JSONB_P(1), PG_GETARG_BOOL(2), &count);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < count; i++)
	{
		VkDataPoint *point = &points[i];
		StringInfoData attributes;
		Datum		values[ROW_COLUMNS] = {0};
		bool		nulls[ROW_COLUMNS] = {0};

		CHECK_FOR_INTERRUPTS();
		initStringInfo(&attributes);
		vk_attributes_to_json(source, point, point->deleted, &attributes);
		values[0] = Int32GetDatum(i + 1);
		values[1] = BoolGetDatum(point->deleted);
		values[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(attributes.data));
		nulls[3] = point->deleted;
		if (!point->deleted)
			values[3] = CStringGetTextDatum(vk_vector_text(source, point));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
