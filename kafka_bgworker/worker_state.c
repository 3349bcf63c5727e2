/*-------------------------------------------------------------------------
 *
 * worker_state.c
 *	  What a stream worker shows to others: its slot, events, and its end.
 *
 * The slot in shared memory is what vektonn.stream_status reads and what
 * wait_for sleeps on.  A worker ends in one of four ways: it fails until
 * somebody changes the stream, makes way for a worker of the stream as it is
 * now, leaves because there is no stream, or dies of an error, after which the
 * launcher starts another one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/worker.h"

#define LEAVE_MS				1000	/* for the launcher to hear that a
										 * stream is not wanted */

/*
 * Transactions
 */

/* A transaction connected to SPI; CurrentMemoryContext stays the caller's. */
void
vk_worker_begin(VkWorker *worker)
{
	MemoryContext old = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, worker->stream ? worker->stream->name : "starting");
	MemoryContextSwitchTo(old);
}

void
vk_worker_commit(void)
{
	MemoryContext old = CurrentMemoryContext;

	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(old);
}

/*
 * The slot
 */

void
vk_worker_lock_slot(void)
{
	LWLockAcquire(vk_stream_shmem()->lock, LW_EXCLUSIVE);
}

void
vk_worker_unlock_slot(void)
{
	LWLockRelease(vk_stream_shmem()->lock);
}

void
vk_worker_set_state(VkWorker *worker, VkWorkerState state)
{
	if (worker->slot->state == state)
		return;
	vk_worker_lock_slot();
	worker->slot->state = state;
	vk_worker_unlock_slot();
}

void
vk_worker_set_error(VkWorker *worker, VkWorkerState state, const char *sqlstate, const char *text)
{
	vk_worker_lock_slot();
	worker->slot->state = state;
	strlcpy(worker->slot->sqlstate, sqlstate, sizeof(worker->slot->sqlstate));
	strlcpy(worker->slot->error, text, sizeof(worker->slot->error));
	worker->slot->error_at = GetCurrentTimestamp();
	vk_worker_unlock_slot();
}

/* An error of the broker's; one that explains nothing does not hide one that does. */
void
vk_worker_set_broker_error(VkWorker *worker, const char *text, bool vague)
{
	if (!vague || worker->slot->state != VK_STATE_RETRYING || worker->slot->error[0] == '\0')
		vk_worker_set_error(worker, VK_STATE_RETRYING, "08000", text);
}

/* The state of a worker that has nothing to complain of. */
VkWorkerState
vk_worker_healthy_state(VkWorker *worker)
{
	return worker->stream->loading ? VK_STATE_LOADING : VK_STATE_RUNNING;
}

/* Positions, ends and rates; count_batch: the batch just committed counts. */
void
vk_worker_publish(VkWorker *worker, bool count_batch)
{
	VkStreamSlot *slot = worker->slot;
	TimestampTz now = GetCurrentTimestamp();
	bool		progress = count_batch;

	vk_worker_lock_slot();
	for (int i = 0; i < worker->partition_count && i < VK_SLOT_PARTITIONS; i++)
	{
		VkPartition *partition = &worker->partitions[i];
		VkPartitionStat *stat = &slot->partitions[i];
		int64		high = vk_consumer_high_watermark(worker->consumer, partition->partition);

		if (i >= slot->partition_count || stat->partition != partition->partition)
		{
			memset(stat, 0, sizeof(*stat));
			stat->partition = partition->partition;
			stat->high_watermark = -1;
			stat->wait_target = -1;
			stat->rate_at = now;
		}
		progress |= stat->next_offset != partition->next_offset;
		stat->next_offset = partition->next_offset;
		if (high >= 0)
			stat->high_watermark = Max(high, partition->next_offset);
		if (count_batch && partition->batch_messages > 0)
		{
			stat->rate = vk_rate(stat, now) + partition->batch_messages / VK_RATE_SECONDS;
			stat->rate_at = now;
		}
	}
	slot->partition_count = Min(worker->partition_count, VK_SLOT_PARTITIONS);
	if (count_batch)
	{
		slot->failures = 0;
		slot->next_start = 0;
	}
	vk_worker_unlock_slot();
	if (progress)
		ConditionVariableBroadcast(&slot->progress);
}

void
vk_worker_partition_error(VkWorker *worker, VkPartition *partition, const char *text)
{
	int			i = partition - worker->partitions;

	if (i >= VK_SLOT_PARTITIONS)
		return;
	vk_worker_lock_slot();
	strlcpy(worker->slot->partitions[i].error, text, sizeof(worker->slot->partitions[i].error));
	worker->slot->partitions[i].error_at = GetCurrentTimestamp();
	vk_worker_unlock_slot();
}

/* In a transaction of its own; what cannot be written is not worth failing for. */
void
vk_worker_event(VkWorker *worker, const char *kind, const char *detail)
{
	PG_TRY();
	{
		vk_worker_begin(worker);
		vk_stream_add_event(worker->stream->stream_id, kind, detail);
		vk_worker_commit();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
		MemoryContextSwitchTo(worker->loop_context);
	}
	PG_END_TRY();
}

/*
 * Ends
 */

/* Ends the worker until somebody changes the stream. */
void
vk_worker_fail(VkWorker *worker, const char *sqlstate, const char *text)
{
	ereport(LOG,
			(errmsg("stream \"%s\" has failed: %s", worker->stream->name, text),
			 errhint("It goes on after vektonn.resume_stream() or another change of it.")));
	vk_worker_set_error(worker, VK_STATE_FAILED, sqlstate, text);
	vk_worker_lock_slot();
	worker->slot->failed_generation = worker->stream->generation;
	vk_worker_unlock_slot();
	vk_worker_event(worker, "failed", text);
	proc_exit(0);
}

/* Makes way for a worker that starts with the stream as it is now. */
void
vk_worker_start_anew(VkWorker *worker)
{
	vk_worker_lock_slot();
	worker->slot->failures = 0;
	worker->slot->next_start = 0;
	vk_worker_unlock_slot();
	proc_exit(0);
}

/* Ends because the stream should not run; the launcher hears of it soon. */
void
vk_worker_leave(VkWorker *worker)
{
	vk_worker_lock_slot();
	worker->slot->failures = 0;
	worker->slot->next_start = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_MS);
	vk_worker_unlock_slot();
	proc_exit(0);
}
