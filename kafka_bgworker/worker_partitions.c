/*-------------------------------------------------------------------------
 *
 * worker_partitions.c
 *	  Where a stream worker is in its partitions: catalogue, questions, assignment.
 *
 * The catalogue says what comes next in each partition: an offset, or a place
 * to seek that the broker makes an offset of.  Questions to the broker are
 * asked one at a time, by a thread; what is most urgent is asked first.  A
 * partition that has an offset is assigned to the consumer.
 *
 * A batch at hand and the assignment belong together.  While both stay, a
 * batch that failed is tried again; when the catalogue says something else,
 * the batch is dropped and every partition assigned anew, so that nothing is
 * passed over: vk_worker_drop_batch alone would do that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/worker.h"

#define PARTITIONS_EVERY_MS		10000	/* looks for partitions that were
										 * added */
#define ASK_AGAIN_MS			1000	/* after an error */
#define REASSIGN_PAUSE_MS		50	/* lets messages of the assignment before
									 * run out */

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

/*
 * The stream
 */

/*
 * Lets go of the batch at hand.  It must be applied, or its partitions be
 * assigned anew: messages that are neither would be passed over.
 */
void
vk_worker_drop_batch(VkWorker *worker)
{
	worker->message_count = 0;
	worker->failures = 0;
	vk_consumer_release(worker->consumer);
}

/*
 * Takes rows of partitions just read, and the context they are in, in place
 * of those there are.  All are assigned anew, so a batch that waits to be
 * tried again comes again as well.
 */
static void
take_partitions(VkWorker *worker, VkPartition *partitions, int count, MemoryContext context)
{
	TimestampTz soon = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), REASSIGN_PAUSE_MS);

	vk_worker_drop_batch(worker);
	for (int i = 0; i < worker->partition_count; i++)
	{
		if (worker->partitions[i].assigned)
			vk_consumer_unassign(worker->consumer, worker->partitions[i].partition);
	}
	for (int i = 0; i < count; i++)
	{
		VkPartition *before = vk_worker_partition(worker, partitions[i].partition);

		partitions[i].assign_at = before ? soon : 0;
		partitions[i].cautious = before ? before->cautious : 0;
	}
	worker->partitions = partitions;
	worker->partition_count = count;
	if (worker->partition_context)
		MemoryContextDelete(worker->partition_context);
	worker->partition_context = context;
}

