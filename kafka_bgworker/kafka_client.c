/*-------------------------------------------------------------------------
 *
 * kafka_client.c
 *	  librdkafka clients of an ordinary backend.
 *
 * A client brings threads into the backend.  They never touch PostgreSQL's
 * memory: callbacks run in the backend's own thread, from inside the polling
 * calls, and only note what happened, because an error raised there would
 * jump over librdkafka's frames.
 *
 * A client is never destroyed by the backend's own thread: in librdkafka
 * 2.0.2 that waits for ever when a topic was deleted under a consumer.  And
 * a backend that ever had a client ends with _exit, so that no exit handler
 * (OpenSSL has one) frees what those threads still use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "kafka_bgworker/kafka_client.h"
#include "kafka_bgworker/kafka_options.h"

static bool exit_registered = false;

/* Runs after shared memory was left in order; only the process remains to end. */
static void
client_process_exit(int code, Datum arg)
{
	_exit(code);
}

static void
client_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	VkKafkaClient *client = opaque;

	/* When all brokers are down, the reason one of them gave says more. */
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && client->error != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	client->error = code;
	if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
		client->denied = true;
	strlcpy(client->reason, reason, sizeof(client->reason));
}

VkKafkaClient *
vk_kafka_client_new(Oid server, Oid user, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char		reason[256];
	sigset_t	all_signals;
	sigset_t	old_signals;
	VkKafkaClient *client = calloc(1, sizeof(VkKafkaClient));

	if (!client)
	{
		rd_kafka_conf_destroy(conf);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	if (!exit_registered)
	{
		on_proc_exit(client_process_exit, 0);
		exit_registered = true;
	}
	client->server = server;
	client->user = user;
	rd_kafka_conf_set_opaque(conf, client);
	rd_kafka_conf_set_error_cb(conf, client_error);
	rd_kafka_conf_set_log_cb(conf, NULL);

	/* No signal of the backend's may land on a thread of the library's. */
	sigfillset(&all_signals);
	pthread_sigmask(SIG_SETMASK, &all_signals, &old_signals);
	client->rk = rd_kafka_new(type, conf, reason, sizeof(reason));
	pthread_sigmask(SIG_SETMASK, &old_signals, NULL);

	if (!client->rk)
	{
		rd_kafka_conf_destroy(conf);
		free(client);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not create a client for Kafka server \"%s\"",
						GetForeignServer(server)->servername),
				 errdetail("%s.", reason)));
	}
	return client;
}

static void *
client_destroy_thread(void *arg)
{
	VkKafkaClient *client = arg;

	rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(client);
	return NULL;
}

void
vk_kafka_client_abandon(VkKafkaClient *client)
{
	pthread_t	thread;
	sigset_t	all_signals;
	sigset_t	old_signals;

	rd_kafka_purge(client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
	sigfillset(&all_signals);
	pthread_sigmask(SIG_SETMASK, &all_signals, &old_signals);
	/* Without a thread to spare the client stays until the backend ends. */
	if (pthread_create(&thread, NULL, client_destroy_thread, client) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &old_signals, NULL);
}

TimestampTz
vk_kafka_deadline(int milliseconds)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
}

static const char *
client_server_name(VkKafkaClient *client)
{
	return GetForeignServer(client->server)->servername;
}

int
vk_kafka_slice(VkKafkaClient *client, TimestampTz deadline, const char *doing)
{
	long		left;

	CHECK_FOR_INTERRUPTS();
	if (client->denied)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("Kafka server \"%s\" refused the credentials", client_server_name(client)),
				 errdetail("%s.", client->reason),
				 errhint("See the user mapping and the options sasl_mechanism and security_protocol.")));
	left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
	if (left <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not %s: Kafka server \"%s\" did not answer in time",
						doing, client_server_name(client)),
				 client->error ? errdetail("%s.", client->reason) : 0));
	return Min(left, VK_KAFKA_SLICE_MS);
}

void
vk_kafka_raise(VkKafkaClient *client, rd_kafka_resp_err_t code, const char *doing)
{
	int			sqlstate = ERRCODE_FDW_ERROR;

	switch (code)
	{
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE;
			break;
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
			sqlstate = ERRCODE_UNDEFINED_OBJECT;
			break;
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
			sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
			break;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
			sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			break;
		case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TRANSPORT:
			sqlstate = ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION;
			break;
		default:
			break;
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("could not %s: Kafka server \"%s\": %s", doing, client_server_name(client),
					rd_kafka_err2str(code)),
			 client->error && code != client->error ? errdetail("%s.", client->reason) : 0));
}

