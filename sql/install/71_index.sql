-- Indices: their algorithms, tables and versions.

-- What an algorithm and its parameters mean.  Upstream's names belong to one kind of vector, the
-- plain ones to both; parameters are upstream's or those of the index access method.
CREATE FUNCTION vektonn._algorithm(algorithm text, params jsonb, sparse boolean, OUT metric text, OUT with_options text) RETURNS record
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	only_sparse boolean;
	hnsw jsonb := '{}';
	wrong text;
BEGIN
	SELECT a.metric, a.only_sparse INTO metric, only_sparse FROM (VALUES
		('FaissIndex.L2', 'l2', false), ('FaissIndex.IP', 'ip', false),
		('SparnnIndex.Cosine', 'cosine', true), ('SparnnIndex.JaccardBinary', 'jaccard', true),
		('L2', 'l2', NULL), ('IP', 'ip', NULL), ('Cosine', 'cosine', NULL), ('L1', 'l1', NULL), ('Jaccard', 'jaccard', true))
		AS a (name, metric, only_sparse) WHERE a.name = algorithm;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'algorithm "%" is not known', algorithm USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Algorithms are: FaissIndex.L2, FaissIndex.IP, SparnnIndex.Cosine, SparnnIndex.JaccardBinary, L2, IP, Cosine, L1, Jaccard.';
	ELSIF only_sparse <> sparse THEN
		RAISE EXCEPTION 'algorithm "%" is for % vectors', algorithm, CASE WHEN only_sparse THEN 'sparse' ELSE 'dense' END
			USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The data source has %s vectors.', CASE WHEN sparse THEN 'sparse' ELSE 'dense' END);
	END IF;
	IF jsonb_typeof(params) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION 'params must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT k INTO wrong FROM jsonb_object_keys(params) k
		WHERE k NOT IN ('Hnsw_M', 'Hnsw_EfConstruction', 'Hnsw_EfSearch', 'algorithm', 'm', 'ef_construction', 'ef_search') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'index parameter "%" is not known', wrong USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Parameters are: Hnsw_M, Hnsw_EfConstruction, Hnsw_EfSearch; or: algorithm, m, ef_construction, ef_search.';
	END IF;
	SELECT k INTO wrong FROM jsonb_each_text(params) p (k, v)
		WHERE k <> 'algorithm' AND (v IS NULL OR v !~ '^[0-9]{1,9}$') LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'index parameter "%" must be a number', wrong USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF params ?| '{Hnsw_M,Hnsw_EfConstruction,Hnsw_EfSearch}' THEN
		IF NOT params ?& '{Hnsw_M,Hnsw_EfConstruction,Hnsw_EfSearch}' OR params ?| '{algorithm,m,ef_construction,ef_search}' THEN
			RAISE EXCEPTION 'All HNSW params must be set' USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Give Hnsw_M, Hnsw_EfConstruction and Hnsw_EfSearch and no others; or none of them for an exact index.';
		END IF;
		hnsw := jsonb_build_object('algorithm', 'hnsw', 'm', params -> 'Hnsw_M',
			'ef_construction', params -> 'Hnsw_EfConstruction', 'ef_search', params -> 'Hnsw_EfSearch');
	ELSE
		hnsw := params;
	END IF;
	-- The access method knows which of them go together.
	SELECT coalesce(' WITH (' || string_agg(format('%I = %L', p.key, p.value), ', ' ORDER BY p.key) || ')', '') INTO with_options
		FROM jsonb_each_text(hnsw) p;
END $$;
COMMENT ON FUNCTION vektonn._algorithm(text, jsonb, boolean) IS 'metric and index options of an algorithm, or an error';

CREATE FUNCTION vektonn._table_name(name text, version text DEFAULT NULL) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN regexp_replace(lower(name || coalesce('_' || version, '')), '[^[:alnum:]]+', '_', 'g');
COMMENT ON FUNCTION vektonn._table_name(text, text) IS 'the table of an index when none is named: QuickStart.Index 1.0 is quickstart_index_1_0';

