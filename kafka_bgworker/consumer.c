/*-------------------------------------------------------------------------
 *
 * consumer.c
 *	  A Kafka consumer of one topic: the only file of the workers that knows
 *	  librdkafka.
 *
 * Things it works around in librdkafka 2.0.2: a consumer is never destroyed,
 * because that may hang after its topic was deleted (the worker ends by
 * _exit); nothing seeks or pauses, because the batch calls are not safe
 * against it: partitions are unassigned and assigned anew; some errors come
 * only through the error callback, which therefore makes notices of them; a
 * broker's thread whose queue was full looks at it again only once a second,
 * unless a request to that broker wakes it (vk_consumer_running_dry).
 *
 * The callbacks run inside rd_kafka_consume_batch_queue, in the worker's
 * thread, and must not raise PostgreSQL errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "kafka_bgworker/consumer.h"
#include "kafka_bgworker/kafka_options.h"

#define MAX_NOTICES			1024
#define METADATA_TIMEOUT_MS	5000
#define OFFSETS_TIMEOUT_MS	10000

/*
 * Messages read ahead, all partitions together, beyond which nothing more is
 * fetched; the property queued.max.messages.kbytes bounds their bytes.
 */
#define QUEUED_MESSAGES		20000
#define QUEUED_KBYTES		"32768"

/* Fetches are large, so that few round trips are waited for. */
#define FETCH_BYTES			"16777216"
#define FETCH_PARTITION_BYTES	"8388608"

/*
 * How long a broker keeps a fetch that has nothing to answer.  It answers one
 * request of a connection after the other, so questions wait as long.
 */
#define FETCH_WAIT_MS		"100"

/* The first version that looks at full queues again by itself. */
#define QUEUE_BACKOFF_VERSION	0x02020000

typedef enum Question
{
	QUESTION_NONE,
	QUESTION_PARTITIONS,
	QUESTION_OFFSETS
} Question;

struct VkConsumer
{
	rd_kafka_t *rk;
	rd_kafka_topic_t *rkt;
	rd_kafka_queue_t *rkqu;
	char	   *topic;
	int			pipe[2];

	/* messages handed out and not yet released */
	rd_kafka_message_t **held;
	int			held_count;
	int			held_size;
	bool		backlog;		/* the last poll ended because its batch was
								 * full */

	VkNotice	notices[MAX_NOTICES];	/* a ring */
	int			notice_first;
	int			notice_count;

	/* the question under way: the thread owns all below but the answered flag */
	Question	question;
	int			tag;
	volatile sig_atomic_t answered;
	rd_kafka_resp_err_t error;
	int			partition_count;
	rd_kafka_topic_partition_list_t *list;
	VkPartitionOffset *offsets;
	int			offsets_size;
};

static VkNotice *
add_notice(VkConsumer *consumer, VkNoticeKind kind, int32_t partition, int64_t offset)
{
	VkNotice   *notice;

	if (consumer->notice_count == MAX_NOTICES)
	{
		/*
		 * A flood of errors: the oldest gives way.  Ends of partitions come
		 * again.
		 */
		consumer->notice_first = (consumer->notice_first + 1) % MAX_NOTICES;
		consumer->notice_count--;
	}
	notice = &consumer->notices[(consumer->notice_first + consumer->notice_count++) % MAX_NOTICES];
	notice->kind = kind;
	notice->partition = partition;
	notice->offset = offset;
	notice->vague = false;
	notice->text[0] = '\0';
	return notice;
}

bool
vk_consumer_notice(VkConsumer *consumer, VkNotice *notice)
{
	if (consumer->notice_count == 0)
		return false;
	*notice = consumer->notices[consumer->notice_first];
	consumer->notice_first = (consumer->notice_first + 1) % MAX_NOTICES;
	consumer->notice_count--;
	return true;
}

