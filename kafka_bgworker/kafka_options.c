/*-------------------------------------------------------------------------
 *
 * kafka_options.c
 *	  Options of vektonn_kafka servers and user mappings.
 *
 * An option is a librdkafka property with its dots written as underscores.
 * Some properties run programs, load libraries or make the server send
 * requests somewhere, so there is an allow-list and never a pass-through.
 * A value is checked by librdkafka when it is given, on a configuration that
 * is thrown away; its own error text repeats the value, so it is never shown.
 *
 * Secrets live in user mappings, which PostgreSQL hides.  Options that name
 * files of the server are for members of pg_read_server_files.
 *
 * Kerberos is not offered: librdkafka renews its tickets with a command run
 * by the shell, and falls back to Kerberos when no mechanism is given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "compat/pgcompat.h"
#include "kafka_options.h"

#define VK_KAFKA_FDW_NAME "vektonn_kafka"

/* A misspelt name is at most this far from the one meant. */
#define VK_MAX_HINT_DISTANCE 6

/* Where an option may stand. */
#define IN_SERVER	0x01
#define IN_MAPPING	0x02
#define IN_BOTH		(IN_SERVER | IN_MAPPING)

/* What an option is. */
#define IS_SECRET	0x10		/* never shown by us; user mappings only */
#define IS_FILE		0x20		/* a file of the server's */
#define IS_CONSUMER	0x40		/* for consumers only */
#define IS_PRODUCER	0x80		/* for producers only */

typedef struct VkKafkaOption
{
	const char *name;
	const char *property;
	int			flags;
	const char *values;			/* said in the hint when a value is refused */
} VkKafkaOption;

