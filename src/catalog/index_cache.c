/*-------------------------------------------------------------------------
 *
 * index_cache.c
 *	  Definitions of indices and the plans that search them, kept by a backend.
 *
 * A search by name must not cost more than the statement it stands for, so
 * its definition is read once and its statement is planned once per k, set of
 * filtered attributes and wish for vectors.  The plan is generic: the query
 * vector does not change which plan is best, and the LIMIT is a constant.
 *
 * A change of the catalogue tables (a trigger tells), of the target table or
 * of a schema's name makes every copy stale; stale ones are dropped at the
 * next look, not in the callback, which may run at any time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "catalog/index_cache.h"

static VkIndexDef *index_defs = NULL;
static bool all_stale = false;

/* The catalogue tables, whose changes make everything stale. */
static Oid	catalog_relations[2];

PG_FUNCTION_INFO_V1(vk_catalog_changed);

static void
relation_invalidated(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == catalog_relations[0] || relation == catalog_relations[1])
		all_stale = true;
	for (VkIndexDef *def = index_defs; def; def = def->next)
		if (relation == def->target)
			def->stale = true;
}

static void
schema_invalidated(Datum arg, int cache, uint32 hash)
{
	all_stale = true;
}

/*
 * Statement trigger of the catalogue tables: tells every backend, at commit,
 * that the table has changed.
 */
Datum
vk_catalog_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "vk_catalog_changed was not called as a trigger");
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

static void
index_def_free(VkIndexDef *def)
{
	for (int i = 0; i < VK_PLANS_PER_INDEX; i++)
		if (def->plans[i].plan)
			SPI_freeplan(def->plans[i].plan);
	MemoryContextDelete(def->context);
}

static void
index_defs_drop_stale(void)
{
	VkIndexDef **link = &index_defs;

	while (*link)
	{
		VkIndexDef *def = *link;

		if (def->stale || all_stale)
		{
			*link = def->next;
			index_def_free(def);
		}
		else
			link = &def->next;
	}
	all_stale = false;
}

static char *
row_text(int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value ? value : "";
}

static Datum
row_datum(int column)
{
	bool		isnull;

	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
}

/* Split attributes and their types, from two arrays of the row. */
static void
index_def_splits(VkIndexDef *def, int names_column, int types_column)
{
	Datum	   *names;
	Datum	   *types;
	int			num_types;

	deconstruct_array(DatumGetArrayTypeP(row_datum(names_column)), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, NULL, &def->splits.num_attributes);
	deconstruct_array(DatumGetArrayTypeP(row_datum(types_column)), TEXTOID, -1, false, TYPALIGN_INT,
					  &types, NULL, &num_types);
	if (num_types > VK_MAX_SPLIT_ATTRIBUTES || num_types != def->splits.num_attributes)
		elog(ERROR, "index \"%s\" has %d split attributes", def->name, def->splits.num_attributes);
	def->splits.attributes = MemoryContextAllocZero(def->context,
													sizeof(VkSourceAttribute) * (num_types + 1));
	for (int i = 0; i < num_types; i++)
	{
		char	   *type = TextDatumGetCString(types[i]);
		VkSourceAttribute *attribute = &def->splits.attributes[i];

		attribute->name = MemoryContextStrdup(def->context, TextDatumGetCString(names[i]));
		if (!vk_attribute_type_find(type, strlen(type), &attribute->type))
			elog(ERROR, "attribute type \"%s\" is not known", type);
	}
}

/* The strings of an array of the row, kept with the definition. */
static char **
row_strings(VkIndexDef *def, int column, int *count)
{
	Datum	   *elements;
	char	  **strings;

	deconstruct_array(DatumGetArrayTypeP(row_datum(column)), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, count);
	strings = MemoryContextAlloc(def->context, sizeof(char *) * (*count + 1));
	for (int i = 0; i < *count; i++)
		strings[i] = MemoryContextStrdup(def->context, TextDatumGetCString(elements[i]));
	return strings;
}

static void
index_def_shards(VkIndexDef *def, int attributes_column, int before_column, int behind_column)
{
	int			num_before;
	int			num_behind;

	def->shard_attributes = row_strings(def, attributes_column, &def->num_shard_terms);
	def->shard_before = row_strings(def, before_column, &num_before);
	def->shard_behind = row_strings(def, behind_column, &num_behind);
	if (def->num_shard_terms > 0 && (num_before != def->num_shard_terms || num_behind != num_before))
		elog(ERROR, "the shards of index \"%s\" are not as many as their terms", def->name);
}