/* Errors that say no more than that there is one, behind which the reason is soon forgotten. */
static bool
is_vague(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || error == RD_KAFKA_RESP_ERR__TRANSPORT ||
		error == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

static void
error_callback(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	VkConsumer *consumer = opaque;
	VkNotice   *notice = add_notice(consumer, VK_NOTICE_ERROR, -1, -1);

	notice->vague = is_vague(code);
	snprintf(notice->text, sizeof(notice->text), "%s: %s", rd_kafka_err2str(code), reason);
}

/* Log lines say what the error callback says, and less clearly. */
static void
log_callback(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
}

static void
set_if_default(rd_kafka_conf_t *conf, const char *property, const char *library_default, const char *value)
{
	char		current[64];
	size_t		size = sizeof(current);

	if (rd_kafka_conf_get(conf, property, current, &size) == RD_KAFKA_CONF_OK && strcmp(current, library_default) == 0)
		vk_kafka_conf_set(conf, property, value);
}

VkConsumer *
vk_consumer_new(unsigned int server, unsigned int user, const char *topic, const char *group, size_t max_batch)
{
	rd_kafka_conf_t *conf = vk_kafka_conf_new(server, user, RD_KAFKA_CONSUMER);
	VkConsumer *consumer = calloc(1, sizeof(VkConsumer));
	char		problem[256];
	sigset_t	all_signals;
	sigset_t	old_signals;

	if (consumer == NULL || (consumer->topic = strdup(topic)) == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	vk_kafka_conf_set(conf, "group.id", group);
	vk_kafka_conf_set(conf, "enable.auto.commit", "false");
	vk_kafka_conf_set(conf, "enable.auto.offset.store", "false");
	vk_kafka_conf_set(conf, "auto.offset.reset", "error");
	vk_kafka_conf_set(conf, "enable.partition.eof", "true");
	vk_kafka_conf_set(conf, "log.queue", "true");
	set_if_default(conf, "queued.max.messages.kbytes", "65536", QUEUED_KBYTES);
	set_if_default(conf, "queued.min.messages", "100000", CppAsString2(QUEUED_MESSAGES));
	set_if_default(conf, "fetch.message.max.bytes", "1048576", FETCH_PARTITION_BYTES);
	set_if_default(conf, "fetch.max.bytes", "52428800", FETCH_BYTES);
	set_if_default(conf, "fetch.queue.backoff.ms", "1000", "10");
	set_if_default(conf, "fetch.wait.max.ms", "500", FETCH_WAIT_MS);
	set_if_default(conf, "topic.metadata.refresh.interval.ms", "300000", "30000");
	rd_kafka_conf_set_opaque(conf, consumer);
	rd_kafka_conf_set_error_cb(conf, error_callback);
	rd_kafka_conf_set_log_cb(conf, log_callback);

	if (pipe2(consumer->pipe, O_NONBLOCK | O_CLOEXEC) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not create pipe: %m")));

	/* Signals are for the thread PostgreSQL knows. */
	sigfillset(&all_signals);
	pthread_sigmask(SIG_SETMASK, &all_signals, &old_signals);
	consumer->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, problem, sizeof(problem));
	pthread_sigmask(SIG_SETMASK, &old_signals, NULL);
	if (consumer->rk == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION),
				 errmsg("could not create a Kafka consumer: %s", problem)));

	rd_kafka_poll_set_consumer(consumer->rk);
	consumer->rkqu = rd_kafka_queue_get_consumer(consumer->rk);
	rd_kafka_set_log_queue(consumer->rk, consumer->rkqu);
	rd_kafka_queue_io_event_enable(consumer->rkqu, consumer->pipe[1], "1", 1);
	consumer->rkt = rd_kafka_topic_new(consumer->rk, topic, NULL);
	if (consumer->rkt == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic name \"%s\" is not valid: %s", topic, rd_kafka_err2str(rd_kafka_last_error()))));
	consumer->held_size = max_batch;
	consumer->held = calloc(max_batch, sizeof(rd_kafka_message_t *));
	if (consumer->held == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return consumer;
}

int
vk_consumer_fd(VkConsumer *consumer)
{
	return consumer->pipe[0];
}

/*
 * librdkafka writes to the pipe when its queue was empty: drain first, then
 * poll until nothing comes, then wait; in that order no wake-up is lost.
 */
void
vk_consumer_drain_fd(VkConsumer *consumer)
{
	char		buffer[64];

	while (read(consumer->pipe[0], buffer, sizeof(buffer)) == sizeof(buffer))
		;
}

