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
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/kafka_options.h"
#include "kafka_bgworker/worker.h"

#define BATCH_BYTES				(16 * 1024 * 1024)
#define NAP_MS					10000
#define PARTITIONS_EVERY_MS		10000	/* looks for partitions that were
										 * added */
#define ASK_AGAIN_MS			1000	/* after an error */
#define REASSIGN_PAUSE_MS		50	/* lets messages of the assignment before
									 * run out */
#define GROUP_COMMIT_EVERY_MS	1000
#define LEAVE_MS				1000	/* for the launcher to hear that a
										 * stream is not wanted */
#define CAUTIOUS_AFTER_STARTS	2

/* Tags of questions. */
enum
{
	TAG_PARTITIONS,
	TAG_SEEKS,
	TAG_LATEST,					/* of seeks to a time after the last message */
	TAG_ENDS,
	TAG_LOAD_ENDS,
	TAG_WAKE					/* whatever the answer: see
								 * vk_consumer_running_dry */
};

static VkWorker worker;
static uint64 answering_request;	/* the wait request the question under way
									 * is for */

PGDLLEXPORT void vk_worker_main(Datum arg);

/*
 * Transactions
 */

/* A transaction connected to SPI; CurrentMemoryContext stays the caller's. */
void
vk_worker_begin(VkWorker *self)
{
	MemoryContext old = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, self->stream ? self->stream->name : "starting");
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
 * What others see
 */

static void
lock_slot(void)
{
	LWLockAcquire(vk_stream_shmem()->lock, LW_EXCLUSIVE);
}

static void
unlock_slot(void)
{
	LWLockRelease(vk_stream_shmem()->lock);
}

void
vk_worker_set_state(VkWorker *self, VkWorkerState state)
{
	if (self->slot->state == state)
		return;
	lock_slot();
	self->slot->state = state;
	unlock_slot();
}

void
vk_worker_set_error(VkWorker *self, VkWorkerState state, const char *sqlstate, const char *text)
{
	lock_slot();
	self->slot->state = state;
	strlcpy(self->slot->sqlstate, sqlstate, sizeof(self->slot->sqlstate));
	strlcpy(self->slot->error, text, sizeof(self->slot->error));
	self->slot->error_at = GetCurrentTimestamp();
	unlock_slot();
}

/* The state of a worker that has nothing to complain of. */
static VkWorkerState
healthy_state(void)
{
	return worker.stream->loading ? VK_STATE_LOADING : VK_STATE_RUNNING;
}

/* Positions, ends and rates; count_batch: the batch just committed counts. */
void
vk_worker_publish(VkWorker *self, bool count_batch)
{
	VkStreamSlot *slot = self->slot;
	TimestampTz now = GetCurrentTimestamp();
	bool		progress = count_batch;

	lock_slot();
	for (int i = 0; i < self->partition_count && i < VK_SLOT_PARTITIONS; i++)
	{
		VkPartition *partition = &self->partitions[i];
		VkPartitionStat *stat = &slot->partitions[i];
		int64		high = vk_consumer_high_watermark(self->consumer, partition->partition);

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
	slot->partition_count = Min(self->partition_count, VK_SLOT_PARTITIONS);
	if (count_batch)
	{
		slot->failures = 0;
		slot->next_start = 0;
	}
	unlock_slot();
	if (progress)
		ConditionVariableBroadcast(&slot->progress);
}

static void
partition_error(VkPartition *partition, const char *text)
{
	int			i = partition - worker.partitions;

	if (i >= VK_SLOT_PARTITIONS)
		return;
	lock_slot();
	strlcpy(worker.slot->partitions[i].error, text, sizeof(worker.slot->partitions[i].error));
	worker.slot->partitions[i].error_at = GetCurrentTimestamp();
	unlock_slot();
}

/* In a transaction of its own; what cannot be written is not worth failing for. */
void
vk_worker_event(VkWorker *self, const char *kind, const char *detail)
{
	PG_TRY();
	{
		vk_worker_begin(self);
		vk_stream_add_event(self->stream->stream_id, kind, detail);
		vk_worker_commit();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
		MemoryContextSwitchTo(self->context);
	}
	PG_END_TRY();
}

/* Ends the worker until somebody changes the stream. */
void
vk_worker_fail(VkWorker *self, const char *sqlstate, const char *text)
{
	ereport(LOG,
			(errmsg("stream \"%s\" has failed: %s", self->stream->name, text),
			 errhint("It goes on after vektonn.resume_stream() or another change of it.")));
	vk_worker_set_error(self, VK_STATE_FAILED, sqlstate, text);
	lock_slot();
	self->slot->failed_generation = self->stream->generation;
	unlock_slot();
	vk_worker_event(self, "failed", text);
	proc_exit(0);
}

/* Makes way for a worker that starts with the stream as it is now. */
static void
start_anew(void)
{
	lock_slot();
	worker.slot->failures = 0;
	worker.slot->next_start = 0;
	unlock_slot();
	proc_exit(0);
}

/* Ends because the stream should not run; the launcher hears of it soon. */
static void
leave(void)
{
	lock_slot();
	worker.slot->failures = 0;
	worker.slot->next_start = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_MS);
	unlock_slot();
	proc_exit(0);
}