static void
index_def_partitions(VkIndexDef *def, int oids_column, int names_column)
{
	Datum	   *oids;
	int			num_oids;

	def->partition_names = row_strings(def, names_column, &def->num_partitions);
	deconstruct_array(DatumGetArrayTypeP(row_datum(oids_column)), OIDOID, sizeof(Oid), true,
					  TYPALIGN_INT, &oids, NULL, &num_oids);
	if (num_oids != def->num_partitions)
		elog(ERROR, "index \"%s\" has %d partitions and %d names", def->name, num_oids, def->num_partitions);
	def->partitions = MemoryContextAlloc(def->context, sizeof(Oid) * (num_oids + 1));
	for (int i = 0; i < num_oids; i++)
		def->partitions[i] = DatumGetObjectId(oids[i]);
}

/* Columns of the query below. */
enum
{
	COLUMN_TARGET = 1, COLUMN_DIMENSION, COLUMN_SPARSE, COLUMN_SELECT, COLUMN_VECTOR,
	COLUMN_ORDER, COLUMN_FROM, COLUMN_SPLITS, COLUMN_SPLIT_TYPES, COLUMN_VECTOR_TYPE,
	COLUMN_SHARDS, COLUMN_SHARD_BEFORE, COLUMN_SHARD_BEHIND, COLUMN_BATCH_INDEX, COLUMN_BATCH_SELECT,
	COLUMN_PARTITIONS, COLUMN_PARTITION_NAMES, COLUMN_PRUNED_BY, COLUMN_COLUMNS
};

static VkIndexDef *
index_def_load(const char *name, const char *version)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2] = {CStringGetTextDatum(name), version ? CStringGetTextDatum(version) : 0};
	char		nulls[3] = {' ', version ? ' ' : 'n', '\0'};
	MemoryContext context;
	VkIndexDef *def;
	Oid			schema = get_namespace_oid("vektonn", false);

	catalog_relations[0] = get_relname_relid("index_def", schema);
	catalog_relations[1] = get_relname_relid("data_source", schema);
	if (SPI_execute_with_args("SELECT * FROM vektonn._search_definition($1, $2)", 2, types, values,
							  nulls, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not read the definition of index \"%s\"", name);
	context = AllocSetContextCreate(CacheMemoryContext, "vektonn index definition",
									ALLOCSET_SMALL_SIZES);
	def = MemoryContextAllocZero(context, sizeof(VkIndexDef));
	def->context = context;
	def->name = MemoryContextStrdup(context, name);
	def->version = version ? MemoryContextStrdup(context, version) : NULL;
	def->target = DatumGetObjectId(row_datum(COLUMN_TARGET));
	def->dimension = DatumGetInt32(row_datum(COLUMN_DIMENSION));
	def->sparse = DatumGetBool(row_datum(COLUMN_SPARSE));
	def->vector_type = DatumGetObjectId(row_datum(COLUMN_VECTOR_TYPE));
	def->select_list = MemoryContextStrdup(context, row_text(COLUMN_SELECT));
	def->vector_column = MemoryContextStrdup(context, row_text(COLUMN_VECTOR));
	def->order_by = MemoryContextStrdup(context, row_text(COLUMN_ORDER));
	def->from = MemoryContextStrdup(context, row_text(COLUMN_FROM));
	def->batch_index = DatumGetObjectId(row_datum(COLUMN_BATCH_INDEX));
	def->batch_select = MemoryContextStrdup(context, row_text(COLUMN_BATCH_SELECT));
	def->pruned_by = row_strings(def, COLUMN_PRUNED_BY, &def->num_pruned_by);
	def->columns = MemoryContextStrdup(context, row_text(COLUMN_COLUMNS));
	index_def_partitions(def, COLUMN_PARTITIONS, COLUMN_PARTITION_NAMES);
	index_def_splits(def, COLUMN_SPLITS, COLUMN_SPLIT_TYPES);
	index_def_shards(def, COLUMN_SHARDS, COLUMN_SHARD_BEFORE, COLUMN_SHARD_BEHIND);
	return def;
}

VkIndexDef *
vk_index_def_get(const char *name, const char *version)
{
	static bool registered = false;
	VkIndexDef *def;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(relation_invalidated, 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, schema_invalidated, 0);
		registered = true;
	}
	index_defs_drop_stale();
	for (def = index_defs; def; def = def->next)
	{
		if (strcmp(def->name, name) == 0 &&
			(version ? def->version && strcmp(def->version, version) == 0 : !def->version))
			return def;
	}
	def = index_def_load(name, version);
	def->next = index_defs;
	index_defs = def;
	return def;
}

/* The parameter that gives a split attribute: $1 is the query, then come those filtered, in order; 0: none. */
static int
filter_parameter(const VkIndexDef *def, const char *attribute, uint32 filter)
{
	int			parameter = 1;

	for (int i = 0; i < def->splits.num_attributes; i++)
	{
		if (!(filter & (1U << i)))
			continue;
		parameter++;
		if (strcmp(def->splits.attributes[i].name, attribute) == 0)
			return parameter;
	}
	return 0;
}