/* Sorted by name: the order of the view and of the hints. */
static const VkKafkaOption kafka_options[] = {
	{"batch_num_messages", "batch.num.messages", IN_SERVER | IS_PRODUCER, "1 to 1000000 messages"},
	{"batch_size", "batch.size", IN_SERVER | IS_PRODUCER, "1 to 2147483647 bytes"},
	{"bootstrap_servers", "bootstrap.servers", IN_SERVER, "host:port, separated by commas"},
	{"broker_address_family", "broker.address.family", IN_SERVER, "any, v4, v6"},
	{"check_crcs", "check.crcs", IN_SERVER | IS_CONSUMER, "true, false"},
	{"client_id", "client.id", IN_SERVER, "a name shown in the brokers' logs"},
	{"client_rack", "client.rack", IN_SERVER, "the rack the server is in"},
	{"compression_level", "compression.level", IN_SERVER | IS_PRODUCER, "-1 to 12"},
	{"compression_type", "compression.type", IN_SERVER | IS_PRODUCER, "none, gzip, snappy, lz4, zstd"},
	{"enable_ssl_certificate_verification", "enable.ssl.certificate.verification", IN_SERVER, "true, false"},
	{"fetch_error_backoff_ms", "fetch.error.backoff.ms", IN_SERVER | IS_CONSUMER, "0 to 300000 milliseconds"},
	{"fetch_max_bytes", "fetch.max.bytes", IN_SERVER | IS_CONSUMER, "0 to 2147483135 bytes"},
	{"fetch_message_max_bytes", "fetch.message.max.bytes", IN_SERVER | IS_CONSUMER, "1 to 1000000000 bytes"},
	{"fetch_min_bytes", "fetch.min.bytes", IN_SERVER | IS_CONSUMER, "1 to 100000000 bytes"},
	{"fetch_wait_max_ms", "fetch.wait.max.ms", IN_SERVER | IS_CONSUMER, "0 to 300000 milliseconds"},
	{"isolation_level", "isolation.level", IN_SERVER | IS_CONSUMER, "read_committed, read_uncommitted"},
	{"linger_ms", "linger.ms", IN_SERVER | IS_PRODUCER, "0 to 900000 milliseconds"},
	{"message_max_bytes", "message.max.bytes", IN_SERVER, "1000 to 1000000000 bytes"},
	{"message_timeout_ms", "message.timeout.ms", IN_SERVER | IS_PRODUCER, "1 to 2147483647 milliseconds"},
	{"metadata_max_age_ms", "metadata.max.age.ms", IN_SERVER, "1 to 86400000 milliseconds"},
	{"partitioner", "partitioner", IN_SERVER | IS_PRODUCER, "consistent_random, murmur2_random, consistent, murmur2, random, fnv1a, fnv1a_random"},
	{"queued_max_messages_kbytes", "queued.max.messages.kbytes", IN_SERVER | IS_CONSUMER, "1 to 2097151 kilobytes"},
	{"queued_min_messages", "queued.min.messages", IN_SERVER | IS_CONSUMER, "1 to 10000000 messages"},
	{"receive_message_max_bytes", "receive.message.max.bytes", IN_SERVER, "1000 to 2147483647 bytes"},
	{"reconnect_backoff_max_ms", "reconnect.backoff.max.ms", IN_SERVER, "0 to 3600000 milliseconds"},
	{"reconnect_backoff_ms", "reconnect.backoff.ms", IN_SERVER, "0 to 3600000 milliseconds"},
	{"sasl_mechanism", "sasl.mechanism", IN_SERVER, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"},
	{"sasl_password", "sasl.password", IN_MAPPING | IS_SECRET, "a password"},
	{"sasl_username", "sasl.username", IN_MAPPING, "a user name"},
	{"security_protocol", "security.protocol", IN_SERVER, "plaintext, ssl, sasl_plaintext, sasl_ssl"},
	{"socket_connection_setup_timeout_ms", "socket.connection.setup.timeout.ms", IN_SERVER, "1000 to 2147483647 milliseconds"},
	{"socket_keepalive_enable", "socket.keepalive.enable", IN_SERVER, "true, false"},
	{"socket_timeout_ms", "socket.timeout.ms", IN_SERVER, "10 to 300000 milliseconds"},
	{"ssl_ca_location", "ssl.ca.location", IN_SERVER | IS_FILE, "a file or directory of the server"},
	{"ssl_ca_pem", "ssl.ca.pem", IN_SERVER, "a certificate in PEM format"},
	{"ssl_certificate_location", "ssl.certificate.location", IN_BOTH | IS_FILE, "a file of the server"},
	{"ssl_certificate_pem", "ssl.certificate.pem", IN_BOTH, "a certificate in PEM format"},
	{"ssl_cipher_suites", "ssl.cipher.suites", IN_SERVER, "a list of ciphers as OpenSSL writes it"},
	{"ssl_crl_location", "ssl.crl.location", IN_SERVER | IS_FILE, "a file of the server"},
	{"ssl_endpoint_identification_algorithm", "ssl.endpoint.identification.algorithm", IN_SERVER, "none, https"},
	{"ssl_key_location", "ssl.key.location", IN_BOTH | IS_FILE, "a file of the server"},
	{"ssl_key_password", "ssl.key.password", IN_MAPPING | IS_SECRET, "a password"},
	{"ssl_key_pem", "ssl.key.pem", IN_MAPPING | IS_SECRET, "a private key in PEM format"},
	{"ssl_keystore_location", "ssl.keystore.location", IN_BOTH | IS_FILE, "a file of the server"},
	{"ssl_keystore_password", "ssl.keystore.password", IN_MAPPING | IS_SECRET, "a password"},
	{"topic_metadata_refresh_interval_ms", "topic.metadata.refresh.interval.ms", IN_SERVER, "-1 to 3600000 milliseconds"},
};

/* Properties people look for and why they are not options; a prefix ends in '*'. */
static const struct
{
	const char *pattern;
	const char *reason;
}			kafka_denied[] = {
	{"plugin_*", "It loads a library into the server."},
	{"ssl_engine_*", "It loads a library into the server."},
	{"ssl_providers", "It loads a library into the server."},
	{"sasl_kerberos_*", "Kerberos is not supported: its client library runs a command of the operating system."},
	{"sasl_oauthbearer_*", "It would make the server send requests to an address of the option's."},
	{"enable_sasl_oauthbearer_*", "It would make the server send requests to an address of the option's."},
	{"debug", "Debug output may hold secrets."},
	{"log_*", "Messages of the client library go to the server log."},
	{"group_*", "Streams keep their offsets in the database; the consumer group's name is the stream's."},
	{"enable_auto_*", "Streams keep their offsets in the database."},
	{"auto_*", "Where a stream starts is an argument of vektonn.create_stream."},
	{"enable_partition_eof", "Streams set it themselves."},
	{"acks", "Uploads always wait for all in-sync replicas."},
	{"request_required_acks", "Uploads always wait for all in-sync replicas."},
	{"enable_idempotence", "Uploads are always idempotent."},
	{"transactional_id", "Uploads use no Kafka transactions."},
	{"max_in_flight*", "It is fixed for idempotent uploads."},
	{"sasl_mechanisms", "Its name here is sasl_mechanism."},
	{"compression_codec", "Its name here is compression_type."},
	{"metadata_broker_list", "Its name here is bootstrap_servers."},
	{"test_*", "It is for tests of the client library."},
};

PG_FUNCTION_INFO_V1(vk_kafka_option_validator);
PG_FUNCTION_INFO_V1(vk_kafka_options);

static const VkKafkaOption *
option_find(const char *name)
{
	for (int i = 0; i < (int) lengthof(kafka_options); i++)
		if (strcmp(kafka_options[i].name, name) == 0)
			return &kafka_options[i];
	return NULL;
}

static const char *
option_denied_reason(const char *name)
{
	for (int i = 0; i < (int) lengthof(kafka_denied); i++)
	{
		const char *pattern = kafka_denied[i].pattern;
		size_t		length = strlen(pattern);

		if (pattern[length - 1] == '*' ? strncmp(name, pattern, length - 1) == 0 :
			strcmp(name, pattern) == 0)
			return kafka_denied[i].reason;
	}
	return NULL;
}

/* The name closest to a misspelt one among those allowed in the place, or NULL. */
static const char *
option_closest(const char *name, int place)
{
	const char *closest = NULL;
	int			best = VK_MAX_HINT_DISTANCE + 1;

	if (strlen(name) >= NAMEDATALEN)
		return NULL;
	for (int i = 0; i < (int) lengthof(kafka_options); i++)
	{
		const char *candidate = kafka_options[i].name;
		int			distance;

		if (!(kafka_options[i].flags & place))
			continue;
		distance = varstr_levenshtein_less_equal(name, strlen(name), candidate, strlen(candidate),
												 1, 1, 1, best, true);
		/* More than half of the name wrong is another name. */
		if (distance < best && distance <= (int) strlen(name) / 2)
		{
			best = distance;
			closest = candidate;
		}
	}
	return closest;
}

/* Raises the error for a name that is no option in this place. */
static void
option_unknown(const char *name, int place)
{
	const VkKafkaOption *elsewhere = option_find(name);
	const char *reason = option_denied_reason(name);
	const char *closest = option_closest(name, place);
	const char *thing = place == IN_SERVER ? "server" : "user mapping";

	/* Dots instead of underscores is the likeliest slip of all. */
	if (strchr(name, '.') && strlen(name) < NAMEDATALEN)
	{
		char	   *underscored = pstrdup(name);

		for (char *at = underscored; *at; at++)
			if (*at == '.')
				*at = '_';
		if (option_find(underscored))
			closest = underscored;
		else if (!reason)
			reason = option_denied_reason(underscored);
	}

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("a %s of \"%s\" has no option \"%s\"", thing, VK_KAFKA_FDW_NAME, name),
			 elsewhere ? errdetail("It is an option of a %s.",
								   place == IN_SERVER ? "user mapping" : "server") :
			 reason ? errdetail("%s", reason) : 0,
			 elsewhere || reason ? 0 :
			 closest ? errhint("Perhaps you meant the option \"%s\".", closest) :
			 errhint("SELECT * FROM vektonn.kafka_options() lists them.")));
}

