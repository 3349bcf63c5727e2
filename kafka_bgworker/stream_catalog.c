/*-------------------------------------------------------------------------
 *
 * stream_catalog.c
 *	  What a worker reads from and writes to the tables of streams.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/stream_catalog.h"

#define DEFAULT_BATCH_MESSAGES	5000
#define DEFAULT_MAX_ERROR_RATE	"0.9"
#define MAX_STREAM_EVENTS		"1000"

/*
 * Runs a statement with parameters; expected: the result code it must have.
 * SPI leaves its own memory context behind as the current one: what outlives
 * the transaction is made in the caller's.
 */
static void
execute(const char *statement, int count, Oid *types, Datum *values, const char *nulls, int expected)
{
	MemoryContext old = CurrentMemoryContext;
	int			code = SPI_execute_with_args(statement, count, types, values, nulls, false, 0);

	MemoryContextSwitchTo(old);
	if (code != expected)
		elog(ERROR, "\"%s\" ended with %s", statement, SPI_result_code_string(code));
}

/* The same, planned once. */
static void
execute_kept(SPIPlanPtr *plan, const char *statement, int count, Oid *types, Datum *values, const char *nulls, int expected)
{
	MemoryContext old = CurrentMemoryContext;
	int			code;

	if (*plan == NULL)
	{
		*plan = SPI_prepare(statement, count, types);
		if (*plan == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
		SPI_keepplan(*plan);
	}
	code = SPI_execute_plan(*plan, values, nulls, false, 0);
	MemoryContextSwitchTo(old);
	if (code != expected)
		elog(ERROR, "\"%s\" ended with %s", statement, SPI_result_code_string(code));
}

static Datum
column(uint64 row, int number, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, isnull);
}

static int64
column_int64(uint64 row, int number, int64 if_null)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);

	return isnull ? if_null : DatumGetInt64(value);
}

static int32
column_int32(uint64 row, int number)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static double
column_float8(uint64 row, int number)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);

	return isnull ? 0 : DatumGetFloat8(value);
}

static bool
column_bool(uint64 row, int number)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);

	return !isnull && DatumGetBool(value);
}

static char *
column_text(uint64 row, int number)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number);
}

/* The strings of a text[] column; NULL when it is null. */
static char **
column_names(uint64 row, int number, int *count)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);
	Datum	   *elements;
	bool	   *nulls;
	char	  **names;

	*count = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, count);
	names = palloc0(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		names[i] = nulls[i] ? pstrdup("") : TextDatumGetCString(elements[i]);
	return names;
}

/* Results of SPI die with the connection: those that stay are made in the caller's context. */
static VkStream *
stream_of_row(void)
{
	VkStream   *stream = palloc0(sizeof(VkStream));
	char	   *format = column_text(0, 6);

	stream->stream_id = column_int64(0, 1, 0);
	stream->generation = column_int64(0, 2, 0);
	stream->target = (Oid) column_int64(0, 3, 0);
	stream->server = column_text(0, 4);
	stream->topic = column_text(0, 5);
	stream->format = vk_message_format(format);
	if (stream->format == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("message format \"%s\" is not known", format)));
	stream->key_columns = column_names(0, 7, &stream->key_count);
	stream->start = column_text(0, 8);
	stream->stop_on_error = column_bool(0, 9);
	stream->workers = column_int32(0, 10);
	stream->loading = column_bool(0, 11);
	stream->permanent_columns = column_names(0, 12, &stream->permanent_count);
	stream->columns = column_names(0, 13, &stream->column_count);
	stream->vector_column = column_text(0, 14);
	stream->unknown_is_error = column_bool(0, 15);
	stream->batch_messages = column_int32(0, 16);
	if (stream->batch_messages <= 0)
		stream->batch_messages = DEFAULT_BATCH_MESSAGES;
	stream->name = column_text(0, 17);
	stream->fingerprint = column_text(0, 18);
	stream->max_error_rate = column_float8(0, 20);
	stream->shard_constraint = column_text(0, 19);
	stream->group = psprintf("vektonn." UINT64_FORMAT ".%u.%s", GetSystemIdentifier(), MyDatabaseId, stream->name);
	return stream;
}

