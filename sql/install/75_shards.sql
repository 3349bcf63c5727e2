-- Shards: which points each holds, where it lies, and how far it is.

-- The definition of shards.

CREATE FUNCTION vektonn._shard_map_error(problem text, detail text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value',
		DETAIL = coalesce(detail, 'A shard has: name; values or default or shardsByAttributeKey; server, options, user_mapping, schema, table.'),
		HINT = 'A shard_map is such as: [{"server": "node_a"}, {"server": "node_b"}, {}].';
END $$;
COMMENT ON FUNCTION vektonn._shard_map_error(text, text) IS 'raises an error about a shard map';

-- What can be said of a shard without knowing the others.
CREATE FUNCTION vektonn._check_shard_map(shard_map jsonb) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	entry jsonb;
	wrong text;
BEGIN
	IF jsonb_typeof(shard_map) <> 'array' OR jsonb_array_length(shard_map) NOT BETWEEN 1 AND 1024 THEN
		PERFORM vektonn._shard_map_error('shard_map must be an array of 1 to 1024 shards');
	END IF;
	FOR entry IN SELECT * FROM jsonb_array_elements(shard_map) LOOP
		IF jsonb_typeof(entry) <> 'object' THEN
			PERFORM vektonn._shard_map_error('shard_map must be an array of objects');
		END IF;
		SELECT k INTO wrong FROM jsonb_each(entry) e (k, v) WHERE CASE
			WHEN k IN ('name', 'server', 'schema', 'table') THEN jsonb_typeof(v) <> 'string' OR length(v #>> '{}') NOT BETWEEN 1 AND 63
			WHEN k IN ('options', 'user_mapping', 'shardsByAttributeKey') THEN jsonb_typeof(v) <> 'object'
			WHEN k = 'values' THEN jsonb_typeof(v) <> 'array' OR v = '[]' OR jsonb_path_exists(v, 'strict $[*] ? (@.type() == "null" || @.type() == "object" || @.type() == "array")')
			WHEN k = 'default' THEN v <> 'true' ELSE true END LIMIT 1;
		IF FOUND THEN
			PERFORM vektonn._shard_map_error(format('"%s" cannot be said of a shard this way: %s', wrong, entry -> wrong));
		ELSIF NOT entry ? 'server' AND entry ?| '{options,user_mapping,schema,table}' THEN
			PERFORM vektonn._shard_map_error('a shard without a server lies here and has no further options');
		ELSIF entry -> 'user_mapping' ?| '{password,sslpassword}' THEN
			PERFORM vektonn._shard_map_error('a password does not belong in shard_map',
				'The statement may be logged. Say CREATE USER MAPPING instead, before or after, or have the password in a passfile.');
		END IF;
	END LOOP;
	SELECT n INTO wrong FROM (SELECT coalesce(e ->> 'name', 'shard' || o - 1) AS n FROM jsonb_array_elements(shard_map) WITH ORDINALITY m (e, o)) x
		GROUP BY n HAVING count(*) > 1 LIMIT 1;
	IF FOUND THEN
		PERFORM vektonn._shard_map_error(format('there are several shards "%s"', wrong));
	END IF;
END $$;
COMMENT ON FUNCTION vektonn._check_shard_map(jsonb) IS 'an error unless every shard of a map is well formed';

CREATE FUNCTION vektonn._farm_residues(shards_by_key jsonb, attribute text, modulus integer) RETURNS integer[]
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	RETURN (SELECT array_agg(r ORDER BY r) FROM generate_series(0, modulus - 1) r
		WHERE NOT shards_by_key ? attribute OR r % (shards_by_key #>> ARRAY[attribute, 'numberOfShards'])::integer
			IN (SELECT v::integer FROM jsonb_array_elements_text(shards_by_key #> ARRAY[attribute, 'shardValues']) v));
COMMENT ON FUNCTION vektonn._farm_residues(jsonb, text, integer) IS 'of an attribute''s hashes modulo that, those in a shard of Vektonn''s configuration';

CREATE FUNCTION vektonn._check_farm_map(shard_map jsonb, shard_attributes text[]) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	attribute text;
	rule jsonb;
BEGIN
	FOR attribute, rule IN SELECT k, v FROM jsonb_array_elements(shard_map) e, jsonb_each(coalesce(e -> 'shardsByAttributeKey', '{}')) x (k, v) LOOP
		IF attribute <> ALL (shard_attributes) THEN
			PERFORM vektonn._shard_map_error(format('"%s" is not one of the shard attributes', attribute));
		ELSIF coalesce(rule ->> 'numberOfShards', '') !~ '^[1-9][0-9]{0,4}$' OR jsonb_typeof(rule -> 'shardValues') IS DISTINCT FROM 'array'
			OR EXISTS (SELECT FROM jsonb_array_elements_text(rule -> 'shardValues') v WHERE coalesce(v, '') !~ '^[0-9]{1,5}$' OR v::integer >= (rule ->> 'numberOfShards')::integer) THEN
			PERFORM vektonn._shard_map_error(format('shard attribute "%s" needs numberOfShards, and shardValues below it', attribute));
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION vektonn._check_farm_map(jsonb, text[]) IS 'an error unless shardsByAttributeKey of every shard of a map is well formed';

-- By Vektonn's hash: each shard has some of the remainders of each attribute's hash.
CREATE FUNCTION vektonn._farm_map(index vektonn.index_def, shard_map jsonb) RETURNS vektonn._shard[]
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moduli integer[] := '{}';
	number bigint;
	entry jsonb;
	numbers integer[];
	covered bigint := 0;
	all_numbers bigint := 1;
	shard vektonn._shard;
	shards vektonn._shard[] := '{}';
BEGIN
	PERFORM vektonn._check_farm_map(shard_map, index.shard_attributes);
	FOR i IN 1 .. cardinality(index.shard_attributes) LOOP
		number := 1;
		FOR entry IN SELECT e #> ARRAY['shardsByAttributeKey', index.shard_attributes[i], 'numberOfShards'] FROM jsonb_array_elements(shard_map) e LOOP
			number := lcm(number, coalesce((entry #>> '{}')::bigint, 1));
			all_numbers := least(all_numbers, 100000);
			IF number * all_numbers > 10000 THEN
				PERFORM vektonn._shard_map_error('the numbers of shards of this map have no common multiple below 10000');
			END IF;
		END LOOP;
		moduli := moduli || number::integer;
		all_numbers := all_numbers * number;
	END LOOP;
	FOR entry, number IN SELECT e, o - 1 FROM jsonb_array_elements(shard_map) WITH ORDINALITY m (e, o) LOOP
		numbers := '{0}';
		FOR i IN 1 .. cardinality(moduli) LOOP
			numbers := ARRAY(SELECT n * moduli[i] + r FROM unnest(numbers) n, unnest(vektonn._farm_residues(coalesce(entry -> 'shardsByAttributeKey', '{}'), index.shard_attributes[i], moduli[i])) r);
		END LOOP;
		IF numbers = '{}' THEN
			PERFORM vektonn._shard_map_error(format('shard %s of the map holds nothing', number));
		END IF;
		covered := covered + cardinality(numbers);
		shard.number := number;
		shard.method := 'farm';
		shard.moduli := moduli;
		shard.bound := format('FOR VALUES IN (%s)', array_to_string(numbers, ', '));
		shard.condition := coalesce((SELECT string_agg(format('vektonn.farm_shard(%s, %I) IN (%s)', v ->> 'numberOfShards', k,
				(SELECT string_agg(DISTINCT n, ', ') FROM jsonb_array_elements_text(v -> 'shardValues') n)), ' AND ' ORDER BY k)
			FROM jsonb_each(entry -> 'shardsByAttributeKey') x (k, v)), 'true');
		shards := shards || shard;
	END LOOP;
	IF covered < all_numbers THEN
		RAISE NOTICE 'some points belong to no shard of index "%" version "%"', index.name, index.version;
	END IF;
	RETURN shards;
END $$;
COMMENT ON FUNCTION vektonn._farm_map(vektonn.index_def, jsonb) IS 'the bounds of shards by Vektonn''s hash';

-- By the values of one attribute; what no other shard has is in the default one.
CREATE FUNCTION vektonn._list_map(index vektonn.index_def, source vektonn.data_source, shard_map jsonb) RETURNS vektonn._shard[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	attribute text := index.shard_attributes[1];
	type text := vektonn._sql_type(source.attribute_types[array_position(source.attribute_names, attribute)]);
	entry jsonb;
	number bigint;
	literals text;
	all_literals text;
	shard vektonn._shard;
	shards vektonn._shard[] := '{}';
BEGIN
	IF cardinality(index.shard_attributes) <> 1 THEN
		PERFORM vektonn._shard_map_error('shards by values need one shard attribute');
	ELSIF (SELECT count(*) FROM jsonb_array_elements(shard_map) e WHERE e ? 'default') > 1
			OR EXISTS (SELECT FROM jsonb_array_elements(shard_map) e WHERE (e ? 'default') = (e ? 'values')) THEN
		PERFORM vektonn._shard_map_error('each shard has either values or default, and one may have default');
	END IF;
	FOR entry, number IN SELECT e, o - 1 FROM jsonb_array_elements(shard_map) WITH ORDINALITY m (e, o) ORDER BY e ? 'default', o LOOP
		IF entry ? 'values' THEN
			-- In the one form that means the same in every session.
			EXECUTE format('SELECT string_agg(DISTINCT quote_literal(to_jsonb(v::%1$s) #>> ''{}'') || ''::%1$s'', '', ''), jsonb_agg(v::%1$s) FROM jsonb_array_elements_text($1) v', type)
				INTO literals, shard.definition USING entry -> 'values';
			shard.definition := jsonb_build_object('values', shard.definition);
			shard.bound := format('FOR VALUES IN (%s)', literals);
			shard.condition := format('%I IN (%s)', attribute, literals);
			all_literals := concat_ws(', ', all_literals, literals);
		ELSE
			shard.definition := '{"default": true}';
			shard.bound := 'DEFAULT';
			shard.condition := coalesce(format('%I NOT IN (%s)', attribute, all_literals), 'true');
		END IF;
		shard.number := number;
		shard.method := 'list';
		shards := shards || shard;
	END LOOP;
	RETURN shards;
END $$;
COMMENT ON FUNCTION vektonn._list_map(vektonn.index_def, vektonn.data_source, jsonb) IS 'the bounds of shards by values';

CREATE FUNCTION vektonn._hash_map(index vektonn.index_def, shards integer) RETURNS vektonn._shard[]
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	RETURN (SELECT array_agg(ROW(i, NULL, 'hash', NULL, '{}', format('FOR VALUES WITH (MODULUS %s, REMAINDER %s)', shards, i),
			format('vektonn.hash_shard(%s, %s) = %s', shards, vektonn._quoted(index.shard_attributes), i),
			NULL, NULL, NULL, NULL, NULL)::vektonn._shard ORDER BY i)
		FROM generate_series(0, shards - 1) i);
COMMENT ON FUNCTION vektonn._hash_map(vektonn.index_def, integer) IS 'the bounds of shards of equal size';

CREATE FUNCTION vektonn._shard_map(index vektonn.index_def, source vektonn.data_source, shards integer, shard_map jsonb) RETURNS vektonn._shard[]
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	map vektonn._shard[];
BEGIN
	IF shard_map IS NULL THEN
		map := vektonn._hash_map(index, shards);
		shard_map := (SELECT jsonb_agg(jsonb '{}') FROM unnest(map));
	ELSE
		PERFORM vektonn._check_shard_map(shard_map);
		IF shards <> jsonb_array_length(shard_map) THEN
			PERFORM vektonn._shard_map_error(format('shard_map has %s shards, not %s', jsonb_array_length(shard_map), shards));
		ELSIF jsonb_path_exists(shard_map, '$[*].shardsByAttributeKey') AND jsonb_path_exists(shard_map, '$[*] ? (exists (@.values) || exists (@.default))') THEN
			PERFORM vektonn._shard_map_error('shards are either by values or by shardsByAttributeKey');
		ELSIF jsonb_path_exists(shard_map, '$[*] ? (exists (@.values) || exists (@.default))') THEN
			map := vektonn._list_map(index, source, shard_map);
		ELSIF jsonb_path_exists(shard_map, '$[*].shardsByAttributeKey') THEN
			map := vektonn._farm_map(index, shard_map);
		ELSIF source.format = 'vektonn' AND cardinality(index.shard_attributes) = 1 THEN
			-- Shards of equal size as Vektonn makes them.
			shard_map := (SELECT jsonb_agg(e || jsonb_build_object('shardsByAttributeKey', jsonb_build_object(index.shard_attributes[1],
					jsonb_build_object('numberOfShards', jsonb_array_length(shard_map), 'shardValues', jsonb_build_array(o - 1)))) ORDER BY o)
				FROM jsonb_array_elements(shard_map) WITH ORDINALITY m (e, o));
			map := vektonn._farm_map(index, shard_map);
		ELSE
			map := vektonn._hash_map(index, jsonb_array_length(shard_map));
		END IF;
	END IF;
	SELECT array_agg(ROW(s.number, coalesce(e ->> 'name', 'shard' || s.number), s.method, s.moduli,
			coalesce(s.definition, '{}') || jsonb_strip_nulls(jsonb_build_object('shardsByAttributeKey', e -> 'shardsByAttributeKey')),
			s.bound, s.condition, e ->> 'server', e -> 'options', e -> 'user_mapping', e ->> 'schema', e ->> 'table')::vektonn._shard ORDER BY s.number)
		INTO map FROM unnest(map) s, LATERAL (SELECT shard_map -> s.number AS e) x;
	IF source.server IS NULL AND (index.shard IS NOT NULL OR vektonn._feeds_each_shard(map)) THEN
		RAISE EXCEPTION 'shards on other nodes and by Vektonn''s hash need a data source with a topic' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'Each reads the topic itself.', HINT = 'Create the data source with a Kafka server.';
	END IF;
	RETURN map;
END $$;
COMMENT ON FUNCTION vektonn._shard_map(vektonn.index_def, vektonn.data_source, integer, jsonb) IS 'the shards of an index to be, or an error';

CREATE FUNCTION vektonn._feeds_each_shard(map vektonn._shard[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE
	RETURN EXISTS (SELECT FROM unnest(map) s WHERE s.server IS NOT NULL OR s.method = 'farm');
COMMENT ON FUNCTION vektonn._feeds_each_shard(vektonn._shard[]) IS
	'whether each shard has a stream of its own: where the whole cannot have a key, as some lie elsewhere or go by an expression';

CREATE FUNCTION vektonn._shard_of_map(map vektonn._shard[], source vektonn.data_source, shard text) RETURNS vektonn._shard
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine vektonn._shard;
BEGIN
	SELECT * INTO mine FROM unnest(map) s WHERE s.name = shard;
	IF shard IS NOT NULL AND NOT FOUND THEN
		RAISE EXCEPTION 'there is no shard "%"', shard USING ERRCODE = 'invalid_parameter_value',
			HINT = format('Shards are: %s.', (SELECT string_agg(s.name, ', ' ORDER BY s.number) FROM unnest(map) s));
	END IF;
	RETURN mine;
END $$;
COMMENT ON FUNCTION vektonn._shard_of_map(vektonn._shard[], vektonn.data_source, text) IS 'the shard of a name; null for null';

CREATE FUNCTION vektonn._farm_terms(index vektonn.index_def, OUT before text[], OUT behind text[]) RETURNS record
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	weight integer := 1;
BEGIN
	before := '{}';
	behind := '{}';
	FOR i IN REVERSE coalesce(cardinality(index.shard_moduli), 0) .. 1 LOOP
		before := format('vektonn.farm_shard(%s, ', index.shard_moduli[i]) || before;
		behind := format(') OPERATOR(pg_catalog.*) %s', weight) || behind;
		weight := weight * index.shard_moduli[i];
	END LOOP;
END $$;
COMMENT ON FUNCTION vektonn._farm_terms(vektonn.index_def) IS 'what stands before and behind each shard attribute in that number''s expression';

CREATE FUNCTION vektonn._farm_expression(index vektonn.index_def) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	RETURN (SELECT string_agg(b || quote_ident(a) || e, ' OPERATOR(pg_catalog.+) ' ORDER BY o)
		FROM vektonn._farm_terms(index) t, unnest(index.shard_attributes, t.before, t.behind) WITH ORDINALITY x (a, b, e, o));
COMMENT ON FUNCTION vektonn._farm_expression(vektonn.index_def) IS 'the number that partitions by Vektonn''s hash are lists of';

CREATE FUNCTION vektonn._partition_by(index vektonn.index_def) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	RETURN CASE index.shard_method WHEN 'hash' THEN format('HASH (%s)', vektonn._quoted(index.shard_attributes))
		WHEN 'list' THEN format('LIST (%s)', vektonn._quoted(index.shard_attributes))
		WHEN 'farm' THEN format('LIST ((%s))', vektonn._farm_expression(index)) END;
COMMENT ON FUNCTION vektonn._partition_by(vektonn.index_def) IS 'the partition key of an index''s table; null when it has no shards';

-- Making them.

CREATE FUNCTION vektonn._shard_table(index vektonn.index_def, shard vektonn._shard, suffix text DEFAULT '') RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
	RETURN (SELECT format('%I.%I', n.nspname, left(c.relname, 62 - octet_length(vektonn._table_name(shard.name)) - length(suffix)) || '_' || vektonn._table_name(shard.name) || suffix)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = index.target);
COMMENT ON FUNCTION vektonn._shard_table(vektonn.index_def, vektonn._shard, text) IS 'the name of a shard''s partition';

CREATE FUNCTION vektonn._options(options jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
	RETURN (SELECT ' OPTIONS (' || string_agg(format('%I %L', key, value), ', ' ORDER BY key) || ')' FROM jsonb_each_text(options));
COMMENT ON FUNCTION vektonn._options(jsonb) IS 'options in a statement; null when there are none';

-- The server is made where options say how, else it is there.  LIMIT is small, so few rows are fetched at a time;
-- an estimate asked of the node would not know that, and would choose to fetch all.
CREATE FUNCTION vektonn._make_shard_server(shard vektonn._shard) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	has text[];
	differs text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_foreign_data_wrapper WHERE fdwname = 'postgres_fdw') THEN
		RAISE EXCEPTION 'shards on other nodes need postgres_fdw' USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'CREATE EXTENSION postgres_fdw.';
	END IF;
	SELECT coalesce(s.srvoptions, '{}') INTO has FROM pg_foreign_server s WHERE s.srvname = shard.server;
	IF NOT FOUND AND shard.options IS NULL THEN
		RAISE EXCEPTION 'server "%" of shard "%" does not exist', shard.server, shard.name USING ERRCODE = 'undefined_object',
			HINT = format('CREATE SERVER %I FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host ''...'', dbname ''...'', extensions ''vektonn''), or give options in the shard_map.', shard.server);
	ELSIF NOT FOUND THEN
		EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER postgres_fdw%s', shard.server, vektonn._options(
			'{"extensions": "vektonn", "async_capable": "true", "use_remote_estimate": "false", "fetch_size": "100", "connect_timeout": "10"}' || shard.options));
	ELSE
		SELECT key INTO differs FROM jsonb_each_text(shard.options) WHERE key || '=' || value <> ALL (has) LIMIT 1;
		IF FOUND THEN
			RAISE EXCEPTION 'server "%" exists, with another "%"', shard.server, differs USING ERRCODE = 'duplicate_object',
				HINT = 'Leave the options of a server that exists out, or change them with ALTER SERVER.';
		ELSIF NOT EXISTS (SELECT FROM unnest(has) o WHERE o ~ '^extensions=(.*[ ,])?vektonn([ ,].*)?$') THEN
			RAISE WARNING 'server "%" does not let its node order by distance', shard.server
				USING DETAIL = 'Every search would fetch all rows.', HINT = format('ALTER SERVER %I OPTIONS (ADD extensions ''vektonn'').', shard.server);
		END IF;
	END IF;
	IF shard.user_mapping IS NOT NULL THEN
		EXECUTE format('CREATE USER MAPPING IF NOT EXISTS FOR CURRENT_USER SERVER %I%s', shard.server, vektonn._options(shard.user_mapping));
	END IF;
END $$;
COMMENT ON FUNCTION vektonn._make_shard_server(vektonn._shard) IS 'makes the foreign server of a shard, and the user mapping, where told how';

CREATE FUNCTION vektonn._create_shard(index vektonn.index_def, source vektonn.data_source, shard vektonn._shard, map vektonn._shard[]) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	partition text := vektonn._shard_table(index, shard);
	remote_options text;
BEGIN
	IF shard.server IS NULL THEN
		EXECUTE format('CREATE TABLE %s PARTITION OF %s %s', partition, index.target, shard.bound);
		IF vektonn._feeds_each_shard(map) THEN
			EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (%s), ADD CONSTRAINT shard CHECK (%s)', partition,
				vektonn._quoted(index.id_attributes), shard.condition);
		END IF;
		RETURN;
	END IF;
	PERFORM vektonn._make_shard_server(shard);
	SELECT vektonn._options(jsonb_build_object('schema_name', coalesce(shard.remote_schema, n.nspname), 'table_name', coalesce(shard.remote_table, c.relname)))
		INTO remote_options FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = index.target;
	EXECUTE format('CREATE FOREIGN TABLE %s PARTITION OF %s %s SERVER %I%s', partition, index.target, shard.bound, shard.server, remote_options);
	EXECUTE format('CREATE FOREIGN TABLE %s (schema_name text, table_name text, stream_name text, topic text, partition integer, state text,
			next_offset bigint, high_watermark bigint, lag bigint, upserted bigint, deleted bigint, dead_letters bigint, last_error text)
		SERVER %I OPTIONS (schema_name ''vektonn'', table_name ''stream_progress'')', vektonn._shard_table(index, shard, '_status'), shard.server);
END $$;
COMMENT ON FUNCTION vektonn._create_shard(vektonn.index_def, vektonn.data_source, vektonn._shard, vektonn._shard[]) IS
	'makes a partition, here or on another node';

CREATE FUNCTION vektonn._note_shard(index vektonn.index_def, source vektonn.data_source, shard vektonn._shard, map vektonn._shard[],
	start text, on_error text, workers integer) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	partition regclass := vektonn._shard_table(index, shard)::regclass;
	stream_name text := CASE WHEN shard.server IS NULL AND vektonn._feeds_each_shard(map) THEN format('%s %s/%s', index.name, index.version, shard.name) END;
BEGIN
	IF stream_name IS NOT NULL THEN
		PERFORM vektonn._create_index_stream(index, source, stream_name, partition, true, start, on_error, workers);
	END IF;
	INSERT INTO vektonn.shard_def (index_id, number, name, definition, partition, server, status_table, stream_name)
	VALUES (index.index_id, shard.number, shard.name, shard.definition, partition, shard.server,
		CASE WHEN shard.server IS NOT NULL THEN vektonn._shard_table(index, shard, '_status')::regclass END, stream_name);
END $$;
COMMENT ON FUNCTION vektonn._note_shard(vektonn.index_def, vektonn.data_source, vektonn._shard, vektonn._shard[], text, text, integer) IS
	'enters a shard into the catalogue, and makes its stream where it has one of its own';

CREATE FUNCTION vektonn._drop_status_tables(index vektonn.index_def) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	status_table regclass;
BEGIN
	FOR status_table IN SELECT c.oid FROM vektonn.shard_def d JOIN pg_class c ON c.oid = d.status_table WHERE d.index_id = index.index_id LOOP
		EXECUTE format('DROP FOREIGN TABLE %s', status_table);
	END LOOP;
END $$;
COMMENT ON FUNCTION vektonn._drop_status_tables(vektonn.index_def) IS 'drops the foreign tables of an index''s shards'' status';

-- What a node has to be told.
CREATE FUNCTION vektonn.shard_commands(index_name text, index_version text) RETURNS TABLE (shard text, server name, commands text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def := vektonn._index($1, $2);
	source vektonn.data_source;
	map jsonb := (SELECT jsonb_agg(jsonb_build_object('name', d.name) || d.definition ORDER BY d.number) FROM vektonn.shard_def d WHERE d.index_id = index.index_id);
	kafka text;
BEGIN
	SELECT * INTO source FROM vektonn.data_source s WHERE s.data_source_id = index.data_source_id;
	SELECT format(E'CREATE SERVER IF NOT EXISTS %I FOREIGN DATA WRAPPER vektonn_kafka%s;\n', f.srvname,
			(SELECT ' OPTIONS (' || string_agg(format('%I %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') || ')' FROM unnest(f.srvoptions) o))
		INTO kafka FROM pg_foreign_server f WHERE f.srvname = source.server;
	RETURN QUERY SELECT d.name, d.server, E'CREATE EXTENSION IF NOT EXISTS vektonn SCHEMA @extschema@;\n' || coalesce(kafka, '')
			|| format(E'SELECT vektonn.create_data_source(%L, %L, %s, %L, %L, server => %L, sparse => %L, format => %L, topic => %L, topic_shards => %L)\n\tWHERE NOT EXISTS (SELECT FROM vektonn.data_sources WHERE name = %1$L AND version = %2$L);\n',
				source.name, source.version, source.vector_dimension,
				(SELECT jsonb_object_agg(a.n, a.t) FROM unnest(source.attribute_names, source.attribute_types) a (n, t)),
				source.permanent_attributes, source.server, source.sparse, source.format, source.topic,
				(SELECT jsonb_object_agg(t.a, t.m) FROM unnest(source.topic_attributes, source.topic_moduli) t (a, m)))
			|| format(E'SELECT vektonn.create_index(%L, %L, %L, %L, %L, params => %L, id_attributes => %L, split_attributes => %L,\n\ttable_name => %L, table_schema => %L, vector_column => %L, shard_attributes => %L,\n\tshard_map => %L, shard => %L);\n',
				index.name, index.version, source.name, source.version, index.algorithm, index.params, index.id_attributes, index.split_attributes,
				(SELECT o.option_value FROM pg_options_to_table(t.ftoptions) o WHERE o.option_name = 'table_name'),
				(SELECT o.option_value FROM pg_options_to_table(t.ftoptions) o WHERE o.option_name = 'schema_name'),
				index.vector_column, index.shard_attributes, map, d.name)
		FROM vektonn.shard_def d JOIN pg_foreign_table t ON t.ftrelid = d.partition
		WHERE d.index_id = index.index_id ORDER BY d.number;
END $$;
COMMENT ON FUNCTION vektonn.shard_commands(text, text) IS
	'what to run on the node of each shard that lies elsewhere; without secrets: user mappings are yours to make';

-- How far they are.

-- Positions as workers publish them: a coordinator that waits reads them again and again in one transaction,
-- whose snapshot of tables stays the same.
CREATE VIEW vektonn.stream_progress WITH (security_invoker = true) AS
	SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, s.stream_name, s.topic, coalesce(o.partition, p.partition) AS partition,
		coalesce(t.state, w.state, 'starting') AS state, coalesce(p.next_offset, o.next_offset) AS next_offset, p.high_watermark,
		greatest(p.high_watermark - coalesce(p.next_offset, o.next_offset), 0) AS lag, t.upserted, t.deleted, t.dead_letters, t.last_error
	FROM vektonn.stream s JOIN pg_class c ON c.oid = s.target JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN (vektonn.stream_offset o FULL JOIN vektonn._stream_partitions() p USING (stream_id, partition)) USING (stream_id)
		LEFT JOIN vektonn.stream_status t ON t.stream_name = s.stream_name AND t.partition = coalesce(o.partition, p.partition)
		LEFT JOIN vektonn._stream_workers() w ON w.stream_id = s.stream_id AND w.worker = 0;
COMMENT ON VIEW vektonn.stream_progress IS 'streams by their table, for a coordinator of shards; see vektonn.stream_status';
GRANT SELECT ON vektonn.stream_progress TO PUBLIC;

CREATE VIEW vektonn.shards WITH (security_invoker = true) AS
	SELECT i.name AS index_name, i.version AS index_version, d.name AS shard, d.definition, d.server, d.partition, d.stream_name
	FROM vektonn.shard_def d JOIN vektonn.index_def i USING (index_id);
COMMENT ON VIEW vektonn.shards IS 'shards of indices that were given a shard map: what each holds, and where it lies; vektonn.shard_status asks them';
GRANT SELECT ON vektonn.shards TO PUBLIC;

-- One after the other: one that does not answer says so in its row.
CREATE FUNCTION vektonn.shard_status(index_name text, index_version text DEFAULT NULL) RETURNS TABLE (shard text, server name, stream_name text, topic text,
	partition integer, state text, next_offset bigint, high_watermark bigint, lag bigint, upserted bigint, deleted bigint, dead_letters bigint, last_error text)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def := vektonn._index($1, $2);
	one vektonn.shard_def;
	problem text;
BEGIN
	FOR one IN SELECT * FROM vektonn.shard_def d WHERE d.index_id = index.index_id ORDER BY d.number LOOP
		BEGIN
			RETURN QUERY EXECUTE format('SELECT $1, $2, p.stream_name, p.topic, p.partition, coalesce(p.state, ''no stream''), p.next_offset, p.high_watermark,
					p.lag, p.upserted, p.deleted, p.dead_letters, p.last_error
				FROM (VALUES (true)) x (present) LEFT JOIN %s p ON %s ORDER BY p.partition',
				coalesce(one.status_table, 'vektonn.stream_progress'::regclass), vektonn._shard_place(index, one)) USING one.name, one.server;
		EXCEPTION WHEN OTHERS THEN
			IF one.server IS NULL THEN
				RAISE;
			END IF;
			GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
			RETURN QUERY SELECT one.name, one.server, NULL, NULL, NULL::integer, 'unreachable', NULL::bigint, NULL::bigint, NULL::bigint,
				NULL::bigint, NULL::bigint, NULL::bigint, problem;
		END;
	END LOOP;
END $$;
COMMENT ON FUNCTION vektonn.shard_status(text, text) IS 'the state of the streams of an index''s shards, on whatever node';

CREATE FUNCTION vektonn._shard_place(index vektonn.index_def, shard vektonn.shard_def) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF shard.server IS NULL THEN
		RETURN (SELECT format('p.schema_name = %L AND p.table_name = %L', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = CASE WHEN shard.stream_name IS NULL THEN index.target ELSE shard.partition END);
	END IF;
	RETURN (SELECT string_agg(format('p.%I = %L', o.option_name, o.option_value), ' AND ') FROM pg_foreign_table t, pg_options_to_table(t.ftoptions) o
		WHERE t.ftrelid = shard.partition AND o.option_name IN ('schema_name', 'table_name'));
END $$;
COMMENT ON FUNCTION vektonn._shard_place(vektonn.index_def, vektonn.shard_def) IS 'the condition on stream_progress that finds a shard''s stream';

-- Offsets behind all that a topic holds now.
CREATE FUNCTION vektonn._end_offsets(server name, topic text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce(jsonb_object_agg(p.partition, p.behind), '{}') FROM (
		SELECT m.partition, max(m."offset") + 1 AS behind FROM vektonn.peek($1, $2, count => 1) m GROUP BY 1) p);
EXCEPTION WHEN undefined_object THEN
	RETURN '{}';
END $$;
COMMENT ON FUNCTION vektonn._end_offsets(name, text) IS 'offsets behind all that a topic holds; none when there is no topic';

CREATE FUNCTION vektonn._wait_for_index(index vektonn.index_def, source vektonn.data_source, timeout interval, offsets jsonb) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	deadline timestamptz := clock_timestamp() + coalesce($3, '30 seconds');
	stream record;
	shard vektonn.shard_def;
	-- by topic
	wanted jsonb := CASE WHEN source.topic_attributes = '{}' AND $4 IS NOT NULL THEN jsonb_build_object(source.topic, $4) ELSE $4 END;
	behind boolean;
BEGIN
	-- First, for what comes while others are waited for need not be.
	IF wanted IS NULL AND EXISTS (SELECT FROM vektonn.shard_def d WHERE d.index_id = index.index_id AND d.server IS NOT NULL) THEN
		wanted := (SELECT jsonb_object_agg(t.topic, vektonn._end_offsets(source.server, t.topic)) FROM vektonn._topics(source) t);
	END IF;
	FOR stream IN SELECT * FROM vektonn._streams(index) LOOP
		IF (wanted IS NULL OR wanted ? stream.topic)
				AND NOT vektonn.wait_for(stream.stream_name, greatest(deadline - clock_timestamp(), '0'), wanted -> stream.topic) THEN
			RETURN false;
		END IF;
	END LOOP;
	FOR shard IN SELECT * FROM vektonn.shard_def d WHERE d.index_id = index.index_id AND d.server IS NOT NULL ORDER BY d.number LOOP
		LOOP
			EXECUTE format('SELECT EXISTS (SELECT FROM jsonb_each($1) t, jsonb_each_text(t.value) w WHERE NOT EXISTS (
					SELECT FROM %s p WHERE %s AND p.topic = t.key AND p.partition = w.key::integer AND p.next_offset >= w.value::bigint))',
				shard.status_table, vektonn._shard_place(index, shard)) INTO behind USING wanted;
			EXIT WHEN NOT behind;
			IF clock_timestamp() >= deadline THEN
				RETURN false;
			END IF;
			PERFORM pg_sleep(0.02);
		END LOOP;
	END LOOP;
	RETURN true;
END $$;
COMMENT ON FUNCTION vektonn._wait_for_index(vektonn.index_def, vektonn.data_source, interval, jsonb) IS
	'waits until all shards of an index, on whatever node, have applied all before the offsets, or all there was at the call';