static bool
sasl_mechanism_allowed(const char *value)
{
	return strcmp(value, "PLAIN") == 0 || strcmp(value, "SCRAM-SHA-256") == 0 ||
		strcmp(value, "SCRAM-SHA-512") == 0;
}

/* Sets one option; false when librdkafka or we refuse the value. */
static bool
option_apply(rd_kafka_conf_t *conf, const VkKafkaOption *option, const char *value)
{
	char		reason[16];		/* unused: it would repeat the value */

	if (*value == '\0')
		return false;
	if (strcmp(option->name, "sasl_mechanism") == 0 && !sasl_mechanism_allowed(value))
		return false;
	return rd_kafka_conf_set(conf, option->property, value, reason, sizeof(reason)) ==
		RD_KAFKA_CONF_OK;
}

static void
option_value_error(const VkKafkaOption *option)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("the value of option \"%s\" is not valid", option->name),
			 errhint("Valid are: %s.", option->values)));
}

static void
option_validate(DefElem *def, int place, rd_kafka_conf_t *scratch)
{
	const VkKafkaOption *option = option_find(def->defname);

	if (!option || !(option->flags & place))
		option_unknown(def->defname, place);
	if ((option->flags & IS_FILE) && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", option->name),
				 errdetail("It makes the server read a file of its own."),
				 errhint("Only members of the role pg_read_server_files may set it.")));
	if (!option_apply(scratch, option, defGetString(def)))
		option_value_error(option);
}

/* The options of a server must name one; which other ones it needs shows when it is used. */
static void
server_options_complete(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "bootstrap_servers") == 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
			 errmsg("option \"bootstrap_servers\" is required"),
			 errhint("Say OPTIONS (bootstrap_servers 'host:port').")));
}

/* vektonn.kafka_option_validator(options text[], catalog oid) */
Datum
vk_kafka_option_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	int			place;
	rd_kafka_conf_t *scratch;
	ListCell   *cell;

	if (catalog == ForeignServerRelationId)
		place = IN_SERVER;
	else if (catalog == UserMappingRelationId)
		place = IN_MAPPING;
	else if (options == NIL)
		PG_RETURN_VOID();
	else
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("\"%s\" has options for servers and user mappings only", VK_KAFKA_FDW_NAME)));

	scratch = rd_kafka_conf_new();
	PG_TRY();
	{
		foreach(cell, options)
			option_validate(lfirst_node(DefElem, cell), place, scratch);
		if (place == IN_SERVER)
			server_options_complete(options);
	}
	PG_FINALLY();
	{
		rd_kafka_conf_destroy(scratch);
	}
	PG_END_TRY();
	PG_RETURN_VOID();
}

