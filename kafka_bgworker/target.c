/*-------------------------------------------------------------------------
 *
 * target.c
 *	  Describes the table a stream writes.
 *
 * The columns of a stream are those of its option "columns", or else all
 * that can be written.  A column without a default belongs to every message:
 * a message that lacks it means null.  A column with a default may be left
 * out: it gets the default on insert and keeps its value on update, so that
 * users can add columns of their own.
 *
 * A key column is what rows are told apart by (the conflict target, without
 * the partition keys PostgreSQL may add to it); the permanent columns are
 * what a message's key names, at least the key columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "partitioning/partdefs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/target.h"

typedef struct KnownType
{
	Oid			typid;
	VkColumnKind kind;
	VkColumnType type;
	bool		takes_numbers;
	bool		takes_bools;
} KnownType;

static const KnownType known_types[] = {
	{INT2OID, VK_COLUMN_SCALAR, VK_TYPE_INT2, true, false},
	{INT4OID, VK_COLUMN_SCALAR, VK_TYPE_INT4, true, false},
	{INT8OID, VK_COLUMN_SCALAR, VK_TYPE_INT8, true, false},
	{FLOAT4OID, VK_COLUMN_SCALAR, VK_TYPE_FLOAT4, true, false},
	{FLOAT8OID, VK_COLUMN_SCALAR, VK_TYPE_FLOAT8, true, false},
	{BOOLOID, VK_COLUMN_SCALAR, VK_TYPE_BOOL, false, true},
	{TEXTOID, VK_COLUMN_SCALAR, VK_TYPE_TEXT, false, false},
	{VARCHAROID, VK_COLUMN_SCALAR, VK_TYPE_TEXT, false, false},
	{UUIDOID, VK_COLUMN_SCALAR, VK_TYPE_UUID, false, false},
	{TIMESTAMPTZOID, VK_COLUMN_SCALAR, VK_TYPE_TIMESTAMPTZ, false, false},
	{NUMERICOID, VK_COLUMN_SCALAR, VK_TYPE_INPUT, true, false},
	{JSONOID, VK_COLUMN_JSON, VK_TYPE_INPUT, true, true},
	{JSONBOID, VK_COLUMN_JSON, VK_TYPE_INPUT, true, true},
};

static char *
type_name(Oid typid)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", typid);
	name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	return name;
}

/*
 * The name of a type that belongs to our extension, or to pgvector's, whose
 * layout is the same; else NULL.  The schema may be any.
 */
static char *
extension_type_name(Oid typid)
{
	Oid			extension = getExtensionOfObject(TypeRelationId, typid);
	char	   *extension_name = OidIsValid(extension) ? get_extension_name(extension) : NULL;

	if (extension_name == NULL || (strcmp(extension_name, "vektonn") != 0 && strcmp(extension_name, "vector") != 0))
		return NULL;
	return type_name(typid);
}

static bool
set_vector_type(VkColumn *column)
{
	static const struct
	{
		const char *name;
		VkColumnKind kind;
		VkColumnType type;
	}			vector_types[] = {
		{"vector", VK_COLUMN_DENSE, VK_TYPE_VECTOR},
		{"halfvec", VK_COLUMN_DENSE, VK_TYPE_HALFVEC},
		{"sparsevec", VK_COLUMN_SPARSE, VK_TYPE_SPARSEVEC},
	};
	char	   *name = extension_type_name(column->typid);

	for (int i = 0; name && i < (int) lengthof(vector_types); i++)
	{
		if (strcmp(name, vector_types[i].name) == 0)
		{
			column->kind = vector_types[i].kind;
			column->type = vector_types[i].type;
			return true;
		}
	}
	return false;
}

static bool
set_known_type(VkColumn *column, Oid typid, int32 typmod)
{
	for (int i = 0; i < (int) lengthof(known_types); i++)
	{
		const KnownType *known = &known_types[i];

		if (known->typid != typid)
			continue;
		column->kind = known->kind;
		/* A length is enforced by the input function. */
		column->type = typid == VARCHAROID && typmod >= 0 ? VK_TYPE_INPUT : known->type;
		column->takes_numbers = known->takes_numbers;
		column->takes_bools = known->takes_bools;
		return true;
	}
	return false;
}

