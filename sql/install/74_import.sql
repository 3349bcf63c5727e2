-- Upstream's configuration files.

CREATE FUNCTION vektonn._yaml(yaml text) RETURNS jsonb
	AS '$libdir/vektonn_yaml', 'vk_yaml' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vektonn._yaml(text) IS 'a YAML document with every scalar as a string';

CREATE FUNCTION vektonn._yaml_strings(list jsonb) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT coalesce(array_agg(e ORDER BY o), '{}') FROM jsonb_array_elements_text(CASE jsonb_typeof(list) WHEN 'array' THEN list ELSE '[]' END) WITH ORDINALITY x (e, o));
COMMENT ON FUNCTION vektonn._yaml_strings(jsonb) IS 'a list of strings of a configuration';

-- The shards of an index as a shard map; null when there is one that holds everything.  shard_servers says where they lie:
-- {"ShardA": {"server": "node_a"}}; the others lie here.
CREATE FUNCTION vektonn._import_shard_map(index_name text, shards jsonb, shard_servers jsonb, OUT shard_attributes text[], OUT shard_map jsonb) RETURNS record
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wrong text;
BEGIN
	IF jsonb_typeof(shards) IS DISTINCT FROM 'object' THEN
		shards := '{}';
	END IF;
	SELECT n INTO wrong FROM jsonb_object_keys(coalesce(shard_servers, '{}')) n WHERE NOT shards ? n LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'index "%" has no shard "%"', index_name, wrong USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT coalesce(array_agg(DISTINCT k COLLATE "C" ORDER BY k COLLATE "C"), '{}') INTO shard_attributes FROM jsonb_each(shards) s (id, shard),
		jsonb_object_keys(CASE jsonb_typeof(shard -> 'shardsByAttributeKey') WHEN 'object' THEN shard -> 'shardsByAttributeKey' ELSE '{}' END) k;
	IF shard_attributes = '{}' THEN
		IF (SELECT count(*) FROM jsonb_object_keys(shards)) > 1 THEN
			RAISE EXCEPTION 'the shards of index "%" hold the same points', index_name USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'None of them says which by shardsByAttributeKey.';
		END IF;
		RETURN;
	END IF;
	SELECT jsonb_agg(jsonb_build_object('name', id, 'shardsByAttributeKey', CASE jsonb_typeof(shard -> 'shardsByAttributeKey') WHEN 'object' THEN shard -> 'shardsByAttributeKey' ELSE '{}' END)
		|| coalesce(shard_servers -> id, '{}') ORDER BY id COLLATE "C") INTO shard_map FROM jsonb_each(shards) s (id, shard);
END $$;
COMMENT ON FUNCTION vektonn._import_shard_map(text, jsonb, jsonb) IS 'shardsById of a configuration as create_index takes it';

CREATE FUNCTION vektonn.import_config(path text, yaml text, server name DEFAULT NULL, format text DEFAULT 'vektonn',
	table_schema name DEFAULT current_schema(), shard_servers jsonb DEFAULT NULL, shard text DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	parts text[] := regexp_match($1, '(?:^|/)(data-sources|indices)/([^/]+)/([^/]+?)\.ya?ml$');
	config jsonb := vektonn._yaml($2);
	dimension text;
	shards record;
BEGIN
	IF parts IS NULL THEN
		RAISE EXCEPTION 'path "%" is not that of a definition', $1 USING ERRCODE = 'invalid_parameter_value',
			HINT = 'It ends in data-sources/NAME/VERSION.yaml or indices/NAME/VERSION.yaml.';
	ELSIF jsonb_typeof(config) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION '"%" holds no mapping', $1 USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF parts[1] = 'data-sources' THEN
		IF jsonb_typeof(config -> 'shardersByAttributeKey') = 'object' AND config -> 'shardersByAttributeKey' <> '{}' THEN
			RAISE EXCEPTION 'data source "%" has sharded topics', parts[2] USING ERRCODE = 'feature_not_supported',
				DETAIL = 'A data source is read from one topic here.';
		END IF;
		dimension := coalesce(config ->> 'vectorDimension', '0');
		IF dimension !~ '^-?[0-9]{1,9}$' THEN
			RAISE EXCEPTION 'vectorDimension "%" is not a number', dimension USING ERRCODE = 'invalid_parameter_value';
		END IF;
		PERFORM vektonn.create_data_source(parts[2], parts[3], dimension::integer,
			coalesce(nullif(config -> 'attributeValueTypes', 'null'), '{}'), vektonn._yaml_strings(config -> 'permanentAttributes'),
			$3, lower(coalesce(config ->> 'vectorsAreSparse', 'false')) = 'true', $4);
		RETURN format('data source %s %s', parts[2], parts[3]);
	END IF;
	shards := vektonn._import_shard_map(parts[2], config -> 'shardsById', $6);
	IF shards.shard_map IS NOT NULL AND EXISTS (SELECT FROM vektonn.data_source s WHERE s.name = config #>> '{dataSourceId,name}'
			AND s.version = config #>> '{dataSourceId,version}' AND s.server IS NULL) THEN
		RAISE NOTICE 'index "%" version "%" is made without its shards', parts[2], parts[3]
			USING DETAIL = 'They would read a topic, and the data source has none.';
		shards.shard_map := NULL;
		shards.shard_attributes := '{}';
	END IF;
	PERFORM vektonn.create_index(parts[2], parts[3], config #>> '{dataSourceId,name}', config #>> '{dataSourceId,version}',
		config #>> '{indexAlgorithm,type}', coalesce(nullif(config #> '{indexAlgorithm,params}', 'null'), '{}'),
		vektonn._yaml_strings(config -> 'idAttributes'), vektonn._yaml_strings(config -> 'splitAttributes'), table_schema => $5,
		shard_attributes => shards.shard_attributes, shard_map => shards.shard_map, shard => $7);
	RETURN format('index %s %s', parts[2], parts[3]);
END $$;
COMMENT ON FUNCTION vektonn.import_config(text, text, name, text, name, jsonb, text) IS
	'creates what a configuration file of Vektonn''s defines: data-sources/NAME/VERSION.yaml or indices/NAME/VERSION.yaml';
