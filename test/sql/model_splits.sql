-- Upstream's fixtures of splits and updates: which points a search of any subset of the
-- split attributes finds, at which distances, before and after deletions.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

SELECT vektonn.create_data_source('Split', '1', 3, '{"Id": "Int64", "SplitA": "Bool", "SplitZ": "Bool", "Data": "String"}', '{Id,SplitA,SplitZ}');
SELECT vektonn.create_index('Split', '1', 'Split', '1', 'Cosine', id_attributes => '{Id}', split_attributes => '{SplitA,SplitZ}');
\d split_1
SELECT vektonn.upload('Split', '1', (SELECT jsonb_agg(jsonb_build_object('attributes',
	jsonb_build_object('Id', id, 'SplitA', a, 'SplitZ', z, 'Data', 'd' || id), 'vector', jsonb_build_array(0, y, 0)) ORDER BY id)
	FROM (VALUES (0, 0, false, false), (1, 1, true, true), (2, -1, true, true), (3, 10, true, true), (4, 1, true, false),
		(5, -1, true, false), (6, -10, true, false)) p (id, y, a, z)));

CREATE FUNCTION found(k int, filter jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s (%s)', ids, distance), ', ' ORDER BY distance) FROM (
		SELECT round(distance::numeric, 6)::float8 AS distance, string_agg(attributes ->> 'Id', ' ' ORDER BY attributes ->> 'Id') AS ids
		FROM vektonn.search('Split', '1', ARRAY['[0,0.5,0]']::vector[], k, filter) GROUP BY 1) x
$$;
SELECT found(2, '{"SplitA": true, "SplitZ": false}');
SELECT found(4, '{}'), found(4, NULL);
SELECT found(3, '{"SplitA": true}'), found(3, '{"SplitA": false}'), found(3, '{"SplitZ": true}'), found(3, '{"SplitZ": false}');
SELECT found(1, '{"SplitA": false}');
SELECT vektonn.delete('Split', '1', '[{"Id": 5, "SplitA": true, "SplitZ": false}]');
SELECT found(2, '{"SplitA": true, "SplitZ": false}');
SELECT vektonn.delete('Split', '1', '[{"Id": 0, "SplitA": false, "SplitZ": false}]');
SELECT found(1, '{"SplitA": false}'), found(1, '{"SplitA": false, "SplitZ": false}');

-- a filter on attributes that are none, or of another type
SELECT found(1, '{"Id": 1}');
SELECT found(1, '{"splita": true}');
SELECT found(1, '{"SplitA": 42}');
SELECT found(0, '{"Data": "x", "SplitZ": "true"}');
SELECT found(1, '7');

-- composite ids, no splits, updates
SELECT vektonn.create_data_source('Holder', '1', 3, '{"IdA": "Int64", "IdZ": "Bool", "Payload": "String"}', '{IdA,IdZ}');
SELECT vektonn.create_index('Holder', '1', 'Holder', '1', 'Cosine');
SELECT vektonn.upload('Holder', '1', '[
	{"attributes": {"IdA": 1, "IdZ": true, "Payload": "a"}, "vector": [0, 1, 0]},
	{"attributes": {"IdA": 1, "IdZ": false, "Payload": "b"}, "vector": [0, -1, 0]},
	{"attributes": {"IdA": 10, "IdZ": true, "Payload": "c"}, "vector": [0, 10, 0]},
	{"attributes": {"IdA": 10, "IdZ": false, "Payload": "d"}, "vector": [0, -10, 0]}]');
SELECT query_number, distance, string_agg(attributes ->> 'Payload', ' ' ORDER BY attributes ->> 'Payload')
FROM vektonn.search('Holder', '1', ARRAY['[0,0.5,0]', '[0,-0.5,0]']::vector[], 2) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT vektonn.delete('Holder', '1', '[{"IdA": 1, "IdZ": true}]');
SELECT rank, distance, attributes FROM vektonn.search('Holder', '1', ARRAY['[0,0.5,0]']::vector[], 1);
SELECT count(*), min(distance), max(distance) FROM vektonn.search('Holder', '1', ARRAY['[0,0.5,0]']::vector[], 2);
-- the same through the id of another version of the same point, all in one batch: the last write counts
SELECT vektonn.upload('Holder', '1', '[
	{"attributes": {"IdA": 7, "IdZ": true, "Payload": "old"}, "vector": [1, 0, 0]},
	{"attributes": {"IdA": 7, "IdZ": true, "Payload": "gone"}, "isDeleted": true},
	{"attributes": {"IdA": 7, "IdZ": true, "Payload": "new"}, "vector": [0, 0, 1]},
	{"attributes": {"IdA": 8, "IdZ": true, "Payload": "new"}, "vector": [0, 0, 1]},
	{"attributes": {"IdA": 8, "IdZ": true, "Payload": "gone"}, "isDeleted": true}]');
SELECT "IdA", "Payload", vector FROM holder_1 WHERE "IdA" IN (7, 8);

-- an id that moves to another split leaves nothing behind; a deletion counts for the point it names
SELECT vektonn.upload('Split', '1', '[{"attributes": {"Id": 1, "SplitA": false, "SplitZ": false, "Data": "moved"}, "vector": [0, 1, 0]}]');
SELECT found(10, '{"SplitA": true}'), found(10, '{"SplitA": false}');
SELECT vektonn.delete('Split', '1', '[{"Id": 1, "SplitA": true, "SplitZ": true}]');
SELECT found(10, '{"SplitA": false}');
SELECT vektonn.delete('Split', '1', '[{"Id": 1, "SplitA": false, "SplitZ": false}]');
SELECT found(10, '{"SplitA": false}');

DROP FUNCTION found(int, jsonb);
SELECT vektonn.drop_data_source('Split', '1', cascade => true), vektonn.drop_data_source('Holder', '1', cascade => true);