/*
 * The stream
 */

/*
 * Lets go of the batch at hand.  It must be applied, or its partitions be
 * assigned anew: messages that are neither would be passed over.
 */
static void
drop_batch(void)
{
	worker.message_count = 0;
	worker.failures = 0;
	vk_consumer_release(worker.consumer);
}

/*
 * Takes rows of partitions just read in place of those there are.  All are
 * assigned anew, so a batch that waits to be tried again comes again as well.
 */
static void
take_partitions(VkPartition *partitions, int count)
{
	TimestampTz soon = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), REASSIGN_PAUSE_MS);

	drop_batch();
	for (int i = 0; i < worker.partition_count; i++)
	{
		if (worker.partitions[i].assigned)
			vk_consumer_unassign(worker.consumer, worker.partitions[i].partition);
	}
	for (int i = 0; i < count; i++)
	{
		VkPartition *before = vk_worker_partition(&worker, partitions[i].partition);

		partitions[i].assign_at = before ? soon : 0;
		partitions[i].cautious = before ? before->cautious : 0;
	}
	worker.partitions = partitions;
	worker.partition_count = count;
}

/* Whether the rows say what the worker has, so that nothing needs to be assigned anew. */
static bool
same_partitions(const VkPartition *partitions, int count)
{
	if (count != worker.partition_count)
		return false;
	for (int i = 0; i < count; i++)
	{
		if (partitions[i].partition != worker.partitions[i].partition ||
			partitions[i].next_offset != worker.partitions[i].next_offset ||
			strcmp(partitions[i].seek, worker.partitions[i].seek) != 0)
			return false;
	}
	return true;
}

/* The stream may have changed: a worker that would now be another one starts anew. */
static void
read_stream_again(bool assign_anew)
{
	VkStream   *stream;
	VkPartition *partitions = NULL;
	int			count = 0;

	lock_slot();
	worker.slot->wake = false;
	unlock_slot();

	vk_worker_begin(&worker);
	if (!OidIsValid(get_extension_oid("vektonn", true)))
		leave();
	stream = vk_stream_read(worker.stream->stream_id);
	if (stream)
		partitions = vk_stream_read_partitions(stream, worker.number, &count);
	vk_worker_commit();

	if (stream == NULL)
		leave();
	if (strcmp(stream->fingerprint, worker.stream->fingerprint) != 0)
		start_anew();
	worker.stream = stream;
	if (assign_anew || !same_partitions(partitions, count))
		take_partitions(partitions, count);
	vk_worker_publish(&worker, false);
	vk_worker_retry_dead_letters(&worker);
}

/* Partitions whose workers died before they applied anything go one message at a time. */
static void
be_cautious(void)
{
	for (int i = 0; i < worker.partition_count; i++)
	{
		VkPartition *partition = &worker.partitions[i];

		if (partition->starts < CAUTIOUS_AFTER_STARTS)
			continue;
		partition->starts++;
		partition->cautious = worker.message_limit;
		ereport(LOG,
				(errmsg("stream \"%s\" applies the next %d messages of partition %d one at a time, because its worker died there before",
						worker.stream->name, partition->cautious, partition->partition)));
	}
}

