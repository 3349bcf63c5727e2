-- Messages of topics: produce, create, look.  The caller needs USAGE on the server.

CREATE FUNCTION vektonn.produce(server name, topic text, keys bytea[], "values" bytea[],
	timeout interval DEFAULT '30 seconds') RETURNS jsonb
	AS '$libdir/vektonn_kafka', 'vk_produce' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION vektonn.produce(name, text, bytea[], bytea[], interval) IS
	'produces messages and waits until all replicas have them; a null value is a tombstone; returns {"partition": offset behind the last message}';

CREATE FUNCTION vektonn.ensure_topic(server name, topic text, partitions integer DEFAULT 1,
	replication integer DEFAULT -1, timeout interval DEFAULT '10 seconds') RETURNS boolean
	AS '$libdir/vektonn_kafka', 'vk_ensure_topic' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION vektonn.ensure_topic(name, text, integer, integer, interval) IS
	'creates a compacted topic unless it exists; returns whether it did';

CREATE FUNCTION vektonn.peek(server name, topic text, partition integer DEFAULT NULL,
	"offset" bigint DEFAULT NULL, count integer DEFAULT 10)
	RETURNS TABLE (partition integer, "offset" bigint, message_time timestamptz, key bytea, value bytea)
	AS '$libdir/vektonn_kafka', 'vk_peek' LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION vektonn.peek(name, text, integer, bigint, integer) IS
	'messages of a topic as they are: the last of each partition, or from an offset on';
