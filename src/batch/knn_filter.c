/*-------------------------------------------------------------------------
 *
 * knn_filter.c
 *	  The filter of vektonn.knn: a JSON object becomes conditions of the scan.
 *
 * Keys are split columns.  A value is what the column must be equal to, an
 * array lists what it may be equal to, null stands for IS NULL.  Values are
 * read by the input function of the column's type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type_d.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "am/am.h"
#include "batch/knn_filter.h"

/* The name of the table's column that an index column (from 0) shows, or the index's own. */
char *
vk_knn_column_name(Relation heap, Relation rel, int column)
{
	AttrNumber	number = rel->rd_index->indkey.values[column];

	if (number != 0)
		return NameStr(TupleDescAttr(RelationGetDescr(heap), number - 1)->attname);
	return NameStr(TupleDescAttr(RelationGetDescr(rel), column)->attname);
}

static int
find_column(Relation heap, Relation rel, const char *name)
{
	StringInfoData known;

	for (int column = 1; column < rel->rd_att->natts; column++)
		if (strcmp(vk_knn_column_name(heap, rel, column), name) == 0)
			return column;
	initStringInfo(&known);
	for (int column = 1; column < rel->rd_att->natts; column++)
		appendStringInfo(&known, "%s\"%s\"", column > 1 ? ", " : "",
						 vk_knn_column_name(heap, rel, column));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a split column of index \"%s\"", name,
					RelationGetRelationName(rel)),
			 known.len > 0 ? errdetail("Split columns are: %s.", known.data) :
			 errdetail("The index has no split columns.")));
}

static Datum
value_datum(const char *column, const JsonbValue *value, Oid type)
{
	Oid			input;
	Oid			io_param;
	char	   *text = NULL;

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
					 errmsg("filter of column \"%s\" is not a value or an array of values",
							column)));
	}
	getTypeInputInfo(type, &input, &io_param);
	return OidInputFunctionCall(input, text, io_param, -1);
}

static void
set_key(ScanKey key, Relation rel, int column, int flags, Datum argument)
{
	Oid			type = rel->rd_opcintype[column];
	Oid			equal;

	if (flags & SK_SEARCHNULL)
	{
		ScanKeyEntryInitialize(key, flags, column + 1, InvalidStrategy, InvalidOid, InvalidOid,
							   InvalidOid, argument);
		return;
	}
	equal = get_opfamily_member(rel->rd_opfamily[column], type, type, VK_STRATEGY_EQUAL);
	if (!OidIsValid(equal))
		elog(ERROR, "missing equality operator for column %d of index \"%s\"", column + 1,
			 RelationGetRelationName(rel));
	ScanKeyEntryInitialize(key, flags, column + 1, VK_STRATEGY_EQUAL, type,
						   rel->rd_indcollation[column], get_opcode(equal), argument);
}

static Datum
array_datum(const char *column, JsonbContainer *container, Oid type)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbValue	value;
	JsonbIteratorToken token;
	ArrayBuildState *state = initArrayResult(type, CurrentMemoryContext, false);

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			(void) accumArrayResult(state, value_datum(column, &value, type), false, type,
									CurrentMemoryContext);
	return makeArrayResult(state, CurrentMemoryContext);
}

/* Scan keys, in the current context; filter may be NULL. */
ScanKey
vk_knn_filter(Relation heap, Relation rel, Jsonb *filter, int *nkeys)
{
	ScanKey		keys = palloc0(sizeof(ScanKeyData) * INDEX_MAX_KEYS);
	JsonbIterator *iterator;
	JsonbValue	name;
	JsonbValue	value;

	*nkeys = 0;
	if (filter == NULL)
		return keys;
	if (!JB_ROOT_IS_OBJECT(filter))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("filter is not a JSON object")));
	iterator = JsonbIteratorInit(&filter->root);
	(void) JsonbIteratorNext(&iterator, &name, true);
	while (JsonbIteratorNext(&iterator, &name, true) == WJB_KEY)
	{
		char	   *text = pnstrdup(name.val.string.val, name.val.string.len);
		int			column = find_column(heap, rel, text);
		Oid			type = rel->rd_opcintype[column];
		ScanKey		key = &keys[(*nkeys)++];

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type == jbvNull)
			set_key(key, rel, column, SK_ISNULL | SK_SEARCHNULL, (Datum) 0);
		else if (value.type == jbvBinary && JsonContainerIsArray(value.val.binary.data))
			set_key(key, rel, column, SK_SEARCHARRAY,
					array_datum(text, value.val.binary.data, type));
		else
			set_key(key, rel, column, 0, value_datum(text, &value, type));
	}
	return keys;
}