/* vektonn.kafka_options(): the table above, for users */
Datum
vk_kafka_options(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < (int) lengthof(kafka_options); i++)
	{
		const VkKafkaOption *option = &kafka_options[i];
		int			place = option->flags & IN_BOTH;
		Datum		values[6];
		bool		nulls[6] = {0};

		values[0] = CStringGetTextDatum(option->name);
		values[1] = CStringGetTextDatum(option->property);
		values[2] = CStringGetTextDatum(place == IN_SERVER ? "server" :
										place == IN_MAPPING ? "user mapping" : "server or user mapping");
		values[3] = CStringGetTextDatum(option->values);
		values[4] = BoolGetDatum((option->flags & IS_SECRET) != 0);
		values[5] = BoolGetDatum((option->flags & IS_FILE) != 0);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The options of the user's mapping, else of the public one, else none. */
static List *
mapping_options(Oid server, Oid user)
{
	List	   *options = NIL;
	Datum		datum;
	bool		isnull;
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user),
										ObjectIdGetDatum(server));

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return options;
}

static const char *
option_value(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

/* A server that asks for SASL needs a mechanism and credentials; says what is missing. */
static void
sasl_options_complete(ForeignServer *server, List *options)
{
	const char *protocol = option_value(options, "security_protocol");
	const char *user_name = option_value(options, "sasl_username");
	const char *password = option_value(options, "sasl_password");

	if (!protocol || pg_strncasecmp(protocol, "sasl_", 5) != 0)
		return;
	if (!option_value(options, "sasl_mechanism"))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"sasl_mechanism\"", server->servername),
				 errdetail("Its security_protocol needs one."),
				 errhint("Say ALTER SERVER %s OPTIONS (ADD sasl_mechanism 'SCRAM-SHA-256').",
						 quote_identifier(server->servername))));
	if (!user_name || !password)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("there are no credentials for server \"%s\"", server->servername),
				 errhint("Create a user mapping for it with the options sasl_username and sasl_password.")));
}

void
vk_kafka_conf_set(rd_kafka_conf_t *conf, const char *property, const char *value)
{
	char		reason[256];

	if (rd_kafka_conf_set(conf, property, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		elog(ERROR, "could not set librdkafka property \"%s\": %s", property, reason);
}

rd_kafka_conf_t *
vk_kafka_conf_new(Oid server_oid, Oid user, rd_kafka_type_t type)
{
	ForeignServer *server = GetForeignServer(server_oid);
	List	   *options = list_concat_copy(server->options, mapping_options(server_oid, user));
	int			skipped = type == RD_KAFKA_PRODUCER ? IS_CONSUMER : IS_PRODUCER;
	rd_kafka_conf_t *conf;
	ListCell   *cell;

	sasl_options_complete(server, options);
	conf = rd_kafka_conf_new();
	PG_TRY();
	{
		vk_kafka_conf_set(conf, "client.id", "vektonn");
		/* Never renew a Kerberos ticket: that runs a shell command. */
		vk_kafka_conf_set(conf, "sasl.kerberos.min.time.before.relogin", "0");
		foreach(cell, options)
		{
			DefElem    *def = lfirst_node(DefElem, cell);
			const VkKafkaOption *option = option_find(def->defname);

			/* Checked when given, but catalogs can be edited and restored. */
			if (!option)
				option_unknown(def->defname, IN_SERVER);
			if (!(option->flags & skipped) && !option_apply(conf, option, defGetString(def)))
				option_value_error(option);
		}
	}
	PG_CATCH();
	{
		rd_kafka_conf_destroy(conf);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return conf;
}

Oid
vk_kafka_server_oid(const char *name, Oid user)
{
	ForeignServer *server = GetForeignServerByName(name, false);
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(server->fdwid);

	if (strcmp(wrapper->fdwname, VK_KAFKA_FDW_NAME) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a Kafka cluster", name),
				 errdetail("It belongs to the foreign data wrapper \"%s\".", wrapper->fdwname),
				 errhint("Create one with CREATE SERVER ... FOREIGN DATA WRAPPER vektonn_kafka.")));
	if (vk_server_aclcheck(server->serverid, user, ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for foreign server %s", name),
				 errhint("Say GRANT USAGE ON FOREIGN SERVER %s TO %s.", quote_identifier(name),
						 quote_identifier(GetUserNameFromId(user, false)))));
	return server->serverid;
}