VkStream *
vk_stream_read(int64 stream_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(stream_id)};

	execute("SELECT stream_id, generation, target::oid::int8, server::text, topic, format, key_columns, start,"
			" on_error = 'stop', workers, loading,"
			" CASE WHEN options ? 'permanent_columns' THEN ARRAY(SELECT jsonb_array_elements_text(options -> 'permanent_columns')) END,"
			" CASE WHEN options ? 'columns' THEN ARRAY(SELECT jsonb_array_elements_text(options -> 'columns')) END,"
			" options ->> 'vector_column', options ->> 'unknown_fields' = 'error', (options ->> 'batch_messages')::int,"
			" stream_name, md5(ROW(target::oid, server, topic, format, key_columns, start, on_error, workers, loading, options, stream_name,"
			"  ARRAY(SELECT (a.attname, a.atttypid, a.atttypmod, a.atthasdef, a.attgenerated) FROM pg_catalog.pg_attribute a"
			"   WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),"
			"  (SELECT (f.oid, f.srvoptions) FROM pg_catalog.pg_foreign_server f WHERE f.srvname = server),"
			"  ARRAY(SELECT (m.umuser, m.umoptions)::text FROM pg_catalog.pg_user_mapping m, pg_catalog.pg_foreign_server f"
			"   WHERE f.srvname = server AND m.umserver = f.oid ORDER BY m.umuser))::text),"
			" options ->> 'shard_constraint', coalesce((options ->> 'max_error_rate')::float8, " DEFAULT_MAX_ERROR_RATE ")"
			" FROM vektonn.stream WHERE stream_id = $1 AND enabled AND home = vektonn._database_identity()",
			1, types, values, NULL, SPI_OK_SELECT);
	return SPI_processed == 1 ? stream_of_row() : NULL;
}

VkTarget *
vk_stream_target(const VkStream *stream)
{
	VkTarget   *target = vk_target_open(stream->target, (const char *const *) stream->key_columns, stream->key_count,
										(const char *const *) stream->permanent_columns, stream->permanent_count,
										(const char *const *) stream->columns, stream->column_count,
										stream->vector_column, stream->unknown_is_error);

	if (stream->shard_constraint)
		vk_target_set_shard(target, stream->shard_constraint);
	return target;
}

/*
 * Partitions
 */

VkPartition *
vk_stream_read_partitions(const VkStream *stream, int worker, int *count)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(stream->workers), Int32GetDatum(worker)};
	VkPartition *partitions;

	execute("SELECT partition, next_offset, seek, load_until, message_time, suspect, suspect_count, starts FROM vektonn.stream_offset"
			" WHERE stream_id = $1 AND partition % $2 = $3 ORDER BY partition",
			lengthof(types), types, values, NULL, SPI_OK_SELECT);
	*count = (int) SPI_processed;
	partitions = palloc0(sizeof(VkPartition) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		VkPartition *partition = &partitions[i];
		char	   *seek = column_text(i, 3);

		partition->partition = column_int32(i, 1);
		partition->next_offset = column_int64(i, 2, -1);
		partition->position = partition->next_offset;
		if (seek)
			strlcpy(partition->seek, seek, sizeof(partition->seek));
		partition->load_until = column_int64(i, 4, -1);
		partition->message_time = (TimestampTz) column_int64(i, 5, 0);
		partition->suspect = column_int64(i, 6, -1);
		partition->suspect_count = column_int32(i, 7);
		partition->starts = column_int32(i, 8);
	}
	return partitions;
}

