/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  A stream worker: reads the partitions of a topic that are its own, and
 *	  keeps the target table equal to them.
 *
 * One loop does one thing after the other and blocks in nothing but its wait
 * for latch and consumer:
 *
 *	  the stream changed		read it again; other than offsets: start anew
 *	  the broker answered		partitions of the topic, offsets of seeks, ends
 *	  something is to be asked	the same, one question at a time
 *	  a partition has an offset	assign it
 *	  messages					apply them, publish, go on
 *
 * It connects as superuser and becomes the target's owner to touch the table,
 * so that owners need no right to log in.  It never destroys its consumer and
 * ends by _exit: librdkafka's threads may not be waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/kafka_options.h"
#include "kafka_bgworker/worker.h"

#define BATCH_BYTES				(16 * 1024 * 1024)
#define NAP_MS					10000
#define GROUP_COMMIT_EVERY_MS	1000
#define CAUTIOUS_AFTER_STARTS	2

PGDLLEXPORT void vk_worker_main(Datum arg);

/*
 * Messages
 */

/* Messages of partitions given up, and those that came twice, go. */
static void
keep_expected_messages(VkWorker *worker)
{
	int			kept = 0;

	for (int i = 0; i < worker->message_count; i++)
	{
		VkPartition *partition = vk_worker_partition(worker, worker->messages[i].partition);

		if (partition == NULL || !partition->assigned || worker->messages[i].offset < partition->next_offset)
			continue;
		worker->messages[kept++] = worker->messages[i];
	}
	worker->message_count = kept;
}

static bool
positions_moved(VkWorker *worker)
{
	for (int i = 0; i < worker->partition_count; i++)
	{
		if (worker->partitions[i].seek[0] == '\0' && worker->partitions[i].position > worker->partitions[i].next_offset)
			return true;
	}
	return false;
}

/* Applies the batch at hand. */
static void
apply_batch(VkWorker *worker)
{
	switch (vk_worker_apply(worker))
	{
		case VK_BATCH_DONE:
			vk_worker_drop_batch(worker);
			vk_worker_set_state(worker, vk_worker_healthy_state(worker));
			break;
		case VK_BATCH_LOST:
			vk_worker_drop_batch(worker);
			vk_worker_read_stream(worker, true);
			break;
		case VK_BATCH_RETRY:
			break;
	}
}

/* One batch, if there is one; true when there may be more at once. */
static bool
consume(VkWorker *worker)
{
	if (worker->failures > 0)
	{
		/* The batch at hand was tried: again, when its time has come. */
		if (worker->retry_at > GetCurrentTimestamp())
			return false;
		apply_batch(worker);
		return worker->failures == 0;
	}
	worker->message_count = vk_consumer_poll(worker->consumer, worker->messages, worker->message_limit, BATCH_BYTES);
	keep_expected_messages(worker);
	vk_worker_take_notices(worker);
	keep_expected_messages(worker);
	if (worker->message_count == 0 && !positions_moved(worker))
	{
		vk_consumer_release(worker->consumer);
		return false;
	}
	apply_batch(worker);
	return worker->failures == 0;
}

/*
 * The rest of the loop
 */

/* Builds the indexes once every partition has come to where it ended when the load began. */
static void
finish_load(VkWorker *worker)
{
	bool		loaded;

	if (worker->topic_partitions == 0)
		return;
	for (int i = 0; i < worker->partition_count; i++)
	{
		if (worker->partitions[i].seek[0] != '\0' || worker->partitions[i].load_until < 0 || worker->partitions[i].next_offset < worker->partitions[i].load_until)
			return;
	}
	vk_worker_begin(worker);
	loaded = vk_stream_loaded(worker->stream, worker->topic_partitions);
	vk_worker_commit();
	if (!loaded)
		return;

	vk_worker_set_state(worker, VK_STATE_INDEXING);
	vk_worker_event(worker, "indexing", NULL);
	vk_worker_begin(worker);
	vk_stream_finish_load(worker->stream);
	vk_stream_add_event(worker->stream->stream_id, "loaded", NULL);
	vk_worker_commit();
	vk_worker_start_anew(worker);
}

