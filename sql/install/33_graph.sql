-- algorithm = hnsw

-- of a sparsevec, dimension is the number of its non-zeros
CREATE FUNCTION vektonn.graph_row_bytes(elem integer, dimension integer, m integer) RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_graph_row_bytes' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vektonn.graph_row_bytes(integer, integer, integer) IS
	'bytes a row takes in a graph, on pages and while it is built';

CREATE FUNCTION vektonn.build_memory("table" regclass, "column" name DEFAULT NULL, m integer DEFAULT 16)
	RETURNS bigint LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	col record;
	tuples float8;
	bytes float8;
BEGIN
	SELECT a.attname, a.atttypmod, t.typname INTO col
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	WHERE a.attrelid = "table" AND a.attnum > 0 AND NOT a.attisdropped
		AND t.typname IN ('vector', 'halfvec', 'sparsevec')
		AND t.typnamespace = (SELECT e.extnamespace FROM pg_extension e WHERE e.extname = 'vektonn')
		AND ("column" IS NULL OR a.attname = "column")
	ORDER BY a.attnum LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'table % has no % to index', "table",
			CASE WHEN "column" IS NULL THEN 'vector column' ELSE format('vector column "%s"', "column") END
			USING ERRCODE = 'undefined_column';
	END IF;
	SELECT CASE WHEN reltuples >= 0 THEN reltuples ELSE 0 END INTO tuples FROM pg_class WHERE oid = "table";
	IF col.typname = 'sparsevec' THEN
		-- the binary form is 12 bytes and 8 for each non-zero
		EXECUTE format('SELECT avg(vektonn.graph_row_bytes(2, greatest((octet_length(@extschema@.sparsevec_send(%1$I)) - 12) / 8, 1), %2$s))
			FROM (SELECT %1$I FROM %3$s WHERE %1$I IS NOT NULL LIMIT 1000) x', col.attname, m, "table") INTO bytes;
		bytes := tuples * coalesce(bytes, 0);
	ELSE
		bytes := tuples * vektonn.graph_row_bytes(CASE col.typname WHEN 'vector' THEN 0 ELSE 1 END,
			greatest(col.atttypmod, 1), m);
	END IF;
	-- an eighth of the memory, and not more than 16 MB, is for rows that wait to be inserted
	RETURN (bytes + least(bytes / 7, 16777216))::bigint;
END $$;
COMMENT ON FUNCTION vektonn.build_memory(regclass, name, integer) IS
	'maintenance_work_mem with which CREATE INDEX ... WITH (algorithm = hnsw) stays in memory, for the rows ANALYZE counted';
