/*-------------------------------------------------------------------------
 *
 * mock_kafka.c
 *	  A Kafka broker for tests, and a produce/consume tool, in one program.
 *
 * Usage: mock_kafka [BROKERS]        starts librdkafka's mock cluster
 *        mock_kafka HOST:PORT[,...]  talks to a cluster that is there
 *
 * Prints the bootstrap address as its first line, then reads one command per
 * line and answers each with the lines asked for and a last line "ok" or
 * "error: ...".  Ends when its input ends, so that no test leaves one behind.
 *
 *   topic NAME PARTITIONS [CONFIG=VALUE ...]
 *   down [BROKER] / up [BROKER]      every broker without a number
 *   rtt MILLISECONDS [BROKER]
 *   errors APIKEY CODE ...           the next requests of that kind fail so
 *   topic_error NAME CODE            every request for the topic fails so; 0 ends it
 *   leader TOPIC PARTITION BROKER    -1: no leader
 *   produce TOPIC PARTITION KEY VALUE [TIMESTAMP]
 *                                    key, value: hex, "-" is null, "=" is empty; waits for no
 *                                    acknowledgement; PARTITION -1: by the key
 *   transaction commit|abort TOPIC PARTITION KEY VALUE
 *                                    one message in a transaction of its own
 *   flush                            waits for all acknowledgements
 *   watermarks TOPIC PARTITION [MILLISECONDS]
 *                                    "LOW HIGH"
 *   consume TOPIC PARTITION OFFSET N "OFFSET KEY VALUE" lines, at most N, to the end of the partition
 *   delete_topic NAME                real clusters only, as the next two
 *   partitions NAME COUNT            add partitions
 *   delete_records TOPIC PARTITION OFFSET
 *   quit
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define MAX_ARGS		64
#define MAX_BROKERS		16
#define MAX_ERRORS		(MAX_ARGS - 2)
#define FLUSH_MS		180000
#define CONSUME_MS		180000
#define WATERMARKS_MS	180000

static rd_kafka_mock_cluster_t *cluster;	/* NULL: a real cluster */
static char bootstrap[1024];
static int	broker_count;
static rd_kafka_t *producer;
static int	failed_deliveries;
static char last_delivery_error[256];

static void
fatal(const char *what, const char *why)
{
	fprintf(stderr, "mock_kafka: %s: %s\n", what, why);
	exit(1);
}

static void
conf_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char		reason[256];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		fatal(name, reason);
}

static void
answer(const char *error)
{
	if (error)
		printf("error: %s\n", error);
	else
		printf("ok\n");
	fflush(stdout);
}

static void
answer_code(rd_kafka_resp_err_t code)
{
	answer(code ? rd_kafka_err2str(code) : NULL);
}

/* The library's log lines would mix with the tests' output. */
static rd_kafka_conf_t *
quiet_conf(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_log_cb(conf, NULL);
	return conf;
}

/* Decodes hex in place.  Returns false when it is not hex. */
static bool
hex_decode(char *text, size_t *length)
{
	size_t		digits = strlen(text);

	if (digits % 2 != 0)
		return false;
	for (size_t i = 0; i < digits; i += 2)
	{
		unsigned int byte;

		if (!isxdigit((unsigned char) text[i]) || !isxdigit((unsigned char) text[i + 1]))
			return false;
		sscanf(text + i, "%2x", &byte);
		text[i / 2] = (char) byte;
	}
	*length = digits / 2;
	return true;
}

static void
hex_print(const void *data, size_t length)
{
	if (!data)
		putchar('-');
	else if (length == 0)
		putchar('=');
	else
		for (size_t i = 0; i < length; i++)
			printf("%02x", ((const unsigned char *) data)[i]);
}

/* A key or value argument: "-" null, "=" empty, else hex. */
static bool
bytes_argument(char *text, void **data, size_t *length)
{
	*length = 0;
	*data = NULL;
	if (strcmp(text, "-") == 0)
		return true;
	*data = text;
	return strcmp(text, "=") == 0 || hex_decode(text, length);
}

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	if (message->err)
	{
		failed_deliveries++;
		snprintf(last_delivery_error, sizeof(last_delivery_error), "%s",
				 rd_kafka_err2str(message->err));
	}
}