/* A worker that has caught up has not died of a message. */
static void
prove_start(VkWorker *worker)
{
	if (!worker->start_counted || worker->topic_partitions == 0 || vk_worker_has_seeks(worker))
		return;
	for (int i = 0; i < worker->partition_count; i++)
	{
		int64		high = vk_consumer_high_watermark(worker->consumer, worker->partitions[i].partition);

		if (!worker->partitions[i].assigned || high < 0 || worker->partitions[i].next_offset < high)
			return;
	}
	vk_worker_begin(worker);
	vk_stream_forget_starts(worker->stream, worker->number);
	vk_worker_commit();
	worker->start_counted = false;
}

static void
commit_group(VkWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	VkPartitionOffset *offsets;
	int			count = 0;

	if (!worker->group_commit_due || worker->group_commit_at > now)
		return;
	offsets = palloc(sizeof(VkPartitionOffset) * Max(worker->partition_count, 1));
	for (int i = 0; i < worker->partition_count; i++)
	{
		if (!worker->partitions[i].assigned || worker->partitions[i].next_offset < 0)
			continue;
		offsets[count].partition = worker->partitions[i].partition;
		offsets[count++].offset = worker->partitions[i].next_offset;
	}
	if (count > 0)
		vk_consumer_commit(worker->consumer, offsets, count);
	pfree(offsets);
	worker->group_commit_due = false;
	worker->group_commit_at = TimestampTzPlusMilliseconds(now, GROUP_COMMIT_EVERY_MS);
}

/* Milliseconds until something is due. */
static long
next_due(VkWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = TimestampTzPlusMilliseconds(now, NAP_MS);

	if (!vk_consumer_asking(worker->consumer))
		due = Min(due, worker->ask_at);
	if (worker->failures > 0)
		due = Min(due, worker->retry_at);
	if (worker->group_commit_due)
		due = Min(due, worker->group_commit_at);
	if (worker->letters_at != 0)
		due = Min(due, worker->letters_at);
	for (int i = 0; i < worker->partition_count; i++)
	{
		if (!worker->partitions[i].assigned && worker->partitions[i].seek[0] == '\0' &&
			worker->partitions[i].partition < worker->topic_partitions)
			due = Min(due, Max(worker->partitions[i].assign_at, now));
	}
	return Max(TimestampDifferenceMilliseconds(now, due), 0) + 1;
}

static void
wait_for_something(VkWorker *worker)
{
	int			event = WaitLatchOrSocket(MyLatch,
										  WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
										  vk_consumer_fd(worker->consumer), next_due(worker), PG_WAIT_EXTENSION);

	if (event & WL_LATCH_SET)
		ResetLatch(MyLatch);
	vk_consumer_drain_fd(worker->consumer);
}

static void
run_loop(VkWorker *worker)
{
	for (;;)
	{
		bool		more;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(worker->loop_context);
		MemoryContextReset(worker->loop_context);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (worker->slot->wake)
			vk_worker_read_stream(worker, false);
		vk_worker_take_answer(worker);
		vk_worker_ask(worker);
		vk_worker_assign(worker);
		more = consume(worker);
		if (!more)
			vk_worker_publish(worker, false);
		if (worker->stream->loading)
			finish_load(worker);
		prove_start(worker);
		commit_group(worker);
		if (worker->letters_at != 0 && worker->letters_at <= GetCurrentTimestamp())
			vk_worker_retry_dead_letters(worker);
		if (!more)
			wait_for_something(worker);
	}
}

/*
 * Start and end
 */

/* Partitions whose workers died before they applied anything go one message at a time. */
static void
be_cautious(VkWorker *worker)
{
	for (int i = 0; i < worker->partition_count; i++)
	{
		VkPartition *partition = &worker->partitions[i];

		if (partition->starts < CAUTIOUS_AFTER_STARTS)
			continue;
		partition->starts++;
		partition->cautious = worker->message_limit;
		ereport(LOG,
				(errmsg("stream \"%s\" applies the next %d messages of partition %d one at a time, because its worker died there before",
						worker->stream->name, partition->cautious, partition->partition)));
	}
}