/* Kafka's own rule; said here so that a bad name never reaches a broker. */
static void
topic_name_check(const char *topic)
{
	size_t		length = strlen(topic);

	if (length < 1 || length > VK_KAFKA_MAX_TOPIC || strcmp(topic, ".") == 0 ||
		strcmp(topic, "..") == 0 ||
		strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not a topic name", topic),
				 errdetail("A topic's name has 1 to %d letters, digits, dots, underscores and hyphens.",
						   VK_KAFKA_MAX_TOPIC)));
}

int
vk_kafka_topic_partitions(VkKafkaClient *client, const char *topic, TimestampTz deadline)
{
	char		doing[320];
	volatile int partitions = -1;
	rd_kafka_topic_t *handle;

	topic_name_check(topic);
	handle = rd_kafka_topic_new(client->rk, topic, NULL);
	snprintf(doing, sizeof(doing), "look up topic \"%s\"", topic);
	if (!handle)
		vk_kafka_raise(client, rd_kafka_last_error(), doing);
	PG_TRY();
	{
		while (partitions < 0)
		{
			const struct rd_kafka_metadata *metadata;
			int			slice = vk_kafka_slice(client, deadline, doing);
			rd_kafka_resp_err_t code = rd_kafka_metadata(client->rk, 0, handle, &metadata, slice);

			/* Serves the callbacks, which is how refused credentials show. */
			rd_kafka_poll(client->rk, 0);
			if (code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT)
				continue;
			if (code)
				vk_kafka_raise(client, code, doing);
			code = metadata->topic_cnt > 0 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
			if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
				partitions = 0;
			else if (!code)
				partitions = metadata->topics[0].partition_cnt;
			rd_kafka_metadata_destroy(metadata);
			/* A topic just created has no leader for a moment. */
			if (code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
				pg_usleep(10000L);
			else if (partitions < 0)
				vk_kafka_raise(client, code, doing);
		}
	}
	PG_FINALLY();
	{
		rd_kafka_topic_destroy(handle);
	}
	PG_END_TRY();
	return partitions;
}

/* Waits for the answer to a CreateTopics request; destroys nothing. */
static rd_kafka_event_t *
topic_create_answer(VkKafkaClient *client, rd_kafka_queue_t *queue, TimestampTz deadline,
					const char *doing)
{
	rd_kafka_event_t *event = NULL;

	while (!event)
	{
		event = rd_kafka_queue_poll(queue, vk_kafka_slice(client, deadline, doing));
		rd_kafka_poll(client->rk, 0);
	}
	return event;
}

void
vk_kafka_topic_create(VkKafkaClient *client, const char *topic, int partitions, int replication,
					  bool compact, TimestampTz deadline)
{
	char		doing[320];
	char		reason[256] = "";
	rd_kafka_resp_err_t code;
	rd_kafka_event_t *event = NULL;
	rd_kafka_queue_t *queue;
	rd_kafka_NewTopic_t *request;

	snprintf(doing, sizeof(doing), "create topic \"%s\"", topic);
	request = rd_kafka_NewTopic_new(topic, partitions, replication, reason, sizeof(reason));
	if (!request)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not %s", doing), errdetail("%s.", reason)));
	if (compact)
		rd_kafka_NewTopic_set_config(request, "cleanup.policy", "compact");
	queue = rd_kafka_queue_new(client->rk);
	PG_TRY();
	{
		rd_kafka_CreateTopics(client->rk, &request, 1, NULL, queue);
		event = topic_create_answer(client, queue, deadline, doing);
		code = rd_kafka_event_error(event);
		if (!code)
		{
			size_t		count;
			const rd_kafka_topic_result_t **results;

			results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
														  &count);
			code = rd_kafka_topic_result_error(results[0]);
		}
		if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			vk_kafka_raise(client, code, doing);
	}
	PG_FINALLY();
	{
		if (event)
			rd_kafka_event_destroy(event);
		rd_kafka_NewTopic_destroy(request);
		rd_kafka_queue_destroy(queue);
	}
	PG_END_TRY();

	/* The controller has it; wait until the brokers have heard of it. */
	while (vk_kafka_topic_partitions(client, topic, deadline) == 0)
		pg_usleep(10000L);
}
