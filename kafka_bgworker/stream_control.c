/*-------------------------------------------------------------------------
 *
 * stream_control.c
 *	  The SQL side of streams in an ordinary backend: requests to the launcher
 *	  at commit, what the workers say, waiting for them, and a hook that keeps
 *	  them out of the way of statements that need a database alone.
 *
 * What the functions of 61_stream_control.sql change are rows of
 * vektonn.stream; a trigger on it calls vk_stream_changed here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/launcher.h"
#include "kafka_bgworker/worker_shmem.h"

/* A waiting backend looks again this often even when nobody wakes it. */
#define WAIT_POLL_MS	50

static const char *const state_names[] = {
	[VK_STATE_STARTING] = "starting",
	[VK_STATE_LOADING] = "loading",
	[VK_STATE_INDEXING] = "indexing",
	[VK_STATE_RUNNING] = "running",
	[VK_STATE_RETRYING] = "retrying",
	[VK_STATE_FAILED] = "failed",
	[VK_STATE_NO_WORKER_SLOT] = "no_worker_slot",
};

static ProcessUtility_hook_type previous_utility_hook = NULL;
static bool request_at_commit = false;
static bool callback_registered = false;
static bool outbox_filled = false;

PG_FUNCTION_INFO_V1(vk_database_identity);
PG_FUNCTION_INFO_V1(vk_require_launcher);
PG_FUNCTION_INFO_V1(vk_launcher_present);
PG_FUNCTION_INFO_V1(vk_stream_changed);
PG_FUNCTION_INFO_V1(vk_stream_workers);
PG_FUNCTION_INFO_V1(vk_stream_partitions);
PG_FUNCTION_INFO_V1(vk_stream_wait);
PG_FUNCTION_INFO_V1(vk_outbox_filled);

Datum
vk_database_identity(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT "/%u", GetSystemIdentifier(), MyDatabaseId)));
}

Datum
vk_launcher_present(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(vk_stream_shmem() != NULL);
}

Datum
vk_require_launcher(PG_FUNCTION_ARGS)
{
	if (vk_stream_shmem() == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("streams need the library vektonn to be preloaded"),
				 errhint("Add to postgresql.conf: shared_preload_libraries = 'vektonn', and restart the server.")));
	PG_RETURN_VOID();
}

/*
 * Requests at commit
 */

static void
xact_callback(XactEvent event, void *arg)
{
	bool		request = request_at_commit;

	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		request_at_commit = false;
	if (request && event == XACT_EVENT_COMMIT)
		vk_stream_request(MyDatabaseId);
}

static void
request_discovery_at_commit(void)
{
	if (vk_stream_shmem() == NULL)
		return;
	if (!callback_registered)
		RegisterXactCallback(xact_callback, NULL);
	callback_registered = true;
	request_at_commit = true;
}

Datum
vk_stream_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s must be called as a trigger", "vektonn._stream_changed")));
	request_discovery_at_commit();
	return PointerGetDatum(NULL);
}

/* Wakes the outbox worker at commit; without one, the launcher, which starts it. */
static void
outbox_callback(XactEvent event, void *arg)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	bool		awake = false;

	if (!outbox_filled || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	outbox_filled = false;
	if (event == XACT_EVENT_ABORT || shmem == NULL)
		return;
	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem->slot_count; i++)
	{
		VkStreamSlot *slot = &shmem->slots[i];

		if (slot->in_use && slot->wanted && slot->dboid == MyDatabaseId &&
			slot->stream_id == VK_OUTBOX_STREAM && slot->latch)
		{
			SetLatch(slot->latch);
			awake = true;
		}
	}
	LWLockRelease(shmem->lock);
	if (!awake)
		vk_stream_request(MyDatabaseId);
}

Datum
vk_outbox_filled(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s must be called as a trigger", "vektonn._outbox_filled")));
	if (!registered)
		RegisterXactCallback(outbox_callback, NULL);
	registered = true;
	outbox_filled = true;
	return PointerGetDatum(NULL);
}

/*
 * What the workers say
 */

static bool
may_see(const VkStreamSlot *slot)
{
	return slot->in_use && slot->dboid == MyDatabaseId && has_privs_of_role(GetUserId(), slot->owner);
}

static void
put_text(Datum *value, bool *isnull, const char *text)
{
	*isnull = text[0] == '\0';
	*value = *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}

/* A copy of the slots the caller may see, so that nothing is done under the lock; *count of them. */
static VkStreamSlot *
visible_slots(int *count)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	VkStreamSlot *slots;

	*count = 0;
	if (shmem == NULL)
		return NULL;
	slots = palloc(sizeof(VkStreamSlot) * shmem->slot_count);
	LWLockAcquire(shmem->lock, LW_SHARED);
	for (int i = 0; i < shmem->slot_count; i++)
	{
		if (shmem->slots[i].in_use && shmem->slots[i].dboid == MyDatabaseId)
			slots[(*count)++] = shmem->slots[i];
	}
	LWLockRelease(shmem->lock);

	for (int i = 0; i < *count; i++)
	{
		if (!may_see(&slots[i]))
			slots[i--] = slots[--(*count)];
	}
	return slots;
}