/* The rows of this worker's partitions, in a context of their own.  In a transaction. */
static VkPartition *
read_partitions(VkWorker *worker, int *count, MemoryContext *context)
{
	MemoryContext old;
	VkPartition *partitions;

	*context = AllocSetContextCreate(worker->context, "vektonn partitions", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(*context);
	partitions = vk_stream_read_partitions(worker->stream, worker->number, count);
	MemoryContextSwitchTo(old);
	return partitions;
}

/* At the start: nothing is assigned, and no batch at hand.  In a transaction. */
void
vk_worker_first_partitions(VkWorker *worker)
{
	worker->partitions = read_partitions(worker, &worker->partition_count, &worker->partition_context);
}

/* Whether the rows say what the worker has, so that nothing needs to be assigned anew. */
static bool
same_partitions(VkWorker *worker, const VkPartition *partitions, int count)
{
	if (count != worker->partition_count)
		return false;
	for (int i = 0; i < count; i++)
	{
		if (partitions[i].partition != worker->partitions[i].partition ||
			partitions[i].next_offset != worker->partitions[i].next_offset ||
			strcmp(partitions[i].seek, worker->partitions[i].seek) != 0)
			return false;
	}
	return true;
}

/*
 * The stream may have changed: a worker that would now be another one starts
 * anew.  The fingerprint is of all the worker knows of it but the generation.
 */
void
vk_worker_read_stream(VkWorker *worker, bool assign_anew)
{
	VkStream   *stream;
	VkPartition *partitions = NULL;
	MemoryContext context = NULL;
	int			count = 0;

	vk_worker_lock_slot();
	worker->slot->wake = false;
	vk_worker_unlock_slot();

	vk_worker_begin(worker);
	if (!OidIsValid(get_extension_oid("vektonn", true)))
		vk_worker_leave(worker);
	stream = vk_stream_read(worker->stream->stream_id);
	if (stream)
		partitions = read_partitions(worker, &count, &context);
	vk_worker_commit();

	if (stream == NULL)
		vk_worker_leave(worker);
	if (strcmp(stream->fingerprint, worker->stream->fingerprint) != 0)
		vk_worker_start_anew(worker);
	worker->stream->generation = stream->generation;
	if (assign_anew || !same_partitions(worker, partitions, count))
		take_partitions(worker, partitions, count, context);
	else
		MemoryContextDelete(context);
	vk_worker_publish(worker, false);
	vk_worker_retry_dead_letters(worker);
}

/*
 * Questions
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
resolve_seek(VkWorker *worker, VkPartition *partition, int64 offset)
{
	bool		ours;

	vk_worker_begin(worker);
	ours = vk_stream_resolve_seek(worker->stream, partition, offset);
	vk_worker_commit();
	if (!ours)
	{
		vk_worker_read_stream(worker, true);
		return;
	}
	partition->next_offset = partition->position = offset;
	partition->seek[0] = '\0';
	partition->suspect = -1;
	vk_worker_publish(worker, false);
}

/* Seeks that need no answer; asks for the others.  True while something is asked. */
static bool
ask_seeks(VkWorker *worker)
{
	VkPartitionOffset *offsets = palloc(sizeof(VkPartitionOffset) * Max(worker->partition_count, 1));
	int			count = 0;
	bool		asked = false;

	for (int i = 0; i < worker->partition_count; i++)
	{
		VkPartition *partition = &worker->partitions[i];
		int64		question;

		if (partition->seek[0] == '\0' || partition->partition >= worker->topic_partitions)
			continue;
		if (seek_question(partition, &question))
		{
			resolve_seek(worker, partition, question);
			pfree(offsets);
			return true;
		}
		offsets[count].partition = partition->partition;
		offsets[count++].offset = question;
	}
	if (count > 0)
		asked = vk_consumer_ask_offsets(worker->consumer, TAG_SEEKS, offsets, count);
	pfree(offsets);
	return asked;
}

static void
ask_place(VkWorker *worker, int tag, int64 place)
{
	VkPartitionOffset *offsets = palloc(sizeof(VkPartitionOffset) * Max(worker->partition_count, 1));

	for (int i = 0; i < worker->partition_count; i++)
	{
		offsets[i].partition = worker->partitions[i].partition;
		offsets[i].offset = place;
	}
	(void) vk_consumer_ask_offsets(worker->consumer, tag, offsets, worker->partition_count);
	pfree(offsets);
}

bool
vk_worker_has_seeks(VkWorker *worker)
{
	for (int i = 0; i < worker->partition_count; i++)
	{
		if (worker->partitions[i].seek[0] != '\0' || worker->partitions[i].partition >= worker->topic_partitions)
			return true;
	}
	return false;
}

static bool
needs_load_ends(VkWorker *worker)
{
	for (int i = 0; i < worker->partition_count; i++)
	{
		if (worker->partitions[i].load_until < 0)
			return true;
	}
	return false;
}

/* Asks what is due, the most urgent first. */
void
vk_worker_ask(VkWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();

	if (vk_consumer_asking(worker->consumer))
		return;
	if (worker->ask_at <= now)
	{
		(void) vk_consumer_ask_partitions(worker->consumer, TAG_PARTITIONS);
		return;
	}
	if (worker->topic_partitions == 0 || ask_seeks(worker) || vk_worker_has_seeks(worker))
		return;
	if (worker->slot->wait_request > worker->slot->wait_answer)
	{
		worker->answering_request = worker->slot->wait_request;

		/*
		 * Who waits may have moved the stream just before; the news of it may
		 * not have come yet.
		 */
		vk_worker_read_stream(worker, false);
		if (vk_worker_has_seeks(worker))
			return;
		if (worker->partition_count > 0)
			ask_place(worker, TAG_ENDS, VK_OFFSET_LATEST);
		else
			worker->slot->wait_answer = worker->answering_request;
	}
	else if (worker->stream->loading && needs_load_ends(worker))
		ask_place(worker, TAG_LOAD_ENDS, VK_OFFSET_LATEST);
	else if (vk_consumer_running_dry(worker->consumer))
		ask_place(worker, TAG_WAKE, VK_OFFSET_LATEST);
}

/*
 * Answers
 */

/* The partitions of this worker among the first count of the topic. */
static int
own_partitions(VkWorker *worker, int count)
{
	return (count - worker->number + worker->stream->workers - 1) / worker->stream->workers;
}

static void
take_partition_count(VkWorker *worker, int count)
{
	VkPartition *partitions;
	MemoryContext context;
	int			partition_count;

	if (worker->slot->state == VK_STATE_STARTING || worker->slot->state == VK_STATE_RETRYING)
	{
		if (worker->failures == 0)
			vk_worker_set_state(worker, vk_worker_healthy_state(worker));
	}
	worker->ask_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PARTITIONS_EVERY_MS);
	worker->topic_partitions = count;
	if (own_partitions(worker, count) <= worker->partition_count)
		return;

	vk_worker_begin(worker);
	vk_stream_add_partitions(worker->stream, worker->number, count);
	if (worker->partition_count > 0)
		vk_stream_add_event(worker->stream->stream_id, "partitions", psprintf("the topic has %d partitions", count));
	partitions = read_partitions(worker, &partition_count, &context);
	vk_worker_commit();
	take_partitions(worker, partitions, partition_count, context);
	vk_worker_publish(worker, false);
}

static void
take_ends(VkWorker *worker, const VkAnswer *answer)
{
	vk_worker_lock_slot();
	for (int i = 0; i < answer->partition_count; i++)
	{
		VkPartition *partition = vk_worker_partition(worker, answer->offsets[i].partition);

		if (partition && partition - worker->partitions < VK_SLOT_PARTITIONS)
		{
			VkPartitionStat *stat = &worker->slot->partitions[partition - worker->partitions];

			stat->wait_target = answer->offsets[i].offset;
			stat->high_watermark = Max(stat->high_watermark, answer->offsets[i].offset);
		}
	}
	worker->slot->wait_answer = worker->answering_request;
	vk_worker_unlock_slot();
	ConditionVariableBroadcast(&worker->slot->progress);
}

