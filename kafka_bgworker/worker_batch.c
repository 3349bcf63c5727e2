/*-------------------------------------------------------------------------
 *
 * worker_batch.c
 *	  Applies a batch of messages: rows, dead letters and offsets in one
 *	  transaction.
 *
 *	  BEGIN
 *	    as the target's owner: decode, DELETE, INSERT ... ON CONFLICT
 *	    as superuser: dead letters, offsets by compare-and-set
 *	  COMMIT
 *
 * When the compare-and-set finds other offsets than the worker has, somebody
 * sought, paused, dropped or took over the stream: the transaction is rolled
 * back and nothing has happened.
 *
 * A failed attempt is classed by its SQLSTATE.  An error of a row makes the
 * next attempt a careful one, which finds the messages at fault.  An error of
 * the configuration ends the worker until somebody changes the stream.  All
 * others pass: the same batch is tried again, later and later.
 *
 * When nearly all messages become dead letters something else is wrong than
 * the messages: the stream fails before it has copied the topic there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat/pgcompat.h"
#include "kafka_bgworker/worker.h"

#define FIRST_RETRY_MS		100
#define LONGEST_RETRY_MS	30000
#define RETRY_LETTERS		1000
#define LETTERS_AGAIN_MS	5000
#define QUARANTINE_COUNT	2

/*
 * Messages over which max_error_rate is measured.  With twice as many all
 * counts are halved, so that what is long past counts little.
 */
#define ERROR_WINDOW		10000

/* What one attempt at a batch has come to. */
typedef enum Attempt
{
	ATTEMPT_DONE,
	ATTEMPT_LOST,
	ATTEMPT_STOPPED,			/* failure at stop_at, and the stream wants to
								 * stop there */
	ATTEMPT_ROW_ERROR,
	ATTEMPT_CONFIG_ERROR,
	ATTEMPT_TRANSIENT_ERROR
} Attempt;

typedef struct Trial
{
	int			count;			/* messages to apply */
	VkApplyMode mode;
	int			stop_at;
	VkProblem	problem;
} Trial;

VkPartition *
vk_worker_partition(VkWorker *worker, int32 partition)
{
	int			low = 0;
	int			high = worker->partition_count - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (worker->partitions[middle].partition == partition)
			return &worker->partitions[middle];
		if (worker->partitions[middle].partition < partition)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

static void
error_context(void *arg)
{
	VkWorker   *worker = arg;

	if (worker->message_count > 0)
		errcontext("stream \"%s\", topic \"%s\", %d messages from partition %d offset " INT64_FORMAT,
				   worker->stream->name, worker->stream->topic, worker->message_count,
				   worker->messages[0].partition, worker->messages[0].offset);
}

static TimestampTz
time_of(const VkMessage *message)
{
	if (message->time_ms < 0)
		return 0;
	return (message->time_ms - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000) * 1000;
}

/* Where each partition is after the first count messages, and what they did there. */
static void
sum_up(VkWorker *worker, const VkApplyResult *result, int count)
{
	for (int i = 0; i < worker->partition_count; i++)
	{
		VkPartition *partition = &worker->partitions[i];

		/* Control records behind the last message are passed only with it. */
		partition->batch_end = count == worker->message_count && !worker->one_by_one ? partition->position : partition->next_offset;
		partition->batch_time = 0;
		partition->batch_messages = 0;
		partition->upserted = 0;
		partition->deleted = 0;
		partition->dead_letters = 0;
	}
	for (int i = 0; i < count; i++)
	{
		const VkMessage *message = &worker->messages[i];
		VkPartition *partition = vk_worker_partition(worker, message->partition);

		partition->batch_end = Max(partition->batch_end, message->offset + 1);
		partition->batch_time = time_of(message);
		partition->batch_messages++;
		partition->upserted += result->outcomes[i] == VK_OUTCOME_UPSERTED;
		partition->deleted += result->outcomes[i] == VK_OUTCOME_DELETED;
	}
	for (int i = 0; i < result->failure_count; i++)
		vk_worker_partition(worker, worker->messages[result->failures[i].message].partition)->dead_letters++;
}

static void
write_dead_letters(VkWorker *worker, const VkApplyResult *result)
{
	for (int i = 0; i < result->failure_count; i++)
		vk_dead_letter_add(worker->stream, &worker->messages[result->failures[i].message], &result->failures[i].problem);
}

/* The transaction of a batch, but for its end. */
static Attempt
apply_and_advance(VkWorker *worker, Trial *trial)
{
	VkApplyResult result;

	vk_apply(worker->applier, worker->messages, trial->count, trial->mode, &result);
	if (worker->stream->stop_on_error && result.failure_count > 0)
	{
		trial->stop_at = result.failures[0].message;
		trial->problem = result.failures[0].problem;
		return ATTEMPT_STOPPED;
	}
	if (worker->dead_letters_exist)
		vk_dead_letters_supersede(worker->stream, worker->messages, trial->count);
	write_dead_letters(worker, &result);
	sum_up(worker, &result, trial->count);
	if (!vk_stream_advance(worker->stream, worker->partitions, worker->partition_count))
		return ATTEMPT_LOST;
	if (result.failure_count > 0)
		worker->dead_letters_exist = true;
	return ATTEMPT_DONE;
}

/* 42 names and rights, 0A, 28, 2B, 3D, 3F, F0, HV: they stay until somebody changes something. */
bool
vk_worker_is_config_error(int sqlstate)
{
	int			class = ERRCODE_TO_CATEGORY(sqlstate);

	return class == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_DEPENDENT_PRIVILEGE_DESCRIPTORS_STILL_EXIST) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_INVALID_CATALOG_NAME) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_INVALID_SCHEMA_NAME) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_CONFIG_FILE_ERROR) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_FDW_ERROR);
}

