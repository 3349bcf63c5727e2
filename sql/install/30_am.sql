-- The index access method, its operator classes, and functions that look inside.

CREATE FUNCTION vektonn.am_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'vk_am_handler' LANGUAGE C;
COMMENT ON FUNCTION vektonn.am_handler(internal) IS 'handler of the vektonn index access method';

CREATE ACCESS METHOD vektonn TYPE INDEX HANDLER vektonn.am_handler;
COMMENT ON ACCESS METHOD vektonn IS 'nearest neighbours of vectors, within splits';

CREATE FUNCTION vektonn.am_elem_vector(internal) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_am_elem_vector' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION vektonn.am_elem_vector(internal) IS 'element type of the operator classes of vector';

CREATE FUNCTION vektonn.am_elem_halfvec(internal) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_am_elem_halfvec' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION vektonn.am_elem_halfvec(internal) IS 'element type of the operator classes of halfvec';

CREATE FUNCTION vektonn.am_elem_sparsevec(internal) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_am_elem_sparsevec' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION vektonn.am_elem_sparsevec(internal) IS 'element type of the operator classes of sparsevec';

-- Operator classes of vectors: the strategy number is that of the metric.

CREATE OPERATOR CLASS @extschema@.vector_l2_ops DEFAULT FOR TYPE @extschema@.vector USING vektonn AS
	OPERATOR 1 @extschema@.<-> (@extschema@.vector, @extschema@.vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_vector(internal);
COMMENT ON OPERATOR FAMILY @extschema@.vector_l2_ops USING vektonn IS 'ORDER BY vector <->';
COMMENT ON OPERATOR CLASS @extschema@.vector_l2_ops USING vektonn IS 'ORDER BY vector <->';

CREATE OPERATOR CLASS @extschema@.vector_ip_ops FOR TYPE @extschema@.vector USING vektonn AS
	OPERATOR 2 @extschema@.<#> (@extschema@.vector, @extschema@.vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_vector(internal);
COMMENT ON OPERATOR FAMILY @extschema@.vector_ip_ops USING vektonn IS 'ORDER BY vector <#>';
COMMENT ON OPERATOR CLASS @extschema@.vector_ip_ops USING vektonn IS 'ORDER BY vector <#>';

CREATE OPERATOR CLASS @extschema@.vector_cosine_ops FOR TYPE @extschema@.vector USING vektonn AS
	OPERATOR 3 @extschema@.<=> (@extschema@.vector, @extschema@.vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_vector(internal);
COMMENT ON OPERATOR FAMILY @extschema@.vector_cosine_ops USING vektonn IS 'ORDER BY vector <=>';
COMMENT ON OPERATOR CLASS @extschema@.vector_cosine_ops USING vektonn IS 'ORDER BY vector <=>';

CREATE OPERATOR CLASS @extschema@.vector_l1_ops FOR TYPE @extschema@.vector USING vektonn AS
	OPERATOR 4 @extschema@.<+> (@extschema@.vector, @extschema@.vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_vector(internal);
COMMENT ON OPERATOR FAMILY @extschema@.vector_l1_ops USING vektonn IS 'ORDER BY vector <+>';
COMMENT ON OPERATOR CLASS @extschema@.vector_l1_ops USING vektonn IS 'ORDER BY vector <+>';

CREATE OPERATOR CLASS @extschema@.halfvec_l2_ops DEFAULT FOR TYPE @extschema@.halfvec USING vektonn AS
	OPERATOR 1 @extschema@.<-> (@extschema@.halfvec, @extschema@.halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_halfvec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.halfvec_l2_ops USING vektonn IS 'ORDER BY halfvec <->';
COMMENT ON OPERATOR CLASS @extschema@.halfvec_l2_ops USING vektonn IS 'ORDER BY halfvec <->';

CREATE OPERATOR CLASS @extschema@.halfvec_ip_ops FOR TYPE @extschema@.halfvec USING vektonn AS
	OPERATOR 2 @extschema@.<#> (@extschema@.halfvec, @extschema@.halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_halfvec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.halfvec_ip_ops USING vektonn IS 'ORDER BY halfvec <#>';
COMMENT ON OPERATOR CLASS @extschema@.halfvec_ip_ops USING vektonn IS 'ORDER BY halfvec <#>';

CREATE OPERATOR CLASS @extschema@.halfvec_cosine_ops FOR TYPE @extschema@.halfvec USING vektonn AS
	OPERATOR 3 @extschema@.<=> (@extschema@.halfvec, @extschema@.halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_halfvec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.halfvec_cosine_ops USING vektonn IS 'ORDER BY halfvec <=>';
COMMENT ON OPERATOR CLASS @extschema@.halfvec_cosine_ops USING vektonn IS 'ORDER BY halfvec <=>';

CREATE OPERATOR CLASS @extschema@.halfvec_l1_ops FOR TYPE @extschema@.halfvec USING vektonn AS
	OPERATOR 4 @extschema@.<+> (@extschema@.halfvec, @extschema@.halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_halfvec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.halfvec_l1_ops USING vektonn IS 'ORDER BY halfvec <+>';
COMMENT ON OPERATOR CLASS @extschema@.halfvec_l1_ops USING vektonn IS 'ORDER BY halfvec <+>';

-- Operator classes of split columns: equality, and a hash that agrees with it.

CREATE OPERATOR FAMILY @extschema@.integer_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.integer_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.int2_ops DEFAULT FOR TYPE int2 USING vektonn FAMILY @extschema@.integer_ops AS
	OPERATOR 6 pg_catalog.= (int2, int2),
	FUNCTION 2 (int2, int2) pg_catalog.hashint2extended(int2, int8);
COMMENT ON OPERATOR CLASS @extschema@.int2_ops USING vektonn IS 'split column of type int2';

CREATE OPERATOR CLASS @extschema@.int4_ops DEFAULT FOR TYPE int4 USING vektonn FAMILY @extschema@.integer_ops AS
	OPERATOR 6 pg_catalog.= (int4, int4),
	FUNCTION 2 (int4, int4) pg_catalog.hashint4extended(int4, int8);
COMMENT ON OPERATOR CLASS @extschema@.int4_ops USING vektonn IS 'split column of type int4';

CREATE OPERATOR CLASS @extschema@.int8_ops DEFAULT FOR TYPE int8 USING vektonn FAMILY @extschema@.integer_ops AS
	OPERATOR 6 pg_catalog.= (int8, int8),
	FUNCTION 2 (int8, int8) pg_catalog.hashint8extended(int8, int8);
COMMENT ON OPERATOR CLASS @extschema@.int8_ops USING vektonn IS 'split column of type int8';

ALTER OPERATOR FAMILY @extschema@.integer_ops USING vektonn ADD
	OPERATOR 6 pg_catalog.= (int2, int4),
	OPERATOR 6 pg_catalog.= (int2, int8),
	OPERATOR 6 pg_catalog.= (int4, int2),
	OPERATOR 6 pg_catalog.= (int4, int8),
	OPERATOR 6 pg_catalog.= (int8, int2),
	OPERATOR 6 pg_catalog.= (int8, int4);

CREATE OPERATOR FAMILY @extschema@.float_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.float_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.float4_ops DEFAULT FOR TYPE float4 USING vektonn FAMILY @extschema@.float_ops AS
	OPERATOR 6 pg_catalog.= (float4, float4),
	FUNCTION 2 (float4, float4) pg_catalog.hashfloat4extended(float4, int8);
COMMENT ON OPERATOR CLASS @extschema@.float4_ops USING vektonn IS 'split column of type float4';

CREATE OPERATOR CLASS @extschema@.float8_ops DEFAULT FOR TYPE float8 USING vektonn FAMILY @extschema@.float_ops AS
	OPERATOR 6 pg_catalog.= (float8, float8),
	FUNCTION 2 (float8, float8) pg_catalog.hashfloat8extended(float8, int8);
COMMENT ON OPERATOR CLASS @extschema@.float8_ops USING vektonn IS 'split column of type float8';

ALTER OPERATOR FAMILY @extschema@.float_ops USING vektonn ADD
	OPERATOR 6 pg_catalog.= (float4, float8),
	OPERATOR 6 pg_catalog.= (float8, float4);

CREATE OPERATOR FAMILY @extschema@.bool_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.bool_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.bool_ops DEFAULT FOR TYPE bool USING vektonn FAMILY @extschema@.bool_ops AS
	OPERATOR 6 pg_catalog.= (bool, bool),
	FUNCTION 2 (bool, bool) pg_catalog.hashcharextended("char", int8);
COMMENT ON OPERATOR CLASS @extschema@.bool_ops USING vektonn IS 'split column of type bool';

CREATE OPERATOR FAMILY @extschema@.numeric_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.numeric_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.numeric_ops DEFAULT FOR TYPE numeric USING vektonn FAMILY @extschema@.numeric_ops AS
	OPERATOR 6 pg_catalog.= (numeric, numeric),
	FUNCTION 2 (numeric, numeric) pg_catalog.hash_numeric_extended(numeric, int8);
COMMENT ON OPERATOR CLASS @extschema@.numeric_ops USING vektonn IS 'split column of type numeric';

CREATE OPERATOR FAMILY @extschema@.text_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.text_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.text_ops DEFAULT FOR TYPE text USING vektonn FAMILY @extschema@.text_ops AS
	OPERATOR 6 pg_catalog.= (text, text),
	FUNCTION 2 (text, text) pg_catalog.hashtextextended(text, int8);
COMMENT ON OPERATOR CLASS @extschema@.text_ops USING vektonn IS 'split column of type text';

CREATE OPERATOR FAMILY @extschema@.uuid_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.uuid_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.uuid_ops DEFAULT FOR TYPE uuid USING vektonn FAMILY @extschema@.uuid_ops AS
	OPERATOR 6 pg_catalog.= (uuid, uuid),
	FUNCTION 2 (uuid, uuid) pg_catalog.uuid_hash_extended(uuid, int8);
COMMENT ON OPERATOR CLASS @extschema@.uuid_ops USING vektonn IS 'split column of type uuid';

CREATE OPERATOR FAMILY @extschema@.date_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.date_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.date_ops DEFAULT FOR TYPE date USING vektonn FAMILY @extschema@.date_ops AS
	OPERATOR 6 pg_catalog.= (date, date),
	FUNCTION 2 (date, date) pg_catalog.hashint4extended(int4, int8);
COMMENT ON OPERATOR CLASS @extschema@.date_ops USING vektonn IS 'split column of type date';

CREATE OPERATOR FAMILY @extschema@.timestamp_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.timestamp_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.timestamp_ops DEFAULT FOR TYPE timestamp USING vektonn FAMILY @extschema@.timestamp_ops AS
	OPERATOR 6 pg_catalog.= (timestamp, timestamp),
	FUNCTION 2 (timestamp, timestamp) pg_catalog.timestamp_hash_extended(timestamp, int8);
COMMENT ON OPERATOR CLASS @extschema@.timestamp_ops USING vektonn IS 'split column of type timestamp';

CREATE OPERATOR FAMILY @extschema@.timestamptz_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.timestamptz_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.timestamptz_ops DEFAULT FOR TYPE timestamptz USING vektonn FAMILY @extschema@.timestamptz_ops AS
	OPERATOR 6 pg_catalog.= (timestamptz, timestamptz),
	FUNCTION 2 (timestamptz, timestamptz) pg_catalog.timestamp_hash_extended(timestamp, int8);
COMMENT ON OPERATOR CLASS @extschema@.timestamptz_ops USING vektonn IS 'split column of type timestamptz';

CREATE OPERATOR FAMILY @extschema@.bytea_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.bytea_ops USING vektonn IS 'split columns: equality within a family of types';

CREATE OPERATOR CLASS @extschema@.bytea_ops DEFAULT FOR TYPE bytea USING vektonn FAMILY @extschema@.bytea_ops AS
	OPERATOR 6 pg_catalog.= (bytea, bytea),
	FUNCTION 2 (bytea, bytea) pg_catalog.hashvarlenaextended(internal, int8);
COMMENT ON OPERATOR CLASS @extschema@.bytea_ops USING vektonn IS 'split column of type bytea';

-- Looking inside.

CREATE FUNCTION vektonn.index_info(index regclass,
	OUT algorithm text, OUT metric text, OUT type text, OUT dimensions integer,
	OUT row_count bigint, OUT splits bigint, OUT small_splits bigint,
	OUT pages bigint, OUT bytes bigint, OUT levels integer)
	AS 'MODULE_PATHNAME', 'vk_index_info' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION vektonn.index_info(regclass) IS 'what a vektonn index is and holds';

CREATE FUNCTION vektonn.check_index(index regclass) RETURNS bigint
	AS 'MODULE_PATHNAME', 'vk_check_index' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION vektonn.check_index(regclass) IS
	'verifies every invariant of a vektonn index; returns its number of rows';

CREATE FUNCTION vektonn.last_scan_stats(
	OUT passes bigint, OUT splits bigint, OUT codes bigint, OUT survivors bigint,
	OUT row_count bigint, OUT pages bigint)
	AS 'MODULE_PATHNAME', 'vk_scan_stats' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION vektonn.last_scan_stats() IS
	'what the last scan of a vektonn index in this session did';

CREATE VIEW vektonn.scan_stats AS SELECT * FROM vektonn.last_scan_stats();
COMMENT ON VIEW vektonn.scan_stats IS
	'what the last scan of a vektonn index in this session did: passes over the index; in the last of them splits searched, compact codes read, survivors of their bounds, rows compared exactly; pages accessed';
GRANT SELECT ON vektonn.scan_stats TO PUBLIC;
