/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  The worker that produces what transactions have put into vektonn.outbox.
 *
 * One per database, started by the launcher when there is something to send;
 * a commit that adds to the outbox sets its latch.  It reads rows in the
 * order their transactions committed, produces them, and deletes them in the
 * transaction that read them.  When it dies in between they are produced
 * again: messages arrive at least once, and in order per key.
 *
 * A topic that cannot be reached is left alone for a while and its rows keep
 * their order; others go on.  A message no broker will ever take is set aside
 * with its error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/kafka_options.h"
#include "kafka_bgworker/producer.h"
#include "kafka_bgworker/worker_shmem.h"

#define BATCH_ROWS			1000
#define PRODUCE_TIMEOUT_MS	10000
#define FIRST_RETRY_MS		500
#define LONGEST_RETRY_MS	30000
#define IDLE_NAP_MS			60000
#define MAX_BLOCKED_TOPICS	64

/* A topic that is left alone until retry_at. */
typedef struct BlockedTopic
{
	char		server[NAMEDATALEN];
	char		topic[256];
	int			failures;
	bool		one_by_one;		/* looking for the message that is refused */
	TimestampTz retry_at;
} BlockedTopic;

/* Rows of one topic and owner, next to each other in the order of sending. */
typedef struct OutboxBatch
{
	char	   *server;
	char	   *topic;
	Oid			owner;
	int			count;
	int64	   *ids;
	VkBytes    *keys;
	VkBytes    *values;
} OutboxBatch;

static VkStreamSlot *slot;
static BlockedTopic blocked[MAX_BLOCKED_TOPICS];
static int	blocked_count;

PGDLLEXPORT void vk_outbox_main(Datum arg);

/* Runs last, because it is registered first: librdkafka's threads are left as they are. */
static void
outbox_last_exit(int code, Datum arg)
{
	_exit(code);
}

static void
outbox_detach(int code, Datum arg)
{
	VkStreamShmem *shmem = vk_stream_shmem();

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	slot->pid = 0;
	slot->latch = NULL;
	if (shmem->launcher_latch)
		SetLatch(shmem->launcher_latch);
	LWLockRelease(shmem->lock);
}

/* Takes the slot this worker was launched for, or ends when it is not its any more. */
static void
outbox_attach(void)
{
	VkWorkerArgs args;
	VkStreamShmem *shmem = vk_stream_shmem();
	bool		ours;

	if (shmem == NULL)
		proc_exit(0);
	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	slot = &shmem->slots[args.slot];
	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	ours = slot->in_use && slot->wanted && slot->launch == args.launch && slot->pid == 0;
	if (ours)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->failures = 0;
		slot->state = VK_STATE_RUNNING;
	}
	LWLockRelease(shmem->lock);
	if (!ours)
		proc_exit(0);
	before_shmem_exit(outbox_detach, (Datum) 0);
}

