/*-------------------------------------------------------------------------
 *
 * am_key.c
 *	  Split keys, their hashes and equality, and the conditions of a scan.
 *
 * A key is an index tuple of the split columns.  NULL is a value of its own.
 * Values of different bytes may be equal (numeric 1.0 and 1.00, float 0 and
 * -0): equality is that of the operator class, and its hash function agrees.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/skey.h"
#include "catalog/pg_amop.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "am/am_private.h"

/* Hashes of a NULL and of a key without columns. */
#define HASH_OF_NULL	UINT64CONST(0x9E3779B97F4A7C15)
#define HASH_OF_EMPTY	UINT64CONST(0)

/* Enumerating more keys than this costs more than walking the directory. */
#define MAX_ENUMERATED_KEYS	10000.0

void
vk_index_init_key(VkIndex *index)
{
	TupleDesc	all = RelationGetDescr(index->rel);
	int			ncolumns = index->info.nsplit_columns;

	if (ncolumns == 0)
		return;
	index->key_desc = CreateTemplateTupleDesc(ncolumns);
	index->key_equal = palloc0(sizeof(FmgrInfo) * ncolumns);
	for (int i = 0; i < ncolumns; i++)
		TupleDescCopyEntry(index->key_desc, i + 1, all, i + 2);
}

static uint64
hash_value(FmgrInfo *proc, Oid collation, Datum value)
{
	return DatumGetUInt64(FunctionCall2Coll(proc, collation, value, Int64GetDatum(0)));
}

/* hashes: per column, of its value or HASH_OF_NULL. */
static uint64
combine_hashes(const uint64 *hashes, int ncolumns)
{
	uint64		hash = HASH_OF_EMPTY;

	for (int i = 0; i < ncolumns; i++)
		hash = hash_combine64(hash, hashes[i]);
	return hash;
}

static void
form_tuple(VkIndex *index, Datum *values, bool *isnull, VkSplitKey *key)
{
	key->tuple = index_form_tuple(index->key_desc, values, isnull);
	key->size = IndexTupleSize(key->tuple);
	if (key->size > VK_MAX_KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("split key of %zu bytes exceeds the maximum %d for index \"%s\"",
						key->size, VK_MAX_KEY_SIZE, RelationGetRelationName(index->rel)),
				 errhint("Values of split columns are kept whole in the index; consider an expression of the column, such as a hash.")));
}

/* The key of a row; values and isnull are those of all index columns. */
void
vk_key_form(VkIndex *index, Datum *values, bool *isnull, VkSplitKey *key)
{
	int			ncolumns = index->info.nsplit_columns;
	uint64		hashes[INDEX_MAX_KEYS];

	memset(key, 0, sizeof(*key));
	if (ncolumns == 0)
	{
		key->hash = HASH_OF_EMPTY;
		return;
	}
	for (int i = 0; i < ncolumns; i++)
		hashes[i] = isnull[i + 1] ? HASH_OF_NULL :
			hash_value(index_getprocinfo(index->rel, i + 2, VK_PROC_HASH),
					   index->rel->rd_indcollation[i + 1], values[i + 1]);
	key->hash = combine_hashes(hashes, ncolumns);
	form_tuple(index, values + 1, isnull + 1, key);
}

static FmgrInfo *
equal_function(VkIndex *index, int column)
{
	FmgrInfo   *equal = &index->key_equal[column];

	if (!OidIsValid(equal->fn_oid))
	{
		Oid			type = index->rel->rd_opcintype[column + 1];
		Oid			op = get_opfamily_member(index->rel->rd_opfamily[column + 1], type, type,
											 VK_STRATEGY_EQUAL);

		if (!OidIsValid(op))
			elog(ERROR, "missing equality operator for column %d of index \"%s\"",
				 column + 2, RelationGetRelationName(index->rel));
		fmgr_info_cxt(get_opcode(op), equal, GetMemoryChunkContext(index));
	}
	return equal;
}

