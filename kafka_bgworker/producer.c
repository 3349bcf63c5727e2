/*-------------------------------------------------------------------------
 *
 * producer.c
 *	  Producing messages from a backend: idempotent, acknowledged by all
 *	  in-sync replicas, interruptible.
 *
 * A backend keeps one producer per server and user, so that an upload costs
 * a round trip and not a connection.  A change of the server or of the user
 * mapping gives it up.
 *
 * What was produced stays produced when the transaction rolls back, and when
 * the statement is cancelled while waiting some of it may be: Kafka is not
 * part of the transaction.  Keyed messages make a repetition harmless.
 *
 * A message knows its batch by number, not by address: a report that comes
 * after its batch was interrupted is then simply not of the current one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "kafka_bgworker/kafka_client.h"
#include "kafka_bgworker/kafka_options.h"
#include "kafka_bgworker/producer.h"

/* Most partitions of a topic created here, and how many may appear unnoticed. */
#define MAX_NEW_PARTITIONS	1024

typedef struct VkKnownTopic
{
	int			partitions;		/* when it was looked up; there may be more
								 * now */
	char		name[FLEXIBLE_ARRAY_MEMBER];
} VkKnownTopic;

/* One cached client with the topics known to exist. */
typedef struct VkProducer
{
	slist_node	node;
	VkKafkaClient *client;
	List	   *topics;			/* of VkKnownTopic, in TopMemoryContext */
	bool		stale;			/* the server or mapping has changed since */
} VkProducer;

/* The batch being waited for; reports of older batches are ignored. */
typedef struct VkProduceBatch
{
	uint64		number;
	int64		pending;
	int64		failed;
	rd_kafka_resp_err_t error;	/* of the first message that failed */
	int			num_partitions;
	int64	   *next_offsets;	/* by partition; 0: none produced */
} VkProduceBatch;

static slist_head producers = SLIST_STATIC_INIT(producers);
static VkProduceBatch batch;

PG_FUNCTION_INFO_V1(vk_produce);
PG_FUNCTION_INFO_V1(vk_ensure_topic);

static void
producer_invalidate(Datum arg, int cache, uint32 hash)
{
	slist_iter	iter;

	slist_foreach(iter, &producers)
		slist_container(VkProducer, node, iter.cur)->stale = true;
}

static void
producer_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	if ((uint64) (uintptr_t) message->_private != batch.number)
		return;
	batch.pending--;
	if (message->err)
	{
		if (batch.failed++ == 0)
			batch.error = message->err;
	}
	else if (message->partition >= 0 && message->partition < batch.num_partitions)
		batch.next_offsets[message->partition] =
			Max(batch.next_offsets[message->partition], message->offset + 1);
}

static VkProducer *
producer_new(Oid server, Oid user)
{
	rd_kafka_conf_t *conf = vk_kafka_conf_new(server, user, RD_KAFKA_PRODUCER);
	VkKafkaClient *client;
	VkProducer *producer;

	/* After the user's options: these are what the function promises. */
	vk_kafka_conf_set(conf, "enable.idempotence", "true");
	vk_kafka_conf_set(conf, "acks", "all");
	vk_kafka_conf_set(conf, "queue.buffering.max.messages", "1000000");
	rd_kafka_conf_set_dr_msg_cb(conf, producer_delivered);
	client = vk_kafka_client_new(server, user, RD_KAFKA_PRODUCER, conf);

	producer = MemoryContextAllocZero(TopMemoryContext, sizeof(VkProducer));
	producer->client = client;
	slist_push_head(&producers, &producer->node);
	return producer;
}

static void
producer_free(VkProducer *producer)
{
	slist_delete(&producers, &producer->node);
	vk_kafka_client_abandon(producer->client);
	list_free_deep(producer->topics);
	pfree(producer);
}

/* The backend's producer for a server and user, new or kept; gives stale ones up. */
static VkProducer *
producer_get(Oid server, Oid user)
{
	static bool registered = false;
	VkProducer *found = NULL;
	slist_mutable_iter iter;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, producer_invalidate, 0);
		CacheRegisterSyscacheCallback(USERMAPPINGOID, producer_invalidate, 0);
		registered = true;
	}
	slist_foreach_modify(iter, &producers)
	{
		VkProducer *producer = slist_container(VkProducer, node, iter.cur);

		if (producer->stale || rd_kafka_fatal_error(producer->client->rk, NULL, 0))
		{
			slist_delete_current(&iter);
			vk_kafka_client_abandon(producer->client);
			list_free_deep(producer->topics);
			pfree(producer);
		}
		else if (producer->client->server == server && producer->client->user == user)
			found = producer;
	}
	if (!found)
		return producer_new(server, user);
	found->client->error = RD_KAFKA_RESP_ERR_NO_ERROR;
	found->client->denied = false;
	return found;
}