/* Decides how values of a column are made.  Domains always go through their input function. */
static void
set_type(VkColumn *column)
{
	Oid			base = getBaseType(column->typid);
	Oid			element = base == column->typid ? get_element_type(base) : InvalidOid;
	Oid			value_type = column->typid;
	Oid			input;

	column->kind = VK_COLUMN_SCALAR;
	column->type = VK_TYPE_INPUT;
	if (OidIsValid(element))
	{
		VkColumn	of_element = *column;

		if (!set_known_type(&of_element, element, column->typmod))
			of_element.takes_numbers = of_element.takes_bools = true;
		column->kind = VK_COLUMN_ARRAY;
		column->type = of_element.type;
		column->takes_numbers = of_element.takes_numbers;
		column->takes_bools = of_element.takes_bools;
		column->element = element;
		get_typlenbyvalalign(element, &column->element_len, &column->element_byval, &column->element_align);
		value_type = element;
	}
	else if (base != column->typid)
	{
		/*
		 * A domain takes what its base type takes, and is checked by its
		 * input function.
		 */
		if (!set_known_type(column, base, -1))
			column->takes_numbers = column->takes_bools = true;
		column->type = VK_TYPE_INPUT;
	}
	else if (!set_vector_type(column) && !set_known_type(column, column->typid, column->typmod))
		column->takes_numbers = column->takes_bools = true;

	getTypeInputInfo(value_type, &input, &column->io_param);
	fmgr_info_cxt(input, &column->input, CurrentMemoryContext);
	column->io_typmod = column->typmod;
}

static void
set_equality(VkColumn *column)
{
	TypeCacheEntry *type = lookup_type_cache(column->typid, TYPECACHE_EQ_OPR | TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_PROC);
	HeapTuple	tuple;
	Form_pg_operator operator;

	if (!OidIsValid(type->eq_opr) || !OidIsValid(type->hash_proc))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key column \"%s\" has type %s, which has no hash and equality",
						NameStr(column->name), format_type_be(column->typid))));
	fmgr_info_cxt(type->hash_proc, &column->hash, CurrentMemoryContext);
	fmgr_info_cxt(get_opcode(type->eq_opr), &column->equal, CurrentMemoryContext);

	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(type->eq_opr));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", type->eq_opr);
	operator = (Form_pg_operator) GETSTRUCT(tuple);
	column->equal_operator = psprintf("OPERATOR(%s.%s)",
									  quote_identifier(get_namespace_name(operator->oprnamespace)),
									  NameStr(operator->oprname));
	ReleaseSysCache(tuple);
}

static bool
listed(const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static int
column_index(const VkTarget *target, const char *name)
{
	for (int i = 0; i < target->column_count; i++)
	{
		if (strcmp(NameStr(target->columns[i].name), name) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of table %s does not exist or is not one of the stream's", name, target->name)));
}

static int *
column_indexes(const VkTarget *target, const char *const *names, int count)
{
	int		   *indexes = palloc(sizeof(int) * Max(count, 1));

	for (int i = 0; i < count; i++)
		indexes[i] = column_index(target, names[i]);
	return indexes;
}

/* Whether the columns of an index are just these attributes, in any order. */
static bool
index_has_exactly(Relation index, const Bitmapset *attributes)
{
	Bitmapset  *own = NULL;
	bool		same;

	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		if (index->rd_index->indkey.values[i] <= 0)
			return false;
		own = bms_add_member(own, index->rd_index->indkey.values[i]);
	}
	same = bms_equal(own, attributes);
	bms_free(own);
	return same;
}

/* The columns ON CONFLICT names: the keys, and on a partitioned table what its unique index needs besides. */
static void
set_conflict_columns(VkTarget *target, Relation rel)
{
	Bitmapset  *wanted = NULL;
	List	   *indexes = RelationGetIndexList(rel);
	PartitionKey partition_key = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? RelationGetPartitionKey(rel) : NULL;
	ListCell   *cell;
	bool		found = false;

	for (int i = 0; i < target->key_count; i++)
		wanted = bms_add_member(wanted, target->columns[target->keys[i]].attnum);
	for (int i = 0; partition_key && i < get_partition_natts(partition_key); i++)
	{
		if (get_partition_col_attnum(partition_key, i) > 0)
			wanted = bms_add_member(wanted, get_partition_col_attnum(partition_key, i));
	}
	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisunique && form->indimmediate && form->indisvalid && !RelationGetIndexPredicate(index) &&
			index_has_exactly(index, wanted))
			found = true;
		index_close(index, AccessShareLock);
	}
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table %s has no unique index on the key columns of the stream", target->name)));

	target->conflict = palloc(sizeof(int) * target->column_count);
	for (int i = 0; i < target->column_count; i++)
	{
		if (bms_is_member(target->columns[i].attnum, wanted))
			target->conflict[target->conflict_count++] = i;
	}
	if (target->conflict_count != bms_num_members(wanted))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the columns of the stream do not contain the partition key of table %s", target->name)));
}

