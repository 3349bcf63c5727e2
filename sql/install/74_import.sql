-- Upstream's configuration files.

CREATE FUNCTION vektonn._yaml(yaml text) RETURNS jsonb
	AS '$libdir/vektonn_yaml', 'vk_yaml' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vektonn._yaml(text) IS 'a YAML document with every scalar as a string';

CREATE FUNCTION vektonn._yaml_strings(list jsonb) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT coalesce(array_agg(e ORDER BY o), '{}') FROM jsonb_array_elements_text(CASE jsonb_typeof(list) WHEN 'array' THEN list ELSE '[]' END) WITH ORDINALITY x (e, o));
COMMENT ON FUNCTION vektonn._yaml_strings(jsonb) IS 'a list of strings of a configuration';

-- shardsByAttributeKey of a shard, with what the topics it consumes say: of the topics' attributes, too, it holds some
-- remainders.  Every shard reads all topics: only so it learns that a point has gone to another.
CREATE FUNCTION vektonn._import_shard_rules(shard jsonb, topic_attributes text[], topic_moduli integer[]) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rules jsonb := CASE jsonb_typeof(shard -> 'shardsByAttributeKey') WHEN 'object' THEN shard -> 'shardsByAttributeKey' ELSE '{}' END;
	consumed jsonb[];
	given text[];
	combinations bigint := 1;
	modulus integer;
	coordinates integer[];
