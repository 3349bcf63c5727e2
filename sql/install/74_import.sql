-- Upstream's configuration files.

CREATE FUNCTION vektonn._yaml(yaml text) RETURNS jsonb
	AS '$libdir/vektonn_yaml', 'vk_yaml' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vektonn._yaml(text) IS 'a YAML document with every scalar as a string';

CREATE FUNCTION vektonn._yaml_strings(list jsonb) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT coalesce(array_agg(e ORDER BY o), '{}') FROM jsonb_array_elements_text(CASE jsonb_typeof(list) WHEN 'array' THEN list ELSE '[]' END) WITH ORDINALITY x (e, o));
COMMENT ON FUNCTION vektonn._yaml_strings(jsonb) IS 'a list of strings of a configuration';

-- An error for what upstream's sharding would need; splits and everything else come over as they are.
CREATE FUNCTION vektonn.import_config(path text, yaml text, server name DEFAULT NULL, format text DEFAULT 'vektonn',
	table_schema name DEFAULT current_schema()) RETURNS text
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	parts text[] := regexp_match($1, '(?:^|/)(data-sources|indices)/([^/]+)/([^/]+?)\.ya?ml$');
	config jsonb := vektonn._yaml($2);
	dimension text;
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
	IF EXISTS (SELECT FROM jsonb_each(CASE jsonb_typeof(config -> 'shardsById') WHEN 'object' THEN config -> 'shardsById' ELSE '{}' END) s (id, shard)
			WHERE jsonb_typeof(shard -> 'shardsByAttributeKey') = 'object' AND shard -> 'shardsByAttributeKey' <> '{}') THEN
		RAISE EXCEPTION 'index "%" is sharded', parts[2] USING ERRCODE = 'feature_not_supported',
			DETAIL = 'An index is one table here.';
	END IF;
	PERFORM vektonn.create_index(parts[2], parts[3], config #>> '{dataSourceId,name}', config #>> '{dataSourceId,version}',
		config #>> '{indexAlgorithm,type}', coalesce(nullif(config #> '{indexAlgorithm,params}', 'null'), '{}'),
		vektonn._yaml_strings(config -> 'idAttributes'), vektonn._yaml_strings(config -> 'splitAttributes'), table_schema => $5);
	RETURN format('index %s %s', parts[2], parts[3]);
END $$;
COMMENT ON FUNCTION vektonn.import_config(text, text, name, text, name) IS
	'creates what a configuration file of Vektonn''s defines: data-sources/NAME/VERSION.yaml or indices/NAME/VERSION.yaml';
