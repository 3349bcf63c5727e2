/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Writes a batch of messages to the target table as sets.
 *
 * Of the messages of a batch only the last one for each key matters: a hash
 * table finds it, by the equality the table's unique index uses.  What is
 * left is one DELETE and one INSERT ... ON CONFLICT DO UPDATE, fed from a
 * tuplestore; messages that leave out optional columns go to a statement of
 * their own for each set of columns.
 *
 * A tombstone names all permanent columns and removes a row only where they
 * all agree.  One that does not agree with a write before it in the batch
 * has therefore no effect on it, and is dropped.
 *
 * A target may be one shard of several, each of which reads the whole topic.
 * A message for another shard says that the row of its key is there now: it
 * removes the one that is here, of whatever permanent columns.
 *
 * When a statement fails for the sake of a row, careful mode narrows it down:
 * each half of the messages is applied in a subtransaction, in order, down to
 * the single message.  The table ends up as if message after message had been
 * applied and those that fail skipped, wherever batches end.
 *
 * Everything here runs as the owner of the table, in a security-restricted
 * context, with constraints immediate: nothing of the user's is left to run
 * when the worker commits as superuser.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/apply.h"
#include "util/subtransaction.h"

/* Sets of columns whose statements are kept; with more, the oldest goes. */
#define MAX_GROUPS		16

/* Batches are bounded in bytes, so the tuplestore is allowed to stay in memory. */
#define STORE_KBYTES	(1024 * 1024)

#define UPSERTS_NAME	"vk_upserts"
#define DELETES_NAME	"vk_deletes"
#define FOREIGN_NAME	"vk_foreign"

/* A statement for messages that have the same optional columns. */
typedef struct UpsertGroup
{
	uint64		present;
	SPIPlanPtr	upsert;			/* NULL: free */
	Tuplestorestate *store;		/* of the batch under way, or NULL */
} UpsertGroup;

struct VkApplier
{
	const VkTarget *target;
	VkRowSink  *sink;
	MemoryContext context;		/* as long-lived as the applier */
	UpsertGroup groups[MAX_GROUPS];
	int			next_group;		/* to be replaced next */
	SPIPlanPtr	delete;
	SPIPlanPtr	expel;			/* removes rows that are another shard's now */
	SPIPlanPtr	move;			/* removes rows whose partition changed; NULL:
								 * no such key */

	/* the batch under way */
	const VkMessage *messages;
	VkRow	   *rows;			/* in step with messages */
	bool	   *failed;
	VkApplyResult *result;
	MemoryContext batch_context;	/* lives until SPI_finish */
};

VkApplier *
vk_applier_create(const VkTarget *target, const VkMessageFormat *format)
{
	VkApplier  *applier = palloc0(sizeof(VkApplier));

	applier->target = target;
	applier->sink = vk_sink_create(target, format);
	applier->context = CurrentMemoryContext;
	return applier;
}

/* 22 data exception, 23 integrity constraint, 44 WITH CHECK OPTION, P0 raised by PL/pgSQL, 54 program limit */
bool
vk_is_row_error(int sqlstate)
{
	int			class = ERRCODE_TO_CATEGORY(sqlstate);

	return class == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_WITH_CHECK_OPTION_VIOLATION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_PLPGSQL_ERROR) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_TRIGGERED_ACTION_EXCEPTION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_CARDINALITY_VIOLATION);
}

/*
 * Statements
 */

static const char *
quoted_column(const VkTarget *target, int column)
{
	return quote_identifier(NameStr(target->columns[column].name));
}

static bool
is_conflict_column(const VkTarget *target, int column)
{
	for (int i = 0; i < target->conflict_count; i++)
	{
		if (target->conflict[i] == column)
			return true;
	}
	return false;
}

static bool
has_column(const VkTarget *target, int column, uint64 present)
{
	int			optional = target->columns[column].optional;

	return optional < 0 || (present & (UINT64CONST(1) << optional)) != 0;
}

