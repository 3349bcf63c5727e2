-- The index access method, its operator classes, and functions that look inside.

CREATE FUNCTION vektonn.am_handler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'vk_am_handler' LANGUAGE C;
COMMENT ON FUNCTION vektonn.am_handler(internal) IS 'handler of the vektonn index access method';

CREATE ACCESS METHOD vektonn TYPE INDEX HANDLER vektonn.am_handler;
COMMENT ON ACCESS METHOD vektonn IS 'nearest neighbours of vectors, within splits';

--@ for TYPE
--@   vector
--@   halfvec
--@   sparsevec
--@ do
CREATE FUNCTION vektonn.am_elem_{TYPE}(internal) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_am_elem_{TYPE}' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION vektonn.am_elem_{TYPE}(internal) IS 'element type of the operator classes of {TYPE}';

-- Operator classes of vectors: the strategy number is that of the metric.

--@ for METRIC, STRATEGY, SIGN, DEFAULT
--@   l2, 1, <->, DEFAULT
--@   ip, 2, <#>,
--@   cosine, 3, <=>,
--@   l1, 4, <+>,
--@ do
CREATE OPERATOR CLASS @extschema@.{TYPE}_{METRIC}_ops {DEFAULT} FOR TYPE @extschema@.{TYPE} USING vektonn AS
	OPERATOR {STRATEGY} @extschema@.{SIGN} (@extschema@.{TYPE}, @extschema@.{TYPE}) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_{TYPE}(internal);
COMMENT ON OPERATOR FAMILY @extschema@.{TYPE}_{METRIC}_ops USING vektonn IS 'ORDER BY {TYPE} {SIGN}';
COMMENT ON OPERATOR CLASS @extschema@.{TYPE}_{METRIC}_ops USING vektonn IS 'ORDER BY {TYPE} {SIGN}';

--@ done
--@ done
CREATE OPERATOR CLASS @extschema@.sparsevec_jaccard_ops FOR TYPE @extschema@.sparsevec USING vektonn AS
	OPERATOR 5 @extschema@.<%> (@extschema@.sparsevec, @extschema@.sparsevec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 vektonn.am_elem_sparsevec(internal);
COMMENT ON OPERATOR FAMILY @extschema@.sparsevec_jaccard_ops USING vektonn IS 'ORDER BY sparsevec <%>';
COMMENT ON OPERATOR CLASS @extschema@.sparsevec_jaccard_ops USING vektonn IS 'ORDER BY sparsevec <%>';

-- Operator classes of split columns: equality, and a hash that agrees with it.
-- Types in one family can be compared with each other.

--@ for FAMILY
--@   integer
--@   float
--@   bool
--@   numeric
--@   text
--@   uuid
--@   date
--@   timestamp
--@   timestamptz
--@   bytea
--@ do
CREATE OPERATOR FAMILY @extschema@.{FAMILY}_ops USING vektonn;
COMMENT ON OPERATOR FAMILY @extschema@.{FAMILY}_ops USING vektonn IS 'split columns: equality within a family of types';

--@ done
--@ for TYPE, FAMILY, HASH, ARGUMENT
--@   int2, integer, hashint2extended, int2
--@   int4, integer, hashint4extended, int4
--@   int8, integer, hashint8extended, int8
--@   float4, float, hashfloat4extended, float4
--@   float8, float, hashfloat8extended, float8
--@   bool, bool, hashcharextended, "char"
--@   numeric, numeric, hash_numeric_extended, numeric
--@   text, text, hashtextextended, text
--@   uuid, uuid, uuid_hash_extended, uuid
--@   date, date, hashint4extended, int4
--@   timestamp, timestamp, timestamp_hash_extended, timestamp
--@   timestamptz, timestamptz, timestamp_hash_extended, timestamp
--@   bytea, bytea, hashvarlenaextended, internal
--@ do
CREATE OPERATOR CLASS @extschema@.{TYPE}_ops DEFAULT FOR TYPE {TYPE} USING vektonn FAMILY @extschema@.{FAMILY}_ops AS
	OPERATOR 6 pg_catalog.= ({TYPE}, {TYPE}),
	FUNCTION 2 ({TYPE}, {TYPE}) pg_catalog.{HASH}({ARGUMENT}, int8);
COMMENT ON OPERATOR CLASS @extschema@.{TYPE}_ops USING vektonn IS 'split column of type {TYPE}';

--@ done
ALTER OPERATOR FAMILY @extschema@.integer_ops USING vektonn ADD
	OPERATOR 6 pg_catalog.= (int2, int4),
	OPERATOR 6 pg_catalog.= (int2, int8),
	OPERATOR 6 pg_catalog.= (int4, int2),
	OPERATOR 6 pg_catalog.= (int4, int8),
	OPERATOR 6 pg_catalog.= (int8, int2),
	OPERATOR 6 pg_catalog.= (int8, int4);

ALTER OPERATOR FAMILY @extschema@.float_ops USING vektonn ADD
	OPERATOR 6 pg_catalog.= (float4, float8),
	OPERATOR 6 pg_catalog.= (float8, float4);

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