/* What a start needs of the catalogue, in one transaction that a crash does not take back. */
static void
open_stream(int64 stream_id)
{
	Oid			server;

	vk_worker_begin(&worker);
	worker.stream = OidIsValid(get_extension_oid("vektonn", true)) ? vk_stream_read(stream_id) : NULL;
	if (worker.stream == NULL)
		leave();
	worker.target = vk_stream_target(worker.stream);
	server = vk_kafka_server_oid(worker.stream->server, worker.target->owner);
	worker.applier = vk_applier_create(worker.target, worker.stream->format);
	worker.partitions = vk_stream_read_partitions(worker.stream, worker.number, &worker.partition_count);
	worker.dead_letters_exist = vk_dead_letters_exist(worker.stream);
	if (worker.stream->loading)
		vk_stream_prepare_load(worker.stream);
	vk_stream_count_start(worker.stream, worker.number);
	worker.start_counted = true;
	vk_stream_add_event(stream_id, "started", NULL);

	worker.message_limit = worker.stream->batch_messages;
	worker.messages = MemoryContextAlloc(worker.context, sizeof(VkMessage) * worker.message_limit);
	worker.consumer = vk_consumer_new(server, worker.target->owner, worker.stream->topic, worker.stream->group,
									  worker.message_limit);
	vk_worker_commit();

	/*
	 * Commits that a crash takes back are applied again: offsets go back with
	 * the rows.
	 */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	be_cautious();
}

/*
 * Questions and answers
 */

static int64
milliseconds_of(TimestampTz time)
{
	return time / 1000 + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
}

/* The question a seek needs; true, and the offset, when it needs none. */
static bool
seek_question(const VkPartition *partition, int64 *question)
{
	if (strcmp(partition->seek, "earliest") == 0)
		*question = VK_OFFSET_EARLIEST;
	else if (strcmp(partition->seek, "latest") == 0)
		*question = VK_OFFSET_LATEST;
	else if (strchr(partition->seek, '-'))
		*question = milliseconds_of(DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(partition->seek),
																			ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
	else
	{
		*question = strtoll(partition->seek, NULL, 10);
		return true;
	}
	return false;
}

/* A seek has led to an offset.  Somebody else's change of it brings its own wake-up. */
static void
resolve_seek(VkPartition *partition, int64 offset)
{
	bool		ours;

	vk_worker_begin(&worker);
	ours = vk_stream_resolve_seek(worker.stream, partition, offset);
	vk_worker_commit();
	if (!ours)
	{
		read_stream_again(true);
		return;
	}
	partition->next_offset = partition->position = offset;
	partition->seek[0] = '\0';
	partition->suspect = -1;
	vk_worker_publish(&worker, false);
}

/* Seeks that need no answer; asks for the others.  True while something is asked. */
static bool
ask_seeks(void)
{
	VkPartitionOffset *offsets = palloc(sizeof(VkPartitionOffset) * Max(worker.partition_count, 1));
	int			count = 0;
	bool		asked = false;

	for (int i = 0; i < worker.partition_count; i++)
	{
		VkPartition *partition = &worker.partitions[i];
		int64		question;

		if (partition->seek[0] == '\0' || partition->partition >= worker.topic_partitions)
			continue;
		if (seek_question(partition, &question))
		{
			resolve_seek(partition, question);
			pfree(offsets);
			return true;
		}
		offsets[count].partition = partition->partition;
		offsets[count++].offset = question;
	}
	if (count > 0)
		asked = vk_consumer_ask_offsets(worker.consumer, TAG_SEEKS, offsets, count);
	pfree(offsets);
	return asked;
}

static void
ask_place(int tag, int64 place)
{
	VkPartitionOffset *offsets = palloc(sizeof(VkPartitionOffset) * Max(worker.partition_count, 1));

	for (int i = 0; i < worker.partition_count; i++)
	{
		offsets[i].partition = worker.partitions[i].partition;
		offsets[i].offset = place;
	}
	(void) vk_consumer_ask_offsets(worker.consumer, tag, offsets, worker.partition_count);
	pfree(offsets);
}

static bool
has_seeks(void)
{
	for (int i = 0; i < worker.partition_count; i++)
	{
		if (worker.partitions[i].seek[0] != '\0' || worker.partitions[i].partition >= worker.topic_partitions)
			return true;
	}
	return false;
}

static bool
needs_load_ends(void)
{
	for (int i = 0; i < worker.partition_count; i++)
	{
		if (worker.partitions[i].load_until < 0)
			return true;
	}
	return false;
}

/* Asks what is due, the most urgent first. */
static void
ask(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (vk_consumer_asking(worker.consumer))
		return;
	if (worker.ask_at <= now)
	{
		(void) vk_consumer_ask_partitions(worker.consumer, TAG_PARTITIONS);
		return;
	}
	if (worker.topic_partitions == 0 || ask_seeks() || has_seeks())
		return;
	if (worker.slot->wait_request > worker.slot->wait_answer)
	{
		answering_request = worker.slot->wait_request;

		/*
		 * Who waits may have moved the stream just before; the news of it may
		 * not have come yet.
		 */
		read_stream_again(false);
		if (has_seeks())
			return;
		if (worker.partition_count > 0)
			ask_place(TAG_ENDS, VK_OFFSET_LATEST);
		else
			worker.slot->wait_answer = answering_request;
	}
	else if (worker.stream->loading && needs_load_ends())
		ask_place(TAG_LOAD_ENDS, VK_OFFSET_LATEST);
	else if (vk_consumer_running_dry(worker.consumer))
		ask_place(TAG_WAKE, VK_OFFSET_LATEST);
}

/* The partitions of this worker among the first count of the topic. */
static int
own_partitions(int count)
{
	return (count - worker.number + worker.stream->workers - 1) / worker.stream->workers;
}

static void
take_partition_count(int count)
{
	VkPartition *partitions;
	int			partition_count;

	if (worker.slot->state == VK_STATE_STARTING || worker.slot->state == VK_STATE_RETRYING)
	{
		if (worker.failures == 0)
			vk_worker_set_state(&worker, healthy_state());
	}
	worker.ask_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PARTITIONS_EVERY_MS);
	worker.topic_partitions = count;
	if (own_partitions(count) <= worker.partition_count)
		return;

	vk_worker_begin(&worker);
	vk_stream_add_partitions(worker.stream, worker.number, count);
	if (worker.partition_count > 0)
		vk_stream_add_event(worker.stream->stream_id, "partitions", psprintf("the topic has %d partitions", count));
	partitions = vk_stream_read_partitions(worker.stream, worker.number, &partition_count);
	vk_worker_commit();
	take_partitions(partitions, partition_count);
	vk_worker_publish(&worker, false);
}