bool
vk_key_equal(VkIndex *index, const VkSplitKey *key, const VkSplitEntry *entry)
{
	IndexTuple	stored = (IndexTuple) entry->key;

	if (entry->hash != key->hash)
		return false;
	if (key->tuple == NULL)
		return entry->key_size == 0;
	if (entry->key_size == key->size && memcmp(stored, key->tuple, key->size) == 0)
		return true;
	for (int i = 0; i < index->info.nsplit_columns; i++)
	{
		bool		null_a;
		bool		null_b;
		Datum		a = index_getattr(key->tuple, i + 1, index->key_desc, &null_a);
		Datum		b = index_getattr(stored, i + 1, index->key_desc, &null_b);

		if (null_a != null_b)
			return false;
		if (!null_a && !DatumGetBool(FunctionCall2Coll(equal_function(index, i),
													   index->rel->rd_indcollation[i + 1], a, b)))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------------
 * Conditions
 * ------------------------------------------------------------------------ */

/* Fills values and hashes of a condition from one scan key. */
static void
condition_values(VkIndex *index, ScanKey key, VkColumnCondition *condition)
{
	int			column = key->sk_attno - 1;
	Oid			family = index->rel->rd_opfamily[column];
	Oid			type = OidIsValid(key->sk_subtype) ? key->sk_subtype :
	index->rel->rd_opcintype[column];
	Oid			hash_proc;
	FmgrInfo	hash;

	condition->by_value = true;
	condition->equal = key->sk_func;
	condition->collation = key->sk_collation;
	if (key->sk_flags & SK_SEARCHARRAY)
	{
		ArrayType  *array = DatumGetArrayTypeP(key->sk_argument);
		bool	   *nulls;
		int			kept = 0;
		int			total;
		int16		length;
		bool		by_value;
		char		align;

		type = ARR_ELEMTYPE(array);
		get_typlenbyvalalign(type, &length, &by_value, &align);
		deconstruct_array(array, type, length, by_value, align,
						  &condition->values, &nulls, &total);
		for (int i = 0; i < total; i++)
			if (!nulls[i])
				condition->values[kept++] = condition->values[i];
		condition->nvalues = kept;
	}
	else
	{
		condition->values = palloc(sizeof(Datum));
		condition->values[0] = key->sk_argument;
		condition->nvalues = 1;
	}

	/* the hash of the argument's type: within a family they agree */
	if (type == index->rel->rd_opcintype[column] ||
		!OidIsValid(hash_proc = get_opfamily_proc(family, type, type, VK_PROC_HASH)))
		hash_proc = index_getprocid(index->rel, column + 1, VK_PROC_HASH);
	fmgr_info(hash_proc, &hash);
	condition->hashes = palloc(sizeof(uint64) * Max(condition->nvalues, 1));
	for (int i = 0; i < condition->nvalues; i++)
		condition->hashes[i] = hash_value(&hash, index->rel->rd_indcollation[column],
										  condition->values[i]);
}

/* Everything the result refers to lives in the current context. */
void
vk_conditions_build(VkIndex *index, ScanKey keys, int nkeys, VkConditions *conditions)
{
	memset(conditions, 0, sizeof(*conditions));
	conditions->ncolumns = index->info.nsplit_columns;
	for (int i = 0; i < nkeys; i++)
	{
		ScanKey		key = &keys[i];
		int			column = key->sk_attno - 2;
		VkColumnCondition *condition;

		if (column < 0)
		{
			/* of the vector itself there is only IS [NOT] NULL */
			if (key->sk_flags & SK_SEARCHNULL)
				conditions->vector_null = true;
			else if (key->sk_flags & SK_SEARCHNOTNULL)
				conditions->vector_not_null = true;
			continue;
		}
		if (conditions->conditions[column] == NULL)
			conditions->conditions[column] = palloc0(sizeof(VkColumnCondition) * nkeys);
		condition = &conditions->conditions[column][conditions->nconditions[column]++];
		if (key->sk_flags & SK_SEARCHNULL)
			condition->is_null = true;
		else if (key->sk_flags & SK_SEARCHNOTNULL)
			condition->is_not_null = true;
		else if (key->sk_flags & SK_ISNULL)
			conditions->impossible = true;
		else
			condition_values(index, key, condition);
	}
}

/* Whether every split matches. */
bool
vk_conditions_none(const VkConditions *conditions)
{
	for (int column = 0; column < conditions->ncolumns; column++)
		if (conditions->nconditions[column] > 0)
			return false;
	return !conditions->impossible;
}

static bool
column_matches(const VkColumnCondition *condition, Datum value, bool isnull)
{
	if (condition->is_null)
		return isnull;
	if (isnull)
		return false;
	if (condition->is_not_null)
		return true;
	for (int i = 0; i < condition->nvalues; i++)
		if (DatumGetBool(FunctionCall2Coll((FmgrInfo *) &condition->equal, condition->collation,
										   value, condition->values[i])))
			return true;
	return false;
}

bool
vk_conditions_match(VkIndex *index, const VkConditions *conditions, const VkSplitEntry *entry)
{
	for (int column = 0; column < conditions->ncolumns; column++)
	{
		bool		isnull;
		Datum		value;

		if (conditions->nconditions[column] == 0)
			continue;
		value = index_getattr((IndexTuple) entry->key, column + 1, index->key_desc, &isnull);
		for (int i = 0; i < conditions->nconditions[column]; i++)
			if (!column_matches(&conditions->conditions[column][i], value, isnull))
				return false;
	}
	return true;
}

/* The condition of a column that lists the values it may have; else NULL. */
static VkColumnCondition *
listing_condition(const VkConditions *conditions, int column)
{
	for (int i = 0; i < conditions->nconditions[column]; i++)
	{
		VkColumnCondition *condition = &conditions->conditions[column][i];

		if (condition->by_value || condition->is_null)
			return condition;
	}
	return NULL;
}

/*
 * How many hashes the conditions allow, if that is few enough to look each up:
 * then a condition lists the values of every column.  Else -1.
 */
double
vk_conditions_keys(const VkConditions *conditions)
{
	double		keys = 1;

	for (int column = 0; column < conditions->ncolumns; column++)
	{
		VkColumnCondition *condition = listing_condition(conditions, column);

		if (condition == NULL)
			return -1;
		if (!condition->is_null)
			keys *= condition->nvalues;
	}
	return keys <= MAX_ENUMERATED_KEYS ? keys : -1;
}

/*
 * The hash of the key number i of vk_conditions_keys().  All entries with
 * this hash must still be compared with the conditions.
 */
uint64
vk_conditions_hash(const VkConditions *conditions, int64 number)
{
	uint64		hashes[INDEX_MAX_KEYS];

	for (int column = 0; column < conditions->ncolumns; column++)
	{
		VkColumnCondition *condition = listing_condition(conditions, column);

		if (condition->is_null)
			hashes[column] = HASH_OF_NULL;
		else
		{
			hashes[column] = condition->hashes[number % condition->nvalues];
			number /= condition->nvalues;
		}
	}
	return combine_hashes(hashes, conditions->ncolumns);
}