Datum
vk_stream_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count;
	VkStreamSlot *slots = visible_slots(&count);
	TimestampTz now = GetCurrentTimestamp();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < count; i++)
	{
		Datum		values[8];
		bool		nulls[8] = {false};
		double		rate = 0;

		for (int p = 0; p < slots[i].partition_count; p++)
			rate += vk_rate(&slots[i].partitions[p], now);
		values[0] = Int64GetDatum(slots[i].stream_id);
		values[1] = Int32GetDatum(slots[i].worker);
		values[2] = Int32GetDatum(slots[i].pid);
		nulls[2] = slots[i].pid == 0;
		values[3] = CStringGetTextDatum(state_names[slots[i].state]);
		values[4] = Float8GetDatum(rate);
		put_text(&values[5], &nulls[5], slots[i].sqlstate);
		put_text(&values[6], &nulls[6], slots[i].error);
		values[7] = TimestampTzGetDatum(slots[i].error_at);
		nulls[7] = slots[i].error_at == 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
vk_stream_partitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count;
	VkStreamSlot *slots = visible_slots(&count);
	TimestampTz now = GetCurrentTimestamp();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < count; i++)
	{
		for (int p = 0; p < slots[i].partition_count; p++)
		{
			VkPartitionStat *stat = &slots[i].partitions[p];
			Datum		values[8];
			bool		nulls[8] = {false};

			values[0] = Int64GetDatum(slots[i].stream_id);
			values[1] = Int32GetDatum(stat->partition);
			values[2] = Int32GetDatum(slots[i].worker);
			values[3] = Int64GetDatum(stat->next_offset);
			values[4] = Int64GetDatum(stat->high_watermark);
			nulls[4] = stat->high_watermark < 0;
			values[5] = Float8GetDatum(vk_rate(stat, now));
			put_text(&values[6], &nulls[6], stat->error);
			values[7] = TimestampTzGetDatum(stat->error_at);
			nulls[7] = stat->error_at == 0;
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/*
 * Waiting
 */

typedef struct WaitState
{
	int64		stream_id;
	bool		to_end;			/* else to the given offsets */
	int			partition_count;
	int32	   *partitions;
	int64	   *offsets;
	uint64	   *requests;		/* per slot: the request made, 0 while none
								 * was */
	ConditionVariable *progress;	/* of a slot that is still waited for */
} WaitState;

/* The committed next offset of a partition, or -1.  Caller holds the lock. */
static bool
reached(const VkStreamSlot *slot, int32 partition, int64 goal)
{
	for (int i = 0; i < slot->partition_count; i++)
	{
		if (slot->partitions[i].partition == partition)
			return slot->partitions[i].next_offset >= goal;
	}
	return false;
}

/* Makes the request of this slot once, then compares with its answer.  Caller holds the lock. */
static bool
slot_at_end(WaitState *wait, VkStreamSlot *slot, int number)
{
	if (wait->requests[number] == 0)
	{
		wait->requests[number] = ++slot->wait_request;
		if (slot->latch)
			SetLatch(slot->latch);
	}
	if (slot->wait_answer < wait->requests[number])
		return false;
	for (int i = 0; i < slot->partition_count; i++)
	{
		if (slot->partitions[i].next_offset < slot->partitions[i].wait_target)
			return false;
	}
	return true;
}

/* Whether all is applied; otherwise wait->progress is what to sleep on, or NULL. */
static bool
wait_is_over(WaitState *wait)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	int			found = 0;
	int			workers = 1;
	int			done = 0;

	wait->progress = NULL;
	LWLockAcquire(shmem->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shmem->slot_count; i++)
	{
		VkStreamSlot *slot = &shmem->slots[i];
		bool		slot_done = true;

		if (!slot->in_use || slot->dboid != MyDatabaseId || slot->stream_id != wait->stream_id)
			continue;
		found++;
		workers = slot->workers;
		if (wait->to_end)
			slot_done = slot_at_end(wait, slot, i);
		else
			for (int p = 0; p < wait->partition_count && slot_done; p++)
			{
				if (wait->partitions[p] % slot->workers == slot->worker)
					slot_done = reached(slot, wait->partitions[p], wait->offsets[p]);
			}
		if (slot_done)
			done++;
		else
			wait->progress = &slot->progress;
	}
	LWLockRelease(shmem->lock);
	return found >= workers && done == found;
}

static void
read_wait_offsets(FunctionCallInfo fcinfo, WaitState *wait)
{
	ArrayType  *partitions = PG_GETARG_ARRAYTYPE_P(1);
	ArrayType  *offsets = PG_GETARG_ARRAYTYPE_P(2);

	wait->partition_count = ArrayGetNItems(ARR_NDIM(partitions), ARR_DIMS(partitions));
	if (ARR_HASNULL(partitions) || ARR_HASNULL(offsets) ||
		wait->partition_count != ArrayGetNItems(ARR_NDIM(offsets), ARR_DIMS(offsets)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions and offsets must be given in pairs")));
	wait->partitions = (int32 *) ARR_DATA_PTR(partitions);
	wait->offsets = (int64 *) ARR_DATA_PTR(offsets);
}

Datum
vk_stream_wait(PG_FUNCTION_ARGS)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	WaitState	wait = {0};
	TimestampTz deadline;
	bool		over;

	vk_require_launcher(fcinfo);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream and timeout must not be null")));
	deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													   TimestampTzGetDatum(GetCurrentTimestamp()),
													   PG_GETARG_DATUM(3)));
	wait.stream_id = PG_GETARG_INT64(0);
	wait.to_end = PG_ARGISNULL(1) || PG_ARGISNULL(2);
	wait.requests = palloc0(sizeof(uint64) * shmem->slot_count);
	if (!wait.to_end)
		read_wait_offsets(fcinfo, &wait);

	while (!(over = wait_is_over(&wait)) && GetCurrentTimestamp() < deadline)
	{
		CHECK_FOR_INTERRUPTS();
		if (wait.progress)
			ConditionVariableTimedSleep(wait.progress, WAIT_POLL_MS, PG_WAIT_EXTENSION);
		else
			pg_usleep(WAIT_POLL_MS * 1000L);
	}
	ConditionVariableCancelSleep();
	PG_RETURN_BOOL(over);
}