/* INSERT INTO t (a, b) SELECT a, b FROM vk_upserts ON CONFLICT (a) DO UPDATE SET b = excluded.b */
static char *
upsert_statement(const VkTarget *target, uint64 present)
{
	StringInfoData columns;
	StringInfoData conflict;
	StringInfoData updates;

	initStringInfo(&columns);
	initStringInfo(&conflict);
	initStringInfo(&updates);
	for (int i = 0; i < target->column_count; i++)
	{
		const char *name = quoted_column(target, i);

		if (!has_column(target, i, present))
			continue;
		appendStringInfo(&columns, "%s%s", columns.len ? ", " : "", name);
		if (is_conflict_column(target, i))
			appendStringInfo(&conflict, "%s%s", conflict.len ? ", " : "", name);
		else
			appendStringInfo(&updates, "%s%s = excluded.%s", updates.len ? ", " : "", name, name);
	}
	return psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM " UPSERTS_NAME " ON CONFLICT (%s) DO %s%s",
					target->name, columns.data, columns.data, conflict.data,
					updates.len ? "UPDATE SET " : "NOTHING", updates.data);
}

/* DELETE FROM t USING vk_deletes d WHERE t.a = d.a */
static char *
delete_statement(const VkTarget *target)
{
	StringInfoData condition;

	initStringInfo(&condition);
	for (int i = 0; i < target->permanent_count; i++)
	{
		const char *name = quoted_column(target, target->permanent[i]);

		appendStringInfo(&condition, "%st.%s %s d.%s", i ? " AND " : "", name,
						 target->columns[target->permanent[i]].equal_operator, name);
	}
	return psprintf("DELETE FROM %s t USING " DELETES_NAME " d WHERE %s RETURNING d." VK_MESSAGE_COLUMN, target->name, condition.data);
}

/* DELETE FROM t USING vk_foreign f WHERE t.a = f.a: whatever the other permanent columns are */
static char *
expel_statement(const VkTarget *target)
{
	StringInfoData condition;

	initStringInfo(&condition);
	for (int i = 0; i < target->key_count; i++)
	{
		const char *name = quoted_column(target, target->keys[i]);

		appendStringInfo(&condition, "%st.%s %s f.%s", i ? " AND " : "", name,
						 target->columns[target->keys[i]].equal_operator, name);
	}
	return psprintf("DELETE FROM %s t USING " FOREIGN_NAME " f WHERE %s RETURNING f." VK_MESSAGE_COLUMN, target->name, condition.data);
}

/*
 * Removes the row of a key from the partition it is in when the message puts
 * it into another: ON CONFLICT looks only into the one it goes to.
 */
static char *
move_statement(const VkTarget *target)
{
	StringInfoData condition;
	StringInfoData moved;

	initStringInfo(&condition);
	initStringInfo(&moved);
	for (int i = 0; i < target->conflict_count; i++)
	{
		const VkColumn *column = &target->columns[target->conflict[i]];
		const char *name = quoted_column(target, target->conflict[i]);

		if (column->is_key)
			appendStringInfo(&condition, "%st.%s %s u.%s", condition.len ? " AND " : "", name, column->equal_operator, name);
		else
			appendStringInfo(&moved, "%s(t.%s %s u.%s) IS NOT TRUE", moved.len ? " OR " : "", name, column->equal_operator, name);
	}
	return psprintf("DELETE FROM %s t USING " UPSERTS_NAME " u WHERE %s AND (%s)", target->name, condition.data, moved.data);
}

static SPIPlanPtr
prepare(const char *statement)
{
	MemoryContext old = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare(statement, 0, NULL);

	MemoryContextSwitchTo(old);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/*
 * Makes a tuplestore visible to statements under a name.  SPI keeps what it
 * knows of such names in the context that is current here, so that must live
 * as long as the connection.
 */
static void
name_store(VkApplier *applier, const char *name, Tuplestorestate *store, TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(applier->batch_context);
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = unconstify(char *, name);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = tuplestore_tuple_count(store);
	enr->reldata = store;
	(void) SPI_unregister_relation(name);
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation \"%s\"", name);
	MemoryContextSwitchTo(old);
}