CREATE FUNCTION vektonn._check_index(index vektonn.index_def, source vektonn.data_source) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id text := format('IndexId { Name = %s, Version = %s }', index.name, index.version);
	kind text;
	wrong text;
BEGIN
	PERFORM vektonn._check_id('index', index.name, index.version);
	SELECT u.kind, u.a INTO kind, wrong FROM (
			SELECT 'id' AS kind, a FROM unnest(index.id_attributes) a
			UNION ALL SELECT 'split', a FROM unnest(index.split_attributes) a
			UNION ALL SELECT 'shard', a FROM unnest(index.shard_attributes) a) u
		WHERE (u.a = ANY (source.permanent_attributes)) IS NOT TRUE LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION '% attribute "%" is not a permanent attribute of the data source', kind, wrong USING ERRCODE = 'invalid_parameter_value',
			DETAIL = format('%s: id, split and shard attributes are permanent attributes: %s.', id, array_to_string(source.permanent_attributes, ', '));
	END IF;
	IF NOT EXISTS (SELECT FROM unnest(index.id_attributes) a WHERE a <> ALL (index.split_attributes)) THEN
		RAISE EXCEPTION 'an index needs an id attribute that is not a split attribute' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = format('%s: id attributes: %s; split attributes: %s.', id,
				array_to_string(index.id_attributes, ', '), array_to_string(index.split_attributes, ', '));
	END IF;
	IF source.server IS NOT NULL AND source.format = 'json' AND index.vector_column <> 'vector' THEN
		RAISE EXCEPTION 'vector column "%" is not a field of the messages', index.vector_column USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'JSON messages carry the vector as the field "vector".';
	END IF;
	IF index.vector_column = ANY (source.attribute_names) THEN
		RAISE EXCEPTION 'vector column "%" is an attribute', index.vector_column USING ERRCODE = 'invalid_parameter_value';
	END IF;
END $$;
COMMENT ON FUNCTION vektonn._check_index(vektonn.index_def, vektonn.data_source) IS 'an error unless the definition is consistent with its data source';

CREATE FUNCTION vektonn._vector_type(source vektonn.data_source) RETURNS text
	LANGUAGE sql STABLE
	RETURN CASE WHEN source.sparse THEN '@extschema@.sparsevec' ELSE '@extschema@.vector' END;
COMMENT ON FUNCTION vektonn._vector_type(vektonn.data_source) IS 'the SQL type of a data source''s vectors';

CREATE FUNCTION vektonn._quoted(names text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT string_agg(quote_ident(n), ', ' ORDER BY o) FROM unnest(names) WITH ORDINALITY u (n, o));
COMMENT ON FUNCTION vektonn._quoted(text[]) IS 'a list of identifiers';

CREATE FUNCTION vektonn._key(index vektonn.index_def) RETURNS text[]
	LANGUAGE sql IMMUTABLE
	RETURN index.id_attributes || ARRAY(SELECT a FROM unnest(index.shard_attributes) a WHERE a <> ALL (index.id_attributes));
COMMENT ON FUNCTION vektonn._key(vektonn.index_def) IS 'the columns of an index''s key: its id attributes, and the shard attributes PostgreSQL wants in the key of a partitioned table';

CREATE FUNCTION vektonn._create_table(index vektonn.index_def, source vektonn.data_source, table_schema name, table_name text,
	partition_by text, key text[]) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF table_schema IS NULL THEN
		RAISE EXCEPTION 'no schema has been selected to create the index''s table in' USING ERRCODE = 'invalid_schema_name',
			HINT = 'Set search_path, or say table_schema => ''...''.';
	ELSIF octet_length(table_name) > 63 THEN
		RAISE EXCEPTION 'table name "%" is too long', table_name USING ERRCODE = 'name_too_long', HINT = 'Say table_name => ''...''.';
	END IF;
	EXECUTE format('CREATE TABLE %I.%I (%s, %I %s(%s) NOT NULL%s)%s', table_schema, table_name,
		(SELECT string_agg(format('%I %s NOT NULL', a.n, vektonn._sql_type(a.t)), ', ' ORDER BY a.o)
			FROM unnest(source.attribute_names, source.attribute_types) WITH ORDINALITY a (n, t, o)),
		index.vector_column, vektonn._vector_type(source), source.vector_dimension,
		', PRIMARY KEY (' || vektonn._quoted(key) || ')', ' PARTITION BY ' || partition_by);
	EXECUTE format('COMMENT ON TABLE %I.%I IS %L', table_schema, table_name,
		format('vektonn index %s, version %s', index.name, index.version));
	RETURN format('%I.%I', table_schema, table_name)::regclass;
