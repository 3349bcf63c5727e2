-- Control of streams.  Everything here takes effect when the transaction commits.

-- The one row of a stream the caller may control, locked; an error otherwise.
CREATE FUNCTION vektonn._stream_locked(stream_name text) RETURNS vektonn.stream
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	found_stream vektonn.stream;
BEGIN
	SELECT * INTO found_stream FROM vektonn.stream s WHERE s.stream_name = $1 FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'stream "%" does not exist', $1 USING ERRCODE = 'undefined_object',
			HINT = 'Streams of others are not visible; see vektonn.stream_status.';
	END IF;
	RETURN found_stream;
END $$;
COMMENT ON FUNCTION vektonn._stream_locked(text) IS 'the stream of that name, locked';

CREATE FUNCTION vektonn._stream_event(stream_id bigint, kind text, detail text) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO vektonn.stream_event (stream_id, kind, detail) VALUES ($1, $2, $3);
	DELETE FROM vektonn.stream_event e WHERE e.stream_id = $1
		AND e.event_id <= (SELECT event_id FROM vektonn.stream_event l WHERE l.stream_id = $1
			ORDER BY event_id DESC OFFSET 1000 LIMIT 1);
$$;
COMMENT ON FUNCTION vektonn._stream_event(bigint, text, text) IS 'adds to the history of a stream and cuts it to its length';
REVOKE EXECUTE ON FUNCTION vektonn._stream_event(bigint, text, text) FROM PUBLIC;

CREATE FUNCTION vektonn._check_start(start text) RETURNS text
	LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	problem text;
BEGIN
	IF lower(start) IN ('earliest', 'latest') THEN
		RETURN lower(start);
	ELSIF start ~ '^[0-9]{1,18}$' THEN
		RETURN start;
	END IF;
	BEGIN
		IF isfinite(start::timestamptz) THEN
			RETURN to_char(start::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USZ');
		END IF;
	EXCEPTION WHEN data_exception THEN
		NULL;
	END;
	RAISE EXCEPTION 'position "%" is not known', start USING ERRCODE = 'invalid_parameter_value',
		HINT = 'Positions are earliest, latest, an offset, or a point of time such as 2026-01-31 12:00+00.';
END $$;
COMMENT ON FUNCTION vektonn._check_start(text) IS 'a position in a topic in its canonical form; an error for anything else';

CREATE FUNCTION vektonn._check_stream(s vektonn.stream) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missing text;
	kind "char";
BEGIN
	SELECT relkind INTO kind FROM pg_class WHERE oid = s.target;
	IF kind NOT IN ('r', 'p') THEN
		RAISE EXCEPTION '"%" is not a table', s.target USING ERRCODE = 'wrong_object_type';
	END IF;
	IF NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = s.target), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', s.target USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_foreign_server f JOIN pg_foreign_data_wrapper w ON w.oid = f.srvfdw
			WHERE f.srvname = s.server AND w.fdwname = 'vektonn_kafka') THEN
		RAISE EXCEPTION 'Kafka server "%" does not exist', s.server USING ERRCODE = 'undefined_object',
			HINT = 'Create it with CREATE SERVER ... FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers ''host:9092'').';
	END IF;
	IF NOT has_server_privilege(s.owner, s.server::text, 'USAGE') THEN
		RAISE EXCEPTION 'permission denied for foreign server %', s.server USING ERRCODE = 'insufficient_privilege',
			HINT = format('The stream runs as the owner of its table: GRANT USAGE ON FOREIGN SERVER %I TO %s.', s.server, s.owner);
	END IF;
	SELECT k INTO missing FROM unnest(s.key_columns) k
		WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = s.target AND a.attname = k AND a.attnum > 0 AND NOT a.attisdropped)
		LIMIT 1;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'key column "%" does not exist in table %', missing, s.target USING ERRCODE = 'undefined_column';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_index i
			WHERE i.indrelid = s.target AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
			AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C")
				FROM pg_attribute a WHERE a.attrelid = s.target AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
			= (SELECT array_agg(k ORDER BY k COLLATE "C") FROM unnest(s.key_columns || coalesce(
				ARRAY(SELECT a.attname::text FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs)
					WHERE p.partrelid = s.target AND a.attname <> ALL (s.key_columns)), '{}')) k)) THEN
		RAISE EXCEPTION 'table % has no unique index on (%)', s.target, array_to_string(s.key_columns, ', ')
			USING ERRCODE = 'invalid_table_definition',
			HINT = 'The key columns of a stream are the primary key, or the columns of another unique index.';
	END IF;
	IF s.format NOT IN ('json', 'vektonn') THEN
		RAISE EXCEPTION 'message format "%" is not known', s.format USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Formats are: json, vektonn.';
	END IF;
	IF s.on_error NOT IN ('dead_letter', 'stop') THEN
		RAISE EXCEPTION 'on_error "%" is not known', s.on_error USING ERRCODE = 'invalid_parameter_value',
			HINT = 'It is one of: dead_letter, stop.';
	END IF;
	IF s.workers NOT BETWEEN 1 AND 64 THEN
		RAISE EXCEPTION 'workers must be between 1 and 64, not %', s.workers USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM vektonn._check_stream_options(s.target, s.options);