/* What a start needs of the catalogue, in one transaction that a crash does not take back. */
static void
open_stream(VkWorker *worker, int64 stream_id)
{
	Oid			server;

	vk_worker_begin(worker);
	worker->stream = OidIsValid(get_extension_oid("vektonn", true)) ? vk_stream_read(stream_id) : NULL;
	if (worker->stream == NULL)
		vk_worker_leave(worker);
	worker->target = vk_stream_target(worker->stream);
	server = vk_kafka_server_oid(worker->stream->server, worker->target->owner);
	worker->applier = vk_applier_create(worker->target, worker->stream->format);
	vk_worker_first_partitions(worker);
	worker->dead_letters_exist = vk_dead_letters_exist(worker->stream);
	if (worker->stream->loading)
		vk_stream_prepare_load(worker->stream);
	vk_stream_count_start(worker->stream, worker->number);
	worker->start_counted = true;
	vk_stream_add_event(stream_id, "started", NULL);

	worker->message_limit = worker->stream->batch_messages;
	worker->messages = MemoryContextAlloc(worker->context, sizeof(VkMessage) * worker->message_limit);
	worker->consumer = vk_consumer_new(server, worker->target->owner, worker->stream->topic, worker->stream->group,
									   worker->message_limit);
	vk_worker_commit();

	/*
	 * Commits that a crash takes back are applied again: offsets go back with
	 * the rows.
	 */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	be_cautious(worker);
}

/* Runs last, because it is registered first: librdkafka's threads are left as they are. */
static void
last_exit(int code, Datum arg)
{
	_exit(code);
}

static void
detach(int code, Datum arg)
{
	VkWorker   *worker = (VkWorker *) DatumGetPointer(arg);

	vk_worker_lock_slot();
	worker->slot->pid = 0;
	worker->slot->latch = NULL;
	if (vk_stream_shmem()->launcher_latch)
		SetLatch(vk_stream_shmem()->launcher_latch);
	vk_worker_unlock_slot();
}

/* Takes the slot, unless it was taken away or given to a later worker. */
static void
attach(VkWorker *worker)
{
	VkWorkerArgs args;
	VkStreamShmem *shmem = vk_stream_shmem();
	bool		ours;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	if (shmem == NULL)
		proc_exit(0);
	worker->slot = &shmem->slots[args.slot];
	vk_worker_lock_slot();
	ours = worker->slot->in_use && worker->slot->wanted && worker->slot->launch == args.launch && worker->slot->pid == 0;
	if (ours)
	{
		worker->slot->pid = MyProcPid;
		worker->slot->latch = MyLatch;
		worker->slot->wake = false;
		worker->slot->partition_count = 0;
		worker->number = worker->slot->worker;
	}
	vk_worker_unlock_slot();
	if (!ours)
		proc_exit(0);
	before_shmem_exit(detach, PointerGetDatum(worker));
}

/* Settings of the role or database must not change what statements mean here. */
static void
set_session(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("row_security", "on", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "30s", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("jit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	/* Until the start is counted: see open_stream. */
	SetConfigOption("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION);
}

/* An error nobody has dealt with: said in the slot, and the launcher starts another worker later. */
static void
report_and_exit(VkWorker *worker)
{
	ErrorData  *error;
	bool		config;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(worker->context);
	error = CopyErrorData();
	EmitErrorReport();
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
	config = vk_worker_is_config_error(error->sqlerrcode);
	vk_worker_set_error(worker, config ? VK_STATE_FAILED : VK_STATE_RETRYING,
						unpack_sql_state(error->sqlerrcode), error->message ? error->message : "unknown error");
	vk_worker_lock_slot();
	if (config)
		worker->slot->failed_generation = worker->stream ? worker->stream->generation : worker->slot->generation;
	vk_worker_unlock_slot();
	proc_exit(0);
}

void
vk_worker_main(Datum arg)
{
	static VkWorker the_worker;
	VkWorker   *worker = &the_worker;

	on_proc_exit(last_exit, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	attach(worker);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);
	set_session();

	worker->context = AllocSetContextCreate(TopMemoryContext, "vektonn worker", ALLOCSET_DEFAULT_SIZES);
	worker->loop_context = AllocSetContextCreate(TopMemoryContext, "vektonn worker loop", ALLOCSET_DEFAULT_SIZES);
	worker->batch_context = AllocSetContextCreate(TopMemoryContext, "vektonn batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(worker->context);
	PG_TRY();
	{
		open_stream(worker, worker->slot->stream_id);
		MemoryContextSwitchTo(worker->loop_context);
		vk_worker_retry_dead_letters(worker);
		run_loop(worker);
	}
	PG_CATCH();
	{
		report_and_exit(worker);
	}
	PG_END_TRY();
}