static rd_kafka_t *
client_new(rd_kafka_type_t type)
{
	char		reason[256];
	rd_kafka_t *client;
	rd_kafka_conf_t *conf = quiet_conf();

	conf_set(conf, "bootstrap.servers", bootstrap);
	if (type == RD_KAFKA_PRODUCER)
	{
		conf_set(conf, "queue.buffering.max.messages", "1000000");
		conf_set(conf, "linger.ms", "5");
		rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	}
	else
	{
		conf_set(conf, "group.id", "mock_kafka");
		conf_set(conf, "enable.auto.commit", "false");
		conf_set(conf, "enable.partition.eof", "true");
		conf_set(conf, "fetch.wait.max.ms", "100");
		conf_set(conf, "auto.offset.reset", "error");
	}
	client = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (!client)
		fatal("client", reason);
	return client;
}

static void
do_produce(char **arg, int count)
{
	void	   *key;
	void	   *value;
	size_t		key_length;
	size_t		value_length;
	rd_kafka_resp_err_t code;

	if (count < 5 || !bytes_argument(arg[3], &key, &key_length) ||
		!bytes_argument(arg[4], &value, &value_length))
	{
		answer("produce TOPIC PARTITION KEY VALUE [TIMESTAMP]");
		return;
	}
	if (!producer)
		producer = client_new(RD_KAFKA_PRODUCER);
	do
	{
		code = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(arg[1]),
								 RD_KAFKA_V_PARTITION(atoi(arg[2])),
								 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								 RD_KAFKA_V_KEY(key, key_length),
								 RD_KAFKA_V_VALUE(value, value_length),
								 RD_KAFKA_V_TIMESTAMP(count > 5 ? atoll(arg[5]) : 0),
								 RD_KAFKA_V_END);
		rd_kafka_poll(producer, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 100 : 0);
	} while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
	answer_code(code);
}

static void
do_flush(void)
{
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (producer)
		code = rd_kafka_flush(producer, FLUSH_MS);
	if (!code && failed_deliveries > 0)
		answer(last_delivery_error);
	else
		answer_code(code);
	failed_deliveries = 0;
}

/* One message in a transaction that commits or aborts. */
static void
do_transaction(char **arg)
{
	void	   *key;
	void	   *value;
	size_t		key_length;
	size_t		value_length;
	char		reason[256] = "";
	rd_kafka_conf_t *conf = quiet_conf();
	rd_kafka_t *client;
	rd_kafka_error_t *error;

	conf_set(conf, "bootstrap.servers", bootstrap);
	conf_set(conf, "transactional.id", "mock_kafka");
	client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!client)
		fatal("client", reason);
	if (!bytes_argument(arg[4], &key, &key_length) || !bytes_argument(arg[5], &value, &value_length))
	{
		answer("key and value are hex");
		return;
	}
	error = rd_kafka_init_transactions(client, FLUSH_MS);
	if (!error)
		error = rd_kafka_begin_transaction(client);
	if (!error)
	{
		rd_kafka_producev(client, RD_KAFKA_V_TOPIC(arg[2]), RD_KAFKA_V_PARTITION(atoi(arg[3])),
						  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_length),
						  RD_KAFKA_V_VALUE(value, value_length), RD_KAFKA_V_END);
		rd_kafka_flush(client, FLUSH_MS);
		error = strcmp(arg[1], "abort") == 0 ? rd_kafka_abort_transaction(client, FLUSH_MS) :
			rd_kafka_commit_transaction(client, FLUSH_MS);
	}
	if (error)
		snprintf(reason, sizeof(reason), "%s", rd_kafka_error_string(error));
	rd_kafka_destroy(client);
	answer(error ? reason : NULL);
}

static void
do_watermarks(char **arg, int count)
{
	int64_t		low;
	int64_t		high;
	rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER);
	rd_kafka_resp_err_t code;

	code = rd_kafka_query_watermark_offsets(client, arg[1], atoi(arg[2]), &low, &high, count > 3 ? atoi(arg[3]) : WATERMARKS_MS);
	if (!code)
		printf("%lld %lld\n", (long long) low, (long long) high);
	rd_kafka_destroy(client);
	answer_code(code);
}