static void
take_ends(const VkAnswer *answer)
{
	lock_slot();
	for (int i = 0; i < answer->partition_count; i++)
	{
		VkPartition *partition = vk_worker_partition(&worker, answer->offsets[i].partition);

		if (partition && partition - worker.partitions < VK_SLOT_PARTITIONS)
		{
			VkPartitionStat *stat = &worker.slot->partitions[partition - worker.partitions];

			stat->wait_target = answer->offsets[i].offset;
			stat->high_watermark = Max(stat->high_watermark, answer->offsets[i].offset);
		}
	}
	worker.slot->wait_answer = answering_request;
	unlock_slot();
	ConditionVariableBroadcast(&worker.slot->progress);
}

static void
take_load_ends(const VkAnswer *answer)
{
	vk_worker_begin(&worker);
	for (int i = 0; i < answer->partition_count; i++)
	{
		VkPartition *partition = vk_worker_partition(&worker, answer->offsets[i].partition);

		if (partition && partition->load_until < 0)
		{
			partition->load_until = answer->offsets[i].offset;
			vk_stream_set_load_until(worker.stream, partition->partition, partition->load_until);
		}
	}
	vk_worker_commit();
}

static void
take_seeks(const VkAnswer *answer)
{
	VkPartitionOffset *later = palloc(sizeof(VkPartitionOffset) * Max(answer->partition_count, 1));
	int			later_count = 0;

	for (int i = 0; i < answer->partition_count; i++)
	{
		VkPartition *partition = vk_worker_partition(&worker, answer->offsets[i].partition);

		if (partition == NULL || partition->seek[0] == '\0')
			continue;
		if (answer->offsets[i].offset >= 0)
			resolve_seek(partition, answer->offsets[i].offset);
		else
		{
			/* No message that late: the end, as it is now. */
			later[later_count].partition = partition->partition;
			later[later_count++].offset = VK_OFFSET_LATEST;
		}
	}
	if (later_count > 0)
		(void) vk_consumer_ask_offsets(worker.consumer, TAG_LATEST, later, later_count);
	pfree(later);
}

