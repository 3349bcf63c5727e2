-- Shards: an index spread over the partitions of its table.  The answers are those of an index
-- without shards, whatever is uploaded, also when a point's shard attribute changes.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT vektonn.create_data_source('Sh', '1', 2, '{"id": "Int64", "shop": "Int64", "lang": "String", "n": "Int64"}', '{id,shop,lang}');
SELECT vektonn.create_index('One', '1', 'Sh', '1', 'L2', id_attributes => '{id}', split_attributes => '{lang}');
SELECT vektonn.create_index('Many', '1', 'Sh', '1', 'L2', id_attributes => '{id}', split_attributes => '{lang}', shard_attributes => '{shop}', shards => 3);
\d many_1
SELECT inhrelid::regclass AS shard, pg_get_expr(relpartbound, oid) AS bound
FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'many_1'::regclass ORDER BY 1::text;
DO $$
DECLARE
	points jsonb;
BEGIN
	PERFORM setseed(0.5);
	FOR batch IN 1 .. 40 LOOP
		SELECT jsonb_agg(jsonb_build_object('attributes', jsonb_build_object('id', (random() * 30)::int, 'shop', (random() * 5)::int, 'lang', (ARRAY['en', 'de'])[1 + (random() * 1)::int], 'n', batch * 100 + i))
			|| CASE WHEN random() < 0.3 THEN '{"isDeleted": true}' ELSE jsonb_build_object('vector', jsonb_build_array(random(), random())) END)
			INTO points FROM generate_series(1, 1 + (random() * 15)::int) i;
		PERFORM vektonn.upload('Sh', '1', points);
	END LOOP;
END $$;
SELECT count(*) > 10 AS some, count(DISTINCT tableoid) AS partitions FROM many_1;
SELECT count(*) AS different FROM (TABLE one_1 EXCEPT TABLE many_1 UNION ALL (TABLE many_1 EXCEPT TABLE one_1)) d;
SELECT bool_and(o.distance = m.distance AND o.attributes = m.attributes) AS same, count(*) > 10 AS some
FROM vektonn.search('One', '1', ARRAY['[0.5,0.5]', '[0,1]']::vector[], 10) o
	FULL JOIN vektonn.search('Many', '1', ARRAY['[0.5,0.5]', '[0,1]']::vector[], 10) m USING (query_number, rank);
SELECT bool_and(o.attributes = m.attributes) AS same
FROM vektonn.search('One', '1', ARRAY['[0.5,0.5]']::vector[], 10, '{"lang": "de"}') o
	FULL JOIN vektonn.search('Many', '1', ARRAY['[0.5,0.5]']::vector[], 10, '{"lang": "de"}') m USING (query_number, rank);
SELECT vektonn.create_index('X', '1', 'Sh', '1', 'L2', shard_attributes => '{shop}');
SELECT vektonn.create_index('X', '1', 'Sh', '1', 'L2', shards => 3);
SELECT vektonn.create_index('X', '1', 'Sh', '1', 'L2', shard_attributes => '{n}', shards => 3);
SELECT vektonn.drop_data_source('Sh', '1', cascade => true);
SELECT count(*) FROM pg_class WHERE relname ~ '^many_1';