/* Letters before case, as upstream's keys are ordered: a < B < c, lower before upper in a tie. */
static int
compare_permanent(const void *a, const void *b, void *arg)
{
	const VkTarget *target = arg;
	const char *first = NameStr(target->columns[*(const int *) a].name);
	const char *second = NameStr(target->columns[*(const int *) b].name);
	int			order = pg_strcasecmp(first, second);

	return order != 0 ? order : -strcmp(first, second);
}

static void
add_columns(VkTarget *target, Relation rel, const char *const *column_names, int column_count)
{
	TupleDesc	desc = RelationGetDescr(rel);

	target->columns = palloc0(sizeof(VkColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		VkColumn   *column = &target->columns[target->column_count];

		if (attribute->attisdropped || attribute->attgenerated || attribute->attidentity == ATTRIBUTE_IDENTITY_ALWAYS ||
			(column_names && !listed(NameStr(attribute->attname), column_names, column_count)))
			continue;
		column->name = attribute->attname;
		column->name_len = strlen(NameStr(attribute->attname));
		column->attnum = attribute->attnum;
		column->typid = attribute->atttypid;
		column->typmod = attribute->atttypmod;
		column->collation = attribute->attcollation;
		column->optional = -1;
		if (attribute->atthasdef || attribute->attidentity)
			column->optional = target->optional_count++;
		set_type(column);
		target->may_raise |= column->type == VK_TYPE_INPUT || column->type == VK_TYPE_TIMESTAMPTZ;
		target->column_count++;
	}
	if (target->optional_count > VK_MAX_OPTIONAL)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("table %s has more than %d columns with defaults", target->name, VK_MAX_OPTIONAL),
				 errhint("Name the columns of the stream in its option \"columns\".")));
}

static void
set_vector_column(VkTarget *target, const char *vector_name)
{
	int			found = 0;

	target->vector_column = -1;
	if (vector_name)
	{
		target->vector_column = column_index(target, vector_name);
		return;
	}
	for (int i = 0; i < target->column_count; i++)
	{
		if (target->columns[i].kind == VK_COLUMN_DENSE || target->columns[i].kind == VK_COLUMN_SPARSE)
		{
			target->vector_column = i;
			found++;
		}
	}
	if (found > 1)
		target->vector_column = -1;
}

static void
init_entry(TupleDesc desc, int number, const VkColumn *column)
{
	TupleDescInitEntry(desc, number, NameStr(column->name), column->typid, column->typmod, 0);
	TupleDescInitEntryCollation(desc, number, column->collation);
}

static void
set_row_descs(VkTarget *target)
{
	target->desc = CreateTemplateTupleDesc(target->column_count);
	for (int i = 0; i < target->column_count; i++)
		init_entry(target->desc, i + 1, &target->columns[i]);

	target->delete_desc = CreateTemplateTupleDesc(target->permanent_count + 1);
	for (int i = 0; i < target->permanent_count; i++)
		init_entry(target->delete_desc, i + 1, &target->columns[target->permanent[i]]);
	TupleDescInitEntry(target->delete_desc, target->permanent_count + 1, VK_MESSAGE_COLUMN, INT4OID, -1, 0);

	target->foreign_desc = CreateTemplateTupleDesc(target->key_count + 1);
	for (int i = 0; i < target->key_count; i++)
		init_entry(target->foreign_desc, i + 1, &target->columns[target->keys[i]]);
	TupleDescInitEntry(target->foreign_desc, target->key_count + 1, VK_MESSAGE_COLUMN, INT4OID, -1, 0);
}

