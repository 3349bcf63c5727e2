/*-------------------------------------------------------------------------
 *
 * kafka_options.h
 *	  Options of vektonn_kafka servers and user mappings, and the librdkafka
 *	  configuration made from them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef VK_KAFKA_OPTIONS_H
#define VK_KAFKA_OPTIONS_H

#include <librdkafka/rdkafka.h>

/*
 * A new configuration for a client of the given type: the options of the
 * server, then those of the user's mapping (or the public one; none is fine
 * where the server needs no credentials).  Options meant for the other type
 * of client are left out.  Checks no privilege: the caller does.  The caller
 * destroys it, or hands it to rd_kafka_new.
 */
extern rd_kafka_conf_t *vk_kafka_conf_new(Oid server, Oid user, rd_kafka_type_t type);

/* Sets one property of ours; an unknown name or value is a bug. */
extern void vk_kafka_conf_set(rd_kafka_conf_t *conf, const char *property, const char *value);

/*
 * The server's oid; an error when there is none of the name, when it is not
 * of the wrapper vektonn_kafka, or when the user has no USAGE on it.
 */
extern Oid	vk_kafka_server_oid(const char *name, Oid user);

#endif							/* VK_KAFKA_OPTIONS_H */
