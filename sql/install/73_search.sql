-- Search by an index's name.

-- What a backend keeps of an index to search it: pieces of the statement, built here once.
CREATE FUNCTION vektonn._search_definition(index_name text, index_version text,
	OUT target oid, OUT dimension integer, OUT sparse boolean, OUT select_list text, OUT vector_column text,
	OUT order_by text, OUT from_target text, OUT splits text[], OUT split_types text[], OUT vector_type oid,
	OUT shards text[], OUT shard_before text[], OUT shard_behind text[], OUT batch_index oid, OUT batch_select text,
	OUT partitions oid[], OUT partition_names text[], OUT pruned_by text[], OUT columns text) RETURNS record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def := vektonn._index($1, $2);
	source vektonn.data_source;
	operator text;
	attributes text;
BEGIN
	SELECT * INTO source FROM vektonn.data_source s WHERE s.data_source_id = index.data_source_id;
	IF NOT EXISTS (SELECT FROM pg_class WHERE oid = index.target) THEN
		RAISE EXCEPTION 'the table of index "%" version "%" does not exist', index.name, index.version USING ERRCODE = 'undefined_table',
			HINT = 'Drop the index with vektonn.drop_index and create it again.';
	END IF;
	target := index.target;
	from_target := index.target::text;
	dimension := source.vector_dimension;
	sparse := source.sparse;
	vector_type := vektonn._vector_type(source)::regtype;
	vector_column := format('t.%I', index.vector_column);
	operator := format('OPERATOR(%s.%s)', '@extschema@', CASE index.metric WHEN 'l2' THEN '<->' WHEN 'ip' THEN '<#>'
		WHEN 'cosine' THEN '<=>' WHEN 'l1' THEN '<+>' ELSE '<%>' END);
	order_by := format('%s %s $1', vector_column, operator);
	-- Upstream's distances; the plain names report what their operator does.
	select_list := CASE index.algorithm
		WHEN 'FaissIndex.L2' THEN format('@extschema@.l2_squared_distance(%s, $1)', vector_column)
		WHEN 'FaissIndex.IP' THEN format('@extschema@.inner_product(%s, $1)', vector_column)
		ELSE order_by END;
	-- A function takes at most 100 arguments.
	attributes := (SELECT string_agg(chunk, ' OPERATOR(pg_catalog.||) ' ORDER BY number) FROM (
		SELECT (o - 1) / 50 AS number, format('pg_catalog.jsonb_build_object(%s)', string_agg(format('%L::text, t.%I', n, n), ', ' ORDER BY o)) AS chunk
			FROM unnest(source.attribute_names) WITH ORDINALITY u (n, o) GROUP BY 1) c);
	batch_select := format('%s, %s', replace(select_list, '$1', 'u.query'), attributes);
	select_list := format('%s, %s', select_list, attributes);
	-- Where some shards lie on other nodes, each is asked for its k rows.
	SELECT coalesce(array_agg(p.inhrelid ORDER BY p.inhrelid), '{}'), coalesce(array_agg(p.inhrelid::regclass::text ORDER BY p.inhrelid), '{}')
		INTO partitions, partition_names FROM pg_inherits p WHERE p.inhparent = index.target
			AND EXISTS (SELECT FROM pg_inherits f JOIN pg_foreign_table t ON t.ftrelid = f.inhrelid WHERE f.inhparent = index.target);
	pruned_by := index.shard_attributes;
	-- In the order select_list has them: else PostgreSQL puts a step between that keeps nodes from working at once.
	columns := format('%s, %s', vector_column, (SELECT string_agg(format('t.%I', n), ', ' ORDER BY o) FROM unnest(source.attribute_names) WITH ORDINALITY u (n, o)));
	-- Whose rows one pass finds for many queries: of dense vectors, exact, in one table.
	batch_index := (SELECT min(i.indexrelid::oid::bigint)::oid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
		JOIN pg_opclass o ON o.oid = i.indclass[0] JOIN pg_attribute a ON a.attrelid = index.target AND a.attnum = i.indkey[0]
		WHERE i.indrelid = index.target AND m.amname = 'vektonn' AND c.relkind = 'i' AND i.indpred IS NULL AND i.indexprs IS NULL
			AND a.attname = index.vector_column AND o.opcname = 'vector_' || index.metric || '_ops'
			AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) p WHERE p.option_name = 'algorithm' AND p.option_value <> 'flat')
			AND index.split_attributes <@ ARRAY(SELECT s.attname::text FROM pg_attribute s WHERE s.attrelid = index.target AND s.attnum = ANY (i.indkey)));
	SELECT coalesce(array_agg(a.n ORDER BY o), '{}'), coalesce(array_agg(a.t ORDER BY o), '{}') INTO splits, split_types
		FROM unnest(source.attribute_names, source.attribute_types) WITH ORDINALITY a (n, t, o) WHERE a.n = ANY (index.split_attributes);
	-- PostgreSQL leaves partitions by an expression out only where a query has that expression.
	shards := CASE WHEN index.shard_method = 'farm' THEN index.shard_attributes ELSE '{}' END;
	SELECT t.before, t.behind INTO shard_before, shard_behind FROM vektonn._farm_terms(index) t;
END $$;
COMMENT ON FUNCTION vektonn._search_definition(text, text) IS 'what searching an index needs to know of it';

CREATE FUNCTION vektonn.search(index_name text, index_version text, query_vectors @extschema@.vector[], k integer,
	split_filter jsonb DEFAULT NULL, retrieve_vectors boolean DEFAULT false)
	RETURNS TABLE (query_number integer, rank integer, distance double precision, attributes jsonb, vector @extschema@.vector)
	AS 'MODULE_PATHNAME', 'vk_search' LANGUAGE C STABLE ROWS 10;
