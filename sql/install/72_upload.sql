-- Upload, delete, and waiting until an index has what was uploaded.

-- Joins two row sets on columns: a.x = b.x AND a.y = b.y.
CREATE FUNCTION vektonn._equal(names text[], a text, b text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT string_agg(format('%1$s.%3$I = %2$s.%3$I', a, b, n), ' AND ' ORDER BY o) FROM unnest(names) WITH ORDINALITY u (n, o));
COMMENT ON FUNCTION vektonn._equal(text[], text, text) IS 'a join condition on columns of the same names';

-- The statement that applies checked points to an index without a stream.  The rules are those of
-- the stream workers: the last write of an id wins, whatever its other attributes were; a deletion
-- counts for the point whose permanent attributes it names, and only after the writes before it.
CREATE FUNCTION vektonn._apply_statement(index vektonn.index_def, source vektonn.data_source) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	payload text[] := (SELECT array_agg(n) FROM unnest(source.attribute_names || index.vector_column::text) n WHERE n <> ALL (vektonn._key(index)));
	-- A point whose shard attribute has changed lies in another partition, where the conflict is not seen.
	moved text := CASE WHEN index.shard_attributes <> '{}' THEN format(', moved AS (DELETE FROM %s d USING (SELECT * FROM written w WHERE NOT w.gone) g WHERE %s AND NOT (%s))', index.target,
		vektonn._equal(index.id_attributes, 'd', 'g'), vektonn._equal(index.shard_attributes, 'd', 'g')) END;
BEGIN
	RETURN format($q$
		WITH point AS MATERIALIZED (
			SELECT r.number, r.deleted, %1$s, r.vector::%2$s AS %3$I FROM vektonn._rows($1, $2, $3) r),
		written AS (
			SELECT DISTINCT ON (%4$s) p.*, EXISTS (SELECT FROM point t WHERE t.deleted AND t.number > p.number AND %5$s) AS gone
				FROM point p WHERE NOT p.deleted ORDER BY %4$s, p.number DESC),
		deleted AS (
			DELETE FROM %6$s d USING (
				SELECT %4$s FROM written w WHERE w.gone) g WHERE %7$s),
		tombstoned AS (
			DELETE FROM %6$s d USING (
				SELECT p.* FROM point p WHERE p.deleted AND NOT EXISTS (SELECT FROM written w WHERE %8$s)) g WHERE %9$s)%12$s
		INSERT INTO %6$s (%10$s) SELECT %10$s FROM written w WHERE NOT w.gone ORDER BY %4$s
			ON CONFLICT (%13$s) %11$s$q$,
		(SELECT string_agg(format('(r.attributes ->> %1$L)::%2$s AS %1$I', a.n, vektonn._sql_type(a.t)), ', ')
			FROM unnest(source.attribute_names, source.attribute_types) a (n, t)),
		vektonn._vector_type(source), index.vector_column,
		vektonn._quoted(index.id_attributes), vektonn._equal(source.permanent_attributes, 't', 'p'),
		index.target, vektonn._equal(index.id_attributes, 'd', 'g'), vektonn._equal(index.id_attributes, 'w', 'p'),
		vektonn._equal(source.permanent_attributes, 'd', 'g'),
		vektonn._quoted(source.attribute_names || index.vector_column::text),
		coalesce('DO UPDATE SET ' || (SELECT string_agg(format('%1$I = excluded.%1$I', n), ', ') FROM unnest(payload) n), 'DO NOTHING'),
		moved, vektonn._quoted(vektonn._key(index)));
END $$;
COMMENT ON FUNCTION vektonn._apply_statement(vektonn.index_def, vektonn.data_source) IS 'the statement that applies uploaded points to an index''s table';

