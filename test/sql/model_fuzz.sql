-- Requests and configurations that somebody has damaged: each is answered or refused with an error about
-- the input, and none takes the server down.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT setseed(0.125);
SELECT vektonn.create_data_source('Fuzz', '1', 3, '{"s": "String", "g": "Guid", "b": "Bool", "i": "Int64", "f": "Float64", "d": "DateTime"}', '{s,g,b,i,f,d}');
SELECT vektonn.create_index('Fuzz', '1', 'Fuzz', '1', 'L2', id_attributes => '{i}', split_attributes => '{s,b,d}');
SELECT vektonn.create_data_source('Sparse', '1', 30, '{"i": "Int64"}', '{i}', sparse => true);
SELECT vektonn.create_index('Sparse', '1', 'Sparse', '1', 'SparnnIndex.JaccardBinary');

-- A few characters of a text replaced, removed, doubled or put in.
CREATE FUNCTION damaged(text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	result text := $1;
	at integer;
	bits text[] := '{"{","}","[","]",",",":","\"","-","0","9","1e400","null","true","\\u0000","\\ud800","é","''"," ","~","&a","*a","|","\n","\t","#"}';
BEGIN
	FOR i IN 0 .. floor(random() * 4)::integer LOOP
		at := 1 + floor(random() * length(result))::integer;
		result := CASE floor(random() * 4)::integer
			WHEN 0 THEN overlay(result PLACING '' FROM at FOR 1 + floor(random() * 3)::integer)
			WHEN 1 THEN overlay(result PLACING bits[1 + floor(random() * 25)::integer] FROM at FOR 1)
			WHEN 2 THEN overlay(result PLACING bits[1 + floor(random() * 25)::integer] FROM at FOR 0)
			ELSE overlay(result PLACING substr(result, at, 12) FROM 1 + floor(random() * length(result))::integer FOR 0) END;
	END LOOP;
	RETURN result;
END $$;

-- How each kind of call ended, where that is not an answer or class 22 (the input) or 42704 (no such name).
CREATE FUNCTION outcomes(kind text, original text, rounds integer, OUT answered boolean, OUT refused boolean, OUT others text) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	input text;
BEGIN
	answered := false;
	refused := false;
	FOR i IN 1 .. rounds LOOP
		input := damaged(original);
		BEGIN
			CASE kind
				WHEN 'search' THEN PERFORM vektonn.search_json('Fuzz', '1', input::jsonb);
				WHEN 'sparse search' THEN PERFORM vektonn.search_json('Sparse', '1', input::jsonb);
				WHEN 'upload' THEN PERFORM vektonn.upload_json('Fuzz', '1', input::jsonb);
				WHEN 'sparse upload' THEN PERFORM vektonn.upload('Sparse', '1', input::jsonb);
				WHEN 'data source' THEN PERFORM vektonn.import_config('data-sources/X/1.yaml', input);
					RAISE EXCEPTION 'made' USING ERRCODE = '22000';
				WHEN 'index' THEN PERFORM vektonn.import_config('indices/X/1.yaml', input);
					RAISE EXCEPTION 'made' USING ERRCODE = '22000';
				WHEN 'shard map' THEN PERFORM vektonn.create_index('X', '1', 'Fuzz', '1', shard_attributes => '{s}', shard_map => input::jsonb);
					RAISE EXCEPTION 'made' USING ERRCODE = '22000';
			END CASE;
			answered := true;
		EXCEPTION WHEN OTHERS THEN
			refused := refused OR SQLERRM <> 'made';
			answered := answered OR SQLERRM = 'made';
			-- A definition may also ask for what PostgreSQL does not have: a partition twice, an overlong name.
			IF SQLSTATE !~ '^22' AND SQLSTATE <> '42704' AND NOT (kind IN ('data source', 'index', 'shard map') AND SQLSTATE ~ '^(42|0A|54|23)') THEN
				others := concat_ws(E'\n', others, format('%s %s: %s', SQLSTATE, SQLERRM, input));
			END IF;
		END;
	END LOOP;
END $$;
SELECT kind, o.* FROM (VALUES
	('search', 1000, '{"k": 3, "retrieveVectors": true, "queryVectors": [{"isSparse": false, "coordinates": [0.1, 2, -3e2]}], "splitFilter": [{"key": "s", "value": {"string": "a"}}, {"key": "b", "value": {"bool": true}}, {"key": "d", "value": {"dateTime": "2021-11-23T23:59:01.5+03:00"}}]}'),
	('sparse search', 700, '{"k": "3", "queryVectors": [{"isSparse": true, "coordinates": [1, 2], "coordinateIndices": [7, 29]}]}'),
	('upload', 1000, '[{"attributes": [{"key": "s", "value": {"string": "x"}}, {"key": "g", "value": {"guid": "39b146ec-9803-4b7e-aa35-f3550ac0e5ed"}}, {"key": "b", "value": {"bool": false}}, {"key": "i", "value": {"int64": 9223372036854775807}}, {"key": "f", "value": {"float64": -1.7e308}}, {"key": "d", "value": {"dateTime": "2021-11-23T23:59:01"}}], "vector": {"isSparse": false, "coordinates": [1, 0, 0.1]}}]'),
	('sparse upload', 700, '[{"attributes": {"i": 1}, "vector": {"indices": [4, 0, 29], "values": [1, 0.5, 1]}}, {"attributes": {"i": 2}, "isDeleted": true}]'),
	('data source', 700, E'vectorDimension: 2\nattributeValueTypes: { Id: Int64, "Shop": Guid }\npermanentAttributes: ["Id", Shop]\nshardersByAttributeKey:\n  Shop: { numberOfShards: 3 }\n'),
	('index', 700, E'dataSourceId: { name: Fuzz, version: 1 }\nindexAlgorithm: { type: FaissIndex.L2 }\nidAttributes: ["i"]\nsplitAttributes:\n  - s\n  - b\nshardsById:\n  A:\n    shardsByAttributeKey: { i: { numberOfShards: 2, shardValues: [0] } }\n  B: { shardsByAttributeKey: { i: { numberOfShards: 2, shardValues: [1] } } }\n'),
	('shard map', 500, '[{"name": "low", "values": ["a", "b"]}, {"values": ["c"]}, {"name": "rest", "default": true}]')
) x (kind, rounds, original), LATERAL outcomes(kind, original, rounds) o;
-- what was taken is whole
SELECT count(*) > 0 AS some, bool_and(vector_dims(vector) = 3) AS dimensions FROM fuzz_1;
SELECT count(*) AS wrong FROM fuzz_1 f, vektonn.search('Fuzz', '1', ARRAY[f.vector], 1) s WHERE s.distance > 0 OR s.distance IS NULL;
SELECT count(vektonn.drop_data_source(name, version, cascade => true)) FROM vektonn.data_sources;
DROP FUNCTION damaged(text), outcomes(text, text, integer);
