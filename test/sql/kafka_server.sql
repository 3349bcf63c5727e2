-- Kafka servers: which options exist, where, for whom; what errors say and
-- what they never say.  No broker is needed: nothing connects here.

-- every option is accepted by librdkafka, sorted, and in one place
SELECT count(*) > 40 AS many, count(DISTINCT name) = count(*) AS distinct_names,
	bool_and(replace(property, '.', '_') = name) AS named_after_property
FROM vektonn.kafka_options();
SELECT name, place, is_secret, reads_file FROM vektonn.kafka_options()
WHERE is_secret OR reads_file ORDER BY name;

CREATE SERVER k1 FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE USER MAPPING FOR PUBLIC SERVER k1 OPTIONS (sasl_username 'u', sasl_password 'hidden');
ALTER SERVER k1 OPTIONS (ADD security_protocol 'sasl_ssl', ADD sasl_mechanism 'SCRAM-SHA-512',
	ADD partitioner 'murmur2_random', ADD linger_ms '7');

-- a server needs an address
CREATE SERVER k2 FOREIGN DATA WRAPPER vektonn_kafka;
ALTER SERVER k1 OPTIONS (DROP bootstrap_servers);
ALTER SERVER k1 OPTIONS (SET bootstrap_servers '');

-- misspelt names
ALTER SERVER k1 OPTIONS (ADD bootstrap_server 'x:1');
ALTER SERVER k1 OPTIONS (ADD "bootstrap.servers" 'x:1');
ALTER SERVER k1 OPTIONS (ADD fetch_wait_ms '1');
ALTER USER MAPPING FOR PUBLIC SERVER k1 OPTIONS (ADD completely_unknown 'secret_value');

-- in the wrong place
ALTER SERVER k1 OPTIONS (ADD sasl_password 'hidden');
ALTER USER MAPPING FOR PUBLIC SERVER k1 OPTIONS (ADD linger_ms '7');

-- properties that run programs, load libraries, or are ours
ALTER SERVER k1 OPTIONS (ADD plugin_library_paths '/tmp/evil.so');
ALTER SERVER k1 OPTIONS (ADD "plugin.library.paths" '/tmp/evil.so');
ALTER SERVER k1 OPTIONS (ADD sasl_kerberos_kinit_cmd 'touch /tmp/evil');
ALTER SERVER k1 OPTIONS (ADD ssl_engine_location '/tmp/evil.so');
ALTER SERVER k1 OPTIONS (ADD ssl_providers 'legacy');
ALTER SERVER k1 OPTIONS (ADD sasl_oauthbearer_token_endpoint_url 'http://x');
ALTER SERVER k1 OPTIONS (ADD debug 'all');
ALTER SERVER k1 OPTIONS (ADD group_id 'g');
ALTER SERVER k1 OPTIONS (SET sasl_mechanism 'GSSAPI');

-- values are checked when given, and never repeated
ALTER SERVER k1 OPTIONS (SET security_protocol 'hidden');
ALTER SERVER k1 OPTIONS (ADD socket_timeout_ms 'hidden');
ALTER SERVER k1 OPTIONS (ADD socket_timeout_ms '1');
ALTER USER MAPPING FOR PUBLIC SERVER k1 OPTIONS (SET sasl_password '');
CREATE FOREIGN TABLE k_table (a int) SERVER k1 OPTIONS (topic 'x');
ALTER FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (ADD debug 'all');

-- what was accepted is what is stored
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'k1';

-- an ordinary user: USAGE on the wrapper to create servers, and no files
CREATE ROLE regress_kafka_user;
GRANT USAGE ON FOREIGN DATA WRAPPER vektonn_kafka TO regress_kafka_user;
SET ROLE regress_kafka_user;
CREATE SERVER k3 FOREIGN DATA WRAPPER vektonn_kafka
	OPTIONS (bootstrap_servers '127.0.0.1:1', ssl_ca_location '/etc/passwd');
CREATE SERVER k3 FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE USER MAPPING FOR regress_kafka_user SERVER k3 OPTIONS (ssl_key_location '/etc/shadow');
CREATE USER MAPPING FOR regress_kafka_user SERVER k3 OPTIONS (sasl_username 'me', sasl_password 'hidden');
-- the secrets of others are hidden, by PostgreSQL
SELECT srvname, umoptions FROM pg_user_mappings WHERE srvname IN ('k1', 'k3') ORDER BY srvname;
SELECT vektonn.kafka_option_validator('{}', 'pg_foreign_server'::regclass);
RESET ROLE;
GRANT pg_read_server_files TO regress_kafka_user;
SET ROLE regress_kafka_user;
ALTER SERVER k3 OPTIONS (ADD ssl_ca_location '/etc/ssl/certs');
RESET ROLE;

DROP SERVER k1, k3 CASCADE;
DROP OWNED BY regress_kafka_user;
DROP ROLE regress_kafka_user;