END $$;
COMMENT ON FUNCTION vektonn._create_table(vektonn.index_def, vektonn.data_source, name, text, text, text[]) IS 'makes the table of an index';

-- An existing table serves when its columns hold what the data source sends.
CREATE FUNCTION vektonn._check_table(index vektonn.index_def, source vektonn.data_source) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wrong text;
	want text;
BEGIN
	IF (SELECT relkind FROM pg_class WHERE oid = index.target) NOT IN ('r', 'p') THEN
		RAISE EXCEPTION '"%" is not a table', index.target USING ERRCODE = 'wrong_object_type';
	ELSIF NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = index.target), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', index.target USING ERRCODE = 'insufficient_privilege';
	END IF;
	SELECT w.n, w.t INTO wrong, want FROM (
			SELECT a.n, replace(vektonn._sql_type(a.t), 'pg_catalog.', '') AS t, -1 AS typmod
				FROM unnest(source.attribute_names, source.attribute_types) a (n, t)
			UNION ALL SELECT index.vector_column, vektonn._vector_type(source), source.vector_dimension) w
		WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = index.target AND a.attname = w.n AND a.attnum > 0
			AND NOT a.attisdropped AND a.attnotnull AND (w.typmod = -1 OR a.atttypmod = w.typmod)
			AND (a.atttypid = to_regtype(w.t) OR w.t = 'text' AND a.atttypid = 'varchar'::regtype))
		LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'table % has no column "%" as the data source needs it', index.target, wrong USING ERRCODE = 'invalid_table_definition',
			DETAIL = format('It must be of type %s%s and NOT NULL.', want,
				CASE WHEN wrong = index.vector_column THEN format('(%s)', source.vector_dimension) ELSE '' END);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = index.target AND i.indisunique AND i.indimmediate AND i.indisvalid
			AND i.indpred IS NULL AND i.indexprs IS NULL
			AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C") FROM pg_attribute a
				WHERE a.attrelid = index.target AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
			= (SELECT array_agg(k ORDER BY k COLLATE "C") FROM unnest(index.id_attributes) k)) THEN
		RAISE EXCEPTION 'table % has no unique index on (%)', index.target, vektonn._quoted(index.id_attributes) USING ERRCODE = 'invalid_table_definition',
			HINT = 'The id attributes are its primary key, or the columns of another unique index.';
	END IF;
END $$;
COMMENT ON FUNCTION vektonn._check_table(vektonn.index_def, vektonn.data_source) IS 'an error unless the table can hold the data source''s points';

-- Without a topic, the points there are lie in the source's other indices.
CREATE FUNCTION vektonn._copy_points(index vektonn.index_def, source vektonn.data_source) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	other vektonn.index_def;
	columns text := vektonn._quoted(source.attribute_names);
BEGIN
	SELECT i.* INTO other FROM vektonn.index_def i JOIN pg_class c ON c.oid = i.target
		WHERE i.data_source_id = source.data_source_id AND source.server IS NULL
		ORDER BY cardinality(i.id_attributes) DESC, i.index_id LIMIT 1;
	IF FOUND THEN
		EXECUTE format('INSERT INTO %s (%s, %I) SELECT DISTINCT ON (%s) %s, %I FROM %s', index.target, columns, index.vector_column,
			vektonn._quoted(index.id_attributes), columns, other.vector_column, other.target);
	END IF;
END $$;
COMMENT ON FUNCTION vektonn._copy_points(vektonn.index_def, vektonn.data_source) IS 'fills the table of a new index of a source without a topic';