BEGIN
	SELECT coalesce(array_agg(DISTINCT coalesce(nullif(e -> 'shardingCoordinatesByAttributeKey', 'null'), '{}')), '{}') INTO consumed
		FROM jsonb_array_elements(CASE jsonb_typeof(shard -> 'dataSourceShardsToConsume') WHEN 'array' THEN shard -> 'dataSourceShardsToConsume' ELSE '[]' END) e;
	FOR i IN 1 .. CASE WHEN consumed = '{}' THEN 0 ELSE cardinality(topic_attributes) END LOOP
		given := ARRAY(SELECT DISTINCT c ->> topic_attributes[i] FROM unnest(consumed) c);
		combinations := combinations * cardinality(given);
		CONTINUE WHEN given[1] IS NULL AND cardinality(given) = 1;
		IF EXISTS (SELECT FROM unnest(given) g WHERE coalesce(g, '') !~ '^[0-9]{1,5}$' OR g::integer >= topic_moduli[i]) THEN
			RAISE EXCEPTION 'dataSourceShardsToConsume of a shard names coordinates of "%" that no topic has, or some and any', topic_attributes[i]
				USING ERRCODE = 'invalid_parameter_value';
		END IF;
		modulus := topic_moduli[i];
		coordinates := given::integer[];
		IF rules ? topic_attributes[i] THEN
			modulus := lcm(modulus, (rules #>> ARRAY[topic_attributes[i], 'numberOfShards'])::integer);
			coordinates := ARRAY(SELECT r FROM unnest(vektonn._farm_residues(rules, topic_attributes[i], modulus)) r WHERE r % topic_moduli[i] = ANY (coordinates));
		END IF;
		rules := rules || jsonb_build_object(topic_attributes[i], jsonb_build_object('numberOfShards', modulus,
			'shardValues', (SELECT jsonb_agg(c ORDER BY c) FROM unnest(coordinates) c)));
	END LOOP;
	IF consumed <> '{}' AND combinations <> cardinality(consumed) THEN
		RAISE EXCEPTION 'dataSourceShardsToConsume of a shard is not all combinations of its coordinates' USING ERRCODE = 'feature_not_supported';
	END IF;
	RETURN rules;
END $$;
COMMENT ON FUNCTION vektonn._import_shard_rules(jsonb, text[], integer[]) IS 'what a shard of a configuration holds, as shardsByAttributeKey';

-- The shards of an index as a shard map; null when there is one that holds everything.  shard_servers says where they lie:
-- {"ShardA": {"server": "node_a"}}; the others lie here.
CREATE FUNCTION vektonn._import_shard_map(index_name text, shards jsonb, shard_servers jsonb, topic_attributes text[], topic_moduli integer[], OUT shard_attributes text[], OUT shard_map jsonb) RETURNS record
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wrong text;
BEGIN
	IF jsonb_typeof(shards) IS DISTINCT FROM 'object' THEN
		shards := '{}';
	END IF;
	shards := (SELECT coalesce(jsonb_object_agg(id, vektonn._import_shard_rules(shard, topic_attributes, topic_moduli)), '{}') FROM jsonb_each(shards) s (id, shard));
	SELECT n INTO wrong FROM jsonb_object_keys(coalesce(shard_servers, '{}')) n WHERE NOT shards ? n LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'index "%" has no shard "%"', index_name, wrong USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT coalesce(array_agg(DISTINCT k COLLATE "C" ORDER BY k COLLATE "C"), '{}') INTO shard_attributes FROM jsonb_each(shards) s (id, rules), jsonb_object_keys(rules) k;
	IF shard_attributes = '{}' THEN
		IF (SELECT count(*) FROM jsonb_object_keys(shards)) > 1 THEN
			RAISE EXCEPTION 'the shards of index "%" hold the same points', index_name USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'None of them says which by shardsByAttributeKey.';
		END IF;
		RETURN;
	END IF;
	SELECT jsonb_agg(jsonb_build_object('name', id, 'shardsByAttributeKey', rules) || coalesce(shard_servers -> id, '{}') ORDER BY id COLLATE "C")
		INTO shard_map FROM jsonb_each(shards) s (id, rules);
END $$;
COMMENT ON FUNCTION vektonn._import_shard_map(text, jsonb, jsonb, text[], integer[]) IS 'shardsById of a configuration as create_index takes it';

CREATE FUNCTION vektonn.import_config(path text, yaml text, server name DEFAULT NULL, format text DEFAULT 'vektonn',
	table_schema name DEFAULT current_schema(), shard_servers jsonb DEFAULT NULL, shard text DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	parts text[] := regexp_match($1, '(?:^|/)(data-sources|indices)/([^/]+)/([^/]+?)\.ya?ml$');
	config jsonb := vektonn._yaml($2);
	dimension text;
	topic_shards jsonb;
	source vektonn.data_source;
	shards record;
BEGIN
	IF parts IS NULL THEN
		RAISE EXCEPTION 'path "%" is not that of a definition', $1 USING ERRCODE = 'invalid_parameter_value',
			HINT = 'It ends in data-sources/NAME/VERSION.yaml or indices/NAME/VERSION.yaml.';
	ELSIF jsonb_typeof(config) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION '"%" holds no mapping', $1 USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF parts[1] = 'data-sources' THEN
		SELECT jsonb_object_agg(k, coalesce(v -> 'numberOfShards', 'null')) INTO topic_shards
			FROM jsonb_each(CASE jsonb_typeof(config -> 'shardersByAttributeKey') WHEN 'object' THEN config -> 'shardersByAttributeKey' ELSE '{}' END) s (k, v);
		dimension := coalesce(config ->> 'vectorDimension', '0');
		IF dimension !~ '^-?[0-9]{1,9}$' THEN
			RAISE EXCEPTION 'vectorDimension "%" is not a number', dimension USING ERRCODE = 'invalid_parameter_value';
		END IF;
		PERFORM vektonn.create_data_source(parts[2], parts[3], dimension::integer,
			coalesce(nullif(config -> 'attributeValueTypes', 'null'), '{}'), vektonn._yaml_strings(config -> 'permanentAttributes'),
			$3, lower(coalesce(config ->> 'vectorsAreSparse', 'false')) = 'true', $4,
			topic_shards => topic_shards);
		RETURN format('data source %s %s', parts[2], parts[3]);
	END IF;
	SELECT * INTO source FROM vektonn.data_source s WHERE s.name = config #>> '{dataSourceId,name}' AND s.version = config #>> '{dataSourceId,version}';
	shards := vektonn._import_shard_map(parts[2], config -> 'shardsById', $6, coalesce(source.topic_attributes, '{}'), source.topic_moduli);
	IF shards.shard_map IS NOT NULL AND FOUND AND source.server IS NULL THEN
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
