/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Finds the streams of all databases and keeps one worker running for each.
 *
 * The launcher is connected to no database, so that it blocks no statement
 * that needs one alone.  It cannot see the streams for the same reason: for
 * every database it starts a discovery, a worker that lives some
 * milliseconds, writes what should run into the slots, and exits.  This
 * happens once for each database at the start, and again whenever a
 * transaction that changed a stream commits (vk_stream_request).
 *
 * Workers are dynamic and never restarted by the postmaster: the launcher
 * does it, with a back-off per stream.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/launcher.h"
#include "kafka_bgworker/worker_shmem.h"

#define LAUNCHER_NAP_MS			60000
#define RETRY_DISCOVERY_MS		2000
#define FIRST_BACKOFF_MS		500
#define LONGEST_BACKOFF_MS		30000
#define NO_SLOT_BACKOFF_MS		5000
#define DISCOVERY_LOCK_TIMEOUT	"1s"

/* pg_database.datconnlimit of a database whose DROP was interrupted */
#define INVALID_DATABASE_LIMIT	(-2)

bool		vk_streams_enabled = true;

/* Launcher only: databases to look at, the discovery under way, and the workers' handles. */
static List *pending_databases = NIL;
static BackgroundWorkerHandle *discovery = NULL;
static Oid	discovery_dboid = InvalidOid;
static TimestampTz retry_discovery_at = 0;
static BackgroundWorkerHandle **worker_handles = NULL;

void
vk_launcher_init(void)
{
	BackgroundWorker worker;

	/* pg_upgrade copies catalogues: no stream may move meanwhile. */
	if (IsBinaryUpgrade)
		return;

	vk_stream_shmem_init();
	vk_stream_control_init();

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "vektonn");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "vk_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "vektonn launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "vektonn launcher");
	RegisterBackgroundWorker(&worker);
}

/* OIDs of the databases that may have streams, in the launcher's context. */
static List *
connectable_databases(void)
{
	MemoryContext launcher_context = CurrentMemoryContext;
	List	   *databases = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn && !database->datistemplate &&
			database->datconnlimit != INVALID_DATABASE_LIMIT)
		{
			MemoryContext old = MemoryContextSwitchTo(launcher_context);

			databases = lappend_oid(databases, database->oid);
			MemoryContextSwitchTo(old);
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(launcher_context);
	return databases;
}

/* Nothing of a database is wanted any more. */
static void
forget_database(VkStreamShmem *shmem, Oid dboid)
{
	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem->slot_count; i++)
	{
		if (shmem->slots[i].in_use && shmem->slots[i].dboid == dboid)
			shmem->slots[i].wanted = false;
	}
	LWLockRelease(shmem->lock);
}

/* Takes over what was asked for since the last time. */
static void
collect_requests(VkStreamShmem *shmem)
{
	Oid			requests[VK_MAX_REQUESTS];
	int			request_count;
	bool		all;

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	all = shmem->discover_all;
	request_count = shmem->request_count;
	memcpy(requests, shmem->requests, sizeof(Oid) * request_count);
	shmem->discover_all = false;
	shmem->request_count = 0;
	LWLockRelease(shmem->lock);

	if (all)
	{
		list_free(pending_databases);
		pending_databases = connectable_databases();
	}
	for (int i = 0; i < request_count; i++)
		pending_databases = list_append_unique_oid(pending_databases, requests[i]);
}

static void
fill_worker(BackgroundWorker *worker, const char *library, const char *function, Datum arg)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	worker->bgw_notify_pid = MyProcPid;
	worker->bgw_main_arg = arg;
	snprintf(worker->bgw_library_name, BGW_MAXLEN, "%s", library);
	snprintf(worker->bgw_function_name, BGW_MAXLEN, "%s", function);
}

/* The discovery under way has ended: did it see the streams? */
static void
finish_discovery(VkStreamShmem *shmem, List *databases)
{
	bool		done;

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	done = shmem->discovered == discovery_dboid;
	shmem->discovered = InvalidOid;
	LWLockRelease(shmem->lock);

	if (!done && list_member_oid(databases, discovery_dboid))
	{
		pending_databases = list_append_unique_oid(pending_databases, discovery_dboid);
		retry_discovery_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_DISCOVERY_MS);
	}
	pfree(discovery);
	discovery = NULL;
}

