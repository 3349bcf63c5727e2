-- The bodies of upstream's HTTP API, and its configuration files.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

SELECT vektonn.import_config('config/data-sources/QuickStart.Source/1.0.yaml', $$
vectorDimension: 2          # dense
attributeValueTypes:
  id: Int64
  payload: string
permanentAttributes: ["id"]
$$);
SELECT vektonn.import_config('config/indices/QuickStart.Index/1.0.yaml', $$
dataSourceId: { name: QuickStart.Source, version: 1.0 }
indexAlgorithm:
  type: FaissIndex.L2
idAttributes: [id]
shardsById:
  SingleShard: {}
$$);
SELECT name, version, vector_dimension, sparse, attribute_types, permanent_attributes, format FROM vektonn.data_sources;
SELECT name, version, algorithm, params, id_attributes, split_attributes, target FROM vektonn.indices;

-- the quick start through JSON, as the Python client sends and reads it
SELECT jsonb_pretty(vektonn.search_json('QuickStart.Index', '1.0', '{"k": 3, "queryVectors": [{"isSparse": false, "coordinates": [0, 0]}]}'));
SELECT vektonn.upload_json('QuickStart.Source', '1.0', '[
	{"attributes": [{"key": "id", "value": {"int64": 1}}, {"key": "payload", "value": {"string": "first data point"}}], "vector": {"isSparse": false, "coordinates": [0, 1]}},
	{"attributes": [{"key": "id", "value": {"int64": 2}}, {"key": "payload", "value": {"string": "second data point"}}], "vector": {"isSparse": false, "coordinates": ["1", 0]}},
	{"attributes": [{"key": "payload", "value": {"string": "third data point"}}, {"key": "id", "value": {"int64": "3"}}], "vector": {"isSparse": false, "coordinates": [-0.5, 0]}, "isDeleted": false}]');
SELECT jsonb_pretty(vektonn.search_json('QuickStart.Index', '1.0', '{"splitFilter": null, "k": 2, "queryVectors": [{"isSparse": false, "coordinates": [0.1, 2]}, {"coordinates": [1, 0]}], "retrieveVectors": true}'));
SELECT vektonn.search_json('QuickStart.Index', '1.0', '{"queryVectors": [], "k": -1}');
SELECT vektonn.search_json('QuickStart.Index', '1.0', '{"queryVectors": [{"isSparse": true, "coordinates": [1], "coordinateIndices": [0]}, {"coordinates": [1]}], "k": 1, "splitFilter": []}');
SELECT vektonn.search_json('QuickStart.Index', '1.0', '{"queryVectors": [{"coordinates": [1, 2]}], "k": 1, "splitFilter": [{"key": "id", "value": {"int64": 1}}, {"key": "id", "value": {"int64": 1}}]}');
SELECT vektonn.search_json('QuickStart.Index', '2.0', '{}');
SELECT vektonn.upload_json('QuickStart.Source', '2.0', '[]');
SELECT vektonn.upload_json('QuickStart.Source', '1.0', '[{"attributes": [{"key": "id", "value": {"int64": 1}}, {"key": "payload", "value": {"string": "x"}}]}]');

-- what a configuration can have wrong
SELECT vektonn.import_config('data-sources/X/1.yaml', 'vectorDimension: 0');
SELECT vektonn.import_config('data-sources/X/1.yaml', 'vectorDimension: many');
SELECT vektonn.import_config('data-sources/X/1.yaml', '[1, 2');
SELECT vektonn.import_config('data-sources/X/1.yaml', '- 1');
SELECT vektonn.import_config('data-sources/X.yaml', '');
SELECT vektonn.import_config('data-sources/X/1.yaml', 'a: &x 1
b: *x');
SELECT vektonn.import_config('data-sources/X/1.yaml', 'vectorDimension: 2
shardersByAttributeKey: {ShardId: {numberOfShards: 7}}');
SELECT vektonn.import_config('data-sources/X/1.yaml', 'vectorDimension: 2
attributeValueTypes: {Id: Int64}
permanentAttributes: [Id]
shardersByAttributeKey: {Id: {numberOfShards: ~}}');
-- what a shard of several topics holds
SELECT vektonn._import_shard_rules(shard, '{Category,ShopId}', '{2,7}') FROM (VALUES
	('{"shardsByAttributeKey": {"Other": {"numberOfShards": "6", "shardValues": ["0", "1"]}}, "dataSourceShardsToConsume": [{"shardingCoordinatesByAttributeKey": {"Category": "1", "ShopId": null}}]}'::jsonb),
	('{"shardsByAttributeKey": {"ShopId": {"numberOfShards": "3", "shardValues": ["0"]}}, "dataSourceShardsToConsume": [{"shardingCoordinatesByAttributeKey": {"ShopId": "0"}}, {"shardingCoordinatesByAttributeKey": {"ShopId": "2"}}]}'),
	('{"shardsByAttributeKey": {}, "dataSourceShardsToConsume": [{}]}'), ('{}')) s (shard);
SELECT vektonn._import_shard_rules('{"dataSourceShardsToConsume": [{"shardingCoordinatesByAttributeKey": {"A": "2"}}]}', '{A}', '{2}');
SELECT vektonn._import_shard_rules('{"dataSourceShardsToConsume": [{"shardingCoordinatesByAttributeKey": {"A": "0", "B": "1"}}, {"shardingCoordinatesByAttributeKey": {"A": "1", "B": "0"}}]}', '{A,B}', '{2,2}');
SELECT vektonn.import_config('indices/X/1.yaml', 'dataSourceId: {name: QuickStart.Source, version: 1.0}
indexAlgorithm: {type: FaissIndex.IP, params: {Hnsw_M: 16}}
idAttributes: [id]');
SELECT vektonn.import_config('indices/X/1.yaml', 'shardsById: {A: {}, B: ~}');
SELECT vektonn.import_config('indices/X/1.yaml', 'shardsById: {A: {}}', shard_servers => '{"B": {"server": "b"}}');
-- the shards of a source without a topic are left out
SET client_min_messages = notice;
SELECT vektonn.import_config('indices/Sharded/1.yaml', 'dataSourceId: {name: QuickStart.Source, version: 1.0}
indexAlgorithm: {type: FaissIndex.IP}
idAttributes: [id]
shardsById: {A: {shardsByAttributeKey: {id: {numberOfShards: 2, shardValues: [0]}}}, B: {shardsByAttributeKey: {id: {numberOfShards: 2, shardValues: [1]}}}}');
SET client_min_messages = warning;
SELECT vektonn._yaml(repeat('[', 40));
SELECT vektonn._yaml(E'a: "1\\u00e9"\nb: [x, ''y z'', ~, null, "null", 1.0]\nc: {d: , e: {}}\n? f\n: |\n  text\n  more\n');
SELECT vektonn._yaml(''), vektonn._yaml('--- 1'), vektonn._yaml('{}');
SELECT vektonn._yaml(E'--- 1\n--- 2');

SELECT count(vektonn.drop_data_source(name, version, cascade => true)) FROM vektonn.data_sources;
