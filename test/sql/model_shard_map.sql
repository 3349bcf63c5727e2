-- Shards by a map: which point lies where, in the CHECK constraint of a node as in the partitions of
-- a coordinator; by hash, by values, and by Vektonn's hash.  046_shards.pl has the nodes.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- Vektonn's own values
SELECT vektonn.farm_hash(''::text), vektonn.farm_hash('x'::text), vektonn.farm_hash('xyz'::text);
SELECT vektonn.farm_hash(0::bigint), vektonn.farm_hash(1::bigint), vektonn.farm_hash(-1::bigint), vektonn.farm_hash(42::bigint);
SELECT vektonn.farm_hash(1.0::float8), vektonn.farm_hash('00000000-0000-0000-0000-000000000000'::uuid), vektonn.farm_hash('2021-07-31T13:52:59Z'::timestamptz);
SELECT vektonn.farm_hash(true), vektonn.farm_hash(false);
SELECT array_agg(vektonn.farm_shard(2, i) ORDER BY i), array_agg(vektonn.farm_shard(6, i) ORDER BY i), array_agg(vektonn.farm_shard(7, i) ORDER BY i)
FROM generate_series(0::bigint, 11) i;
SELECT bool_and(vektonn.farm_shard(m, 42::bigint) = 15591584478111741110 % m) AS of_any_modulus FROM generate_series(1, 256) m;
SELECT vektonn.farm_hash(repeat('ж😀', 40)) <> vektonn.farm_hash(repeat('ж😁', 40)) AS long_strings_differ;
SELECT vektonn.farm_hash(1::int);
SELECT vektonn.farm_shard(0, 1::bigint);

-- PostgreSQL's own: hash_shard agrees with the partitions, for every type of attribute
CREATE TABLE every_type (i bigint, f float8, t text, u uuid, b boolean, d timestamptz) PARTITION BY HASH (i, f, t, u, b, d);
CREATE TABLE one_text (t text) PARTITION BY HASH (t);
SELECT bool_and(satisfies_hash_partition('every_type'::regclass, 7, vektonn.hash_shard(7, i, f, t, u, b, d), i, f, t, u, b, d)) AS all_columns,
	bool_and(satisfies_hash_partition('one_text'::regclass, 5, vektonn.hash_shard(5, t), t)) AS one_column, count(DISTINCT vektonn.hash_shard(7, i, f, t, u, b, d)) AS shards
FROM (SELECT i::bigint, sin(i) AS f, md5(i::text) AS t, md5(i::text)::uuid AS u, i % 3 = 0 AS b, now() + i * interval '1 hour' AS d FROM generate_series(-500, 500) i) v;
SELECT vektonn.hash_shard(3, 'x'::text) = vektonn.hash_shard(3, 'x'::varchar) AS varchar_too, vektonn.hash_shard(4, NULL::bigint) AS of_null;
SELECT vektonn.hash_shard(4, point '(0,0)');
SELECT vektonn.hash_shard(4, VARIADIC ARRAY[1, 2]);

-- Local partitions by values, with and without a default, hold what an index without shards does.
SELECT vektonn.create_data_source('M', '1', 2, '{"id": "Int64", "shop": "String", "at": "DateTime", "n": "Int64"}', '{id,shop,at}');
SELECT vektonn.create_index('One', '1', 'M', '1', 'L2', id_attributes => '{id}', split_attributes => '{shop}');
SELECT vektonn.create_index('List', '1', 'M', '1', 'L2', id_attributes => '{id}', split_attributes => '{shop}', shard_attributes => '{shop}',
	shard_map => '[{"name": "Rest", "default": true}, {"values": ["a", "it''s"]}, {"values": ["b"]}]');
SELECT vektonn.create_index('Times', '1', 'M', '1', 'L2', id_attributes => '{id}', shard_attributes => '{at}',
	shard_map => '[{"values": ["2026-01-01T00:00:00Z"]}, {"values": ["2026-01-02T03:00:00+03:00"]}, {"default": true}]');
SELECT inhrelid::regclass AS shard, pg_get_expr(relpartbound, oid) AS bound
FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent IN ('list_1'::regclass) ORDER BY 1::text;
SELECT shard, definition, server, partition FROM vektonn.shards WHERE index_name = 'List' ORDER BY shard;
DO $$
DECLARE
	points jsonb;