END $$;

CREATE FUNCTION vektonn._check_stream_options(target regclass, options jsonb) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text;
	given jsonb;
	missing text;
BEGIN
	FOR name, given IN SELECT * FROM jsonb_each(options) LOOP
		IF name IN ('columns', 'permanent_columns') THEN
			IF jsonb_typeof(given) <> 'array' THEN
				RAISE EXCEPTION 'stream option "%" must be an array of column names', name USING ERRCODE = 'invalid_parameter_value';
			END IF;
			SELECT c INTO missing FROM jsonb_array_elements_text(given) c
				WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = target AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped)
				LIMIT 1;
			IF missing IS NOT NULL THEN
				RAISE EXCEPTION 'column "%" of stream option "%" does not exist in table %', missing, name, target USING ERRCODE = 'undefined_column';
			END IF;
		ELSIF name = 'unknown_fields' THEN
			IF given NOT IN ('"ignore"', '"error"') THEN
				RAISE EXCEPTION 'stream option "unknown_fields" is one of: ignore, error' USING ERRCODE = 'invalid_parameter_value';
			END IF;
		ELSIF name = 'vector_column' THEN
			IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = target AND a.attname = given #>> '{}' AND a.attnum > 0 AND NOT a.attisdropped) THEN
				RAISE EXCEPTION 'column % of stream option "vector_column" does not exist in table %', given, target USING ERRCODE = 'undefined_column';
			END IF;
		ELSIF name = 'bulk_load' THEN
			IF jsonb_typeof(given) <> 'boolean' THEN
				RAISE EXCEPTION 'stream option "bulk_load" must be true or false' USING ERRCODE = 'invalid_parameter_value';
			END IF;
		ELSIF name = 'shard_constraint' THEN
			IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = target AND c.conname = given #>> '{}' AND c.contype = 'c') THEN
				RAISE EXCEPTION 'CHECK constraint % of stream option "shard_constraint" does not exist on table %', given, target USING ERRCODE = 'undefined_object';
			END IF;
		ELSIF name = 'batch_messages' THEN
			IF jsonb_typeof(given) <> 'number' OR (given #>> '{}')::numeric NOT BETWEEN 1 AND 100000 THEN
				RAISE EXCEPTION 'stream option "batch_messages" must be between 1 and 100000' USING ERRCODE = 'invalid_parameter_value';
			END IF;
		ELSIF name = 'max_error_rate' THEN
			IF jsonb_typeof(given) <> 'number' OR (given #>> '{}')::numeric NOT BETWEEN 0 AND 1 THEN
				RAISE EXCEPTION 'stream option "max_error_rate" must be between 0 and 1' USING ERRCODE = 'invalid_parameter_value';
			END IF;
		ELSE
			RAISE EXCEPTION 'stream option "%" is not known', name USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Options are: batch_messages, bulk_load, columns, max_error_rate, permanent_columns, shard_constraint, unknown_fields, vector_column.';
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION vektonn._check_stream(vektonn.stream) IS 'an error unless a worker could run this stream';
COMMENT ON FUNCTION vektonn._check_stream_options(regclass, jsonb) IS 'an error unless these are options of a stream';

CREATE FUNCTION vektonn.create_stream(stream_name text, target regclass, server name, topic text,
	format text DEFAULT 'json', key_columns text[] DEFAULT NULL, start text DEFAULT 'earliest',
	on_error text DEFAULT 'dead_letter', workers integer DEFAULT 1, options jsonb DEFAULT '{}') RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream;
BEGIN
	PERFORM vektonn._require_launcher();
	IF $1 IS NULL OR $2 IS NULL OR $3 IS NULL OR $4 IS NULL THEN
		RAISE EXCEPTION 'stream_name, target, server and topic must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF EXISTS (SELECT FROM vektonn.stream o WHERE o.stream_name = $1) THEN
		RAISE EXCEPTION 'stream "%" already exists', $1 USING ERRCODE = 'duplicate_object';
	END IF;
	s.stream_name := $1;
	s.target := $2;
	s.owner := (SELECT relowner FROM pg_class WHERE oid = $2);
	IF s.owner IS NULL THEN
		RAISE EXCEPTION 'table with OID % does not exist', $2::oid USING ERRCODE = 'undefined_table';
	END IF;
	s.server := $3;
	s.topic := $4;
	s.format := coalesce($5, 'json');
	s.key_columns := coalesce($6, (SELECT array_agg(a.attname::text ORDER BY k.n)
		FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n), pg_attribute a
		WHERE i.indrelid = $2 AND i.indisprimary AND k.n <= i.indnkeyatts AND a.attrelid = $2 AND a.attnum = k.attnum));
	IF s.key_columns IS NULL THEN
		RAISE EXCEPTION 'table % has no primary key', $2 USING ERRCODE = 'invalid_table_definition',
			HINT = 'Add one, or name the columns of a unique index with key_columns => ''{...}''.';
	END IF;
	s.start := vektonn._check_start(coalesce($7, 'earliest'));
	s.on_error := coalesce($8, 'dead_letter');
	s.workers := coalesce($9, 1);
	s.options := coalesce($10, '{}');
	PERFORM vektonn._check_stream(s);
	INSERT INTO vektonn.stream (stream_name, target, owner, server, topic, format, key_columns, start, on_error, workers, options, loading)
	VALUES (s.stream_name, s.target, s.owner, s.server, s.topic, s.format, s.key_columns, s.start, s.on_error, s.workers, s.options,
		coalesce((s.options ->> 'bulk_load')::boolean, true) AND vektonn._loadable(s.target));
END $$;
COMMENT ON FUNCTION vektonn.create_stream(text, regclass, name, text, text, text[], text, text, integer, jsonb)
	IS 'ties a table to a Kafka topic: a background worker keeps it up to date, exactly once';

-- A first load in bulk needs an empty table that has a vektonn index.
CREATE FUNCTION vektonn._loadable(target regclass) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	has_rows boolean;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
			WHERE i.indrelid = target AND a.amname = 'vektonn' AND c.relkind = 'i') THEN
		RETURN false;
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT FROM %s)', target) INTO has_rows;
	RETURN NOT has_rows;
