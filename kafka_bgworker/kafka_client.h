/*-------------------------------------------------------------------------
 *
 * kafka_client.h
 *	  librdkafka clients of an ordinary backend: life time, waiting, errors,
 *	  topics.
 *
 * The rule of everything here: no call blocks for longer than VK_KAFKA_SLICE_MS
 * without a look at interrupts, because a backend that does not look blocks
 * DROP DATABASE in every database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_KAFKA_CLIENT_H
#define VK_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "utils/timestamp.h"

#include "compat/pgcompat.h"

#define VK_KAFKA_SLICE_MS	100
#define VK_KAFKA_MAX_TOPIC	249 /* bytes of a topic's name */

/* What a client's callbacks leave behind; the callbacks may not raise errors. */
typedef struct VkKafkaClient
{
	rd_kafka_t *rk;
	Oid			server;
	Oid			user;
	rd_kafka_resp_err_t error;	/* the last one the library reported, or none */
	bool		denied;			/* it was about credentials: waiting will not
								 * help */
	char		reason[256];	/* its text; holds addresses, never a secret */
} VkKafkaClient;

/*
 * Creates a client, in malloc'ed memory: librdkafka's threads may outlive any
 * memory context.  The configuration is consumed.
 */
extern VkKafkaClient *vk_kafka_client_new(Oid server, Oid user, rd_kafka_type_t type,
										  rd_kafka_conf_t *conf);

/*
 * Gives a client up without waiting for it: its end may take long, or for
 * ever where a topic was deleted under it.
 */
extern void vk_kafka_client_abandon(VkKafkaClient *client);

/* The point in time that many milliseconds from now. */
extern TimestampTz vk_kafka_deadline(int milliseconds);

/*
 * Milliseconds for the next blocking call, at most a slice.  Looks at
 * interrupts, and raises what the client reported about credentials, or that
 * the deadline has passed while doing what is named.
 */
extern int	vk_kafka_slice(VkKafkaClient *client, TimestampTz deadline, const char *doing);

/* Raises an error of librdkafka's with a matching SQLSTATE. */
pg_noreturn extern void vk_kafka_raise(VkKafkaClient *client, rd_kafka_resp_err_t code,
									   const char *doing);

/* Partitions of a topic; 0 when it does not exist. */
extern int	vk_kafka_topic_partitions(VkKafkaClient *client, const char *topic,
									  TimestampTz deadline);

/*
 * Creates a topic and waits until it can be used.  One that exists already is
 * fine.  replication -1: as the cluster does by default.
 */
extern void vk_kafka_topic_create(VkKafkaClient *client, const char *topic, int partitions,
								  int replication, bool compact, TimestampTz deadline);

#endif							/* VK_KAFKA_CLIENT_H */