/*
 * Statements that need a database alone
 */

/* The database a statement needs alone, InvalidOid for most. */
static Oid
database_needed_alone(Node *statement)
{
	const char *name = NULL;
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			name = castNode(DropdbStmt, statement)->dbname;
			break;
		case T_RenameStmt:
			if (castNode(RenameStmt, statement)->renameType == OBJECT_DATABASE)
				name = castNode(RenameStmt, statement)->subname;
			break;
		case T_AlterDatabaseStmt:
			foreach(cell, castNode(AlterDatabaseStmt, statement)->options)
			{
				if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
					name = castNode(AlterDatabaseStmt, statement)->dbname;
			}
			break;
		case T_CreatedbStmt:
			foreach(cell, castNode(CreatedbStmt, statement)->options)
			{
				DefElem    *option = lfirst_node(DefElem, cell);

				if (strcmp(option->defname, "template") == 0 && option->arg != NULL && IsA(option->arg, String))
					name = strVal(option->arg);
			}
			break;
		default:
			break;
	}
	return name ? get_database_oid(name, true) : InvalidOid;
}

/*
 * Who may not run the statement must not stop the workers either.  CREATE
 * DATABASE copies a template of somebody else's for superusers only.
 */
static bool
may_need_alone(Oid dboid)
{
	return vk_database_ownercheck(dboid, GetUserId());
}

/* Whether a statement may change or take away what streams need, so that they are looked at again. */
static bool
may_concern_streams(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropStmt:
		case T_DropOwnedStmt:
		case T_AlterOwnerStmt:
		case T_AlterForeignServerStmt:
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_DropUserMappingStmt:
			return true;
		default:
			return false;
	}
}

static bool
database_has_workers(void)
{
	VkStreamShmem *shmem = vk_stream_shmem();
	bool		found = false;

	LWLockAcquire(shmem->lock, LW_SHARED);
	for (int i = 0; i < shmem->slot_count && !found; i++)
		found = shmem->slots[i].in_use && shmem->slots[i].dboid == MyDatabaseId;
	LWLockRelease(shmem->lock);
	return found;
}

static void
run_utility(PlannedStmt *pstmt, const char *query, bool read_only, ProcessUtilityContext context,
			ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (previous_utility_hook)
		previous_utility_hook(pstmt, query, read_only, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, query, read_only, context, params, environment, dest, completion);
}

static void
utility_hook(PlannedStmt *pstmt, const char *query, bool read_only, ProcessUtilityContext context,
			 ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	Node	   *statement = pstmt->utilityStmt;
	Oid			database = InvalidOid;

	/*
	 * OIDs of databases can be looked up only inside a transaction that is
	 * not aborted.
	 */
	if (vk_stream_shmem() != NULL && IsTransactionState())
		database = database_needed_alone(statement);
	if (!OidIsValid(database) || !may_need_alone(database))
	{
		bool		committed_prepared = IsA(statement, TransactionStmt) &&
		castNode(TransactionStmt, statement)->kind == TRANS_STMT_COMMIT_PREPARED;
		bool		concerns = may_concern_streams(statement);

		run_utility(pstmt, query, read_only, context, params, environment, dest, completion);
		if (concerns && vk_stream_shmem() != NULL && database_has_workers())
			request_discovery_at_commit();
		if (committed_prepared && vk_stream_shmem() != NULL)
			vk_stream_request(MyDatabaseId);
		return;
	}

	vk_stream_block_database(database);
	PG_TRY();
	{
		run_utility(pstmt, query, read_only, context, params, environment, dest, completion);
	}
	PG_FINALLY();
	{
		vk_stream_unblock_database(database);
	}
	PG_END_TRY();
}

void
vk_stream_control_init(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = utility_hook;
}