CREATE FUNCTION vektonn._has_index(index vektonn.index_def, operator_class text) RETURNS boolean
	LANGUAGE sql STABLE
	RETURN EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
		JOIN pg_opclass o ON o.oid = i.indclass[0]
		WHERE i.indrelid = index.target AND m.amname = 'vektonn' AND i.indisvalid AND i.indpred IS NULL AND o.opcname = operator_class
		AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C") FROM pg_attribute a
			WHERE a.attrelid = index.target AND a.attnum = ANY (i.indkey))
		= (SELECT array_agg(k ORDER BY k COLLATE "C") FROM unnest(index.split_attributes || index.vector_column::text) k));
COMMENT ON FUNCTION vektonn._has_index(vektonn.index_def, text) IS 'whether the table has the vektonn index already';

-- one_shard: of the topic's points only those that its CHECK constraint holds for.
CREATE FUNCTION vektonn._create_index_stream(index vektonn.index_def, source vektonn.data_source, stream_name text, target regclass,
	one_shard boolean, start text, on_error text, workers integer) RETURNS void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT vektonn.create_stream($3 || t.suffix, $4, source.server, t.topic, source.format, index.id_attributes,
		coalesce($6, 'earliest'), coalesce($7, 'dead_letter'), coalesce($8, 1),
		jsonb_strip_nulls(jsonb_build_object('columns', source.attribute_names || index.vector_column::text,
			'permanent_columns', source.permanent_attributes, 'vector_column', index.vector_column,
			'shard_constraint', CASE WHEN $5 THEN 'shard' END,
			-- Only a table that one stream fills is loaded first and indexed then.
			'bulk_load', CASE WHEN source.topic_attributes <> '{}' THEN false END)))
	FROM vektonn._topics(source) t;
$$;
COMMENT ON FUNCTION vektonn._create_index_stream(vektonn.index_def, vektonn.data_source, text, regclass, boolean, text, text, integer) IS
	'makes the stream that feeds an index, or one shard of it; one per topic';

CREATE FUNCTION vektonn.create_index(index_name text, index_version text, data_source_name text, data_source_version text,
	algorithm text DEFAULT 'L2', params jsonb DEFAULT '{}', id_attributes text[] DEFAULT NULL, split_attributes text[] DEFAULT '{}',
	table_name text DEFAULT NULL, target regclass DEFAULT NULL, vector_column name DEFAULT 'vector',
	start text DEFAULT 'earliest', on_error text DEFAULT 'dead_letter', workers integer DEFAULT 1,
	table_schema name DEFAULT current_schema(), shard_attributes text[] DEFAULT '{}', shards integer DEFAULT NULL,
	shard_map jsonb DEFAULT NULL, shard text DEFAULT NULL) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def;
	source vektonn.data_source := vektonn._data_source($3, $4);
	operator_class text;
	with_options text;
	map vektonn._shard[] := '{}';
	mine vektonn._shard;
