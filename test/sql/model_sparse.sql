-- Sparse sources: upstream's Jaccard matrix and cosine examples.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT vektonn.create_data_source('Sets', '1', 5, '{"id": "Int64"}', '{id}', sparse => true);
SELECT vektonn.create_index('Jaccard', '1', 'Sets', '1', 'SparnnIndex.JaccardBinary');
SELECT vektonn.create_index('Cosine', '1', 'Sets', '1', 'SparnnIndex.Cosine');
SELECT vektonn.upload('Sets', '1', '[
	{"attributes": {"id": 0}, "vector": {"indices": [4, 0, 3], "values": [1, 1, 1]}},
	{"attributes": {"id": 1}, "vector": {"indices": [0, 1], "values": [1, 1]}},
	{"attributes": {"id": 2}, "vector": {"indices": [2], "values": [1]}},
	{"attributes": {"id": 3}, "vector": {"indices": [1, 2], "values": [1, 1]}}]');
SELECT query_number, string_agg(format('%s: %s', attributes ->> 'id', round(distance::numeric, 4)), ', ' ORDER BY (attributes ->> 'id')::int)
FROM vektonn.search('Jaccard', '1', ARRAY['{2:1,3:1}/5', '{3:7,4:1,5:1}/5', '{1:1,2:1,3:1,5:1}/5']::sparsevec[], 10) GROUP BY 1 ORDER BY 1;
-- best first, and exact
SELECT rank, attributes ->> 'id' AS id, distance FROM vektonn.search('Jaccard', '1', ARRAY['{2:1,3:1}/5']::sparsevec[], 2);
SELECT rank, attributes ->> 'id' AS id, round(distance::numeric, 6) AS distance, vector FROM vektonn.search('Cosine', '1', ARRAY['{3:5}/5']::sparsevec[], 2, retrieve_vectors => true);
SELECT count(*) FROM vektonn.search('Cosine', '1', ARRAY['{3:5}/5']::sparsevec[], 100);
-- the last point of an index goes
SELECT vektonn.delete('Sets', '1', '[{"id": 0}, {"id": 1}, {"id": 2}, {"id": 3}]');
SELECT count(*) FROM vektonn.search('Jaccard', '1', ARRAY['{3:5}/5']::sparsevec[], 100);
SELECT * FROM vektonn.search('Jaccard', '1', ARRAY['{3:5}/6']::sparsevec[], 100);
SELECT * FROM vektonn.search('Jaccard', '1', ARRAY['[1]']::vector[], 100);
SELECT vektonn.drop_data_source('Sets', '1', cascade => true);

-- every type, split filters, sparse vectors
SELECT vektonn.import_config('data-sources/All/0.1.yaml', $$
vectorDimension: 20
vectorsAreSparse: true
attributeValueTypes: { Id: Int64, G: Guid, B: Bool, F: Float64, D: DateTime, S: String }
permanentAttributes: ["Id", "B", "D"]
$$);
SELECT vektonn.import_config('indices/All/0.1.yaml', $$
dataSourceId: { name: All, version: 0.1 }
indexAlgorithm: { type: SparnnIndex.Cosine, params: ~ }
idAttributes: ["Id"]
splitAttributes: ["B", "D"]
$$);
SELECT vektonn.upload_json('All', '0.1', '[{"attributes": [{"key": "Id", "value": {"int64": 1}}, {"key": "S", "value": {"string": ""}}, {"key": "F", "value": {"float64": -0.25}},
	{"key": "G", "value": {"guid": "39b146ec-9803-4b7e-aa35-f3550ac0e5ed"}}, {"key": "B", "value": {"bool": true}}, {"key": "D", "value": {"dateTime": "2021-11-23T23:59:01"}}],
	"vector": {"isSparse": true, "coordinates": [1, 0, 0.1], "coordinateIndices": [7, 9, 0]}}]') -> 'count' AS count;
SELECT jsonb_pretty(vektonn.search_json('All', '0.1', '{"k": 1, "retrieveVectors": true, "queryVectors": [{"isSparse": true, "coordinates": [1, 0.1], "coordinateIndices": [7, 0]}],
	"splitFilter": [{"key": "D", "value": {"dateTime": "2021-11-24T00:59:01+01:00"}}, {"key": "B", "value": {"bool": true}}]}'));
SELECT vektonn.search_json('All', '0.1', '{"k": 1, "queryVectors": [{"isSparse": true, "coordinates": [1], "coordinateIndices": [7]}], "splitFilter": [{"key": "B", "value": {"bool": false}}]}') #> '{0,nearestDataPoints}' AS none;
SELECT vektonn.search_json('All', '0.1', '{"k": 1, "queryVectors": [{"isSparse": true, "coordinates": [1], "coordinateIndices": [7]}], "splitFilter": [{"key": "B", "value": {"int64": 42}}]}');
SELECT vektonn.drop_data_source('All', '0.1', cascade => true);

-- approximate indices, by upstream's parameters and by the access method's
SELECT vektonn.create_data_source('H', '1', 2, '{"id": "Int64"}', '{id}');
SELECT vektonn.create_index('H', '1', 'H', '1', 'FaissIndex.L2', '{"Hnsw_M": "16", "Hnsw_EfConstruction": 200, "Hnsw_EfSearch": 100}');
SELECT vektonn.create_index('H', '2', 'H', '1', 'Cosine', '{"algorithm": "hnsw", "m": 8}');
SELECT vektonn.create_index('H', '3', 'H', '1', 'L2', '{"m": 8}');
SELECT vektonn.create_index('H', '3', 'H', '1', 'L2', '{"algorithm": "hnsw", "m": 1}');
SELECT vektonn.create_index('H', '3', 'H', '1', 'L2', '{"algorithm": "ivf"}');
SELECT version, reloptions FROM vektonn.indices i JOIN pg_index x ON x.indrelid = i.target JOIN pg_class c ON c.oid = x.indexrelid
WHERE name = 'H' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'vektonn') ORDER BY 1;
SELECT count FROM vektonn.upload('H', '1', (SELECT jsonb_agg(jsonb_build_object('attributes', jsonb_build_object('id', i), 'vector', jsonb_build_array(i, 0))) FROM generate_series(1, 100) i));
SELECT attributes ->> 'id' AS id, distance FROM vektonn.search('H', '1', ARRAY['[7,0]']::vector[], 1);
SELECT vektonn.drop_data_source('H', '1', cascade => true);