static void
take_load_ends(VkWorker *worker, const VkAnswer *answer)
{
	vk_worker_begin(worker);
	for (int i = 0; i < answer->partition_count; i++)
	{
		VkPartition *partition = vk_worker_partition(worker, answer->offsets[i].partition);

		if (partition && partition->load_until < 0)
		{
			partition->load_until = answer->offsets[i].offset;
			vk_stream_set_load_until(worker->stream, partition->partition, partition->load_until);
		}
	}
	vk_worker_commit();
}

static void
take_seeks(VkWorker *worker, const VkAnswer *answer)
{
	VkPartitionOffset *later = palloc(sizeof(VkPartitionOffset) * Max(answer->partition_count, 1));
	int			later_count = 0;

	for (int i = 0; i < answer->partition_count; i++)
	{
		VkPartition *partition = vk_worker_partition(worker, answer->offsets[i].partition);

		if (partition == NULL || partition->seek[0] == '\0')
			continue;
		if (answer->offsets[i].offset >= 0)
			resolve_seek(worker, partition, answer->offsets[i].offset);
		else
		{
			/* No message that late: the end, as it is now. */
			later[later_count].partition = partition->partition;
			later[later_count++].offset = VK_OFFSET_LATEST;
		}
	}
	if (later_count > 0)
		(void) vk_consumer_ask_offsets(worker->consumer, TAG_LATEST, later, later_count);
	pfree(later);
}

void
vk_worker_take_answer(VkWorker *worker)
{
	VkAnswer	answer;

	vk_consumer_answer(worker->consumer, &answer);
	switch (answer.kind)
	{
		case VK_ANSWER_NONE:
			return;
		case VK_ANSWER_ERROR:
			vk_worker_set_broker_error(worker, psprintf("%s (topic \"%s\")", answer.text, worker->stream->topic), answer.vague);
			worker->ask_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ASK_AGAIN_MS);
			return;
		case VK_ANSWER_PARTITIONS:
			take_partition_count(worker, answer.partition_count);
			return;
		case VK_ANSWER_OFFSETS:
			if (answer.tag == TAG_ENDS)
				take_ends(worker, &answer);
			else if (answer.tag == TAG_LOAD_ENDS)
				take_load_ends(worker, &answer);
			else if (answer.tag != TAG_WAKE)
				take_seeks(worker, &answer);
			return;
	}
}

/*
 * Assignment, and what the consumer says of it
 */

void
vk_worker_assign(VkWorker *worker)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < worker->partition_count; i++)
	{
		VkPartition *partition = &worker->partitions[i];

		if (partition->assigned || partition->seek[0] != '\0' || partition->assign_at > now ||
			partition->partition >= worker->topic_partitions)
			continue;
		partition->assigned = vk_consumer_assign(worker->consumer, partition->partition, partition->next_offset);
		if (!partition->assigned)
			partition->assign_at = TimestampTzPlusMilliseconds(now, ASK_AGAIN_MS);
	}
}

/* The broker no longer, or not yet, has the offset: what it has is read from its beginning. */
static void
leave_gap(VkWorker *worker, VkPartition *partition, const VkNotice *notice)
{
	char	   *text = psprintf("offset " INT64_FORMAT " of partition %d is out of range (%s): reading on from the beginning of what there is",
								partition->position, partition->partition, notice->text);

	vk_worker_begin(worker);
	vk_stream_set_seek(worker->stream, partition->partition, "earliest");
	vk_stream_add_event(worker->stream->stream_id, "offset_reset", text);
	vk_worker_commit();
	ereport(LOG, (errmsg("stream \"%s\": %s", worker->stream->name, text)));
	vk_worker_read_stream(worker, true);
	partition = vk_worker_partition(worker, notice->partition);
	if (partition)
		vk_worker_partition_error(worker, partition, text);
	pfree(text);
}

void
vk_worker_take_notices(VkWorker *worker)
{
	VkNotice	notice;

	while (vk_consumer_notice(worker->consumer, &notice))
	{
		VkPartition *partition = notice.partition >= 0 ? vk_worker_partition(worker, notice.partition) : NULL;

		switch (notice.kind)
		{
			case VK_NOTICE_END:
				if (partition && partition->assigned)
					partition->position = Max(partition->position, notice.offset);
				break;
			case VK_NOTICE_OUT_OF_RANGE:
				if (partition && partition->assigned)
					leave_gap(worker, partition, &notice);
				break;
			case VK_NOTICE_ERROR:
				if (partition)
					vk_worker_partition_error(worker, partition, notice.text);
				vk_worker_set_broker_error(worker, notice.text, notice.vague);
				/* Only a question answered tells that it is over. */
				worker->ask_at = Min(worker->ask_at, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ASK_AGAIN_MS));
				break;
		}
	}
}