BEGIN
	PERFORM vektonn._require_owner(source.owner, format('data source "%s" version "%s"', $3, $4));
	index.name := $1;
	index.version := $2;
	index.data_source_id := source.data_source_id;
	index.algorithm := $5;
	index.params := coalesce($6, '{}');
	index.split_attributes := coalesce($8, '{}');
	index.shard_attributes := coalesce($16, '{}');
	index.shard := $19;
	IF (index.shard_attributes = '{}') <> ($17 IS NULL AND $18 IS NULL) OR $17 NOT BETWEEN 1 AND 1024
			OR index.shard_attributes <> '{}' AND $10 IS NOT NULL THEN
		RAISE EXCEPTION 'shard_attributes and shards belong together' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'An index has 1 to 1024 shards, in a table of its own.',
			HINT = 'Say how many shards of equal size there are with shards, or describe each with shard_map.';
	END IF;
	index.id_attributes := coalesce($7, (SELECT array_agg(p ORDER BY o) FROM unnest(source.permanent_attributes) WITH ORDINALITY u (p, o)
		WHERE p <> ALL (index.split_attributes || coalesce($16, '{}'))), source.permanent_attributes);
	index.vector_column := coalesce($11, 'vector');
	PERFORM vektonn._check_index(index, source);
	SELECT a.metric, a.with_options INTO index.metric, with_options FROM vektonn._algorithm($5, index.params, source.sparse) a;
	IF EXISTS (SELECT FROM vektonn.index_def i WHERE i.name = $1 AND i.version = $2) THEN
		RAISE EXCEPTION 'Index IndexId { Name = %, Version = % } already exists', $1, $2 USING ERRCODE = 'duplicate_object';
	END IF;
	index.created_table := $10 IS NULL;
	IF index.shard_attributes <> '{}' THEN
		map := vektonn._shard_map(index, source, $17, $18);
		index.shard_method := (map[1]).method;
		index.shard_moduli := (map[1]).moduli;
		mine := vektonn._shard_of_map(map, source, index.shard);
	END IF;
	IF mine.name IS NOT NULL THEN
		-- One shard, on its node: a table of its own, which the index's key alone is the key of.
		index.target := vektonn._create_table(index, source, $15, coalesce($9, vektonn._table_name($1, $2)), NULL, index.id_attributes);
		EXECUTE format('ALTER TABLE %s ADD CONSTRAINT shard CHECK (%s)', index.target, mine.condition);
	ELSIF index.created_table THEN
		index.target := vektonn._create_table(index, source, $15, coalesce($9, vektonn._table_name($1, $2)),
			vektonn._partition_by(index), CASE WHEN NOT vektonn._feeds_each_shard(map) THEN vektonn._key(index) END);
		PERFORM vektonn._create_shard(index, source, shard_entry, map) FROM unnest(map) shard_entry;
		PERFORM vektonn._copy_points(index, source);
	ELSE
		index.target := $10;
		PERFORM vektonn._check_table(index, source);
	END IF;
	operator_class := CASE WHEN source.sparse THEN 'sparsevec_' ELSE 'vector_' END || index.metric || '_ops';
	IF index.created_table OR NOT vektonn._has_index(index, operator_class) THEN
		EXECUTE format('CREATE INDEX ON %s USING vektonn (%I @extschema@.%I%s)%s', index.target, index.vector_column, operator_class,
			coalesce(', ' || vektonn._quoted(index.split_attributes), ''), with_options);
	END IF;
	IF source.server IS NOT NULL AND NOT (mine.name IS NULL AND vektonn._feeds_each_shard(map)) THEN
		index.stream_name := format('%s %s', $1, $2);
		PERFORM vektonn._create_index_stream(index, source, index.stream_name, index.target, mine.name IS NOT NULL, $12, $13, $14);
	END IF;
	INSERT INTO vektonn.index_def (name, version, owner, data_source_id, target, vector_column, algorithm, metric, params,
		id_attributes, split_attributes, shard_attributes, shard_method, shard_moduli, shard, stream_name, is_current, created_table)
	VALUES (index.name, index.version, (SELECT relowner FROM pg_class WHERE oid = index.target), index.data_source_id, index.target,
		index.vector_column, index.algorithm, index.metric, index.params, index.id_attributes, index.split_attributes,
		index.shard_attributes, index.shard_method, index.shard_moduli, index.shard, index.stream_name,
		NOT EXISTS (SELECT FROM vektonn.index_def i WHERE i.name = $1 AND i.is_current), index.created_table)
	RETURNING index_id INTO index.index_id;
	IF $18 IS NOT NULL AND mine.name IS NULL THEN
		PERFORM vektonn._note_shard(index, source, shard_entry, map, $12, $13, $14) FROM unnest(map) shard_entry;
	END IF;
	RETURN index.target;
END $$;
COMMENT ON FUNCTION vektonn.create_index(text, text, text, text, text, jsonb, text[], text[], text, regclass, name, text, text, integer, name, text[], integer, jsonb, text) IS
	'makes an index of a data source: a table, or an existing one given as target, its vektonn index, and its stream';