/*
 * Where the filter gives all shard attributes of a table partitioned by an
 * expression: that the row's is the filter's, so that one shard is asked.
 */
static void
append_shard_condition(const VkIndexDef *def, StringInfo sql, uint32 filter)
{
	StringInfoData given;

	for (int i = 0; i < def->num_shard_terms; i++)
	{
		if (filter_parameter(def, def->shard_attributes[i], filter) == 0)
			return;
	}
	if (def->num_shard_terms == 0)
		return;
	initStringInfo(&given);
	appendStringInfoString(sql, "AND (");
	for (int i = 0; i < def->num_shard_terms; i++)
	{
		const char *glue = i ? " OPERATOR(pg_catalog.+) " : "";

		appendStringInfo(sql, "%s%st.%s%s", glue, def->shard_before[i],
						 quote_identifier(def->shard_attributes[i]), def->shard_behind[i]);
		appendStringInfo(&given, "%s%s$%d%s", glue, def->shard_before[i],
						 filter_parameter(def, def->shard_attributes[i], filter), def->shard_behind[i]);
	}
	appendStringInfo(sql, ") OPERATOR(pg_catalog.=) (%s) ", given.data);
}

static void
append_filter(const VkIndexDef *def, StringInfo sql, uint32 filter)
{
	int			parameter = 1;
	const char *glue = "WHERE";

	for (int i = 0; i < def->splits.num_attributes; i++)
	{
		if (!(filter & (1U << i)))
			continue;
		appendStringInfo(sql, "%s t.%s OPERATOR(pg_catalog.=) $%d ", glue,
						 quote_identifier(def->splits.attributes[i].name), ++parameter);
		glue = "AND";
	}
	append_shard_condition(def, sql, filter);
}

/*
 * By PostgreSQL's plan for the table; a partitioned one's merges what each
 * partition or node returns in order.
 */
static void
append_search(const VkIndexDef *def, StringInfo sql, int k, uint32 filter, bool vectors)
{
	appendStringInfo(sql, "SELECT %s, %s FROM %s t ", def->select_list,
					 vectors ? def->vector_column : "NULL", def->from);
	append_filter(def, sql, filter);
	appendStringInfo(sql, "ORDER BY %s LIMIT %d", def->order_by, k);
}

/*
 * Each partition for its k rows, of which k are taken.  PostgreSQL sends a
 * node the LIMIT of a statement on its foreign table, but not that of one on
 * the partitioned table; and it waits for all nodes at once where their rows
 * need not be merged in order, which is why the sum is sorted by.  No
 * attribute is called " ".
 */
static void
append_fan_out_search(const VkIndexDef *def, StringInfo sql, int k, uint32 filter, bool vectors, const bool *away)
{
	const char *glue = "";

	appendStringInfo(sql, "SELECT %s, %s FROM (", def->select_list,
					 vectors ? def->vector_column : "NULL");
	for (int i = 0; i < def->num_partitions; i++)
	{
		if (away && away[i])
			continue;
		appendStringInfo(sql, "%s(SELECT %s, %s AS \" \" FROM %s t ", glue,
						 def->columns, def->order_by, def->partition_names[i]);
		append_filter(def, sql, filter);
		appendStringInfo(sql, "ORDER BY %s LIMIT %d)", def->order_by, k);
		glue = " UNION ALL ";
	}
	appendStringInfo(sql, ") t ORDER BY t.\" \" OPERATOR(pg_catalog.+) 0::pg_catalog.float8 LIMIT %d", k);
}

/* One pass over the index for all queries, which are unnested again for the distances. */
static void
append_batch_search(const VkIndexDef *def, StringInfo sql, int k, uint32 filter, bool vectors)
{
	int			parameter = 1;

	appendStringInfo(sql, "SELECT %s, %s, k.query_number FROM vektonn.knn(%u, $1, %d",
					 def->batch_select, vectors ? def->vector_column : "NULL", def->batch_index, k);
	for (int i = 0; i < def->splits.num_attributes; i++)
	{
		if (!(filter & (1U << i)))
			continue;
		appendStringInfo(sql, "%s%s, $%d", parameter == 1 ? ", pg_catalog.jsonb_build_object(" : ", ",
						 quote_literal_cstr(def->splits.attributes[i].name), parameter + 1);
		parameter++;
	}
	appendStringInfo(sql, "%s) k JOIN pg_catalog.unnest($1) WITH ORDINALITY u (query, number)"
					 " ON u.number OPERATOR(pg_catalog.=) k.query_number"
					 " JOIN %s t ON t.ctid OPERATOR(pg_catalog.=) k.ctid ORDER BY k.query_number, k.rank",
					 parameter > 1 ? ")" : "", def->from);
}