/* Partitions of the topic; looked up once per producer, an error when it does not exist. */
static int
producer_check_topic(VkProducer *producer, const char *topic, TimestampTz deadline)
{
	ListCell   *cell;
	MemoryContext old;
	VkKnownTopic *known;
	int			partitions;

	foreach(cell, producer->topics)
	{
		known = lfirst(cell);
		if (strcmp(known->name, topic) == 0)
			return known->partitions;
	}
	partitions = vk_kafka_topic_partitions(producer->client, topic, deadline);
	if (partitions == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("topic \"%s\" does not exist", topic)));
	old = MemoryContextSwitchTo(TopMemoryContext);
	known = palloc(offsetof(VkKnownTopic, name) + strlen(topic) + 1);
	known->partitions = partitions;
	strcpy(known->name, topic);
	producer->topics = lappend(producer->topics, known);
	MemoryContextSwitchTo(old);
	return partitions;
}

/* Hands one message over; waits while the client's queue is full. */
static void
producer_send(VkProducer *producer, const VkProduceRequest *request, int i, TimestampTz deadline)
{
	VkKafkaClient *client = producer->client;
	rd_kafka_resp_err_t code;
	const VkBytes *key = &request->keys[i];
	const VkBytes *value = &request->values[i];

	for (;;)
	{
		code = rd_kafka_producev(client->rk, RD_KAFKA_V_TOPIC(request->topic),
								 RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
								 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								 RD_KAFKA_V_KEY(key->data, key->length),
								 RD_KAFKA_V_VALUE(value->data, value->length),
								 RD_KAFKA_V_OPAQUE((void *) (uintptr_t) batch.number),
								 RD_KAFKA_V_END);
		if (!code)
			break;
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			vk_kafka_raise(client, code, "produce");
		rd_kafka_poll(client->rk, vk_kafka_slice(client, deadline, "produce"));
	}
	batch.pending++;

	/* Serve reports now and then, so that their queue stays short. */
	if (i % 1000 == 999)
	{
		CHECK_FOR_INTERRUPTS();
		rd_kafka_poll(client->rk, 0);
	}
}

/* Waits until every message of the batch was acknowledged or has failed. */
static void
producer_wait(VkProducer *producer, const VkProduceRequest *request, TimestampTz deadline)
{
	VkKafkaClient *client = producer->client;

	/* Flush and not poll: it sends without waiting for linger.ms. */
	while (batch.pending > 0)
		rd_kafka_flush(client->rk, vk_kafka_slice(client, deadline, "produce"));
	if (batch.failed > 0)
	{
		list_free_deep(producer->topics);
		producer->topics = NIL;
		ereport(ERROR,
				(errcode(batch.error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ?
						 ERRCODE_PROGRAM_LIMIT_EXCEEDED : ERRCODE_FDW_ERROR),
				 errmsg("could not produce to topic \"%s\": %s", request->topic,
						rd_kafka_err2str(batch.error)),
				 errdetail("%lld of %d messages were not acknowledged.",
						   (long long) batch.failed, request->count)));
	}
}

/* Refuses what the client would refuse in the middle of the batch. */
static void
producer_check_sizes(VkProducer *producer, const VkProduceRequest *request)
{
	char		text[32];
	size_t		size = sizeof(text);
	size_t		limit;

	if (rd_kafka_conf_get(rd_kafka_conf(producer->client->rk), "message.max.bytes", text, &size) !=
		RD_KAFKA_CONF_OK)
		elog(ERROR, "could not read librdkafka property \"message.max.bytes\"");
	limit = strtoul(text, NULL, 10);
	for (int i = 0; i < request->count; i++)
		if (request->keys[i].length + request->values[i].length > limit)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("message %d of %d is too large for topic \"%s\"", i + 1, request->count,
							request->topic),
					 errdetail("It has %zu bytes; the limit is %zu.",
							   request->keys[i].length + request->values[i].length, limit),
					 errhint("The limit is the option message_max_bytes of the server; the topic has one as well.")));
}