CREATE FUNCTION vektonn.drop_index(index_name text, index_version text, if_exists boolean DEFAULT false, keep_table boolean DEFAULT false) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def;
BEGIN
	IF $3 AND NOT EXISTS (SELECT FROM vektonn.index_def i WHERE i.name = $1 AND i.version = $2) THEN
		RAISE NOTICE 'index "%" version "%" does not exist, skipping', $1, $2;
		RETURN;
	END IF;
	IF $2 IS NULL THEN
		RAISE EXCEPTION 'index_version must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	index := vektonn._index($1, $2);
	PERFORM vektonn._require_owner(index.owner, format('index "%s" version "%s"', $1, $2));
	-- The table before the stream, as its worker locks them: else they wait for each other.
	IF index.created_table AND NOT coalesce($4, false) AND EXISTS (SELECT FROM pg_class WHERE oid = index.target) THEN
		EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', index.target);
	END IF;
	PERFORM vektonn.drop_stream(n, if_exists => true) FROM unnest(vektonn._stream_names(index)) n;
	PERFORM vektonn._drop_status_tables(index);
	DELETE FROM vektonn.index_def i WHERE i.index_id = index.index_id;
	IF EXISTS (SELECT FROM pg_class WHERE oid = index.current_view) THEN
		EXECUTE format('DROP VIEW %s', index.current_view);
	END IF;
	IF index.created_table AND NOT coalesce($4, false) AND EXISTS (SELECT FROM pg_class WHERE oid = index.target) THEN
		EXECUTE format('DROP TABLE %s', index.target);
	END IF;
END $$;
COMMENT ON FUNCTION vektonn.drop_index(text, text, boolean, boolean) IS
	'ends an index: its stream, its definition, and its table unless that was there before or is kept';