void
vk_stream_add_partitions(const VkStream *stream, int worker, int partition_count)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID, INT4OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(stream->workers), Int32GetDatum(worker),
	Int32GetDatum(partition_count)};

	/*
	 * A partition that came later is read from its beginning, or what came
	 * before us would be lost.
	 */
	execute("INSERT INTO vektonn.stream_offset (stream_id, partition, seek)"
			" SELECT s.stream_id, p, CASE WHEN EXISTS (SELECT FROM vektonn.stream_offset o"
			"   WHERE o.stream_id = s.stream_id AND o.next_offset IS NOT NULL) THEN 'earliest' ELSE s.start END"
			" FROM vektonn.stream s, generate_series(0, $4 - 1) p WHERE s.stream_id = $1 AND p % $2 = $3"
			" ON CONFLICT DO NOTHING",
			lengthof(types), types, values, NULL, SPI_OK_INSERT);
}

bool
vk_stream_resolve_seek(const VkStream *stream, VkPartition *partition, int64 offset)
{
	Oid			types[] = {INT8OID, INT4OID, INT8OID, TEXTOID, INT8OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(partition->partition), Int64GetDatum(offset),
	CStringGetTextDatum(partition->seek), Int64GetDatum(partition->next_offset)};

	execute("UPDATE vektonn.stream_offset SET next_offset = $3, seek = NULL, message_time = NULL, suspect = NULL, suspect_count = 0"
			" WHERE stream_id = $1 AND partition = $2 AND seek = $4 AND coalesce(next_offset, -1) = $5",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
	return SPI_processed == 1;
}

#define MOVE_COLUMNS	8

/* Arrays of what moved, one element per partition. */
typedef struct Moves
{
	int			count;
	Datum	   *columns[MOVE_COLUMNS];
	bool	   *time_nulls;
} Moves;

static Moves *
collect_moves(VkPartition *partitions, int count)
{
	Moves	   *moves = palloc0(sizeof(Moves));

	for (int i = 0; i < MOVE_COLUMNS; i++)
		moves->columns[i] = palloc(sizeof(Datum) * Max(count, 1));
	moves->time_nulls = palloc(sizeof(bool) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		VkPartition *partition = &partitions[i];
		int			n = moves->count;

		if (partition->batch_end == partition->next_offset || partition->seek[0] != '\0')
			continue;
		moves->columns[0][n] = Int32GetDatum(partition->partition);
		moves->columns[1][n] = Int64GetDatum(partition->next_offset);
		moves->columns[2][n] = Int64GetDatum(partition->batch_end);
		moves->columns[3][n] = TimestampTzGetDatum(partition->batch_time);
		moves->time_nulls[n] = partition->batch_time == 0;
		moves->columns[4][n] = Int64GetDatum(partition->upserted);
		moves->columns[5][n] = Int64GetDatum(partition->deleted);
		moves->columns[6][n] = Int64GetDatum(partition->dead_letters);
		moves->columns[7][n] = Int64GetDatum(partition->cautious > 0 ? partition->starts : 0);
		moves->count++;
	}
	return moves;
}

/*
 * The compare-and-set that makes a batch ours: it fails, and with it the
 * transaction, when another worker, a seek or a pause was there first.
 */
bool
vk_stream_advance(const VkStream *stream, VkPartition *partitions, int count)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID, INT8OID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID,
	INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID};
	Datum		values[lengthof(types)];
	Moves	   *moves = collect_moves(partitions, count);
	int			lower = 1;

	if (moves->count == 0)
		return true;
	values[0] = Int64GetDatum(stream->stream_id);
	values[1] = Int64GetDatum(stream->generation);
	for (int i = 0; i < MOVE_COLUMNS; i++)
	{
		Oid			element = i == 0 ? INT4OID : i == 3 ? TIMESTAMPTZOID : INT8OID;
		ArrayType  *array = construct_md_array(moves->columns[i], i == 3 ? moves->time_nulls : NULL, 1, &moves->count, &lower,
											   element, i == 0 ? 4 : 8, i == 0 ? true : FLOAT8PASSBYVAL,
											   i == 0 ? TYPALIGN_INT : TYPALIGN_DOUBLE);

		values[2 + i] = PointerGetDatum(array);
	}
	execute_kept(&plan,
				 "UPDATE vektonn.stream_offset o SET next_offset = m.goal, message_time = coalesce(m.message_time, o.message_time),"
				 " upserted = o.upserted + m.upserted, deleted = o.deleted + m.deleted,"
				 " dead_letters = o.dead_letters + m.dead_letters, starts = m.starts"
				 " FROM unnest($3, $4, $5, $6, $7, $8, $9, $10) m (partition, expected, goal, message_time, upserted, deleted, dead_letters, starts)"
				 " WHERE o.stream_id = $1 AND o.partition = m.partition AND o.next_offset = m.expected AND o.seek IS NULL"
				 " AND EXISTS (SELECT FROM vektonn.stream s WHERE s.stream_id = $1 AND s.generation = $2 AND s.enabled)",
				 lengthof(types), types, values, NULL, SPI_OK_UPDATE);
	return SPI_processed == (uint64) moves->count;
}