END $$;
COMMENT ON FUNCTION vektonn._loadable(regclass) IS 'whether a first load in bulk is possible and worth it';

CREATE FUNCTION vektonn._build_indexes(target regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	index regclass;
BEGIN
	FOR index IN SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
			WHERE i.indrelid = target AND a.amname = 'vektonn' AND NOT i.indisready LOOP
		EXECUTE format('REINDEX INDEX %s', index);
	END LOOP;
END $$;
COMMENT ON FUNCTION vektonn._build_indexes(regclass) IS 'builds the vektonn indexes that a first load has left waiting';

CREATE FUNCTION vektonn.alter_stream(stream_name text, topic text DEFAULT NULL, server name DEFAULT NULL, format text DEFAULT NULL,
	on_error text DEFAULT NULL, workers integer DEFAULT NULL, options jsonb DEFAULT NULL, new_name text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream := vektonn._stream_locked($1);
	other_log boolean := $2 <> s.topic;
BEGIN
	s.topic := coalesce($2, s.topic);
	s.server := coalesce($3, s.server);
	s.format := coalesce($4, s.format);
	s.on_error := coalesce($5, s.on_error);
	s.workers := coalesce($6, s.workers);
	s.options := jsonb_strip_nulls(s.options || coalesce($7, '{}'));
	s.owner := (SELECT relowner FROM pg_class WHERE oid = s.target);
	PERFORM vektonn._check_stream(s);
	UPDATE vektonn.stream o SET stream_name = coalesce($8, o.stream_name), topic = s.topic, server = s.server, format = s.format,
		on_error = s.on_error, workers = s.workers, options = s.options, owner = s.owner, generation = generation + 1
		WHERE o.stream_id = s.stream_id;
	-- Offsets of one topic mean nothing in another.
	IF other_log THEN
		DELETE FROM vektonn.stream_offset o WHERE o.stream_id = s.stream_id;
	END IF;
END $$;
COMMENT ON FUNCTION vektonn.alter_stream(text, text, name, text, text, integer, jsonb, text)
	IS 'changes what is given; an option set to null goes back to its default; another topic is read from the stream''s start';

CREATE FUNCTION vektonn.drop_stream(stream_name text, if_exists boolean DEFAULT false) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream;
BEGIN
	IF if_exists AND NOT EXISTS (SELECT FROM vektonn.stream s WHERE s.stream_name = $1) THEN
		RAISE NOTICE 'stream "%" does not exist, skipping', $1;
		RETURN;
	END IF;
	-- Not in the WHERE clause: there it would be looked up again for every stream.
	s := vektonn._stream_locked($1);
	-- A first load that never ends must not leave indexes behind that nobody maintains.  Locks in the
	-- order of a worker's batch: the table, then the offsets.
	IF s.loading THEN
		EXECUTE format('LOCK TABLE %s IN SHARE MODE', s.target);
	END IF;
	DELETE FROM vektonn.stream o WHERE o.stream_id = s.stream_id;
	IF s.loading THEN
		PERFORM vektonn._build_indexes(s.target);
	END IF;
END $$;
COMMENT ON FUNCTION vektonn.drop_stream(text, boolean) IS 'ends a stream and forgets its offsets and dead letters; the table stays';

CREATE FUNCTION vektonn.pause_stream(stream_name text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream := vektonn._stream_locked($1);
BEGIN
	UPDATE vektonn.stream o SET enabled = false, generation = generation + 1 WHERE o.stream_id = s.stream_id;
END $$;
COMMENT ON FUNCTION vektonn.pause_stream(text) IS 'stops a stream where it is, until resume_stream';

CREATE FUNCTION vektonn.resume_stream(stream_name text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream := vektonn._stream_locked($1);
BEGIN
	PERFORM vektonn._require_launcher();
	s.owner := coalesce((SELECT relowner::regrole FROM pg_class WHERE oid = s.target), s.owner);
	PERFORM vektonn._check_stream(s);
	UPDATE vektonn.stream o SET enabled = true, home = vektonn._database_identity(), owner = s.owner, generation = generation + 1
		WHERE o.stream_id = s.stream_id;
	UPDATE vektonn.stream_offset o SET starts = 0 WHERE o.stream_id = s.stream_id;
END $$;
COMMENT ON FUNCTION vektonn.resume_stream(text) IS 'starts a stream that was paused, has failed, or was restored from a dump';

CREATE FUNCTION vektonn.seek_stream(stream_name text, "position" text, partition integer DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream := vektonn._stream_locked($1);
	goal text := vektonn._check_start($2);
BEGIN
	IF goal IS NULL THEN
		RAISE EXCEPTION 'position must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF $3 < 0 THEN
		RAISE EXCEPTION 'partition % does not exist', $3 USING ERRCODE = 'invalid_parameter_value';
	END IF;
	UPDATE vektonn.stream o SET generation = generation + 1 WHERE o.stream_id = s.stream_id;
	IF $3 IS NOT NULL THEN
		INSERT INTO vektonn.stream_offset (stream_id, partition, seek) VALUES (s.stream_id, $3, goal)
		ON CONFLICT (stream_id, partition) DO UPDATE SET seek = goal;
	ELSE
		UPDATE vektonn.stream_offset o SET seek = goal WHERE o.stream_id = s.stream_id;
		-- Partitions the worker has not seen yet start there as well.
		IF NOT FOUND THEN
			UPDATE vektonn.stream o SET start = goal WHERE o.stream_id = s.stream_id;
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION vektonn.seek_stream(text, text, integer)
	IS 'moves a stream, or one partition of it: earliest, latest, an offset, or a point of time';

CREATE FUNCTION vektonn.rebuild_stream(stream_name text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream := vektonn._stream_locked($1);
BEGIN
	EXECUTE format('TRUNCATE %s', s.target);
	UPDATE vektonn.stream o SET generation = generation + 1,
		loading = coalesce((s.options ->> 'bulk_load')::boolean, true) AND vektonn._loadable(s.target)
		WHERE o.stream_id = s.stream_id;
	UPDATE vektonn.stream_offset o SET seek = 'earliest', load_until = NULL, starts = 0, upserted = 0, deleted = 0, dead_letters = 0
		WHERE o.stream_id = s.stream_id;
	DELETE FROM vektonn.dead_letter d WHERE d.stream_id = s.stream_id;
END $$;
COMMENT ON FUNCTION vektonn.rebuild_stream(text) IS 'empties the table and reads the topic again from its beginning';

CREATE FUNCTION vektonn.retry_dead_letters(stream_name text, partition integer DEFAULT NULL, "offset" bigint DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream := vektonn._stream_locked($1);
	marked bigint;
BEGIN
	UPDATE vektonn.dead_letter d SET retry = true WHERE d.stream_id = s.stream_id
		AND d.partition = coalesce($2, d.partition) AND d."offset" = coalesce($3, d."offset");
	GET DIAGNOSTICS marked = ROW_COUNT;
	UPDATE vektonn.stream o SET generation = generation + 1 WHERE o.stream_id = s.stream_id;
	RETURN marked;
END $$;
COMMENT ON FUNCTION vektonn.retry_dead_letters(text, integer, bigint)
	IS 'lets the worker apply dead letters again; those that succeed go away; returns how many will be tried';

CREATE FUNCTION vektonn.purge_dead_letters(stream_name text, older_than timestamptz DEFAULT NULL,
	partition integer DEFAULT NULL, "offset" bigint DEFAULT NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream := vektonn._stream_locked($1);
	purged bigint;
BEGIN
	DELETE FROM vektonn.dead_letter d WHERE d.stream_id = s.stream_id
		AND ($2 IS NULL OR d.message_time < $2)
		AND d.partition = coalesce($3, d.partition) AND d."offset" = coalesce($4, d."offset");
	GET DIAGNOSTICS purged = ROW_COUNT;
	RETURN purged;
END $$;
COMMENT ON FUNCTION vektonn.purge_dead_letters(text, timestamptz, integer, bigint)
	IS 'forgets dead letters: all, those of messages before a point of time, of one partition, or one; returns how many';

CREATE FUNCTION vektonn._stream_wait(stream_id bigint, partitions integer[], offsets bigint[], timeout interval) RETURNS boolean
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'vk_stream_wait';
COMMENT ON FUNCTION vektonn._stream_wait(bigint, integer[], bigint[], interval)
	IS 'waits until a stream has applied all before these offsets, or all there was at the call';

CREATE FUNCTION vektonn.wait_for(stream_name text, timeout interval DEFAULT '30 seconds', offsets jsonb DEFAULT NULL) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s vektonn.stream;
BEGIN
	SELECT * INTO s FROM vektonn.stream o WHERE o.stream_name = $1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'stream "%" does not exist', $1 USING ERRCODE = 'undefined_object',
			HINT = 'Streams of others are not visible; see vektonn.stream_status.';
	END IF;
	RETURN vektonn._stream_wait(s.stream_id,
		(SELECT array_agg(o.key::integer ORDER BY o.key) FROM jsonb_each_text($3) o),
		(SELECT array_agg(o.value::bigint ORDER BY o.key) FROM jsonb_each_text($3) o),
		coalesce($2, '30 seconds'));
END $$;
COMMENT ON FUNCTION vektonn.wait_for(text, interval, jsonb)
	IS 'waits until a stream has applied all its topic held at the call, or all before the given offsets {"partition": offset}; false: the time is up';