bool
vk_consumer_assign(VkConsumer *consumer, int32_t partition, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_error_t *error;

	rd_kafka_topic_partition_list_add(list, consumer->topic, partition)->offset = offset;
	error = rd_kafka_incremental_assign(consumer->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (error)
	{
		VkNotice   *notice = add_notice(consumer, VK_NOTICE_ERROR, partition, offset);

		snprintf(notice->text, sizeof(notice->text), "%s", rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
		return false;
	}
	return true;
}

void
vk_consumer_unassign(VkConsumer *consumer, int32_t partition)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_error_t *error;

	rd_kafka_topic_partition_list_add(list, consumer->topic, partition);
	error = rd_kafka_incremental_unassign(consumer->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (error)
		rd_kafka_error_destroy(error);
}

static void
notice_of(VkConsumer *consumer, const rd_kafka_message_t *rkmessage)
{
	VkNotice   *notice;

	switch (rkmessage->err)
	{
		case RD_KAFKA_RESP_ERR__PARTITION_EOF:
			add_notice(consumer, VK_NOTICE_END, rkmessage->partition, rkmessage->offset);
			break;
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
			notice = add_notice(consumer, VK_NOTICE_OUT_OF_RANGE, rkmessage->partition, rkmessage->offset);
			snprintf(notice->text, sizeof(notice->text), "%s", rd_kafka_message_errstr(rkmessage));
			break;
		default:
			notice = add_notice(consumer, VK_NOTICE_ERROR, rkmessage->rkt ? rkmessage->partition : -1, rkmessage->offset);
			snprintf(notice->text, sizeof(notice->text), "%s", rd_kafka_message_errstr(rkmessage));
			break;
	}
}

int
vk_consumer_poll(VkConsumer *consumer, VkMessage *messages, int max, size_t max_bytes)
{
	size_t		bytes = 0;
	int			count = 0;

	/* In slices, so that messages that are large make a batch of few. */
	while (consumer->held_count < consumer->held_size && count < max && bytes < max_bytes)
	{
		rd_kafka_message_t **fresh = consumer->held + consumer->held_count;
		int			room = Min(Min(max - count, consumer->held_size - consumer->held_count), 256);
		ssize_t		got = rd_kafka_consume_batch_queue(consumer->rkqu, 0, fresh, room);
		int			kept = 0;

		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
		{
			rd_kafka_message_t *rkmessage = fresh[i];
			VkMessage  *message = &messages[count];
			rd_kafka_timestamp_type_t time_type;

			if (rkmessage->err)
			{
				notice_of(consumer, rkmessage);
				rd_kafka_message_destroy(rkmessage);
				continue;
			}
			fresh[kept++] = rkmessage;
			message->partition = rkmessage->partition;
			message->offset = rkmessage->offset;
			message->time_ms = rd_kafka_message_timestamp(rkmessage, &time_type);
			message->key = rkmessage->key;
			message->key_len = rkmessage->key_len;
			message->value = rkmessage->payload;
			message->value_len = rkmessage->len;
			bytes += rkmessage->key_len + rkmessage->len;
			count++;
		}
		consumer->held_count += kept;
	}
	consumer->backlog = count >= max || bytes >= max_bytes;
	return count;
}

/* Whether there is more to come than is read ahead, and nobody may be reading ahead. */
bool
vk_consumer_running_dry(VkConsumer *consumer)
{
	return consumer->backlog && rd_kafka_version() < QUEUE_BACKOFF_VERSION &&
		rd_kafka_queue_length(consumer->rkqu) < QUEUED_MESSAGES / 2;
}

void
vk_consumer_release(VkConsumer *consumer)
{
	for (int i = 0; i < consumer->held_count; i++)
		rd_kafka_message_destroy(consumer->held[i]);
	consumer->held_count = 0;
}

int64_t
vk_consumer_high_watermark(VkConsumer *consumer, int32_t partition)
{
	int64_t		low;
	int64_t		high;

	if (rd_kafka_get_watermark_offsets(consumer->rk, consumer->topic, partition, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		high < 0)
		return -1;
	return high;
}

/*
 * Questions
 */

static rd_kafka_resp_err_t
ask_partitions(VkConsumer *consumer)
{
	const rd_kafka_metadata_t *metadata;
	rd_kafka_resp_err_t error = rd_kafka_metadata(consumer->rk, 0, consumer->rkt, &metadata, METADATA_TIMEOUT_MS);

	if (error)
		return error;
	error = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	for (int i = 0; i < metadata->topic_cnt; i++)
	{
		if (strcmp(metadata->topics[i].topic, consumer->topic) == 0)
		{
			error = metadata->topics[i].err;
			consumer->partition_count = metadata->topics[i].partition_cnt;
		}
	}
	rd_kafka_metadata_destroy(metadata);
	return error;
}

static rd_kafka_resp_err_t
ask_offsets(VkConsumer *consumer)
{
	rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(consumer->rk, consumer->list, OFFSETS_TIMEOUT_MS);

	for (int i = 0; i < consumer->list->cnt && !error; i++)
		error = consumer->list->elems[i].err;
	return error;
}

static void *
question_main(void *arg)
{
	VkConsumer *consumer = arg;

	consumer->error = consumer->question == QUESTION_PARTITIONS ? ask_partitions(consumer) : ask_offsets(consumer);
	__atomic_store_n(&consumer->answered, 1, __ATOMIC_RELEASE);
	while (write(consumer->pipe[1], "2", 1) < 0 && errno == EINTR)
		;
	return NULL;
}

static bool
start_question(VkConsumer *consumer, Question question, int tag)
{
	pthread_t	thread;
	sigset_t	all_signals;
	sigset_t	old_signals;
	int			failed;

	consumer->question = question;
	consumer->tag = tag;
	consumer->answered = 0;
	sigfillset(&all_signals);
	pthread_sigmask(SIG_SETMASK, &all_signals, &old_signals);
	failed = pthread_create(&thread, NULL, question_main, consumer);
	pthread_sigmask(SIG_SETMASK, &old_signals, NULL);
	if (failed)
	{
		consumer->question = QUESTION_NONE;
		return false;
	}
	pthread_detach(thread);
	return true;
}

bool
vk_consumer_asking(VkConsumer *consumer)
{
	return consumer->question != QUESTION_NONE;
}

bool
vk_consumer_ask_partitions(VkConsumer *consumer, int tag)
{
	return !vk_consumer_asking(consumer) && start_question(consumer, QUESTION_PARTITIONS, tag);
}

bool
vk_consumer_ask_offsets(VkConsumer *consumer, int tag, const VkPartitionOffset *offsets, int count)
{
	if (vk_consumer_asking(consumer))
		return false;
	if (consumer->list)
		rd_kafka_topic_partition_list_destroy(consumer->list);
	consumer->list = rd_kafka_topic_partition_list_new(count);
	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(consumer->list, consumer->topic, offsets[i].partition)->offset = offsets[i].offset;
	return start_question(consumer, QUESTION_OFFSETS, tag);
}

void
vk_consumer_answer(VkConsumer *consumer, VkAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	if (consumer->question == QUESTION_NONE || !__atomic_load_n(&consumer->answered, __ATOMIC_ACQUIRE))
		return;
	answer->tag = consumer->tag;
	if (consumer->error)
	{
		answer->kind = VK_ANSWER_ERROR;
		answer->vague = is_vague(consumer->error);
		snprintf(answer->text, sizeof(answer->text), "%s", rd_kafka_err2str(consumer->error));
	}
	else if (consumer->question == QUESTION_PARTITIONS)
	{
		answer->kind = VK_ANSWER_PARTITIONS;
		answer->partition_count = consumer->partition_count;
	}
	else
	{
		int			count = consumer->list->cnt;

		if (count > consumer->offsets_size)
		{
			VkPartitionOffset *grown = realloc(consumer->offsets, sizeof(VkPartitionOffset) * count);

			if (grown == NULL)
				ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
			consumer->offsets = grown;
			consumer->offsets_size = count;
		}
		for (int i = 0; i < count; i++)
		{
			consumer->offsets[i].partition = consumer->list->elems[i].partition;
			consumer->offsets[i].offset = consumer->list->elems[i].offset;
		}
		answer->kind = VK_ANSWER_OFFSETS;
		answer->partition_count = count;
		answer->offsets = consumer->offsets;
	}
	consumer->question = QUESTION_NONE;
}

void
vk_consumer_commit(VkConsumer *consumer, const VkPartitionOffset *offsets, int count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, consumer->topic, offsets[i].partition)->offset = offsets[i].offset;
	(void) rd_kafka_commit(consumer->rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}