CREATE FUNCTION vektonn._attribute_shard(shards integer, type text, value text) RETURNS integer
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE type WHEN 'String' THEN vektonn.farm_shard(shards, value) WHEN 'Guid' THEN vektonn.farm_shard(shards, value::uuid)
		WHEN 'Bool' THEN vektonn.farm_shard(shards, value::boolean) WHEN 'Int64' THEN vektonn.farm_shard(shards, value::bigint)
		WHEN 'Float64' THEN vektonn.farm_shard(shards, value::double precision) WHEN 'DateTime' THEN vektonn.farm_shard(shards, value::timestamptz) END;
COMMENT ON FUNCTION vektonn._attribute_shard(integer, text, text) IS 'the farm_shard of an attribute''s value';

-- Messages by the topic each belongs to, in their order.
CREATE FUNCTION vektonn._by_topic(source vektonn.data_source, data_points jsonb, keys_only boolean, keys bytea[], "values" bytea[])
	RETURNS TABLE (topic text, keys bytea[], "values" bytea[])
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT source.topic, $4, $5 WHERE source.topic_attributes = '{}'
	UNION ALL
	(SELECT t.topic, array_agg(t.key ORDER BY t.number), array_agg(t.value ORDER BY t.number) FROM (
		SELECT source.topic || (SELECT string_agg(format('.%s-%s', replace(a.n, '.', '_'),
				vektonn._attribute_shard(a.m, source.attribute_types[array_position(source.attribute_names, a.n)], r.attributes ->> a.n)), '' ORDER BY a.o)
			FROM unnest(source.topic_attributes, source.topic_moduli) WITH ORDINALITY a (n, m, o)) AS topic, r.number, $4[r.number] AS key, $5[r.number] AS value
		FROM vektonn._rows(source, $2, $3) r WHERE source.topic_attributes <> '{}') t GROUP BY t.topic ORDER BY t.topic);
$$;
COMMENT ON FUNCTION vektonn._by_topic(vektonn.data_source, jsonb, boolean, bytea[], bytea[]) IS 'the messages of data points, by topic';

CREATE FUNCTION vektonn._produce(server name, topic text, keys bytea[], "values" bytea[]) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	BEGIN
		RETURN vektonn.produce($1, $2, $3, $4);
	EXCEPTION WHEN undefined_object THEN
		-- The topic is not there, or not any more.
		IF NOT vektonn.ensure_topic($1, $2) THEN
			RAISE;
		END IF;
	END;
	RETURN vektonn.produce($1, $2, $3, $4);
END $$;
COMMENT ON FUNCTION vektonn._produce(name, text, bytea[], bytea[]) IS 'produces messages, and creates the topic where it is not there';

CREATE FUNCTION vektonn._send(source vektonn.data_source, data_points jsonb, keys_only boolean, wait interval, OUT count integer, OUT offsets jsonb) RETURNS record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	message record;
	part record;
	index vektonn.index_def;
BEGIN
	IF $2 IS NULL THEN
		RAISE EXCEPTION 'data_points must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF source.server IS NULL THEN
		-- Also checks the points of a source that has no index yet.
		SELECT count(*) INTO count FROM vektonn._rows($1, $2, $3);
		offsets := '{}';
		FOR index IN SELECT * FROM vektonn.index_def i WHERE i.data_source_id = source.data_source_id ORDER BY i.index_id LOOP
			EXECUTE vektonn._apply_statement(index, source) USING $1, $2, $3;
		END LOOP;
		RETURN;
	END IF;
	message := vektonn._messages($1, $2, $3);
	count := cardinality(message.keys);
	offsets := '{}';
	FOR part IN SELECT * FROM vektonn._by_topic(source, $2, $3, message.keys, message.values) LOOP
		offsets := offsets || CASE WHEN source.topic_attributes = '{}' THEN vektonn._produce(source.server, part.topic, part.keys, part.values)
			ELSE jsonb_build_object(part.topic, vektonn._produce(source.server, part.topic, part.keys, part.values)) END;
	END LOOP;
	IF $4 IS NOT NULL THEN
		FOR index IN SELECT * FROM vektonn.index_def i WHERE i.data_source_id = source.data_source_id ORDER BY i.index_id LOOP
			IF NOT vektonn._wait_for_index(index, source, $4, offsets) THEN
				RAISE EXCEPTION 'index "%" version "%" has not applied the upload in time', index.name, index.version
					USING ERRCODE = 'query_canceled', DETAIL = format('Its topic holds it, up to the offsets %s.', offsets),
					HINT = 'See vektonn.stream_status.';
			END IF;
		END LOOP;
	END IF;