COMMENT ON FUNCTION vektonn.search(text, text, @extschema@.vector[], integer, jsonb, boolean) IS
	'the k nearest data points of an index for each query vector; split_filter is any subset of its split attributes';

CREATE FUNCTION vektonn.search(index_name text, index_version text, query_vectors @extschema@.sparsevec[], k integer,
	split_filter jsonb DEFAULT NULL, retrieve_vectors boolean DEFAULT false)
	RETURNS TABLE (query_number integer, rank integer, distance double precision, attributes jsonb, vector @extschema@.sparsevec)
	AS 'MODULE_PATHNAME', 'vk_search' LANGUAGE C STABLE ROWS 10;
COMMENT ON FUNCTION vektonn.search(text, text, @extschema@.sparsevec[], integer, jsonb, boolean) IS
	'the k nearest data points of a sparse index for each query vector';

CREATE FUNCTION vektonn._search_query(source vektonn.data_source, split_attributes text[], query jsonb,
	OUT vectors text[], OUT k integer, OUT split_filter jsonb, OUT retrieve_vectors boolean) RETURNS record
	AS 'MODULE_PATHNAME', 'vk_search_query' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vektonn._search_query(vektonn.data_source, text[], jsonb) IS
	'a search as the HTTP API writes it, checked';

-- Upstream's order: id attributes, then split attributes, then the others.
CREATE FUNCTION vektonn._attributes_json(index vektonn.index_def, source vektonn.data_source, attributes jsonb) RETURNS jsonb
	LANGUAGE sql STABLE
	RETURN (SELECT jsonb_agg(jsonb_build_object('key', a.n, 'value', jsonb_build_object(lower(left(a.t, 1)) || substr(a.t, 2),
			CASE a.t WHEN 'DateTime' THEN to_jsonb(regexp_replace(to_char((attributes ->> a.n)::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '\.?0+$', '') || 'Z')
			ELSE attributes -> a.n END))
		ORDER BY CASE WHEN a.n = ANY (index.split_attributes) THEN 2 WHEN a.n = ANY (index.id_attributes) THEN 1 ELSE 3 END, a.o)
		FROM unnest(source.attribute_names, source.attribute_types) WITH ORDINALITY a (n, t, o));
COMMENT ON FUNCTION vektonn._attributes_json(vektonn.index_def, vektonn.data_source, jsonb) IS
	'attributes as the HTTP API writes them';

CREATE FUNCTION vektonn._vector_json(v @extschema@.vector) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN jsonb_build_object('isSparse', false, 'coordinates', to_jsonb(v::real[]::double precision[]));
COMMENT ON FUNCTION vektonn._vector_json(@extschema@.vector) IS 'a vector as the HTTP API writes it';

CREATE FUNCTION vektonn._vector_json(v @extschema@.sparsevec) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN (SELECT jsonb_build_object('isSparse', true,
			'coordinates', coalesce(jsonb_agg(split_part(e, ':', 2)::real::double precision ORDER BY o), '[]'),
			'coordinateIndices', coalesce(jsonb_agg(split_part(e, ':', 1)::integer - 1 ORDER BY o), '[]'))
		FROM regexp_split_to_table(nullif(trim('{}' FROM split_part(v::text, '/', 1)), ''), ',') WITH ORDINALITY x (e, o));
COMMENT ON FUNCTION vektonn._vector_json(@extschema@.sparsevec) IS 'a sparse vector as the HTTP API writes it';

CREATE FUNCTION vektonn.search_json(index_name text, index_version text, query jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def := vektonn._index($1, $2);
	source vektonn.data_source;
	asked record;
	found jsonb;
BEGIN
	SELECT * INTO source FROM vektonn.data_source s WHERE s.data_source_id = index.data_source_id;
	IF $3 IS NULL THEN
		RAISE EXCEPTION 'query must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	asked := vektonn._search_query(source, index.split_attributes, $3);
	IF source.sparse THEN
		SELECT jsonb_object_agg(r.query_number, r.points) INTO found FROM (
			SELECT s.query_number, jsonb_agg(jsonb_strip_nulls(jsonb_build_object('vector', vektonn._vector_json(s.vector), 'distance', s.distance))
				|| jsonb_build_object('attributes', vektonn._attributes_json(index, source, s.attributes)) ORDER BY s.rank) AS points
			FROM vektonn.search($1, index.version, asked.vectors::@extschema@.sparsevec[], asked.k, asked.split_filter, asked.retrieve_vectors) s GROUP BY 1) r;
	ELSE
		SELECT jsonb_object_agg(r.query_number, r.points) INTO found FROM (
			SELECT s.query_number, jsonb_agg(jsonb_strip_nulls(jsonb_build_object('vector', vektonn._vector_json(s.vector), 'distance', s.distance))
				|| jsonb_build_object('attributes', vektonn._attributes_json(index, source, s.attributes)) ORDER BY s.rank) AS points
			FROM vektonn.search($1, index.version, asked.vectors::@extschema@.vector[], asked.k, asked.split_filter, asked.retrieve_vectors) s GROUP BY 1) r;
	END IF;
	RETURN (SELECT jsonb_agg(jsonb_build_object('queryVector', v, 'nearestDataPoints', coalesce(found -> o::text, '[]')) ORDER BY o)
		FROM jsonb_array_elements($3 -> 'queryVectors') WITH ORDINALITY q (v, o));
END $$;
COMMENT ON FUNCTION vektonn.search_json(text, text, jsonb) IS
	'answers the body of POST /api/v1/search/{name}/{version} of Vektonn''s HTTP API';