/* An error of the broker's; one that explains nothing does not hide one that does. */
static void
set_broker_error(const char *text, bool vague)
{
	if (!vague || worker.slot->state != VK_STATE_RETRYING || worker.slot->error[0] == '\0')
		vk_worker_set_error(&worker, VK_STATE_RETRYING, "08000", text);
}

static void
take_answer(void)
{
	VkAnswer	answer;

	vk_consumer_answer(worker.consumer, &answer);
	switch (answer.kind)
	{
		case VK_ANSWER_NONE:
			return;
		case VK_ANSWER_ERROR:
			set_broker_error(psprintf("%s (topic \"%s\")", answer.text, worker.stream->topic), answer.vague);
			worker.ask_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ASK_AGAIN_MS);
			return;
		case VK_ANSWER_PARTITIONS:
			take_partition_count(answer.partition_count);
			return;
		case VK_ANSWER_OFFSETS:
			if (answer.tag == TAG_ENDS)
				take_ends(&answer);
			else if (answer.tag == TAG_LOAD_ENDS)
				take_load_ends(&answer);
			else if (answer.tag != TAG_WAKE)
				take_seeks(&answer);
			return;
	}
}

/*
 * Messages
 */

static void
assign_partitions(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < worker.partition_count; i++)
	{
		VkPartition *partition = &worker.partitions[i];

		if (partition->assigned || partition->seek[0] != '\0' || partition->assign_at > now ||
			partition->partition >= worker.topic_partitions)
			continue;
		partition->assigned = vk_consumer_assign(worker.consumer, partition->partition, partition->next_offset);
		if (!partition->assigned)
			partition->assign_at = TimestampTzPlusMilliseconds(now, ASK_AGAIN_MS);
	}
}

/* The broker no longer, or not yet, has the offset: what it has is read from its beginning. */
static void
leave_gap(VkPartition *partition, const VkNotice *notice)
{
	char	   *text = psprintf("offset " INT64_FORMAT " of partition %d is out of range (%s): reading on from the beginning of what there is",
								partition->position, partition->partition, notice->text);

	vk_worker_begin(&worker);
	vk_stream_set_seek(worker.stream, partition->partition, "earliest");
	vk_stream_add_event(worker.stream->stream_id, "offset_reset", text);
	vk_worker_commit();
	ereport(LOG, (errmsg("stream \"%s\": %s", worker.stream->name, text)));
	read_stream_again(true);
	partition = vk_worker_partition(&worker, notice->partition);
	if (partition)
		partition_error(partition, text);
	pfree(text);
}

static void
take_notices(void)
{
	VkNotice	notice;

	while (vk_consumer_notice(worker.consumer, &notice))
	{
		VkPartition *partition = notice.partition >= 0 ? vk_worker_partition(&worker, notice.partition) : NULL;

		switch (notice.kind)
		{
			case VK_NOTICE_END:
				if (partition && partition->assigned)
					partition->position = Max(partition->position, notice.offset);
				break;
			case VK_NOTICE_OUT_OF_RANGE:
				if (partition && partition->assigned)
					leave_gap(partition, &notice);
				break;
			case VK_NOTICE_ERROR:
				if (partition)
					partition_error(partition, notice.text);
				set_broker_error(notice.text, notice.vague);
				/* Only a question answered tells that it is over. */
				worker.ask_at = Min(worker.ask_at, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ASK_AGAIN_MS));
				break;
		}
	}
}

/* Messages of partitions given up, and those that came twice, go. */
static void
keep_expected_messages(void)
{
	int			kept = 0;

	for (int i = 0; i < worker.message_count; i++)
	{
		VkPartition *partition = vk_worker_partition(&worker, worker.messages[i].partition);

		if (partition == NULL || !partition->assigned || worker.messages[i].offset < partition->next_offset)
			continue;
		worker.messages[kept++] = worker.messages[i];
	}
	worker.message_count = kept;
}