BEGIN
	PERFORM setseed(0.5);
	FOR batch IN 1 .. 40 LOOP
		SELECT jsonb_agg(jsonb_build_object('attributes', jsonb_build_object('id', (random() * 30)::int, 'shop', (ARRAY['a', 'it''s', 'b', 'c', 'd'])[1 + (random() * 4)::int],
				'at', (ARRAY['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z'])[1 + (random() * 2)::int], 'n', batch * 100 + i))
			|| CASE WHEN random() < 0.3 THEN '{"isDeleted": true}' ELSE jsonb_build_object('vector', jsonb_build_array(random(), random())) END)
			INTO points FROM generate_series(1, 1 + (random() * 15)::int) i;
		PERFORM vektonn.upload('M', '1', points);
	END LOOP;
END $$;
SELECT count(*) > 10 AS some, count(DISTINCT tableoid) AS partitions FROM list_1;
SELECT count(*) AS different FROM (TABLE one_1 EXCEPT TABLE list_1 UNION ALL (TABLE list_1 EXCEPT TABLE one_1)) d;
SELECT count(*) AS different FROM (TABLE one_1 EXCEPT TABLE times_1 UNION ALL (TABLE times_1 EXCEPT TABLE one_1)) d;
SELECT bool_and(o.distance = m.distance AND o.attributes = m.attributes) AS same, count(*) > 10 AS some
FROM vektonn.search('One', '1', ARRAY['[0.5,0.5]', '[0,1]']::vector[], 10) o
	FULL JOIN vektonn.search('List', '1', ARRAY['[0.5,0.5]', '[0,1]']::vector[], 10) m USING (query_number, rank);

-- an owner gets all of it
CREATE ROLE regress_shard_owner;
GRANT CREATE ON SCHEMA public TO regress_shard_owner;
SELECT vektonn.alter_index('List', '1', new_version => '2', new_owner => 'regress_shard_owner');
SELECT count(*), count(DISTINCT relowner) AS owners, min(relowner::regrole::text) AS owner FROM pg_partition_tree('list_1') JOIN pg_class ON oid = relid;
SET ROLE regress_shard_owner;
SELECT count(*) > 5 AS some FROM vektonn.search('List', '2', ARRAY['[0.5,0.5]']::vector[], 10);
SELECT vektonn.drop_index('Times', '1');
SELECT vektonn.drop_index('List', '2');
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM regress_shard_owner;
DROP ROLE regress_shard_owner;

-- what is wrong
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_map => '[{}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '{}');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[1]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"host": "x"}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"server": 1}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"options": {"host": "x"}}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"server": "x", "user_mapping": {"password": "secret"}}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"name": "a"}, {"name": "a"}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"values": ["a"]}, {}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"default": true}, {"default": true}]');
DO $$
BEGIN
	PERFORM vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"values": ["a"]}, {"values": ["b", "a"]}]');
EXCEPTION WHEN OTHERS THEN
	RAISE WARNING '%', SQLERRM;
END $$;
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"values": [["a"]]}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{id}', id_attributes => '{id}', shard_map => '[{"values": ["a"]}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop,id}', id_attributes => '{id}', shard_map => '[{"values": ["a"]}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shards => 3, shard_map => '[{}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"server": "nowhere"}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"shardsByAttributeKey": {"id": {"numberOfShards": 2, "shardValues": [0]}}}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"shardsByAttributeKey": {"shop": {"numberOfShards": 2, "shardValues": [2]}}}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"shardsByAttributeKey": {"shop": {"numberOfShards": 9973, "shardValues": [0]}}}, {"shardsByAttributeKey": {"shop": {"numberOfShards": 9967, "shardValues": [0]}}}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"shardsByAttributeKey": {}}, {"default": true}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{"shardsByAttributeKey": {"shop": {"numberOfShards": 2, "shardValues": [0, 1]}}}]');
SELECT vektonn.create_index('X', '1', 'M', '1', 'L2', shard_attributes => '{shop}', shard_map => '[{}, {}]', shard => 'shard0');
SELECT vektonn.drop_data_source('M', '1', cascade => true);
SELECT count(*) FROM pg_class WHERE relname ~ '^(list|times)_1' OR relname LIKE '%shard%' AND relnamespace = 'public'::regnamespace;
DROP TABLE every_type, one_text;
