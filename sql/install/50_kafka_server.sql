-- Kafka clusters: servers of the foreign data wrapper vektonn_kafka.

CREATE FUNCTION vektonn.kafka_option_validator(options text[], catalog oid) RETURNS void
	AS '$libdir/vektonn_kafka', 'vk_kafka_option_validator' LANGUAGE C STRICT;
COMMENT ON FUNCTION vektonn.kafka_option_validator(text[], oid) IS
	'validates the options of vektonn_kafka servers and user mappings';
REVOKE EXECUTE ON FUNCTION vektonn.kafka_option_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER vektonn_kafka VALIDATOR vektonn.kafka_option_validator;
COMMENT ON FOREIGN DATA WRAPPER vektonn_kafka IS
	'Kafka clusters; the options of their servers are listed by vektonn.kafka_options()';

CREATE FUNCTION vektonn.kafka_options(
	OUT name text, OUT property text, OUT "place" text, OUT valid_values text,
	OUT is_secret boolean, OUT reads_file boolean) RETURNS SETOF record
	AS '$libdir/vektonn_kafka', 'vk_kafka_options' LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION vektonn.kafka_options() IS
	'options of vektonn_kafka servers and user mappings, with the librdkafka property each one sets';