static void
do_consume(char **arg)
{
	long long	wanted = atoll(arg[4]);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_t *client = client_new(RD_KAFKA_CONSUMER);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, arg[1], atoi(arg[2]))->offset = atoll(arg[3]);
	rd_kafka_assign(client, list);
	while (wanted > 0 && !code)
	{
		rd_kafka_message_t *message = rd_kafka_consumer_poll(client, CONSUME_MS);

		if (!message)
			code = RD_KAFKA_RESP_ERR__TIMED_OUT;
		else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			wanted = 0;
		else if (message->err)
			code = message->err;
		else
		{
			printf("%lld ", (long long) message->offset);
			hex_print(message->key, message->key_len);
			putchar(' ');
			hex_print(message->payload, message->len);
			putchar('\n');
			wanted--;
		}
		if (message)
			rd_kafka_message_destroy(message);
	}
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(client);
	answer_code(code);
}

/* Waits for an admin request and answers its first error. */
static void
admin_answer(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, FLUSH_MS);
	const rd_kafka_topic_result_t **topics = NULL;
	size_t		count = 0;
	rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;

	if (!code && rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
		topics = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
	else if (!code && rd_kafka_event_type(event) == RD_KAFKA_EVENT_DELETETOPICS_RESULT)
		topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
	else if (!code && rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT)
		topics = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event),
														 &count);
	if (count > 0)
		code = rd_kafka_topic_result_error(topics[0]);
	answer_code(code);
	if (event)
		rd_kafka_event_destroy(event);
}

static void
do_create_topic(rd_kafka_t *client, rd_kafka_queue_t *queue, char **arg, int count)
{
	char		reason[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(arg[1], atoi(arg[2]), 1, reason, sizeof(reason));

	for (int i = 3; topic && i < count; i++)
	{
		char	   *value = strchr(arg[i], '=');

		if (value)
		{
			*value++ = '\0';
			rd_kafka_NewTopic_set_config(topic, arg[i], value);
		}
	}
	if (!topic)
	{
		answer(reason);
		return;
	}
	rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
	admin_answer(queue);
	rd_kafka_NewTopic_destroy(topic);
}

static void
do_delete_records(rd_kafka_t *client, rd_kafka_queue_t *queue, char **arg)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_DeleteRecords_t *request;

	rd_kafka_topic_partition_list_add(list, arg[1], atoi(arg[2]))->offset = atoll(arg[3]);
	request = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
	admin_answer(queue);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(list);
}

/* Commands that change topics of a real cluster. */
static void
do_admin(char **arg, int count)
{
	char		reason[256];
	rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);

	if (strcmp(arg[0], "topic") == 0 && count >= 3)
		do_create_topic(client, queue, arg, count);
	else if (strcmp(arg[0], "delete_topic") == 0 && count == 2)
	{
		rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(arg[1]);

		rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
		admin_answer(queue);
		rd_kafka_DeleteTopic_destroy(topic);
	}
	else if (strcmp(arg[0], "partitions") == 0 && count == 3)
	{
		rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(arg[1], atoi(arg[2]), reason,
																	sizeof(reason));

		rd_kafka_CreatePartitions(client, &more, 1, NULL, queue);
		admin_answer(queue);
		rd_kafka_NewPartitions_destroy(more);
	}
	else if (strcmp(arg[0], "delete_records") == 0 && count == 4)
		do_delete_records(client, queue, arg);
	else
		answer("no such command, wrong arguments, or for a mock cluster only");
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(client);

	/* Its picture of the topics is now old. */
	if (producer)
	{
		rd_kafka_flush(producer, FLUSH_MS);
		rd_kafka_destroy(producer);
		producer = NULL;
	}
}

/* Applies a fault to one broker, or to each when the command names none. */
static void
do_broker(char **arg, const char *broker, rd_kafka_resp_err_t (*apply) (int32_t id, int value))
{
	int			value = strcmp(arg[0], "rtt") == 0 ? atoi(arg[1]) : 0;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

	for (int id = 1; id <= broker_count && !code; id++)
		if (!broker || atoi(broker) == id)
			code = apply(id, value);
	answer_code(code);
}