void
vk_producer_produce(VkProduceRequest *request)
{
	VkProducer *producer = producer_get(request->server, request->user);
	TimestampTz deadline = vk_kafka_deadline(request->timeout_ms);

	producer_check_sizes(producer, request);

	/*
	 * Reports carry partition numbers: leave room for partitions added
	 * meanwhile.
	 */
	request->num_partitions = producer_check_topic(producer, request->topic, deadline) +
		MAX_NEW_PARTITIONS;
	request->next_offsets = palloc0(sizeof(int64) * request->num_partitions);

	batch.number++;
	batch.pending = 0;
	batch.failed = 0;
	batch.error = RD_KAFKA_RESP_ERR_NO_ERROR;
	batch.num_partitions = request->num_partitions;
	batch.next_offsets = request->next_offsets;
	PG_TRY();
	{
		for (int i = 0; i < request->count; i++)
			producer_send(producer, request, i, deadline);
		producer_wait(producer, request, deadline);
	}
	PG_CATCH();
	{
		/*
		 * What has not left yet stays here; late reports are not ours any
		 * more.
		 */
		batch.number++;
		producer_free(producer);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Elements of a bytea[] in the caller's array of *count. */
static VkBytes *
bytes_from_array(ArrayType *array, int *count)
{
	Datum	   *elements;
	bool	   *nulls;
	VkBytes    *bytes;

	deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &elements, &nulls, count);
	bytes = palloc0(sizeof(VkBytes) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		bytea	   *element;

		if (nulls[i])
			continue;
		element = DatumGetByteaPP(elements[i]);
		bytes[i].data = VARDATA_ANY(element);
		bytes[i].length = VARSIZE_ANY_EXHDR(element);
	}
	return bytes;
}

/* {"partition": next offset, ...} of the partitions written to */
static Jsonb *
offsets_to_jsonb(const int64 *next_offsets, int count)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < count; i++)
		if (next_offsets[i] > 0)
			appendStringInfo(&text, "%s\"%d\": %lld", text.len > 1 ? ", " : "", i,
							 (long long) next_offsets[i]);
	appendStringInfoChar(&text, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data)));
}

/* An interval argument in milliseconds, at most a day. */
static int
timeout_ms(Interval *interval)
{
	double		ms = (double) interval->time / 1000.0 +
	((double) interval->day + 30.0 * interval->month) * SECS_PER_DAY * 1000.0;

	if (ms < 1 || ms > (double) SECS_PER_DAY * 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must be positive and at most a day")));
	return (int) ms;
}

/* vektonn.produce(server name, topic text, keys bytea[], "values" bytea[], timeout interval) */
Datum
vk_produce(PG_FUNCTION_ARGS)
{
	int			num_values;
	VkProduceRequest *request = palloc0(sizeof(VkProduceRequest));

	request->user = GetUserId();
	request->server = vk_kafka_server_oid(NameStr(*PG_GETARG_NAME(0)), request->user);
	request->topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	request->keys = bytes_from_array(PG_GETARG_ARRAYTYPE_P(2), &request->count);
	request->values = bytes_from_array(PG_GETARG_ARRAYTYPE_P(3), &num_values);
	request->timeout_ms = timeout_ms(PG_GETARG_INTERVAL_P(4));
	if (num_values != request->count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("there are %d keys and %d values", request->count, num_values)));
	if (request->count > 0)
		vk_producer_produce(request);
	PG_RETURN_JSONB_P(offsets_to_jsonb(request->next_offsets, request->num_partitions));
}

/* vektonn.ensure_topic(server name, topic text, partitions int, replication int, timeout interval) */
Datum
vk_ensure_topic(PG_FUNCTION_ARGS)
{
	Oid			user = GetUserId();
	VkProducer *producer = producer_get(vk_kafka_server_oid(NameStr(*PG_GETARG_NAME(0)), user), user);
	char	   *topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			partitions = PG_GETARG_INT32(2);
	int			replication = PG_GETARG_INT32(3);
	TimestampTz deadline = vk_kafka_deadline(timeout_ms(PG_GETARG_INTERVAL_P(4)));

	if (partitions < 1 || partitions > MAX_NEW_PARTITIONS || replication < -1 || replication == 0 ||
		replication > PG_INT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a topic cannot have %d partitions with %d replicas", partitions, replication),
				 errhint("Partitions are 1 to %d; -1 replicas are as many as the cluster's default.",
						 MAX_NEW_PARTITIONS)));
	if (vk_kafka_topic_partitions(producer->client, topic, deadline) > 0)
		PG_RETURN_BOOL(false);
	vk_kafka_topic_create(producer->client, topic, partitions, replication, true, deadline);
	PG_RETURN_BOOL(true);
}