CREATE FUNCTION vektonn._set_table_owner(target regclass, owner regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('ALTER %s %s OWNER TO %s', CASE (SELECT relkind FROM pg_class WHERE oid = target) WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
		target, owner);
END $$;
COMMENT ON FUNCTION vektonn._set_table_owner(regclass, regrole) IS 'gives a table, or foreign table, to another role';

CREATE FUNCTION vektonn.alter_index(index_name text, index_version text, new_version text DEFAULT NULL,
	new_owner regrole DEFAULT NULL, description text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def := vektonn._index($1, $2);
BEGIN
	PERFORM vektonn._require_owner(index.owner, format('index "%s" version "%s"', $1, $2));
	IF $3 IS NOT NULL THEN
		PERFORM vektonn._check_id('index', $1, $3);
		IF EXISTS (SELECT FROM vektonn.index_def i WHERE i.name = $1 AND i.version = $3 AND i.index_id <> index.index_id) THEN
			RAISE EXCEPTION 'Index IndexId { Name = %, Version = % } already exists', $1, $3 USING ERRCODE = 'duplicate_object';
		END IF;
		PERFORM vektonn.alter_stream(n, new_name => format('%s %s', $1, $3) || substr(n, length(format('%s %s', $1, $2)) + 1))
			FROM unnest(vektonn._stream_names(index)) n;
		UPDATE vektonn.shard_def d SET stream_name = format('%s %s', $1, $3) || substr(d.stream_name, length(format('%s %s', $1, $2)) + 1)
			WHERE d.index_id = index.index_id;
		index.stream_name := CASE WHEN index.stream_name IS NOT NULL THEN format('%s %s', $1, $3) END;
	END IF;
	IF $4 IS NOT NULL THEN
		PERFORM vektonn._set_table_owner(t, $4) FROM (SELECT index.target::oid UNION SELECT relid FROM pg_partition_tree(index.target)
			UNION SELECT d.status_table::oid FROM vektonn.shard_def d WHERE d.index_id = index.index_id) x (t) WHERE t IS NOT NULL;
		PERFORM vektonn.alter_stream(n) FROM unnest(vektonn._stream_names(index)) n;
	END IF;
	UPDATE vektonn.index_def i SET version = coalesce($3, i.version), owner = coalesce($4, i.owner),
		stream_name = CASE WHEN i.stream_name IS NOT NULL THEN format('%s %s', $1, coalesce($3, i.version)) END,
		description = coalesce($5, i.description) WHERE i.index_id = index.index_id;
END $$;
COMMENT ON FUNCTION vektonn.alter_index(text, text, text, regrole, text) IS
	'changes what is given: version, owner (of the table as well), description';

-- Readers of the view, and searches that name no version, go to another version in one statement.
CREATE FUNCTION vektonn.use_index_version(index_name text, index_version text, view_name text DEFAULT NULL) RETURNS regclass
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	index vektonn.index_def := vektonn._index($1, $2);
	before vektonn.index_def;
	qualified text;
BEGIN
	PERFORM vektonn._require_owner(index.owner, format('index "%s" version "%s"', $1, $2));
	SELECT * INTO before FROM vektonn.index_def i WHERE i.name = $1 AND i.is_current FOR UPDATE;
	IF EXISTS (SELECT FROM pg_class WHERE oid = before.current_view) THEN
		qualified := before.current_view::text;
	ELSE
		qualified := format('%I.%I', (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = index.target),
			coalesce($3, vektonn._table_name($1)));
		before.current_view := NULL;
	END IF;
	BEGIN
		EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS SELECT * FROM %s', qualified, index.target);
	EXCEPTION WHEN invalid_table_definition OR wrong_object_type THEN
		-- Other columns than the version before: only a new view can have them.
		IF before.current_view IS NULL THEN
			RAISE;
		END IF;
		EXECUTE format('DROP VIEW %s', qualified);
		EXECUTE format('CREATE VIEW %s WITH (security_invoker = true) AS SELECT * FROM %s', qualified, index.target);
	END;
	UPDATE vektonn.index_def i SET is_current = false, current_view = NULL WHERE i.name = $1 AND i.is_current;
	UPDATE vektonn.index_def i SET is_current = true, current_view = qualified::regclass WHERE i.index_id = index.index_id;
	RETURN qualified::regclass;
END $$;
COMMENT ON FUNCTION vektonn.use_index_version(text, text, text) IS
	'makes a version the current one: for searches that name none, and for the view of the index''s name';

CREATE VIEW vektonn.data_sources WITH (security_invoker = true) AS
	SELECT s.name, s.version, s.vector_dimension, s.sparse,
		(SELECT jsonb_object_agg(a.n, a.t) FROM unnest(s.attribute_names, s.attribute_types) a (n, t)) AS attribute_types,
		s.permanent_attributes, s.server, s.topic, s.format,
		(SELECT count(*) FROM vektonn.index_def i WHERE i.data_source_id = s.data_source_id) AS indices,
		(SELECT jsonb_object_agg(t.a, t.m) FROM unnest(s.topic_attributes, s.topic_moduli) t (a, m)) AS topic_shards,
		s.owner, s.description
	FROM vektonn.data_source s;
COMMENT ON VIEW vektonn.data_sources IS 'data sources';
GRANT SELECT ON vektonn.data_sources TO PUBLIC;

CREATE VIEW vektonn.indices WITH (security_invoker = true) AS
	SELECT i.name, i.version, i.is_current, s.name AS data_source_name, s.version AS data_source_version,
		i.algorithm, i.params, i.id_attributes, i.split_attributes, i.shard_attributes,
		CASE WHEN c.oid IS NOT NULL THEN i.target END AS target, i.vector_column, i.stream_name,
		CASE WHEN c.oid IS NULL THEN 'table dropped' WHEN i.stream_name IS NOT NULL THEN 'streaming'
			WHEN EXISTS (SELECT FROM vektonn.shard_def d WHERE d.index_id = i.index_id) THEN 'shards' ELSE 'no stream' END AS source, i.shard,
		i.owner, i.description
	FROM vektonn.index_def i JOIN vektonn.data_source s USING (data_source_id) LEFT JOIN pg_class c ON c.oid = i.target;
COMMENT ON VIEW vektonn.indices IS 'indices; vektonn.stream_status has the state of their streams';
GRANT SELECT ON vektonn.indices TO PUBLIC;