/* The expression of a CHECK constraint. */
static Node *
check_expression(Relation rel, const char *name)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	for (int i = 0; constr && i < constr->num_check; i++)
	{
		if (strcmp(constr->check[i].ccname, name) == 0)
			return stringToNode(constr->check[i].ccbin);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("table \"%s\" has no CHECK constraint \"%s\"", RelationGetRelationName(rel), name),
			 errdetail("The stream keeps the rows it holds for.")));
}

/* Columns of the table in an expression become columns of the stream. */
static bool
number_by_stream(Node *node, void *context)
{
	const VkTarget *target = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		for (int i = 0; i < target->column_count; i++)
		{
			if (target->columns[i].attnum == var->varattno && target->columns[i].is_permanent)
			{
				var->varattno = i + 1;
				return false;
			}
		}
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the shard constraint of table %s uses a column that is not a permanent one", target->name),
				 errdetail("Which rows are kept can only depend on what a message's key names.")));
	}
	return expression_tree_walker(node, number_by_stream, context);
}

void
vk_target_set_shard(VkTarget *target, const char *constraint_name)
{
	Relation	rel = relation_open(target->relid, AccessShareLock);
	Node	   *expression = check_expression(rel, constraint_name);

	relation_close(rel, NoLock);
	(void) number_by_stream(expression, target);
	target->may_raise = true;
	if (contain_mutable_functions(expression))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the shard constraint of table %s is not immutable", target->name)));
	target->shard = ExecInitExpr(expression_planner((Expr *) expression), NULL);
	target->shard_context = CreateStandaloneExprContext();
	target->shard_slot = MakeSingleTupleTableSlot(target->desc, &TTSOpsVirtual);
	target->shard_context->ecxt_scantuple = target->shard_slot;
}

bool
vk_target_keeps(const VkTarget *target, Datum *values, bool *nulls)
{
	TupleTableSlot *slot = target->shard_slot;
	bool		keeps;

	ExecClearTuple(slot);
	for (int i = 0; i < target->column_count; i++)
	{
		slot->tts_values[i] = values[i];
		slot->tts_isnull[i] = nulls[i] || !target->columns[i].is_permanent;
	}
	ExecStoreVirtualTuple(slot);
	keeps = ExecCheck(target->shard, target->shard_context);
	ResetExprContext(target->shard_context);
	return keeps;
}

VkTarget *
vk_target_open(Oid relid, const char *const *key_names, int key_count,
			   const char *const *permanent_names, int permanent_count,
			   const char *const *column_names, int column_count,
			   const char *vector_name, bool unknown_is_error)
{
	VkTarget   *target = palloc0(sizeof(VkTarget));
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the target table does not exist")));
	target->relid = relid;
	target->owner = rel->rd_rel->relowner;
	target->unknown_is_error = unknown_is_error;
	target->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)), RelationGetRelationName(rel));
	add_columns(target, rel, column_names, column_count);

	target->key_count = key_count;
	target->keys = column_indexes(target, key_names, key_count);
	target->permanent_count = permanent_names ? permanent_count : key_count;
	if (target->permanent_count > INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a stream cannot have more than %d permanent columns", INDEX_MAX_KEYS)));
	target->permanent = column_indexes(target, permanent_names ? permanent_names : key_names, target->permanent_count);
	qsort_arg(target->permanent, target->permanent_count, sizeof(int), compare_permanent, target);
	for (int i = 0; i < target->permanent_count; i++)
	{
		target->columns[target->permanent[i]].is_permanent = true;
		set_equality(&target->columns[target->permanent[i]]);
	}
	for (int i = 0; i < key_count; i++)
	{
		target->columns[target->keys[i]].is_key = true;
		if (!target->columns[target->keys[i]].is_permanent)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key column \"%s\" is not one of the permanent columns", key_names[i])));
	}
	set_conflict_columns(target, rel);
	for (int i = 0; i < target->conflict_count; i++)
	{
		if (target->columns[target->conflict[i]].equal_operator == NULL)
			set_equality(&target->columns[target->conflict[i]]);
	}
	set_vector_column(target, vector_name);
	set_row_descs(target);
	relation_close(rel, NoLock);
	return target;
}