static rd_kafka_resp_err_t
broker_down(int32_t id, int value)
{
	return rd_kafka_mock_broker_set_down(cluster, id);
}

static rd_kafka_resp_err_t
broker_up(int32_t id, int value)
{
	return rd_kafka_mock_broker_set_up(cluster, id);
}

static rd_kafka_resp_err_t
broker_rtt(int32_t id, int value)
{
	return rd_kafka_mock_broker_set_rtt(cluster, id, value);
}

static void
do_errors(char **arg, int count)
{
	rd_kafka_resp_err_t codes[MAX_ERRORS];

	for (int i = 2; i < count; i++)
		codes[i - 2] = atoi(arg[i]);
	rd_kafka_mock_push_request_errors_array(cluster, (int16_t) atoi(arg[1]), count - 2, codes);
	answer(NULL);
}

static void
do_fault(char **arg, int count)
{
	const char *name = arg[0];

	if (!cluster)
		do_admin(arg, count);
	else if (strcmp(name, "topic") == 0 && count == 3)
		answer_code(rd_kafka_mock_topic_create(cluster, arg[1], atoi(arg[2]), 1));
	else if (strcmp(name, "down") == 0)
		do_broker(arg, arg[1], broker_down);
	else if (strcmp(name, "up") == 0)
		do_broker(arg, arg[1], broker_up);
	else if (strcmp(name, "rtt") == 0 && count >= 2)
		do_broker(arg, arg[2], broker_rtt);
	else if (strcmp(name, "errors") == 0 && count >= 3)
		do_errors(arg, count);
	else if (strcmp(name, "topic_error") == 0 && count == 3)
	{
		rd_kafka_mock_topic_set_error(cluster, arg[1], atoi(arg[2]));
		answer(NULL);
	}
	else if (strcmp(name, "leader") == 0 && count == 4)
		answer_code(rd_kafka_mock_partition_set_leader(cluster, arg[1], atoi(arg[2]), atoi(arg[3])));
	else
		answer("no such command, or wrong arguments");
}

static void
do_command(char **arg, int count)
{
	if (strcmp(arg[0], "produce") == 0)
		do_produce(arg, count);
	else if (strcmp(arg[0], "flush") == 0)
		do_flush();
	else if (strcmp(arg[0], "transaction") == 0 && count == 6)
		do_transaction(arg);
	else if (strcmp(arg[0], "watermarks") == 0 && count >= 3)
		do_watermarks(arg, count);
	else if (strcmp(arg[0], "consume") == 0 && count == 5)
		do_consume(arg);
	else
		do_fault(arg, count);
}

static void
mock_start(int brokers)
{
	char		reason[256];
	rd_kafka_t *owner;

	broker_count = brokers < 1 || brokers > MAX_BROKERS ? 1 : brokers;
	owner = rd_kafka_new(RD_KAFKA_PRODUCER, quiet_conf(), reason, sizeof(reason));
	if (!owner)
		fatal("client", reason);
	cluster = rd_kafka_mock_cluster_new(owner, broker_count);
	if (!cluster)
		fatal("mock cluster", "could not be created");
	snprintf(bootstrap, sizeof(bootstrap), "%s", rd_kafka_mock_cluster_bootstraps(cluster));
}

int
main(int argc, char **argv)
{
	char	   *line = NULL;
	size_t		size = 0;

	if (argc > 1 && strchr(argv[1], ':'))
		snprintf(bootstrap, sizeof(bootstrap), "%s", argv[1]);
	else
		mock_start(argc > 1 ? atoi(argv[1]) : 1);
	printf("%s\n", bootstrap);
	fflush(stdout);

	while (getline(&line, &size, stdin) > 0)
	{
		char	   *arg[MAX_ARGS + 1] = {NULL};
		char	   *rest = NULL;
		int			count = 0;

		for (char *word = strtok_r(line, " \n", &rest); word && count < MAX_ARGS;
			 word = strtok_r(NULL, " \n", &rest))
			arg[count++] = word;
		if (count == 0)
			continue;
		if (strcmp(arg[0], "quit") == 0)
			break;
		do_command(arg, count);
	}

	/* A mock cluster's sockets end with the process: nothing to wait for. */
	_Exit(0);
}
