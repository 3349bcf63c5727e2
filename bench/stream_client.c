/*-------------------------------------------------------------------------
 *
 * stream_client.c
 *	  What bench/streams.py needs of Kafka: a topic full of messages, and
 *	  messages at a steady rate whose way into a table is timed.
 *
 * Usage:
 *	  stream_client fill BROKER TOPIC PARTITIONS COUNT DIM
 *	  stream_client latency BROKER TOPIC COUNT PER_SECOND DIM TABLE
 *
 * fill: a new topic that is not compacted, for compaction would remove messages
 * while they are counted; COUNT messages {"id": i, "n": number, "v": [DIM numbers]}, every second
 * one for a new id and every other for one of those before, drawn at random:
 * half are inserts and half are updates.  An id's messages are in one
 * partition.  Prints what must be in the table when all are applied, as JSON:
 * the number of ids, and the sum of the last number of each.
 *
 * latency: COUNT messages at PER_SECOND, each for a new id in ascending order,
 * to partition 0 of a topic that a stream reads into TABLE.  A second
 * connection, of libpq's environment variables, asks for the largest id again
 * and again.  Prints the time from the broker's acknowledgement to the first
 * answer that has the message: JSON of p50_ms, p99_ms and so on.
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

#define POOL_NUMBERS	65536	/* numbers are slices of a pool, or their
								 * formatting would take longer than Kafka */
#define NUMBER_CHARS	16
#define FLUSH_MS		300000
#define GIVE_UP_S		120
#define LOOK_EVERY_US	500

static char *pool;				/* "0.1234567, ..." */
static size_t starts[POOL_NUMBERS + 1]; /* of each number in it */
static int	failed;

/* latency: per message */
static double *acknowledged;
static double *visible;
static long expected;

static void
fatal(const char *what, const char *why)
{
	fprintf(stderr, "stream_client: %s: %s\n", what, why);
	exit(1);
}

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static uint64_t
next_random(void)
{
	static uint64_t state = 20261120;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Floats as a client prints them: what it takes to get the same float back. */
static void
make_pool(void)
{
	size_t		at = 0;

	pool = malloc(POOL_NUMBERS * NUMBER_CHARS);
	for (int i = 0; i < POOL_NUMBERS; i++)
	{
		starts[i] = at;
		at += sprintf(pool + at, "%.8g, ", (double) (float) ((double) (next_random() >> 11) / (UINT64_C(1) << 52) - 1));
	}
	starts[POOL_NUMBERS] = at;
}

static size_t
make_value(char *value, long id, long number, int dim)
{
	size_t		at = sprintf(value, "{\"id\": %ld, \"n\": %ld, \"v\": [", id, number);
	int			first = next_random() % (POOL_NUMBERS - dim);
	size_t		len = starts[first + dim] - starts[first] - 2;

	memcpy(value + at, pool + starts[first], len);
	memcpy(value + at + len, "]}", 2);
	return at + len + 2;
}

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	if (message->err)
	{
		if (failed++ == 0)
			fprintf(stderr, "stream_client: %s\n", rd_kafka_err2str(message->err));
	}
	else if (acknowledged)
		acknowledged[(long) (intptr_t) message->_private] = now();
}

static rd_kafka_t *
new_producer(const char *broker, const char *const *settings)
{
	char		reason[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *producer;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", broker, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		fatal("bootstrap.servers", reason);
	for (; *settings; settings += 2)
	{
		if (rd_kafka_conf_set(conf, settings[0], settings[1], reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
			fatal(settings[0], reason);
	}
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!producer)
		fatal("producer", reason);
	return producer;
}

static void
produce(rd_kafka_t *producer, const char *topic, int partition, long id, const char *value, size_t len, long number)
{
	char		key[32];
	int			key_len = sprintf(key, "{\"id\": %ld}", id);
	rd_kafka_resp_err_t error;

	do
	{
		error = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
								  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_len),
								  RD_KAFKA_V_VALUE((void *) value, len), RD_KAFKA_V_OPAQUE((void *) (intptr_t) number),
								  RD_KAFKA_V_END);
		rd_kafka_poll(producer, error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 100 : 0);
	} while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL);
	if (error)
		fatal("produce", rd_kafka_err2str(error));
}

static void
finish(rd_kafka_t *producer)
{
	rd_kafka_resp_err_t error = rd_kafka_flush(producer, FLUSH_MS);

	if (error || failed)
		fatal("flush", error ? rd_kafka_err2str(error) : "messages were not delivered");
	rd_kafka_destroy(producer);
}

static void
create_topic(rd_kafka_t *producer, const char *name, int partitions)
{
	char		reason[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, reason, sizeof(reason));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(producer);
	rd_kafka_event_t *event;

	if (!topic || rd_kafka_NewTopic_set_config(topic, "cleanup.policy", "delete"))
		fatal(name, reason);
	rd_kafka_CreateTopics(producer, &topic, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, FLUSH_MS);
	if (!event || rd_kafka_event_error(event))
		fatal("create topic", event ? rd_kafka_event_error_string(event) : "no answer");
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(topic);
	rd_kafka_queue_destroy(queue);
}