/* Runs a statement fed from a store. */
static void
run(SPIPlanPtr plan)
{
	MemoryContext old = CurrentMemoryContext;
	int			code = SPI_execute_plan(plan, NULL, NULL, false, 0);

	MemoryContextSwitchTo(old);
	if (code < 0)
		elog(ERROR, "could not write to the target: %s", SPI_result_code_string(code));
}

/*
 * The same for a join of a store with the target.  It is planned once, maybe
 * while the table is still empty, and a plan that reads all of it would be
 * kept while the table grows: look rows up by the index, whatever it costs now.
 */
static void
run_join(SPIPlanPtr plan)
{
	int			guc_level = NewGUCNestLevel();

	SetConfigOption("enable_hashjoin", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("enable_mergejoin", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION);
	run(plan);
	AtEOXact_GUC(false, guc_level);
}

static UpsertGroup *
find_group(VkApplier *applier, uint64 present)
{
	UpsertGroup *group;

	for (int i = 0; i < MAX_GROUPS; i++)
	{
		if (applier->groups[i].upsert && applier->groups[i].present == present)
			return &applier->groups[i];
	}

	/*
	 * None that is in use in this range may go: then the caller flushes
	 * first.
	 */
	for (int tries = 0; tries < MAX_GROUPS; tries++)
	{
		group = &applier->groups[applier->next_group];
		applier->next_group = (applier->next_group + 1) % MAX_GROUPS;
		if (group->store)
			continue;
		if (group->upsert)
			SPI_freeplan(group->upsert);
		group->upsert = NULL;
		group->present = present;
		return group;
	}
	return NULL;
}

/* Writes what a group has collected. */
static void
flush_group(VkApplier *applier, UpsertGroup *group)
{
	name_store(applier, UPSERTS_NAME, group->store, applier->target->desc);
	if (applier->target->conflict_count > applier->target->key_count)
	{
		if (applier->move == NULL)
			applier->move = prepare(move_statement(applier->target));
		run_join(applier->move);
	}
	if (group->upsert == NULL)
		group->upsert = prepare(upsert_statement(applier->target, group->present));
	run(group->upsert);
	tuplestore_end(group->store);
	group->store = NULL;
}

static void
flush_groups(VkApplier *applier)
{
	for (int i = 0; i < MAX_GROUPS; i++)
	{
		if (applier->groups[i].store)
			flush_group(applier, &applier->groups[i]);
	}
}

static void
forget_stores(VkApplier *applier)
{
	for (int i = 0; i < MAX_GROUPS; i++)
		applier->groups[i].store = NULL;
}

/*
 * The last message of each key
 */

/* Open addressing; entries are 1 + the number of a row, 0 is free. */
typedef struct KeyTable
{
	uint32		mask;
	uint32	   *entries;
	uint32	   *hashes;			/* in step with entries */
	int		   *previous;		/* per row: another message of the same key
								 * that counts as well, or -1 */
	bool	   *dropped;		/* per row: a later message of the key counts */
	bool	   *late;			/* per row: a tombstone of what a row before
								 * it writes */
} KeyTable;

static uint32
hash_key(const VkTarget *target, const VkRow *row)
{
	uint32		hash = 0;

	for (int i = 0; i < target->key_count; i++)
	{
		const VkColumn *column = &target->columns[target->keys[i]];
		uint32		part = DatumGetUInt32(FunctionCall1Coll(unconstify(FmgrInfo *, &column->hash), column->collation,
															row->values[target->keys[i]]));

		hash = hash_combine(hash, part);
	}
	return murmurhash32(hash);
}

static bool
same_columns(const VkTarget *target, const int *columns, int count, const VkRow *a, const VkRow *b)
{
	for (int i = 0; i < count; i++)
	{
		const VkColumn *column = &target->columns[columns[i]];

		if (a->nulls[columns[i]] || b->nulls[columns[i]])
		{
			if (a->nulls[columns[i]] != b->nulls[columns[i]])
				return false;
		}
		else if (!DatumGetBool(FunctionCall2Coll(unconstify(FmgrInfo *, &column->equal), column->collation,
												 a->values[columns[i]], b->values[columns[i]])))
			return false;
	}
	return true;
}

/* Room for the key of a row: its own, or a free one. */
static uint32
find_entry(const VkApplier *applier, const KeyTable *table, const VkRow *row, uint32 hash)
{
	const VkTarget *target = applier->target;
	uint32		at = hash & table->mask;

	while (table->entries[at] != 0 &&
		   (table->hashes[at] != hash ||
			!same_columns(target, target->keys, target->key_count, &applier->rows[table->entries[at] - 1], row)))
		at = (at + 1) & table->mask;
	return at;
}

static void
enter_row(VkApplier *applier, KeyTable *table, int number)
{
	const VkTarget *target = applier->target;
	VkRow	   *row = &applier->rows[number];
	uint32		hash = hash_key(target, row);
	uint32		at = find_entry(applier, table, row, hash);
	int			before = (int) table->entries[at] - 1;

	table->previous[number] = -1;
	table->dropped[number] = false;
	table->late[number] = false;
	if (row->is_delete && before >= 0)
	{
		if (applier->rows[before].is_delete ? table->late[before] :
			!same_columns(target, target->permanent, target->permanent_count, row, &applier->rows[before]))
		{
			/* The row is gone by then, or is one that it does not name. */
			table->dropped[number] = true;
			return;
		}

		/*
		 * Tombstones may name different rows: each has its say.  One behind a
		 * row of its own does not undo it: the row replaces whatever had its
		 * key, and goes after that.
		 */
		table->late[number] = !applier->rows[before].is_delete;
		table->previous[number] = before;
	}
	else
		for (; before >= 0; before = table->previous[before])
			table->dropped[before] = true;
	table->hashes[at] = hash;
	table->entries[at] = number + 1;
}

static void
find_last_messages(VkApplier *applier, KeyTable *table, int first, int end)
{
	uint32		size = pg_nextpower2_32(Max((end - first) * 2, 16));

	table->mask = size - 1;
	table->entries = palloc0(sizeof(uint32) * size);
	table->hashes = palloc(sizeof(uint32) * size);
	table->previous = (int *) palloc(sizeof(int) * (end - first)) - first;
	table->dropped = (bool *) palloc(sizeof(bool) * (end - first)) - first;
	table->late = (bool *) palloc(sizeof(bool) * (end - first)) - first;
	for (int i = first; i < end; i++)
	{
		if (applier->failed[i])
			table->dropped[i] = true;
		else
			enter_row(applier, table, i);
	}
}

/*
 * Ranges of messages
 */

/* Some columns of a row, and the number of its message. */
static void
put_columns(Tuplestorestate *store, TupleDesc desc, const int *columns, int count, const VkRow *row, int message)
{
	Datum		values[INDEX_MAX_KEYS + 1];
	bool		nulls[INDEX_MAX_KEYS + 1] = {false};

	for (int i = 0; i < count; i++)
	{
		values[i] = row->values[columns[i]];
		nulls[i] = row->nulls[columns[i]];
	}
	values[count] = Int32GetDatum(message);
	tuplestore_putvalues(store, desc, values, nulls);
}

/* Runs a statement that returns the numbers of the messages it has removed a row for. */
static void
run_removal(VkApplier *applier, SPIPlanPtr plan)
{
	run_join(plan);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		message = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		applier->result->outcomes[DatumGetInt32(message)] = VK_OUTCOME_DELETED;
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
apply_deletes(VkApplier *applier, const KeyTable *table, int first, int end, bool late)
{
	const VkTarget *target = applier->target;
	Tuplestorestate *store = NULL;

	for (int i = first; i < end; i++)
	{
		if (table->dropped[i] || !applier->rows[i].is_delete || applier->rows[i].is_foreign || table->late[i] != late)
			continue;
		if (store == NULL)
			store = tuplestore_begin_heap(false, false, STORE_KBYTES);
		put_columns(store, target->delete_desc, target->permanent, target->permanent_count, &applier->rows[i], i);
	}
	if (store == NULL)
		return;
	name_store(applier, DELETES_NAME, store, target->delete_desc);
	if (applier->delete == NULL)
		applier->delete = prepare(delete_statement(target));
	run_removal(applier, applier->delete);
	tuplestore_end(store);
}

static void
expel_rows(VkApplier *applier, const KeyTable *table, int first, int end)
{
	const VkTarget *target = applier->target;
	Tuplestorestate *store = NULL;

	for (int i = first; i < end; i++)
	{
		const VkRow *row = &applier->rows[i];

		if (table->dropped[i] || row->is_delete || !row->is_foreign)
			continue;
		if (store == NULL)
			store = tuplestore_begin_heap(false, false, STORE_KBYTES);
		put_columns(store, target->foreign_desc, target->keys, target->key_count, row, i);
	}
	if (store == NULL)
		return;
	name_store(applier, FOREIGN_NAME, store, target->foreign_desc);
	if (applier->expel == NULL)
		applier->expel = prepare(expel_statement(target));
	run_removal(applier, applier->expel);
	tuplestore_end(store);
}

static void
apply_upserts(VkApplier *applier, const KeyTable *table, int first, int end)
{
	const VkTarget *target = applier->target;

	for (int i = first; i < end; i++)
	{
		VkRow	   *row = &applier->rows[i];
		UpsertGroup *group;

		if (table->dropped[i] || row->is_delete || row->is_foreign)
			continue;
		group = find_group(applier, row->present);
		if (group == NULL)
		{
			flush_groups(applier);
			group = find_group(applier, row->present);
		}
		if (group->store == NULL)
			group->store = tuplestore_begin_heap(false, false, STORE_KBYTES);
		tuplestore_putvalues(group->store, target->desc, row->values, row->nulls);
		applier->result->outcomes[i] = VK_OUTCOME_UPSERTED;
	}
	flush_groups(applier);
}

/* Deletes first, so that a value a deleted row holds in a further unique index is free; late ones last. */
static void
apply_range(VkApplier *applier, int first, int end)
{
	MemoryContext range_context = AllocSetContextCreate(CurrentMemoryContext, "vektonn apply", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(range_context);
	KeyTable	table;

	forget_stores(applier);
	find_last_messages(applier, &table, first, end);
	apply_deletes(applier, &table, first, end, false);
	expel_rows(applier, &table, first, end);
	apply_upserts(applier, &table, first, end);
	apply_deletes(applier, &table, first, end, true);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(range_context);
}

static void
add_failure(VkApplier *applier, int message, const VkProblem *problem)
{
	VkFailure  *failure = &applier->result->failures[applier->result->failure_count++];

	applier->failed[message] = true;
	failure->message = message;
	failure->problem = *problem;
}

static void
problem_of_error(const ErrorData *error, VkProblem *problem)
{
	strlcpy(problem->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(problem->sqlstate));
	strlcpy(problem->text, error->message ? error->message : "unknown error", sizeof(problem->text));
}

typedef void (*RangeCallback) (VkApplier *applier, int first, int end);

typedef struct RangeCall
{
	VkApplier  *applier;
	RangeCallback callback;
	int			first;
	int			end;
} RangeCall;

static void
call_range(void *arg)
{
	RangeCall  *call = arg;

	call->callback(call->applier, call->first, call->end);
}

/*
 * Does something in a subtransaction.  False when a row error undid it;
 * others are raised.  State of the caller is restored either way.
 */
static bool
in_subtransaction(VkApplier *applier, RangeCallback callback, int first, int end, VkProblem *problem)
{
	RangeCall	call = {applier, callback, first, end};
	int			failures_before = applier->result->failure_count;
	ErrorData  *error;
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	error = vk_in_subtransaction(call_range, &call);
	if (error != NULL)
	{
		forget_stores(applier);
		if (!vk_is_row_error(error->sqlerrcode))
			ReThrowError(error);
		problem_of_error(error, problem);
		FreeErrorData(error);
		applier->result->failure_count = failures_before;
		memset(applier->result->outcomes + first, VK_OUTCOME_NOTHING, end - first);
	}
	SetUserIdAndSecContext(user, security);
	return error == NULL;
}

/* Applies a range whatever is in it: what cannot be applied becomes failures. */
static void
apply_carefully(VkApplier *applier, int first, int end)
{
	VkProblem	problem;
	int			middle = first + (end - first) / 2;

	CHECK_FOR_INTERRUPTS();
	if (first == end || in_subtransaction(applier, apply_range, first, end, &problem))
		return;
	if (end - first == 1)
	{
		add_failure(applier, first, &problem);
		return;
	}
	apply_carefully(applier, first, middle);
	apply_carefully(applier, middle, end);
}

/*
 * Decoding
 */

/* What another shard cannot read either is a dead letter there. */
static void
add_decode_failure(VkApplier *applier, int message, const VkProblem *problem)
{
	if (applier->rows[message].is_foreign)
		applier->failed[message] = true;
	else
		add_failure(applier, message, problem);
}

static void
decode_one(VkApplier *applier, int first, int end)
{
	VkProblem	problem;

	if (!vk_sink_decode(applier->sink, &applier->messages[first], &applier->rows[first], &problem))
		add_decode_failure(applier, first, &problem);
}

static void
decode_range(VkApplier *applier, int first, int end)
{
	for (int i = first; i < end; i++)
		decode_one(applier, i, i + 1);
}

/*
 * All rows of the batch.  Where input functions may raise errors this happens
 * in a subtransaction, and when one does, in one per message.
 */
static void
decode_all(VkApplier *applier, int count)
{
	VkProblem	problem;

	if (!applier->target->may_raise)
	{
		decode_range(applier, 0, count);
		return;
	}
	if (in_subtransaction(applier, decode_range, 0, count, &problem))
		return;
	memset(applier->failed, 0, sizeof(bool) * count);
	for (int i = 0; i < count; i++)
	{
		if (!in_subtransaction(applier, decode_one, i, i + 1, &problem))
			add_decode_failure(applier, i, &problem);
	}
}

static int
compare_failures(const void *a, const void *b)
{
	return ((const VkFailure *) a)->message - ((const VkFailure *) b)->message;
}

static void
make_constraints_immediate(void)
{
	MemoryContext old = CurrentMemoryContext;

	if (SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not make constraints immediate");
	MemoryContextSwitchTo(old);
}

void
vk_apply(VkApplier *applier, const VkMessage *messages, int count, VkApplyMode mode, VkApplyResult *result)
{
	Oid			user;
	int			security;
	int			guc_level = NewGUCNestLevel();

	memset(result, 0, sizeof(*result));
	result->outcomes = palloc0(Max(count, 1));
	result->failures = palloc(sizeof(VkFailure) * Max(count, 1));
	applier->batch_context = CurrentMemoryContext;
	applier->messages = messages;
	applier->rows = palloc0(sizeof(VkRow) * Max(count, 1));
	applier->failed = palloc0(sizeof(bool) * Max(count, 1));
	applier->result = result;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(applier->target->owner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	make_constraints_immediate();
	decode_all(applier, count);
	if (mode == VK_APPLY_FAST)
		apply_range(applier, 0, count);
	else
		apply_carefully(applier, 0, count);
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, security);

	qsort(result->failures, result->failure_count, sizeof(VkFailure), compare_failures);
}