static bool
positions_moved(void)
{
	for (int i = 0; i < worker.partition_count; i++)
	{
		if (worker.partitions[i].seek[0] == '\0' && worker.partitions[i].position > worker.partitions[i].next_offset)
			return true;
	}
	return false;
}

/* Applies the batch at hand. */
static void
apply_batch(void)
{
	switch (vk_worker_apply(&worker))
	{
		case VK_BATCH_DONE:
			drop_batch();
			vk_worker_set_state(&worker, healthy_state());
			break;
		case VK_BATCH_LOST:
			drop_batch();
			read_stream_again(true);
			break;
		case VK_BATCH_RETRY:
			break;
	}
}

/* One batch, if there is one; true when there may be more at once. */
static bool
consume(void)
{
	if (worker.failures > 0)
	{
		/* The batch at hand was tried: again, when its time has come. */
		if (worker.retry_at > GetCurrentTimestamp())
			return false;
		apply_batch();
		return worker.failures == 0;
	}
	worker.message_count = vk_consumer_poll(worker.consumer, worker.messages, worker.message_limit, BATCH_BYTES);
	keep_expected_messages();
	take_notices();
	keep_expected_messages();
	if (worker.message_count == 0 && !positions_moved())
	{
		vk_consumer_release(worker.consumer);
		return false;
	}
	apply_batch();
	return worker.failures == 0;
}

/*
 * The rest of the loop
 */

/* Builds the indexes once every partition has come to where it ended when the load began. */
static void
finish_load(void)
{
	bool		loaded;

	if (worker.topic_partitions == 0)
		return;
	for (int i = 0; i < worker.partition_count; i++)
	{
		if (worker.partitions[i].seek[0] != '\0' || worker.partitions[i].load_until < 0 || worker.partitions[i].next_offset < worker.partitions[i].load_until)
			return;
	}
	vk_worker_begin(&worker);
	loaded = vk_stream_loaded(worker.stream, worker.topic_partitions);
	vk_worker_commit();
	if (!loaded)
		return;

	vk_worker_set_state(&worker, VK_STATE_INDEXING);
	vk_worker_event(&worker, "indexing", NULL);
	vk_worker_begin(&worker);
	vk_stream_finish_load(worker.stream);
	vk_stream_add_event(worker.stream->stream_id, "loaded", NULL);
	vk_worker_commit();
	start_anew();
}

/* A worker that has caught up has not died of a message. */
static void
prove_start(void)
{
	if (!worker.start_counted || worker.topic_partitions == 0 || has_seeks())
		return;
	for (int i = 0; i < worker.partition_count; i++)
	{
		int64		high = vk_consumer_high_watermark(worker.consumer, worker.partitions[i].partition);

		if (!worker.partitions[i].assigned || high < 0 || worker.partitions[i].next_offset < high)
			return;
	}
	vk_worker_begin(&worker);
	vk_stream_forget_starts(worker.stream, worker.number);
	vk_worker_commit();
	worker.start_counted = false;
}

static void
commit_group(void)
{
	TimestampTz now = GetCurrentTimestamp();
	VkPartitionOffset *offsets;
	int			count = 0;

	if (!worker.group_commit_due || worker.group_commit_at > now)
		return;
	offsets = palloc(sizeof(VkPartitionOffset) * Max(worker.partition_count, 1));
	for (int i = 0; i < worker.partition_count; i++)
	{
		if (!worker.partitions[i].assigned || worker.partitions[i].next_offset < 0)
			continue;
		offsets[count].partition = worker.partitions[i].partition;
		offsets[count++].offset = worker.partitions[i].next_offset;
	}
	if (count > 0)
		vk_consumer_commit(worker.consumer, offsets, count);
	pfree(offsets);
	worker.group_commit_due = false;
	worker.group_commit_at = TimestampTzPlusMilliseconds(now, GROUP_COMMIT_EVERY_MS);
}

