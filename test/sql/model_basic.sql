-- The quick start without a broker: define, upload, search, delete.
\set SHOW_CONTEXT never

SELECT vektonn.create_data_source('QuickStart.Source', '1.0',
	vector_dimension => 2, attribute_types => '{"id": "Int64", "payload": "String"}', permanent_attributes => '{id}');
SELECT vektonn.create_index('QuickStart.Index', '1.0', data_source_name => 'QuickStart.Source',
	data_source_version => '1.0', algorithm => 'FaissIndex.L2', id_attributes => '{id}');
\d quickstart_index_1_0
SELECT * FROM vektonn.search('QuickStart.Index', '1.0', ARRAY['[0,0]']::vector[], k => 3);
SELECT vektonn.upload('QuickStart.Source', '1.0', '[
	{"attributes": {"id": 1, "payload": "first data point"}, "vector": [0, 1]},
	{"attributes": {"id": 2, "payload": "second data point"}, "vector": [1, 0]},
	{"attributes": {"id": 3, "payload": "third data point"}, "vector": [-0.5, 0]}]');
SELECT * FROM vektonn.search('QuickStart.Index', '1.0', ARRAY['[0,2]']::vector[], k => 2);
SELECT * FROM vektonn.search('QuickStart.Index', '1.0', ARRAY['[0,2]', '[1,0]']::vector[], k => 10, retrieve_vectors => true);
SELECT id, payload, vector <-> '[0,2]' AS distance FROM quickstart_index_1_0 ORDER BY 3 LIMIT 2;

-- the inner product: best first is descending
SELECT vektonn.create_index('QuickStart.IP', '1.0', 'QuickStart.Source', '1.0', 'FaissIndex.IP');
SELECT vektonn.upload('QuickStart.Source', '1.0', '[{"attributes": {"id": 1, "payload": "changed"}, "vector": [0, 1]}]');
SELECT query_number, rank, distance, attributes ->> 'payload' AS payload
FROM vektonn.search('QuickStart.IP', '1.0', ARRAY['[0,2]']::vector[], k => 1);

-- deletes, of points that are there and of one that is not
SELECT vektonn.delete('QuickStart.Source', '1.0', '[{"id": 1}, {"id": 2}, {"id": 77}]');
SELECT vektonn.upload('QuickStart.Source', '1.0', '[{"attributes": {"id": 3, "payload": "привет"}, "isDeleted": true}]');
SELECT * FROM vektonn.search('QuickStart.Index', '1.0', ARRAY['[0,0]']::vector[], k => 1);
SELECT count(*) FROM quickstart_ip_1_0;

SELECT name, version, is_current, algorithm, target, source FROM vektonn.indices ORDER BY name;
SELECT name, version, attribute_types, permanent_attributes, indices FROM vektonn.data_sources;
SELECT vektonn.drop_data_source('QuickStart.Source', '1.0');
SELECT vektonn.drop_data_source('QuickStart.Source', '1.0', cascade => true);
SELECT to_regclass('quickstart_index_1_0');

-- the documented variant: float32 arithmetic
SELECT vektonn.create_data_source('Q', '1.0', 2, '{"id": "Int64", "payload": "String"}', '{id}');
SELECT vektonn.create_index('Q', '1.0', 'Q', '1.0', 'FaissIndex.L2');
SELECT vektonn.upload('Q', '1.0', '[{"attributes": {"id": 1, "payload": "sample data point"}, "vector": [3.14, 2.71]}]');
SELECT distance, vector::real[]::float8[] FROM vektonn.search('Q', '1.0', ARRAY['[1.2,3.4]']::vector[], 10, NULL, true);
-- another index of a source without a topic has its points
SELECT vektonn.create_index('Q', '2.0', 'Q', '1.0', 'Cosine');
SELECT count(*) FROM q_2_0;
-- searches without a version, and readers of the view, change over in one statement
SELECT distance FROM vektonn.search('Q', NULL, ARRAY['[3.14,2.71]']::vector[], 1);
SELECT vektonn.use_index_version('Q', '1.0');
SELECT vektonn.upload('Q', '1.0', '[{"attributes": {"id": 2, "payload": "x"}, "vector": [0, 1]}]');
DELETE FROM q_1_0 WHERE id = 2;
SELECT count(*) FROM q;
SELECT vektonn.use_index_version('Q', '2.0');
SELECT count(*) FROM q;
SELECT round(distance::numeric, 3) AS distance FROM vektonn.search('Q', NULL, ARRAY['[0,1]']::vector[], 1);
SELECT name, version, is_current FROM vektonn.indices ORDER BY 1, 2;
SELECT vektonn.drop_index('Q', '1.0');
SELECT vektonn.drop_index('Q', '2.0');
SELECT to_regclass('q'), to_regclass('q_2_0');
SELECT vektonn.drop_index('Q', '2.0', if_exists => true);
SELECT vektonn.drop_data_source('Q', '1.0');