void
vk_stream_set_seek(const VkStream *stream, int32 partition, const char *seek)
{
	Oid			types[] = {INT8OID, INT4OID, TEXTOID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(partition), CStringGetTextDatum(seek)};

	execute("UPDATE vektonn.stream_offset SET seek = $3 WHERE stream_id = $1 AND partition = $2 AND seek IS NULL",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

void
vk_stream_set_load_until(const VkStream *stream, int32 partition, int64 offset)
{
	Oid			types[] = {INT8OID, INT4OID, INT8OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(partition), Int64GetDatum(offset)};

	execute("UPDATE vektonn.stream_offset SET load_until = $3 WHERE stream_id = $1 AND partition = $2",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

/* These columns are the workers' own: the trigger that wakes the launcher must not fire for them. */
static void
update_stream(const char *statement, int count, Oid *types, Datum *values)
{
	int			guc_level = NewGUCNestLevel();

	SetConfigOption("session_replication_role", "replica", PGC_SUSET, PGC_S_SESSION);
	execute(statement, count, types, values, NULL, SPI_OK_UPDATE);
	AtEOXact_GUC(false, guc_level);
}

void
vk_stream_count_start(const VkStream *stream, int worker)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(stream->workers), Int32GetDatum(worker)};

	execute("UPDATE vektonn.stream_offset SET starts = starts + 1 WHERE stream_id = $1 AND partition % $2 = $3",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

void
vk_stream_forget_starts(const VkStream *stream, int worker)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(stream->workers), Int32GetDatum(worker)};

	execute("UPDATE vektonn.stream_offset SET starts = 0 WHERE stream_id = $1 AND partition % $2 = $3 AND starts > 0",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

void
vk_stream_set_suspect(const VkStream *stream, int32 partition, int64 offset, int count)
{
	Oid			types[] = {INT8OID, INT4OID, INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(partition), Int64GetDatum(offset), Int32GetDatum(count)};
	char		nulls[] = {' ', ' ', offset < 0 ? 'n' : ' ', ' '};

	execute("UPDATE vektonn.stream_offset SET suspect = $3, suspect_count = $4 WHERE stream_id = $1 AND partition = $2",
			lengthof(types), types, values, nulls, SPI_OK_UPDATE);
}

void
vk_stream_add_event(int64 stream_id, const char *kind, const char *detail)
{
	Oid			types[] = {INT8OID, TEXTOID, TEXTOID};
	Datum		values[] = {Int64GetDatum(stream_id), CStringGetTextDatum(kind), CStringGetTextDatum(detail ? detail : "")};
	char		nulls[] = {' ', ' ', detail ? ' ' : 'n'};

	execute("SELECT vektonn._stream_event($1, $2, $3)", lengthof(types), types, values, nulls, SPI_OK_SELECT);
}

/*
 * First load
 */

/* Whether every partition of the stream, also of other workers, has come to where it was at the start of the load. */
bool
vk_stream_loaded(const VkStream *stream, int topic_partitions)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id)};

	execute("SELECT count(*) FROM vektonn.stream_offset WHERE stream_id = $1 AND seek IS NULL AND next_offset >= load_until",
			lengthof(types), types, values, NULL, SPI_OK_SELECT);
	return column_int64(0, 1, 0) >= topic_partitions;
}

/*
 * Makes the vektonn indexes of the target wait: not ready for inserts and not
 * valid, as CREATE INDEX CONCURRENTLY leaves them between its phases.  REINDEX
 * makes them what they were.
 */
void
vk_stream_prepare_load(const VkStream *stream)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(stream->target)};

	execute("UPDATE pg_catalog.pg_index i SET indisready = false, indisvalid = false"
			" FROM pg_catalog.pg_class c, pg_catalog.pg_am a"
			" WHERE i.indrelid = $1 AND i.indisready AND c.oid = i.indexrelid AND c.relkind = 'i' AND a.oid = c.relam AND a.amname = 'vektonn'",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

void
vk_stream_finish_load(const VkStream *stream)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(stream->target)};
	Oid			stream_types[] = {INT8OID};
	Datum		stream_values[] = {Int64GetDatum(stream->stream_id)};

	/* The first worker to come here builds them; others find it done. */
	execute("SELECT FROM vektonn.stream WHERE stream_id = $1 AND loading FOR NO KEY UPDATE",
			lengthof(stream_types), stream_types, stream_values, NULL, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return;
	execute("SELECT vektonn._build_indexes($1::pg_catalog.regclass)", lengthof(types), types, values, NULL, SPI_OK_SELECT);
	update_stream("UPDATE vektonn.stream SET loading = false WHERE stream_id = $1", lengthof(stream_types), stream_types, stream_values);
}

