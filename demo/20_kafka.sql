\set QUIET on
\pset pager off
\pset footer off
\pset linestyle unicode
\pset border 2
-- == 3. Fed from Kafka
-- A Kafka cluster is a server of the foreign data wrapper vektonn_kafka.
CREATE SERVER kafka_main FOREIGN DATA WRAPPER vektonn_kafka
	OPTIONS (bootstrap_servers '@KAFKA@');

-- A data source is a topic of data points; an index is a table kept equal to it, searched by kNN.
\o /dev/null
SELECT vektonn.create_data_source('Paintings', '1.0', vector_dimension => 3,
	attribute_types => '{"id": "Int64", "title": "String", "painter": "String"}',
	permanent_attributes => '{id,painter}', server => 'kafka_main');
\o
SELECT vektonn.create_index('Paintings', '1.0', data_source_name => 'Paintings', data_source_version => '1.0',
	algorithm => 'L2', id_attributes => '{id}', split_attributes => '{painter}') AS "table";

-- Data points go to the topic.  A background worker consumes it; wait => ... reads your own writes.
SELECT count FROM vektonn.upload('Paintings', '1.0', '[
	{"attributes": {"id": 1, "title": "The Starry Night", "painter": "van Gogh"},      "vector": [38, 64, 128]},
	{"attributes": {"id": 2, "title": "Sunflowers", "painter": "van Gogh"},            "vector": [222, 178, 60]},
	{"attributes": {"id": 3, "title": "Impression, Sunrise", "painter": "Monet"},      "vector": [112, 130, 140]},
	{"attributes": {"id": 4, "title": "Poppy Field", "painter": "Monet"},              "vector": [150, 140, 90]},
	{"attributes": {"id": 5, "title": "Girl with a Pearl Earring", "painter": "Vermeer"}, "vector": [60, 52, 44]},
	{"attributes": {"id": 6, "title": "The Milkmaid", "painter": "Vermeer"},           "vector": [140, 120, 84]}]',
	wait => '30 s');

-- What the topic holds, as any Kafka client sees it.
SELECT partition, "offset", convert_from(key, 'UTF8') AS key, left(convert_from(value, 'UTF8'), 60) AS value
FROM vektonn.peek('kafka_main', 'Vektonn.Paintings-1_0') ORDER BY partition, "offset" LIMIT 3;

-- Exactly once, with a status to look at.
SELECT stream_name, partition, state, next_offset, lag, upserted, dead_letters FROM vektonn.stream_status ORDER BY partition;

-- Which paintings are nearest to the dusky blue (70,80,120)?  As a function ...
SELECT rank, round(distance::numeric, 1) AS distance, attributes->>'title' AS title, attributes->>'painter' AS painter
FROM vektonn.search('Paintings', '1.0', ARRAY['[70,80,120]']::vector[], k => 3) ORDER BY rank;

-- ... in one split ...
SELECT rank, round(distance::numeric, 1) AS distance, attributes->>'title' AS title
FROM vektonn.search('Paintings', '1.0', ARRAY['[70,80,120]']::vector[], k => 2, split_filter => '{"painter": "Monet"}') ORDER BY rank;

-- ... and in plain SQL, from any driver: it is a table with an index.
SELECT id, title, round((vector <-> '[70,80,120]')::numeric, 1) AS distance
FROM paintings_1_0 ORDER BY vector <-> '[70,80,120]' LIMIT 3;

-- The last write wins, and a tombstone deletes.
SELECT count FROM vektonn.upload('Paintings', '1.0',
	'[{"attributes": {"id": 2, "title": "Sunflowers (restored)", "painter": "van Gogh"}, "vector": [72, 81, 119]}]', wait => '30 s');
SELECT count FROM vektonn.delete('Paintings', '1.0', '[{"id": 1, "painter": "van Gogh"}]', wait => '30 s');
SELECT rank, round(distance::numeric, 1) AS distance, attributes->>'title' AS title
FROM vektonn.search('Paintings', '1.0', ARRAY['[70,80,120]']::vector[], k => 3) ORDER BY rank;
