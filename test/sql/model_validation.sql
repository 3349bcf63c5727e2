-- Upstream's validation rules, their order and their wording, in both shapes of data points.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;

SELECT vektonn.create_data_source('V', '1', 3, '{"Id": "Int64", "S": "String", "G": "Guid", "B": "Bool", "F": "Float64", "D": "DateTime"}', '{Id}');
SELECT vektonn.create_data_source('Sparse', '1', 50, '{"Id": "int64"}', '{Id}', sparse => true);

-- a point that is right, changed in one place by each call
CREATE FUNCTION try(changes jsonb, vector jsonb DEFAULT '[1, 2, 3]', extra jsonb DEFAULT '{}') RETURNS SETOF record LANGUAGE sql AS $$
	SELECT r.* FROM vektonn._rows((SELECT s FROM vektonn.data_source s WHERE name = 'V'), jsonb_build_array(jsonb_build_object('attributes',
		'{"Id": 1, "S": "", "G": "39b146ec-9803-4b7e-aa35-f3550ac0e5ed", "B": false, "F": 1.5, "D": "2021-11-23T23:59:01"}'::jsonb || changes,
		'vector', vector) || extra), false) r
$$;
CREATE FUNCTION try_sparse(vector jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT r.vector FROM vektonn._rows((SELECT s FROM vektonn.data_source s WHERE name = 'Sparse'),
		jsonb_build_array(jsonb_build_object('attributes', '{"Id": 1}'::jsonb, 'vector', vector)), false) r
$$;
SELECT try('{}');

-- 1, 2: keys
SELECT vektonn.upload('V', '1', '[{"attributes": [{"key": "Id", "value": {"int64": 1}}, {"key": "Id", "value": {"int64": 1}}], "vector": [1, 2, 3]}]');
SELECT vektonn.upload('V', '1', '[{"attributes": {"Id": 1}, "vector": [1, 2, 3]}]');
SELECT vektonn.upload('V', '1', '[{"attributes": {}, "vector": [1, 2, 3]}]');
SELECT try('{"id": 1}');
-- 3: per attribute
SELECT try('{" ": 1}');
SELECT vektonn.upload('Sparse', '1', '[{"attributes": [{"value": {"int64": 1}}], "isDeleted": true}]');
SELECT try('{"Id": "1"}');
SELECT try('{"Id": 1.5}');
SELECT try('{"Id": 9223372036854775808}');
SELECT try('{"Id": null}');
SELECT try('{"S": 1}');
SELECT try('{"G": "39b146ec98034b7eaa35f3550ac0e5ed"}');
SELECT try('{"B": "true"}');
SELECT try('{"F": "1"}');
SELECT try('{"F": 1e400}');
SELECT try('{"D": "2021-02-29"}');
SELECT try('{"D": "yesterday"}');
SELECT try('{"D": 1}');
SELECT try('{"S": ["a", "rather long", "array of several elements", "that is cut somewhere"]}');
SELECT vektonn.upload('Sparse', '1', '[{"attributes": [{"key": "Id", "value": {"int64": 1, "string": "x"}}], "isDeleted": true}]');
SELECT vektonn.upload('Sparse', '1', '[{"attributes": [{"key": "Id", "value": {"string": "x"}}], "isDeleted": true}]');
SELECT vektonn.upload('Sparse', '1', '[{"attributes": [{"key": "Id", "value": {}}], "isDeleted": true}]');
SELECT vektonn.upload('Sparse', '1', '[{"attributes": [{"key": "Id", "value": {"int64": "23", "string": null}}], "isDeleted": true}]');
-- 5: isDeleted against vector, and several at once
SELECT try('{}', extra => '{"isDeleted": true}');
SELECT try('{}', vector => NULL, extra => '{"isDeleted": false}');
SELECT try('{"KEY": 1}', extra => '{"isDeleted": true}');
SELECT try('{}', extra => '{"isDeleted": "yes"}');
SELECT try('{}', extra => '{"is_deleted": true}');
-- 6: dense vectors
SELECT try('{}', '{"indices": [1], "values": [1]}');
SELECT try('{}', '{"isSparse": true, "coordinates": [1], "coordinateIndices": [1]}');
SELECT try('{}', '[1, 2]');
SELECT try('{}', '[]');
SELECT try('{}', '[1, 2, "x"]');
SELECT try('{}', '[1, 2, 1e39]');
SELECT try('{}', '7');
SELECT try('{}', '{}');
-- 6': sparse vectors; their order is free
SELECT try_sparse('{"isSparse": true, "coordinates": [1, 0, 0.1], "coordinateIndices": [7, 23, 0]}');
SELECT try_sparse('{"indices": [], "values": []}');
SELECT try_sparse('[1]');
SELECT try_sparse('{"isSparse": true, "coordinates": [1]}');
SELECT try_sparse('{"indices": [0, 7, 7, 23], "values": [1, 2, 3]}');
SELECT try_sparse('{"indices": [0, 7, 7], "values": [1, 2, 3]}');
SELECT try_sparse('{"indices": [0, 50], "values": [1, 2]}');
SELECT try_sparse('{"indices": [-1], "values": [1]}');
SELECT try_sparse('{"indices": [0.5], "values": [1]}');
-- none of an invalid batch, and where it is
\set VERBOSITY default
SELECT vektonn.create_index('V', '1', 'V', '1', 'L2');
SELECT vektonn.upload('V', '1', jsonb_build_array(p, p, p - 'vector', '7')) FROM (SELECT
	'{"attributes": {"Id": 1, "S": "", "G": "39b146ec-9803-4b7e-aa35-f3550ac0e5ed", "B": false, "F": 1.5, "D": "2021-11-23T23:59:01"}, "vector": [1, 2, 3]}'::jsonb) x (p);
SELECT count(*) FROM v_1;
SELECT vektonn.upload('V', '1', '{}');
SELECT vektonn.upload('V', '1', '[7]');
SELECT vektonn.upload('V', '1', NULL);
SELECT vektonn.upload('V', '1', '[]');
SELECT vektonn.delete('V', '1', '[{"Id": 1, "S": "x"}]');
SELECT vektonn.delete('V', '1', '[{"Id": "x"}]');
\set VERBOSITY terse

-- searches
SELECT * FROM vektonn.search('V', '1', '{}'::vector[], -1);
SELECT * FROM vektonn.search('V', '1', ARRAY['[1,2]', '[1,2,3]']::vector[], 1);
SELECT * FROM vektonn.search('V', '1', ARRAY['{1:1}/3']::sparsevec[], 1);
SELECT * FROM vektonn.search('V', '1', ARRAY['[1,2,3]']::vector[], 1, '{"Id": 1}');
SELECT * FROM vektonn.search('V', '1', ARRAY[NULL]::vector[], 1);
SELECT * FROM vektonn.search('NoSuch', '1.0', ARRAY['[1,2,3]']::vector[], 1);
SELECT vektonn.upload('NoSuch', '1.0', '[]');

-- definitions
SELECT vektonn.create_data_source('X', '1', 3, '{"id": "Int64"}', '{}');
SELECT vektonn.create_data_source('X', '1', 3, '{"id": "Int64"}', '{ID}');
SELECT vektonn.create_data_source('X', '1', 3, '{"id": "Integer"}', '{id}');
SELECT vektonn.create_data_source('X', '1', 0, '{"id": "Int64"}', '{id}');
SELECT vektonn.create_data_source('X', '1', 16001, '{"id": "Int64"}', '{id}');
SELECT vektonn.create_data_source('X', '1', 3, '{"vector": "Int64"}', '{vector}');
SELECT vektonn.create_data_source('X', '1', 3, '[]', '{id}');
SELECT vektonn.create_data_source('', '1', 3, '{"id": "Int64"}', '{id}');
SELECT vektonn.create_data_source('X', '1', 3, '{"id": "Int64"}', '{id}', format => 'avro');
SELECT vektonn.create_data_source('X', '1', 3, '{"id": "Int64"}', '{id}', server => 'none');
SELECT vektonn.create_data_source('V', '1', 3, '{"id": "Int64"}', '{id}');
SELECT vektonn.create_index('X', '1', 'V', '1', 'SparnnIndex.Cosine');
SELECT vektonn.create_index('X', '1', 'Sparse', '1', 'FaissIndex.L2');
SELECT vektonn.create_index('X', '1', 'V', '1', 'Jaccard');
SELECT vektonn.create_index('X', '1', 'V', '1', 'faissindex.l2');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', '{"Hnsw_M": 16}');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', '{"Hnsw_M": 16, "m": 1}');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', '{"hnsw_m": 16}');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', '{"m": "many"}');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', id_attributes => '{S}');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', split_attributes => '{B}');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', id_attributes => '{Id}', split_attributes => '{Id}');
SELECT vektonn.create_index('V', '1', 'V', '1', 'L2');
SELECT vektonn.create_index('X', '1', 'V', '2', 'L2');
SELECT vektonn.create_index('X', '1', 'V', '1', 'L2', target => 'pg_class');

DROP FUNCTION try, try_sparse;
SELECT vektonn.drop_data_source('V', '1', cascade => true), vektonn.drop_data_source('Sparse', '1', cascade => true);