/* The error being handled; ends the transaction. */
static Attempt
class_error(VkWorker *worker, Trial *trial)
{
	ErrorData  *error;
	Attempt		attempt;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(worker->batch_context);
	error = CopyErrorData();
	strlcpy(trial->problem.sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(trial->problem.sqlstate));
	strlcpy(trial->problem.text, error->message ? error->message : "unknown error", sizeof(trial->problem.text));
	if (vk_is_row_error(error->sqlerrcode))
		attempt = ATTEMPT_ROW_ERROR;
	else
	{
		attempt = vk_worker_is_config_error(error->sqlerrcode) ? ATTEMPT_CONFIG_ERROR : ATTEMPT_TRANSIENT_ERROR;
		EmitErrorReport();
	}
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
	MemoryContextSwitchTo(worker->loop_context);
	return attempt;
}

static Attempt
attempt_batch(VkWorker *worker, Trial *trial)
{
	ErrorContextCallback callback;
	volatile Attempt attempt = ATTEMPT_TRANSIENT_ERROR;

	callback.callback = error_context;
	callback.arg = worker;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	PG_TRY();
	{
		vk_worker_begin(worker);
		MemoryContextSwitchTo(worker->batch_context);
		attempt = apply_and_advance(worker, trial);
		if (attempt == ATTEMPT_DONE)
			vk_worker_commit();
		else
			AbortCurrentTransaction();
		MemoryContextSwitchTo(worker->loop_context);
	}
	PG_CATCH();
	{
		attempt = class_error(worker, trial);
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	MemoryContextReset(worker->batch_context);
	pgstat_report_activity(STATE_IDLE, NULL);
	return attempt;
}

/* What is committed becomes what is expected next. */
static void
note_commit(VkWorker *worker)
{
	for (int i = 0; i < worker->partition_count; i++)
	{
		VkPartition *partition = &worker->partitions[i];

		if (partition->batch_end != partition->next_offset && partition->seek[0] == '\0')
		{
			partition->next_offset = partition->batch_end;
			partition->position = Max(partition->position, partition->next_offset);
			if (partition->batch_time != 0)
				partition->message_time = partition->batch_time;
		}
	}
	for (int i = 0; i < worker->partition_count; i++)
	{
		worker->recent_messages += worker->partitions[i].batch_messages;
		worker->recent_letters += worker->partitions[i].dead_letters;
	}
	worker->failures = 0;
	worker->group_commit_due = true;
	vk_worker_publish(worker, true);
}

/* Fails when too many of the last messages became dead letters. */
static void
check_error_rate(VkWorker *worker)
{
	char		text[VK_ERROR_LENGTH];

	if (worker->recent_messages < ERROR_WINDOW)
		return;
	if (worker->recent_letters > worker->stream->max_error_rate * worker->recent_messages)
	{
		snprintf(text, sizeof(text), "%.0f of the last %.0f messages became dead letters, more than max_error_rate %g allows",
				 worker->recent_letters, worker->recent_messages, worker->stream->max_error_rate);
		vk_worker_fail(worker, "22000", text);
	}
	while (worker->recent_messages >= 2 * ERROR_WINDOW)
	{
		worker->recent_messages /= 2;
		worker->recent_letters /= 2;
	}
}

static void
stop_at_message(VkWorker *worker, const VkMessage *message, const VkProblem *problem)
{
	char		text[VK_ERROR_LENGTH];

	snprintf(text, sizeof(text), "stopped at partition %d offset " INT64_FORMAT ": %s",
			 message->partition, message->offset, problem->text);
	vk_worker_fail(worker, problem->sqlstate, text);
}

static void
schedule_retry(VkWorker *worker, const VkProblem *problem)
{
	int			delay = Min(FIRST_RETRY_MS << Min(worker->failures, 10), LONGEST_RETRY_MS);

	worker->failures++;
	worker->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
	vk_worker_set_error(worker, VK_STATE_RETRYING, problem->sqlstate, problem->text);
}

/* The first count messages of the batch, or all up to the one the stream stops at. */
static VkBatchOutcome
apply_messages(VkWorker *worker, int count)
{
	Trial		trial = {.count = count,.mode = VK_APPLY_FAST};
	bool		stop = false;
	VkProblem	stop_problem = {0};

	for (;;)
	{
		switch (attempt_batch(worker, &trial))
		{
			case ATTEMPT_DONE:
				note_commit(worker);
				if (stop)
					stop_at_message(worker, &worker->messages[trial.count], &stop_problem);
				check_error_rate(worker);
				return VK_BATCH_DONE;
			case ATTEMPT_LOST:
				return VK_BATCH_LOST;
			case ATTEMPT_STOPPED:
				stop = true;
				stop_problem = trial.problem;
				trial.count = trial.stop_at;
				break;
			case ATTEMPT_ROW_ERROR:
				if (trial.mode == VK_APPLY_CAREFUL)
					vk_worker_fail(worker, trial.problem.sqlstate, trial.problem.text);
				trial.mode = VK_APPLY_CAREFUL;
				break;
			case ATTEMPT_CONFIG_ERROR:
				vk_worker_fail(worker, trial.problem.sqlstate, trial.problem.text);
			case ATTEMPT_TRANSIENT_ERROR:
				schedule_retry(worker, &trial.problem);
				return VK_BATCH_RETRY;
		}
	}
}

/*
 * One message at a time
 *
 * After workers have died before they applied anything of a partition, some message may be
 * what kills it.  Each message is then noted before it is applied, and set
 * aside unapplied when the worker has died of it twice.
 */

static void
note_suspect(VkWorker *worker, VkPartition *partition, int64 offset)
{
	int			count = partition->suspect == offset ? partition->suspect_count + 1 : 1;
	MemoryContext old = CurrentMemoryContext;

	vk_worker_begin(worker);
	SetConfigOption("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION);
	vk_stream_set_suspect(worker->stream, partition->partition, offset, count);
	vk_worker_commit();
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	MemoryContextSwitchTo(old);
	partition->suspect = offset;
	partition->suspect_count = count;
}

static void
quarantine(VkWorker *worker, VkPartition *partition)
{
	VkMessage  *message = &worker->messages[0];
	VkProblem	problem = {.sqlstate = "XX000"};
	VkApplyResult result = {0};
	VkFailure	failure = {0};
	uint8		outcome = VK_OUTCOME_NOTHING;

	snprintf(problem.text, sizeof(problem.text), "the worker died %d times while it applied this message",
			 partition->suspect_count);
	if (worker->stream->stop_on_error)
		stop_at_message(worker, message, &problem);
	failure.problem = problem;
	result.failures = &failure;
	result.failure_count = 1;
	result.outcomes = &outcome;

	vk_worker_begin(worker);
	write_dead_letters(worker, &result);
	sum_up(worker, &result, 1);
	if (vk_stream_advance(worker->stream, worker->partitions, worker->partition_count))
	{
		vk_stream_add_event(worker->stream->stream_id, "quarantine", problem.text);
		vk_worker_commit();
		worker->dead_letters_exist = true;
		note_commit(worker);
	}
	else
		AbortCurrentTransaction();
	MemoryContextSwitchTo(worker->loop_context);
}

static VkBatchOutcome
apply_cautiously(VkWorker *worker)
{
	VkMessage  *all = worker->messages;
	int			count = worker->message_count;
	VkBatchOutcome outcome = VK_BATCH_DONE;
	int			done = 0;

	worker->one_by_one = true;
	for (; done < count && outcome == VK_BATCH_DONE; done++)
	{
		VkPartition *partition;

		CHECK_FOR_INTERRUPTS();
		worker->messages = all + done;
		worker->message_count = 1;
		partition = vk_worker_partition(worker, worker->messages[0].partition);
		if (partition->suspect == worker->messages[0].offset && partition->suspect_count >= QUARANTINE_COUNT)
			quarantine(worker, partition);
		else
		{
			note_suspect(worker, partition, worker->messages[0].offset);
			outcome = apply_messages(worker, 1);
		}
		if (partition->cautious > 0)
			partition->cautious--;
	}
	worker->one_by_one = false;
	worker->messages = all;
	worker->message_count = count;
	/* What is left is tried again, without what is done. */
	if (outcome == VK_BATCH_RETRY)
	{
		done--;
		memmove(all, all + done, sizeof(VkMessage) * (count - done));
		worker->message_count = count - done;
	}
	return outcome;
}

/* Whether some of the messages at hand may be what workers died of. */
static bool
needs_caution(VkWorker *worker)
{
	bool		cautious = false;

	for (int i = 0; i < worker->partition_count; i++)
		cautious |= worker->partitions[i].cautious > 0;
	for (int i = 0; cautious && i < worker->message_count; i++)
	{
		if (vk_worker_partition(worker, worker->messages[i].partition)->cautious > 0)
			return true;
	}
	return false;
}

VkBatchOutcome
vk_worker_apply(VkWorker *worker)
{
	if (needs_caution(worker))
		return apply_cautiously(worker);
	return apply_messages(worker, worker->message_count);
}

/*
 * Dead letters
 */

/* One transaction of retries; true when there may be more. */
static bool
retry_some(VkWorker *worker)
{
	VkApplyResult result;
	VkMessage  *messages;
	int			count;
	int			failure = 0;

	vk_worker_begin(worker);
	MemoryContextSwitchTo(worker->batch_context);
	messages = vk_dead_letters_to_retry(worker->stream, worker->number, RETRY_LETTERS, &count);
	if (count > 0)
	{
		vk_apply(worker->applier, messages, count, VK_APPLY_CAREFUL, &result);
		for (int i = 0; i < count; i++)
		{
			bool		failed = failure < result.failure_count && result.failures[failure].message == i;

			vk_dead_letter_done(worker->stream, &messages[i], failed ? &result.failures[failure].problem : NULL);
			failure += failed;
		}
	}
	worker->dead_letters_exist = vk_dead_letters_exist(worker->stream);
	vk_worker_commit();
	MemoryContextSwitchTo(worker->loop_context);
	return count == RETRY_LETTERS;
}

void
vk_worker_retry_dead_letters(VkWorker *worker)
{
	volatile bool more = true;

	worker->letters_at = 0;

	while (more)
	{
		Trial		trial = {0};

		CHECK_FOR_INTERRUPTS();
		PG_TRY();
		{
			more = retry_some(worker);
		}
		PG_CATCH();
		{
			(void) class_error(worker, &trial);
			vk_worker_set_error(worker, worker->slot->state, trial.problem.sqlstate, trial.problem.text);
			worker->letters_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LETTERS_AGAIN_MS);
			more = false;
		}
		PG_END_TRY();
		MemoryContextReset(worker->batch_context);
	}
}