/*
 * Dead letters
 */

static Datum
bytea_datum(const char *data, size_t len, char *null)
{
	bytea	   *value;

	*null = data ? ' ' : 'n';
	if (data == NULL)
		return (Datum) 0;
	value = palloc(len + VARHDRSZ);
	SET_VARSIZE(value, len + VARHDRSZ);
	memcpy(VARDATA(value), data, len);
	return PointerGetDatum(value);
}

static TimestampTz
message_time(const VkMessage *message)
{
	if (message->time_ms < 0)
		return 0;
	return (message->time_ms - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000) * 1000;
}

void
vk_dead_letter_add(const VkStream *stream, const VkMessage *message, const VkProblem *problem)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID, INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID, BYTEAOID, BYTEAOID, TEXTOID, TEXTOID};
	char		nulls[] = {' ', ' ', ' ', ' ', message->time_ms < 0 ? 'n' : ' ', ' ', ' ', ' ', ' '};
	Datum		values[9];

	values[0] = Int64GetDatum(stream->stream_id);
	values[1] = Int32GetDatum(message->partition);
	values[2] = Int64GetDatum(message->offset);
	values[3] = CStringGetTextDatum(stream->topic);
	values[4] = TimestampTzGetDatum(message_time(message));
	values[5] = bytea_datum(message->key, message->key_len, &nulls[5]);
	values[6] = bytea_datum(message->value, message->value_len, &nulls[6]);
	values[7] = CStringGetTextDatum(problem->sqlstate);
	values[8] = CStringGetTextDatum(problem->text);
	execute_kept(&plan,
				 "INSERT INTO vektonn.dead_letter (stream_id, partition, \"offset\", topic, message_time, key, value, sqlstate, error)"
				 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
				 " ON CONFLICT (stream_id, partition, \"offset\") DO UPDATE SET topic = excluded.topic, message_time = excluded.message_time,"
				 " key = excluded.key, value = excluded.value, sqlstate = excluded.sqlstate, error = excluded.error,"
				 " attempts = dead_letter.attempts + 1, superseded = false, retry = false",
				 lengthof(types), types, values, nulls, SPI_OK_INSERT);
}