/* One discovery at a time; skips databases that are gone or that somebody needs alone. */
static void
advance_discovery(VkStreamShmem *shmem)
{
	List	   *databases;
	ListCell   *cell;
	pid_t		pid;

	if (discovery != NULL && GetBackgroundWorkerPid(discovery, &pid) != BGWH_STOPPED)
		return;
	if (discovery == NULL && pending_databases == NIL)
		return;

	databases = connectable_databases();
	if (discovery != NULL)
		finish_discovery(shmem, databases);
	if (retry_discovery_at > GetCurrentTimestamp())
	{
		list_free(databases);
		return;
	}

	foreach(cell, pending_databases)
	{
		Oid			dboid = lfirst_oid(cell);
		BackgroundWorker worker;
		bool		blocked;

		if (!list_member_oid(databases, dboid))
		{
			pending_databases = foreach_delete_current(pending_databases, cell);
			forget_database(shmem, dboid);
			continue;
		}
		LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
		blocked = vk_stream_database_blocked(dboid);
		LWLockRelease(shmem->lock);
		if (blocked)
			continue;

		fill_worker(&worker, "vektonn", "vk_discovery_main", ObjectIdGetDatum(dboid));
		snprintf(worker.bgw_name, BGW_MAXLEN, "vektonn discovery of database %u", dboid);
		snprintf(worker.bgw_type, BGW_MAXLEN, "vektonn discovery");
		if (RegisterDynamicBackgroundWorker(&worker, &discovery))
		{
			pending_databases = foreach_delete_current(pending_databases, cell);
			discovery_dboid = dboid;
		}
		else
		{
			discovery = NULL;
			retry_discovery_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NO_SLOT_BACKOFF_MS);
			ereport(LOG,
					(errmsg("no background worker is free to look for streams"),
					 errhint("Increase max_worker_processes.")));
		}
		break;
	}
	list_free(databases);
}

/* Caller holds the lock. */
static void
start_worker(VkStreamShmem *shmem, int number)
{
	VkStreamSlot *slot = &shmem->slots[number];
	VkWorkerArgs args;
	BackgroundWorker worker;

	if (slot->stream_id == VK_OUTBOX_STREAM)
	{
		fill_worker(&worker, "vektonn_kafka", "vk_outbox_main", ObjectIdGetDatum(slot->dboid));
		snprintf(worker.bgw_name, BGW_MAXLEN, "vektonn outbox");
		snprintf(worker.bgw_type, BGW_MAXLEN, "vektonn outbox worker");
	}
	else
	{
		fill_worker(&worker, "vektonn_kafka", "vk_worker_main", ObjectIdGetDatum(slot->dboid));
		snprintf(worker.bgw_name, BGW_MAXLEN, "vektonn stream %s, worker %d of %d",
				 slot->name, slot->worker + 1, slot->workers);
		snprintf(worker.bgw_type, BGW_MAXLEN, "vektonn stream worker");
	}
	args.slot = number;
	args.launch = ++slot->launch;
	StaticAssertStmt(sizeof(args) <= BGW_EXTRALEN, "worker arguments do not fit");
	memcpy(worker.bgw_extra, &args, sizeof(args));

	slot->failures++;
	if (RegisterDynamicBackgroundWorker(&worker, &worker_handles[number]))
	{
		slot->launched = true;
		if (slot->state != VK_STATE_RETRYING)
			slot->state = VK_STATE_STARTING;
		slot->next_start = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   Min(FIRST_BACKOFF_MS << Min(slot->failures - 1, 10),
														   LONGEST_BACKOFF_MS));
	}
	else
	{
		slot->state = VK_STATE_NO_WORKER_SLOT;
		slot->error_at = GetCurrentTimestamp();
		snprintf(slot->error, VK_ERROR_LENGTH, "no background worker is free: increase max_worker_processes");
		snprintf(slot->sqlstate, sizeof(slot->sqlstate), "53400");
		slot->next_start = TimestampTzPlusMilliseconds(slot->error_at, NO_SLOT_BACKOFF_MS);
	}
}

/* What one slot needs now; lowers *wake_at to when it must be looked at again.  Caller holds the lock. */
static void
advance_slot(VkStreamShmem *shmem, int number, TimestampTz now, TimestampTz *wake_at)
{
	VkStreamSlot *slot = &shmem->slots[number];
	bool		wanted = slot->wanted && vk_streams_enabled;
	pid_t		pid;

	if (slot->launched && GetBackgroundWorkerPid(worker_handles[number], &pid) == BGWH_STOPPED)
	{
		pfree(worker_handles[number]);
		worker_handles[number] = NULL;
		slot->launched = false;
		slot->pid = 0;
		slot->latch = NULL;
	}

	if (slot->launched)
	{
		if (!wanted && slot->pid != 0)
			kill(slot->pid, SIGTERM);
		return;
	}
	if (!slot->wanted)
	{
		slot->in_use = false;
		return;
	}
	if (!wanted || vk_stream_database_blocked(slot->dboid) ||
		(slot->state == VK_STATE_FAILED && slot->failed_generation == slot->generation))
		return;
	if (slot->next_start <= now)
		start_worker(shmem, number);
	else
		*wake_at = Min(*wake_at, slot->next_start);
}

/* Milliseconds until something is due. */
static long
advance_slots(VkStreamShmem *shmem)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake_at = TimestampTzPlusMilliseconds(now, LAUNCHER_NAP_MS);

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem->slot_count; i++)
	{
		if (shmem->slots[i].in_use)
			advance_slot(shmem, i, now, &wake_at);
	}
	LWLockRelease(shmem->lock);
	if (pending_databases != NIL)
		wake_at = Min(wake_at, Max(retry_discovery_at, TimestampTzPlusMilliseconds(now, FIRST_BACKOFF_MS)));
	return TimestampDifferenceMilliseconds(now, wake_at) + 1;
}

