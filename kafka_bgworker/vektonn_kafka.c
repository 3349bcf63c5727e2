/*-------------------------------------------------------------------------
 *
 * vektonn_kafka.c
 *	  The library that talks to Kafka: its module magic, and nothing at load.
 *
 * Loading it maps librdkafka, which starts no thread until a client is
 * created.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat/pgcompat.h"

PG_MODULE_MAGIC;
