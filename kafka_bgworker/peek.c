/*-------------------------------------------------------------------------
 *
 * peek.c
 *	  vektonn.peek: a look at the messages of a topic, as they are.
 *
 * Reads with a client of its own and commits nothing anywhere: no stream
 * notices.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "kafka_bgworker/kafka_client.h"
#include "kafka_bgworker/kafka_options.h"
#include "kafka_bgworker/producer.h"

#define PEEK_TIMEOUT_MS		10000
#define PEEK_MAX_MESSAGES	100000
#define PEEK_COLUMNS		5

/* What is still to be read. */
typedef struct VkPeek
{
	VkKafkaClient *client;
	TimestampTz deadline;
	const char *topic;
	int			partition;		/* -1: all */
	bool		from_end;		/* no offset was given: the last ones */
	int64		offset;
	int			count;			/* of each partition */
	int			num_partitions;
	int		   *left;			/* by partition; 0: done */
} VkPeek;

PG_FUNCTION_INFO_V1(vk_peek);

static bytea *
bytes_to_bytea(const void *data, size_t length)
{
	bytea	   *result = palloc(VARHDRSZ + length);

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), data, length);
	return result;
}

static void
peek_put(ReturnSetInfo *result, const rd_kafka_message_t *message)
{
	Datum		values[PEEK_COLUMNS] = {0};
	bool		nulls[PEEK_COLUMNS] = {0};
	rd_kafka_timestamp_type_t type;
	int64		ms = rd_kafka_message_timestamp(message, &type);

	values[0] = Int32GetDatum(message->partition);
	values[1] = Int64GetDatum(message->offset);
	nulls[2] = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms < 0 || ms > PG_INT64_MAX / 1000;
	if (!nulls[2])
		values[2] = TimestampTzGetDatum(ms * 1000 -
										(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
	nulls[3] = message->key == NULL;
	if (!nulls[3])
		values[3] = PointerGetDatum(bytes_to_bytea(message->key, message->key_len));
	nulls[4] = message->payload == NULL;
	if (!nulls[4])
		values[4] = PointerGetDatum(bytes_to_bytea(message->payload, message->len));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Starts reading where the caller asked to. */
static void
peek_assign(VkPeek *peek)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(peek->num_partitions);
	rd_kafka_resp_err_t code;

	for (int i = 0; i < peek->num_partitions; i++)
	{
		if (peek->partition >= 0 && peek->partition != i)
			continue;
		rd_kafka_topic_partition_list_add(list, peek->topic, i)->offset =
			peek->from_end ? RD_KAFKA_OFFSET_TAIL(peek->count) : peek->offset;
		peek->left[i] = peek->count;
	}
	code = rd_kafka_assign(peek->client->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (code)
		vk_kafka_raise(peek->client, code, "peek");
}

static bool
peek_done(VkPeek *peek)
{
	for (int i = 0; i < peek->num_partitions; i++)
		if (peek->left[i] > 0)
			return false;
	return true;
}

/* Takes in one message, which the caller destroys. */
static void
peek_message(VkPeek *peek, ReturnSetInfo *result, const rd_kafka_message_t *message)
{
	int		   *left = &peek->left[message->partition];

	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		*left = 0;
	else if (message->err)
		vk_kafka_raise(peek->client, message->err, "peek");
	else if (*left > 0)
	{
		peek_put(result, message);
		(*left)--;
	}
}

static void
peek_read(VkPeek *peek, ReturnSetInfo *result)
{
	rd_kafka_message_t *volatile message = NULL;

	PG_TRY();
	{
		while (!peek_done(peek))
		{
			int			slice = vk_kafka_slice(peek->client, peek->deadline, "peek");

			message = rd_kafka_consumer_poll(peek->client->rk, slice);
			if (!message)
				continue;
			peek_message(peek, result, message);
			rd_kafka_message_destroy(message);
			message = NULL;
		}
	}
	PG_CATCH();
	{
		if (message)
			rd_kafka_message_destroy(message);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Checks the arguments that need no broker. */
static void
peek_check(VkPeek *peek)
{
	if (peek->count < 1 || peek->count > PEEK_MAX_MESSAGES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot peek at %d messages", peek->count),
				 errhint("Valid are 1 to %d.", PEEK_MAX_MESSAGES)));
	if (!peek->from_end && peek->offset < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset %lld is negative", (long long) peek->offset)));
}

/* vektonn.peek(server name, topic text, partition int, "offset" bigint, count int) */
Datum
vk_peek(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			user = GetUserId();
	Oid			server;
	rd_kafka_conf_t *conf;
	VkPeek		peek = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("server and topic must not be null")));
	server = vk_kafka_server_oid(NameStr(*PG_GETARG_NAME(0)), user);
	peek.topic = text_to_cstring(PG_GETARG_TEXT_PP(1));
	peek.partition = PG_ARGISNULL(2) ? -1 : PG_GETARG_INT32(2);
	peek.from_end = PG_ARGISNULL(3);
	peek.offset = peek.from_end ? 0 : PG_GETARG_INT64(3);
	peek.count = PG_ARGISNULL(4) ? 10 : PG_GETARG_INT32(4);
	peek_check(&peek);

	conf = vk_kafka_conf_new(server, user, RD_KAFKA_CONSUMER);
	vk_kafka_conf_set(conf, "group.id", "vektonn-peek");
	vk_kafka_conf_set(conf, "enable.auto.commit", "false");
	vk_kafka_conf_set(conf, "enable.partition.eof", "true");
	vk_kafka_conf_set(conf, "auto.offset.reset", "earliest");
	vk_kafka_conf_set(conf, "allow.auto.create.topics", "false");
	vk_kafka_conf_set(conf, "fetch.wait.max.ms", "100");
	peek.client = vk_kafka_client_new(server, user, RD_KAFKA_CONSUMER, conf);
	peek.deadline = vk_kafka_deadline(PEEK_TIMEOUT_MS);
	PG_TRY();
	{
		peek.num_partitions = vk_kafka_topic_partitions(peek.client, peek.topic, peek.deadline);
		if (peek.num_partitions == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("topic \"%s\" does not exist", peek.topic)));
		if (peek.partition >= peek.num_partitions || (!PG_ARGISNULL(2) && peek.partition < 0))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("partition %d of topic \"%s\" does not exist", PG_GETARG_INT32(2), peek.topic),
					 errdetail("It has %d partitions.", peek.num_partitions)));
		peek.left = palloc0(sizeof(int) * peek.num_partitions);
		peek_assign(&peek);
		peek_read(&peek, result);
	}
	PG_FINALLY();
	{
		vk_kafka_client_abandon(peek.client);
	}
	PG_END_TRY();
	return (Datum) 0;
}