static SPIPlanPtr
search_plan_prepare(VkIndexDef *def, int k, uint32 filter, bool vectors, VkSearchKind kind, const bool *away)
{
	StringInfoData sql;
	Oid			types[1 + VK_MAX_SPLIT_ATTRIBUTES];
	int			num_types = 0;
	SPIPlanPtr	plan;

	initStringInfo(&sql);
	types[num_types++] = kind == VK_SEARCH_BATCH ? get_array_type(def->vector_type) : def->vector_type;
	for (int i = 0; i < def->splits.num_attributes; i++)
	{
		if (filter & (1U << i))
			types[num_types++] = vk_attribute_types[def->splits.attributes[i].type].typid;
	}
	switch (kind)
	{
		case VK_SEARCH_ONE:
			append_search(def, &sql, k, filter, vectors);
			break;
		case VK_SEARCH_FAN_OUT:
			append_fan_out_search(def, &sql, k, filter, vectors, away);
			break;
		case VK_SEARCH_BATCH:
			append_batch_search(def, &sql, k, filter, vectors);
			break;
	}

	plan = SPI_prepare_cursor(sql.data, num_types, types, CURSOR_OPT_GENERIC_PLAN);
	if (!plan)
		elog(ERROR, "could not prepare \"%s\": %s", sql.data, SPI_result_code_string(SPI_result));
	return plan;
}

/* Whether the caller may read all of a table, by rights on the table alone. */
static bool
reads_all(Oid table)
{
	return pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(table, InvalidOid, true) != RLS_ENABLED;
}

bool
vk_index_def_may_fan_out(const VkIndexDef *def)
{
	if (def->num_partitions == 0 || !reads_all(def->target))
		return false;
	for (int i = 0; i < def->num_partitions; i++)
	{
		if (!reads_all(def->partitions[i]))
			return false;
	}
	return true;
}

/* The one place that decides how a shard is asked. */
VkSearchKind
vk_index_def_kind(const VkIndexDef *def, uint32 filter)
{
	bool		pruned = def->num_pruned_by > 0;

	for (int i = 0; i < def->num_pruned_by; i++)
		pruned &= filter_parameter(def, def->pruned_by[i], filter) != 0;
	return !pruned && vk_index_def_may_fan_out(def) ? VK_SEARCH_FAN_OUT : VK_SEARCH_ONE;
}

SPIPlanPtr
vk_index_def_partial_plan(VkIndexDef *def, int k, uint32 filter, bool vectors, const bool *away)
{
	for (int i = 0; i < def->num_partitions; i++)
	{
		if (!away[i])
			return search_plan_prepare(def, k, filter, vectors, VK_SEARCH_FAN_OUT, away);
	}
	return NULL;
}

/*
 * What vektonn.knn refuses is searched one by one.  So is what it might see
 * otherwise: a float's JSON depends on extra_float_digits.
 */
bool
vk_index_def_batch_possible(const VkIndexDef *def, uint32 filter)
{
	HeapTuple	tuple;
	bool		possible;

	for (int i = 0; i < def->splits.num_attributes; i++)
	{
		if ((filter & (1U << i)) && def->splits.attributes[i].type == VK_ATTRIBUTE_FLOAT64)
			return false;
	}
	if (!OidIsValid(def->batch_index) || check_enable_rls(def->target, InvalidOid, true) == RLS_ENABLED)
		return false;
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(def->batch_index));
	if (!HeapTupleIsValid(tuple))
		return false;
	possible = ((Form_pg_index) GETSTRUCT(tuple))->indisvalid &&
		((Form_pg_index) GETSTRUCT(tuple))->indisready &&
		!((Form_pg_index) GETSTRUCT(tuple))->indcheckxmin;
	ReleaseSysCache(tuple);
	return possible;
}

SPIPlanPtr
vk_index_def_plan(VkIndexDef *def, int k, uint32 filter, bool vectors, VkSearchKind kind)
{
	VkSearchPlan *slot;
	SPIPlanPtr	plan;

	for (int i = 0; i < VK_PLANS_PER_INDEX; i++)
	{
		slot = &def->plans[i];
		if (slot->plan && slot->k == k && slot->filter == filter && slot->vectors == vectors && slot->kind == kind)
			return slot->plan;
	}
	plan = search_plan_prepare(def, k, filter, vectors, kind, NULL);
	SPI_keepplan(plan);
	slot = &def->plans[def->next_plan];
	def->next_plan = (def->next_plan + 1) % VK_PLANS_PER_INDEX;
	if (slot->plan)
		SPI_freeplan(slot->plan);
	*slot = (VkSearchPlan)
	{
		.plan = plan,.k = k,.filter = filter,.vectors = vectors,.kind = kind
	};
	return plan;
}