static void
launcher_detach(int code, Datum arg)
{
	VkStreamShmem *shmem = vk_stream_shmem();

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	shmem->launcher_latch = NULL;
	shmem->launcher_pid = 0;
	LWLockRelease(shmem->lock);
}

/* Workers that outlived the last launcher have no handle here: they make way for ones that have. */
static void
launcher_attach(VkStreamShmem *shmem)
{
	worker_handles = palloc0(sizeof(BackgroundWorkerHandle *) * shmem->slot_count);
	before_shmem_exit(launcher_detach, (Datum) 0);
	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	shmem->launcher_latch = MyLatch;
	shmem->launcher_pid = MyProcPid;
	shmem->discover_all = true;
	for (int i = 0; i < shmem->slot_count; i++)
	{
		VkStreamSlot *slot = &shmem->slots[i];

		slot->launch++;
		slot->launched = false;
		if (slot->pid != 0)
			kill(slot->pid, SIGTERM);
	}
	LWLockRelease(shmem->lock);
}

void
vk_launcher_main(Datum arg)
{
	VkStreamShmem *shmem = vk_stream_shmem();

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "vektonn launcher", ALLOCSET_DEFAULT_SIZES));
	launcher_attach(shmem);

	for (;;)
	{
		long		nap;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		collect_requests(shmem);
		advance_discovery(shmem);
		nap = advance_slots(shmem);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, nap, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/*
 * Discovery
 */

/* Caller holds the lock.  NULL: all slots are in use. */
static VkStreamSlot *
find_slot(VkStreamShmem *shmem, int64 stream_id, int worker)
{
	VkStreamSlot *spare = NULL;

	for (int i = 0; i < shmem->slot_count; i++)
	{
		VkStreamSlot *slot = &shmem->slots[i];

		if (slot->in_use && slot->dboid == MyDatabaseId && slot->stream_id == stream_id && slot->worker == worker)
			return slot;
		if (!slot->in_use && spare == NULL)
			spare = slot;
	}
	if (spare)
	{
		uint64		launch = spare->launch;
		ConditionVariable progress = spare->progress;

		memset(spare, 0, sizeof(*spare));
		spare->launch = launch;
		spare->progress = progress;
		spare->in_use = true;
		spare->dboid = MyDatabaseId;
		spare->stream_id = stream_id;
		spare->worker = worker;
	}
	return spare;
}

/* One row of the catalogue; the workers it asks for are marked seen.  Caller holds the lock. */
static void
note_stream(VkStreamShmem *shmem, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	int64		stream_id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	int32		workers = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
	int64		generation = DatumGetInt64(SPI_getbinval(tuple, desc, 3, &isnull));
	Oid			owner = DatumGetObjectId(SPI_getbinval(tuple, desc, 4, &isnull));
	char	   *name = SPI_getvalue(tuple, desc, 5);

	for (int worker = 0; worker < workers; worker++)
	{
		VkStreamSlot *slot = find_slot(shmem, stream_id, worker);

		if (slot == NULL)
		{
			ereport(LOG,
					(errmsg("stream \"%s\" is not started: %d workers are in use", name, shmem->slot_count),
					 errhint("Increase vektonn.max_stream_workers.")));
			return;
		}
		slot->seen = true;
		slot->owner = owner;
		slot->workers = workers;
		strlcpy(slot->name, name, sizeof(slot->name));
		if (slot->generation != generation)
		{
			slot->generation = generation;
			slot->wake = true;
			slot->failures = 0;
			slot->next_start = 0;
			if (slot->latch)
				SetLatch(slot->latch);
		}
	}
}

static void
read_streams(void)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	uint64		stream_count = 0;

	if (OidIsValid(get_extension_oid("vektonn", true)))
	{
		if (SPI_execute("SELECT s.stream_id, s.workers, s.generation, c.relowner, s.stream_name"
						" FROM vektonn.stream s JOIN pg_catalog.pg_class c ON c.oid = s.target"
						" WHERE s.enabled AND s.home = vektonn._database_identity()"
						" UNION ALL SELECT 0, 1, 1, 10, 'outbox' WHERE EXISTS (SELECT FROM vektonn.outbox o"
						" WHERE o.error_code IS NULL AND o.home = vektonn._database_identity())"
						" ORDER BY stream_id", true, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not read the streams");
		stream_count = SPI_processed;
	}

	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem->slot_count; i++)
		shmem->slots[i].seen = false;
	for (uint64 i = 0; i < stream_count; i++)
		note_stream(shmem, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	for (int i = 0; i < shmem->slot_count; i++)
	{
		VkStreamSlot *slot = &shmem->slots[i];

		if (slot->in_use && slot->dboid == MyDatabaseId)
			slot->wanted = slot->seen;
	}
	shmem->discovered = MyDatabaseId;
	LWLockRelease(shmem->lock);
	vk_stream_wake_launcher();
}

void
vk_discovery_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", DISCOVERY_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	read_streams();
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	proc_exit(0);
}
