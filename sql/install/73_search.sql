-- Search by an index's name.

-- What a backend keeps of an index to search it: pieces of the statement, built here once.
CREATE FUNCTION vektonn._search_definition(index_name text, index_version text,
	OUT target oid, OUT dimension integer, OUT sparse boolean, OUT select_list text, OUT vector_column text,
	OUT order_by text, OUT from_target text, OUT splits text[], OUT split_types text[], OUT vector_type oid) RETURNS record
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def := vektonn._index($1, $2);
	source vektonn.data_source;
	operator text;
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
	select_list := format('%s, %s', CASE index.algorithm
			WHEN 'FaissIndex.L2' THEN format('@extschema@.l2_squared_distance(%s, $1)', vector_column)
			WHEN 'FaissIndex.IP' THEN format('@extschema@.inner_product(%s, $1)', vector_column)
			ELSE order_by END,
		-- A function takes at most 100 arguments.
		(SELECT string_agg(chunk, ' OPERATOR(pg_catalog.||) ' ORDER BY number) FROM (
			SELECT (o - 1) / 50 AS number, format('pg_catalog.jsonb_build_object(%s)', string_agg(format('%L::text, t.%I', n, n), ', ' ORDER BY o)) AS chunk
				FROM unnest(source.attribute_names) WITH ORDINALITY u (n, o) GROUP BY 1) c));
	SELECT coalesce(array_agg(a.n ORDER BY o), '{}'), coalesce(array_agg(a.t ORDER BY o), '{}') INTO splits, split_types
		FROM unnest(source.attribute_names, source.attribute_types) WITH ORDINALITY a (n, t, o) WHERE a.n = ANY (index.split_attributes);
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