/* Milliseconds until something is due. */
static long
next_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = TimestampTzPlusMilliseconds(now, NAP_MS);

	if (!vk_consumer_asking(worker.consumer))
		due = Min(due, worker.ask_at);
	if (worker.failures > 0)
		due = Min(due, worker.retry_at);
	if (worker.group_commit_due)
		due = Min(due, worker.group_commit_at);
	if (worker.letters_at != 0)
		due = Min(due, worker.letters_at);
	for (int i = 0; i < worker.partition_count; i++)
	{
		if (!worker.partitions[i].assigned && worker.partitions[i].seek[0] == '\0' &&
			worker.partitions[i].partition < worker.topic_partitions)
			due = Min(due, Max(worker.partitions[i].assign_at, now));
	}
	return Max(TimestampDifferenceMilliseconds(now, due), 0) + 1;
}

static void
wait_for_something(void)
{
	int			event = WaitLatchOrSocket(MyLatch,
										  WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
										  vk_consumer_fd(worker.consumer), next_due(), PG_WAIT_EXTENSION);

	if (event & WL_LATCH_SET)
		ResetLatch(MyLatch);
	vk_consumer_drain_fd(worker.consumer);
}

static void
run_loop(void)
{
	for (;;)
	{
		bool		more;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (worker.slot->wake)
			read_stream_again(false);
		take_answer();
		ask();
		assign_partitions();
		more = consume();
		if (!more)
			vk_worker_publish(&worker, false);
		if (worker.stream->loading)
			finish_load();
		prove_start();
		commit_group();
		if (worker.letters_at != 0 && worker.letters_at <= GetCurrentTimestamp())
			vk_worker_retry_dead_letters(&worker);
		if (!more)
			wait_for_something();
	}
}

/*
 * Start and end
 */

/* Runs last, because it is registered first: librdkafka's threads are left as they are. */
static void
last_exit(int code, Datum arg)
{
	_exit(code);
}

static void
detach(int code, Datum arg)
{
	lock_slot();
	worker.slot->pid = 0;
	worker.slot->latch = NULL;
	if (vk_stream_shmem()->launcher_latch)
		SetLatch(vk_stream_shmem()->launcher_latch);
	unlock_slot();
}

/* Takes the slot, unless it was taken away or given to a later worker. */
static void
attach(void)
{
	VkWorkerArgs args;
	VkStreamShmem *shmem = vk_stream_shmem();
	bool		ours;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	if (shmem == NULL)
		proc_exit(0);
	worker.slot = &shmem->slots[args.slot];
	lock_slot();
	ours = worker.slot->in_use && worker.slot->wanted && worker.slot->launch == args.launch && worker.slot->pid == 0;
	if (ours)
	{
		worker.slot->pid = MyProcPid;
		worker.slot->latch = MyLatch;
		worker.slot->wake = false;
		worker.slot->partition_count = 0;
		worker.number = worker.slot->worker;
	}
	unlock_slot();
	if (!ours)
		proc_exit(0);
	before_shmem_exit(detach, (Datum) 0);
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
report_and_exit(void)
{
	ErrorData  *error;
	bool		config;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(worker.context);
	error = CopyErrorData();
	EmitErrorReport();
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
	config = vk_worker_is_config_error(error->sqlerrcode);
	vk_worker_set_error(&worker, config ? VK_STATE_FAILED : VK_STATE_RETRYING,
						unpack_sql_state(error->sqlerrcode), error->message ? error->message : "unknown error");
	lock_slot();
	if (config)
		worker.slot->failed_generation = worker.stream ? worker.stream->generation : worker.slot->generation;
	unlock_slot();
	proc_exit(0);
}

void
vk_worker_main(Datum arg)
{
	on_proc_exit(last_exit, (Datum) 0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	attach();
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);
	set_session();

	worker.context = AllocSetContextCreate(TopMemoryContext, "vektonn worker", ALLOCSET_DEFAULT_SIZES);
	worker.batch_context = AllocSetContextCreate(TopMemoryContext, "vektonn batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(worker.context);
	PG_TRY();
	{
		open_stream(worker.slot->stream_id);
		MemoryContextSwitchTo(worker.context);
		vk_worker_retry_dead_letters(&worker);
		run_loop();
	}
	PG_CATCH();
	{
		report_and_exit();
	}
	PG_END_TRY();
}