static void
fill(char **arg)
{
	static const char *const settings[] = {"linger.ms", "20", "batch.num.messages", "10000", "batch.size", "900000",
	"queue.buffering.max.messages", "200000", "acks", "1", NULL};
	rd_kafka_t *producer = new_producer(arg[0], settings);
	int			partitions = atoi(arg[2]);
	long		count = atol(arg[3]);
	int			dim = atoi(arg[4]);
	char	   *value = malloc((size_t) dim * NUMBER_CHARS + 100);
	size_t		bytes = 0;
	long	   *last = calloc(count / 2 + 1, sizeof(long));
	long		sum = 0;

	create_topic(producer, arg[1], partitions);
	for (long i = 0; i < count; i++)
	{
		long		id = i % 2 == 0 ? i / 2 : (long) (next_random() % (uint64_t) (i / 2 + 1));
		size_t		len = make_value(value, id, i, dim);

		produce(producer, arg[1], (int) (id % partitions), id, value, len, i);
		bytes += len;
		sum += i - last[id];
		last[id] = i;
	}
	finish(producer);
	printf("{\"messages\": %ld, \"ids\": %ld, \"sum\": %ld, \"value_bytes\": %ld}\n", count, (count + 1) / 2, sum,
		   (long) (bytes / count));
}

/* Asks for the largest id until all are there. */
static void *
watch(void *arg)
{
	PGconn	   *connection = PQconnectdb("");
	char		query[200];
	long		seen = 0;
	double		last_seen = now();

	if (PQstatus(connection) != CONNECTION_OK)
		fatal("libpq", PQerrorMessage(connection));
	snprintf(query, sizeof(query), "SELECT coalesce(max(id) + 1, 0) FROM %s", (const char *) arg);
	PQclear(PQprepare(connection, "q", query, 0, NULL));
	while (seen < expected)
	{
		PGresult   *result = PQexecPrepared(connection, "q", 0, NULL, NULL, NULL, 0);
		double		time = now();
		long		end;

		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			fatal(query, PQerrorMessage(connection));
		end = atol(PQgetvalue(result, 0, 0));
		PQclear(result);
		for (; seen < end; seen++)
		{
			visible[seen] = time;
			last_seen = time;
		}
		if (time - last_seen > GIVE_UP_S)
			fatal(query, "nothing comes");
		usleep(LOOK_EVERY_US);
	}
	PQfinish(connection);
	return NULL;
}

static int
compare(const void *a, const void *b)
{
	double		first = *(const double *) a;
	double		second = *(const double *) b;

	return (first > second) - (first < second);
}

static void
report_delays(long count)
{
	double	   *delays = malloc(sizeof(double) * count);

	/* Visible before the acknowledgement was there counts as at once. */
	for (long i = 0; i < count; i++)
		delays[i] = visible[i] > acknowledged[i] ? (visible[i] - acknowledged[i]) * 1000 : 0;
	qsort(delays, count, sizeof(double), compare);
	printf("{\"messages\": %ld, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"p999_ms\": %.2f, \"max_ms\": %.2f}\n",
		   count, delays[count / 2], delays[count * 99 / 100], delays[count * 999 / 1000], delays[count - 1]);
}

static void
latency(char **arg)
{
	static const char *const settings[] = {"linger.ms", "0", "acks", "all", NULL};
	rd_kafka_t *producer = new_producer(arg[0], settings);
	long		count = atol(arg[2]);
	double		rate = atof(arg[3]);
	int			dim = atoi(arg[4]);
	char	   *value = malloc((size_t) dim * NUMBER_CHARS + 100);
	pthread_t	watcher;
	double		start;

	acknowledged = calloc(count, sizeof(double));
	visible = calloc(count, sizeof(double));
	expected = count;
	if (pthread_create(&watcher, NULL, watch, arg[5]) != 0)
		fatal("pthread_create", "no thread");
	start = now();
	for (long i = 0; i < count; i++)
	{
		double		due = start + i / rate;

		produce(producer, arg[1], 0, i, value, make_value(value, i, i, dim), i);
		while (now() < due)
			rd_kafka_poll(producer, 1);
	}
	finish(producer);
	pthread_join(watcher, NULL);
	report_delays(count);
}

int
main(int argc, char **argv)
{
	make_pool();
	if (argc == 7 && strcmp(argv[1], "fill") == 0)
		fill(argv + 2);
	else if (argc == 8 && strcmp(argv[1], "latency") == 0)
		latency(argv + 2);
	else
		fatal("usage", "stream_client fill BROKER TOPIC PARTITIONS COUNT DIM | latency BROKER TOPIC COUNT PER_SECOND DIM TABLE");
	return 0;
}