bool
vk_dead_letters_exist(const VkStream *stream)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id)};

	execute_kept(&plan, "SELECT FROM vektonn.dead_letter WHERE stream_id = $1 AND NOT superseded LIMIT 1",
				 lengthof(types), types, values, NULL, SPI_OK_SELECT);
	return SPI_processed > 0;
}

/* Marks the dead letters whose key one of these messages has: the later message counts. */
void
vk_dead_letters_supersede(const VkStream *stream, const VkMessage *messages, int count)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID, BYTEAARRAYOID};
	Datum		values[2];
	Datum	   *keys = palloc(sizeof(Datum) * Max(count, 1));
	int			key_count = 0;

	for (int i = 0; i < count; i++)
	{
		char		null;

		if (messages[i].key)
			keys[key_count++] = bytea_datum(messages[i].key, messages[i].key_len, &null);
	}
	values[0] = Int64GetDatum(stream->stream_id);
	values[1] = PointerGetDatum(construct_array(keys, key_count, BYTEAOID, -1, false, TYPALIGN_INT));
	execute_kept(&plan, "UPDATE vektonn.dead_letter SET superseded = true WHERE stream_id = $1 AND NOT superseded AND key = ANY ($2)",
				 lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}

static const char *
column_bytes(uint64 row, int number, size_t *len)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);
	bytea	   *bytes;

	*len = 0;
	if (isnull)
		return NULL;
	bytes = DatumGetByteaPCopy(value);
	*len = VARSIZE_ANY_EXHDR(bytes);
	return VARDATA_ANY(bytes);
}

/* Dead letters somebody wants tried again, as messages; superseded ones have nothing to do and go at once. */
VkMessage *
vk_dead_letters_to_retry(const VkStream *stream, int worker, int limit, int *count)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID, INT4OID};
	Datum		values[] = {Int64GetDatum(stream->stream_id), Int32GetDatum(stream->workers), Int32GetDatum(worker), Int32GetDatum(limit)};
	VkMessage  *messages;

	execute("DELETE FROM vektonn.dead_letter WHERE stream_id = $1 AND partition % $2 = $3 AND retry AND superseded",
			3, types, values, NULL, SPI_OK_DELETE);
	execute("SELECT partition, \"offset\", key, value FROM vektonn.dead_letter WHERE stream_id = $1 AND partition % $2 = $3 AND retry"
			" ORDER BY message_time, partition, \"offset\" LIMIT $4 FOR UPDATE",
			lengthof(types), types, values, NULL, SPI_OK_SELECT);
	*count = (int) SPI_processed;
	messages = palloc0(sizeof(VkMessage) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		messages[i].partition = column_int32(i, 1);
		messages[i].offset = column_int64(i, 2, 0);
		messages[i].time_ms = -1;
		messages[i].key = column_bytes(i, 3, &messages[i].key_len);
		messages[i].value = column_bytes(i, 4, &messages[i].value_len);
	}
	return messages;
}

/* What a retry led to: without a problem the dead letter goes. */
void
vk_dead_letter_done(const VkStream *stream, const VkMessage *message, const VkProblem *problem)
{
	Oid			types[] = {INT8OID, INT4OID, INT8OID, TEXTOID, TEXTOID};
	Datum		values[5] = {Int64GetDatum(stream->stream_id), Int32GetDatum(message->partition), Int64GetDatum(message->offset)};

	if (problem == NULL)
	{
		execute("DELETE FROM vektonn.dead_letter WHERE stream_id = $1 AND partition = $2 AND \"offset\" = $3",
				3, types, values, NULL, SPI_OK_DELETE);
		return;
	}
	values[3] = CStringGetTextDatum(problem->sqlstate);
	values[4] = CStringGetTextDatum(problem->text);
	execute("UPDATE vektonn.dead_letter SET attempts = attempts + 1, retry = false, sqlstate = $4, error = $5"
			" WHERE stream_id = $1 AND partition = $2 AND \"offset\" = $3",
			lengthof(types), types, values, NULL, SPI_OK_UPDATE);
}