END $$;
COMMENT ON FUNCTION vektonn._send(vektonn.data_source, jsonb, boolean, interval) IS 'produces checked points to the topic, or applies them where there is none';

CREATE FUNCTION vektonn.upload(data_source_name text, data_source_version text, data_points jsonb, wait interval DEFAULT NULL,
	OUT count integer, OUT offsets jsonb) RETURNS record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT s.count, s.offsets INTO count, offsets FROM vektonn._send(vektonn._data_source($1, $2), $3, false, $4) s;
END $$;
COMMENT ON FUNCTION vektonn.upload(text, text, jsonb, interval) IS
	'uploads data points, all or none of them; returns how many, and the offsets behind them in the topic; with wait also until every index has them';

CREATE FUNCTION vektonn.delete(data_source_name text, data_source_version text, keys jsonb, wait interval DEFAULT NULL,
	OUT count integer, OUT offsets jsonb) RETURNS record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT s.count, s.offsets INTO count, offsets FROM vektonn._send(vektonn._data_source($1, $2), $3, true, $4) s;
END $$;
COMMENT ON FUNCTION vektonn.delete(text, text, jsonb, interval) IS
	'deletes data points by their permanent attributes: [{"id": 1}, ...]';

CREATE FUNCTION vektonn.upload_json(data_source_name text, data_source_version text, input_data_points jsonb) RETURNS jsonb
	LANGUAGE sql VOLATILE
	RETURN (SELECT jsonb_build_object('count', u.count, 'offsets', u.offsets) FROM vektonn.upload($1, $2, $3) u);
COMMENT ON FUNCTION vektonn.upload_json(text, text, jsonb) IS
	'uploads the body of POST /api/v1/upload/{name}/{version} of Vektonn''s HTTP API';

-- Given literals, this is also chosen for a stream, a time and offsets: then the stream is waited for.
CREATE FUNCTION vektonn.wait_for(index_name text, index_version text, offsets jsonb DEFAULT NULL, timeout interval DEFAULT '30 seconds') RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def;
	source vektonn.data_source;
BEGIN
	IF NOT EXISTS (SELECT FROM vektonn.index_def i WHERE i.name = $1) AND EXISTS (SELECT FROM vektonn.stream s WHERE s.stream_name = $1) THEN
		RETURN vektonn.wait_for($1, $2::interval, $3);
	END IF;
	index := vektonn._index($1, $2);
	SELECT * INTO source FROM vektonn.data_source s WHERE s.data_source_id = index.data_source_id;
	RETURN vektonn._wait_for_index(index, source, $4, $3);
END $$;
COMMENT ON FUNCTION vektonn.wait_for(text, text, jsonb, interval) IS
	'waits until an index has applied all its topic held at the call, or all before the given offsets; false: the time is up';

CREATE FUNCTION vektonn.upload_on_commit(data_source_name text, data_source_version text, data_points jsonb) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source vektonn.data_source := vektonn._data_source($1, $2);
	message record;
BEGIN
	IF $3 IS NULL THEN
		RAISE EXCEPTION 'data_points must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF source.server IS NULL THEN
		RETURN (SELECT s.count FROM vektonn._send(source, $3, false, NULL) s);
	END IF;
	message := vektonn._messages(source, $3, false);
	RETURN (SELECT coalesce(sum(vektonn.enqueue(source.server, t.topic, t.keys, t.values)), 0)
		FROM vektonn._by_topic(source, $3, false, message.keys, message.values) t);
END $$;
COMMENT ON FUNCTION vektonn.upload_on_commit(text, text, jsonb) IS
	'uploads data points if and when this transaction commits, through the outbox';