static void
outbox_begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
outbox_commit(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static BlockedTopic *
blocked_find(const char *server, const char *topic)
{
	for (int i = 0; i < blocked_count; i++)
		if (strcmp(blocked[i].server, server) == 0 && strcmp(blocked[i].topic, topic) == 0)
			return &blocked[i];
	return NULL;
}

static void
blocked_remove(BlockedTopic *topic)
{
	*topic = blocked[--blocked_count];
}

/* Two arrays, of servers and topics, that are to be left alone now. */
static void
blocked_arrays(Datum *servers, Datum *topics)
{
	Datum		server_texts[MAX_BLOCKED_TOPICS];
	Datum		topic_texts[MAX_BLOCKED_TOPICS];
	TimestampTz now = GetCurrentTimestamp();
	int			count = 0;

	for (int i = 0; i < blocked_count; i++)
	{
		if (blocked[i].retry_at <= now)
			continue;
		server_texts[count] = CStringGetTextDatum(blocked[i].server);
		topic_texts[count++] = CStringGetTextDatum(blocked[i].topic);
	}
	*servers = PointerGetDatum(construct_array(server_texts, count, TEXTOID, -1, false, TYPALIGN_INT));
	*topics = PointerGetDatum(construct_array(topic_texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
row_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

static VkBytes
row_bytes(uint64 row, int column)
{
	bool		isnull;
	Datum		value = row_value(row, column, &isnull);
	VkBytes		bytes = {NULL, 0};

	if (!isnull)
	{
		bytea	   *data = DatumGetByteaPP(value);

		bytes.data = VARDATA_ANY(data);
		bytes.length = VARSIZE_ANY_EXHDR(data);
	}
	return bytes;
}

/*
 * Reads what comes next: rows of one topic and owner, as they follow each
 * other; of a suspected topic, one.  False when there is nothing.
 */
static bool
outbox_read(OutboxBatch *batch, MemoryContext context)
{
	Oid			types[3] = {TEXTARRAYOID, TEXTARRAYOID, INT4OID};
	Datum		values[3];
	bool		isnull;
	BlockedTopic *topic;
	int			limit;

	blocked_arrays(&values[0], &values[1]);
	values[2] = Int32GetDatum(BATCH_ROWS);
	if (SPI_execute_with_args("SELECT o.outbox_id, o.server::text, o.topic, o.owner::oid, o.key, o.value"
							  " FROM vektonn.outbox o JOIN vektonn.outbox_commit c USING (xid)"
							  " WHERE o.error_code IS NULL AND o.home = vektonn._database_identity()"
							  " AND NOT EXISTS (SELECT FROM unnest($1, $2) b (server, topic)"
							  " WHERE b.server = o.server AND b.topic = o.topic)"
							  " ORDER BY c.commit_number, o.outbox_id LIMIT $3",
							  3, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the outbox");

	/*
	 * SPI has switched to memory that goes with the transaction; an error
	 * handler still needs the batch.
	 */
	MemoryContextSwitchTo(context);
	if (SPI_processed == 0)
		return false;
	batch->server = TextDatumGetCString(row_value(0, 2, &isnull));
	batch->topic = TextDatumGetCString(row_value(0, 3, &isnull));
	batch->owner = DatumGetObjectId(row_value(0, 4, &isnull));
	batch->ids = palloc(sizeof(int64) * SPI_processed);
	batch->keys = palloc(sizeof(VkBytes) * SPI_processed);
	batch->values = palloc(sizeof(VkBytes) * SPI_processed);
	topic = blocked_find(batch->server, batch->topic);
	limit = topic && topic->one_by_one ? 1 : BATCH_ROWS;
	batch->count = 0;
	for (uint64 row = 0; row < SPI_processed && batch->count < limit; row++)
	{
		/*
		 * Rows of other topics in between change nothing about the order
		 * within this one.
		 */
		if (strcmp(TextDatumGetCString(row_value(row, 2, &isnull)), batch->server) != 0 ||
			strcmp(TextDatumGetCString(row_value(row, 3, &isnull)), batch->topic) != 0)
			continue;
		if (DatumGetObjectId(row_value(row, 4, &isnull)) != batch->owner)
			break;
		batch->ids[batch->count] = DatumGetInt64(row_value(row, 1, &isnull));
		batch->keys[batch->count] = row_bytes(row, 5);
		batch->values[batch->count] = row_bytes(row, 6);
		batch->count++;
	}
	return true;
}

static Datum
batch_ids(const OutboxBatch *batch)
{
	Datum	   *ids = palloc(sizeof(Datum) * batch->count);

	for (int i = 0; i < batch->count; i++)
		ids[i] = Int64GetDatum(batch->ids[i]);
	return PointerGetDatum(construct_array(ids, batch->count, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
}

/* Produces and deletes; an error leaves the rows where they are. */
static void
outbox_send(OutboxBatch *batch)
{
	Oid			types[1] = {INT8ARRAYOID};
	Datum		values[1] = {batch_ids(batch)};
	VkProduceRequest request = {0};

	request.user = batch->owner;
	request.server = vk_kafka_server_oid(batch->server, batch->owner);
	request.topic = batch->topic;
	request.count = batch->count;
	request.keys = batch->keys;
	request.values = batch->values;
	request.timeout_ms = PRODUCE_TIMEOUT_MS;
	vk_producer_produce(&request);
	if (SPI_execute_with_args("WITH d AS (DELETE FROM vektonn.outbox WHERE outbox_id = ANY ($1) RETURNING xid)"
							  " DELETE FROM vektonn.outbox_commit c USING d WHERE c.xid = d.xid AND NOT EXISTS"
							  " (SELECT FROM vektonn.outbox o WHERE o.xid = c.xid AND o.outbox_id <> ALL ($1))",
							  1, types, values, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete from the outbox");
}

/* A message that will be refused however often it is sent. */
static bool
error_is_final(int sqlstate)
{
	return sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED || sqlstate == ERRCODE_INVALID_NAME;
}

/* Sets the rows' error; in a transaction of its own, because theirs was rolled back. */
static void
outbox_note_error(const OutboxBatch *batch, const ErrorData *error, bool final)
{
	Oid			types[4] = {INT8OID, TEXTOID, TEXTOID, BOOLOID};
	Datum		values[4];

	outbox_begin();
	values[0] = Int64GetDatum(batch->ids[0]);
	values[1] = CStringGetTextDatum(error->message ? error->message : "unknown error");
	values[2] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[3] = BoolGetDatum(final);
	if (SPI_execute_with_args("UPDATE vektonn.outbox SET attempts = attempts + 1, error = $2, failed_at = pg_catalog.clock_timestamp(),"
							  " error_code = CASE WHEN $4 THEN $3 END WHERE outbox_id = $1",
							  4, types, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not note an error in the outbox");
	outbox_commit();
}

/* Leaves the topic alone for a while, longer each time. */
static void
outbox_back_off(const OutboxBatch *batch, bool final)
{
	BlockedTopic *topic = blocked_find(batch->server, batch->topic);

	if (!topic)
	{
		/*
		 * With too many topics in trouble the oldest trouble is forgotten and
		 * met again.
		 */
		if (blocked_count == MAX_BLOCKED_TOPICS)
			blocked_remove(&blocked[0]);
		topic = &blocked[blocked_count++];
		memset(topic, 0, sizeof(*topic));
		strlcpy(topic->server, batch->server, sizeof(topic->server));
		strlcpy(topic->topic, batch->topic, sizeof(topic->topic));
	}
	topic->one_by_one = final;
	topic->retry_at = GetCurrentTimestamp();
	if (!final)
		topic->retry_at = TimestampTzPlusMilliseconds(topic->retry_at,
													  Min(FIRST_RETRY_MS << Min(topic->failures, 10),
														  LONGEST_RETRY_MS));
	topic->failures++;
}

/* One batch.  False when there is nothing to send now. */
static bool
outbox_step(MemoryContext context)
{
	OutboxBatch *volatile batch = NULL;
	bool		found = false;

	PG_TRY();
	{
		MemoryContext old;

		outbox_begin();
		old = MemoryContextSwitchTo(context);
		batch = palloc0(sizeof(OutboxBatch));

		/*
		 * DROP EXTENSION takes the tables with it, and this worker has no
		 * more to do.
		 */
		if (!OidIsValid(get_extension_oid("vektonn", true)))
			proc_exit(0);
		found = outbox_read(batch, context);
		if (found)
		{
			BlockedTopic *topic;

			outbox_send(batch);
			topic = blocked_find(batch->server, batch->topic);
			if (topic)
				blocked_remove(topic);
		}
		MemoryContextSwitchTo(old);
		outbox_commit();
	}
	PG_CATCH();
	{
		ErrorData  *error;
		bool		final;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();

		/*
		 * What is no matter of one batch ends the worker; the launcher starts
		 * another.
		 */
		if (!batch || batch->count == 0 || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		final = error_is_final(error->sqlerrcode);
		outbox_note_error(batch, error, final && batch->count == 1);
		outbox_back_off(batch, final);
		found = true;
	}
	PG_END_TRY();
	MemoryContextReset(context);
	return found;
}

/* Milliseconds until a blocked topic is due. */
static long
outbox_nap(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		nap = IDLE_NAP_MS;

	for (int i = 0; i < blocked_count; i++)
		nap = Min(nap, TimestampDifferenceMilliseconds(now, blocked[i].retry_at) + 1);
	return nap;
}

void
vk_outbox_main(Datum arg)
{
	MemoryContext context;

	on_proc_exit(outbox_last_exit, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	outbox_attach();
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("row_security", "on", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "30s", PGC_SUSET, PGC_S_OVERRIDE);
	context = AllocSetContextCreate(TopMemoryContext, "vektonn outbox", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		pgstat_report_activity(STATE_RUNNING, "sending the outbox");
		if (outbox_step(context))
			continue;
		pgstat_report_activity(STATE_IDLE, NULL);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, outbox_nap(),
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
