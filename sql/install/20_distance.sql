-- Distances: functions and operators, by metric.  The types are declared in
-- 10_*.sql; cost is in units of a cheap function call.

--@ for TYPE, COST
--@   vector, 5
--@   halfvec, 5
--@   sparsevec, 20
--@ do
--@ for NAME, DISTANCE, WORDS
--@   l2_distance, l2_distance, Euclidean distance
--@   l2_squared_distance, l2_squared_distance, square of the Euclidean distance
--@   {TYPE}_l2_squared_distance, l2_squared_distance, square of the Euclidean distance
--@   inner_product, inner_product, inner product
--@   {TYPE}_negative_inner_product, negative_inner_product, inner product with the sign changed: the largest comes first
--@   cosine_distance, cosine_distance, 1 - cosine of the angle; 1 if a vector is zero
--@   l1_distance, l1_distance, taxicab distance
--@ do
CREATE FUNCTION @extschema@.{NAME}(@extschema@.{TYPE}, @extschema@.{TYPE})
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_{DISTANCE}' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST {COST};
COMMENT ON FUNCTION @extschema@.{NAME}(@extschema@.{TYPE}, @extschema@.{TYPE}) IS '{WORDS}';

--@ done
--@ for SIGN, NAME, WORDS
--@   <->, l2_distance, Euclidean distance
--@   <#>, {TYPE}_negative_inner_product, negative inner product
--@   <=>, cosine_distance, cosine distance
--@   <+>, l1_distance, taxicab distance
--@ do
CREATE OPERATOR @extschema@.{SIGN} (LEFTARG = @extschema@.{TYPE}, RIGHTARG = @extschema@.{TYPE},
	FUNCTION = @extschema@.{NAME}, COMMUTATOR = OPERATOR(@extschema@.{SIGN}));
COMMENT ON OPERATOR @extschema@.{SIGN} (@extschema@.{TYPE}, @extschema@.{TYPE}) IS '{WORDS}';

--@ done
--@ done
-- Of some types only.

--@ for TYPE
--@   vector
--@   halfvec
--@ do
CREATE FUNCTION @extschema@.{TYPE}_spherical_distance(@extschema@.{TYPE}, @extschema@.{TYPE})
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_spherical_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.{TYPE}_spherical_distance(@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'angle between unit vectors, in half turns';

--@ done
CREATE FUNCTION @extschema@.jaccard_distance(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_jaccard_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.jaccard_distance(@extschema@.sparsevec, @extschema@.sparsevec) IS 'Jaccard distance of the sets of non-zero indices; 0 if both are empty';

CREATE OPERATOR @extschema@.<%> (LEFTARG = @extschema@.sparsevec, RIGHTARG = @extschema@.sparsevec,
	FUNCTION = @extschema@.jaccard_distance, COMMUTATOR = OPERATOR(@extschema@.<%>));
COMMENT ON OPERATOR @extschema@.<%> (@extschema@.sparsevec, @extschema@.sparsevec) IS 'Jaccard distance of the sets of non-zero indices';

-- What there is

CREATE FUNCTION vektonn.metrics(OUT metric text, OUT operator text, OUT title text,
		OUT dense boolean, OUT sparse boolean)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'vk_metrics' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 5;
COMMENT ON FUNCTION vektonn.metrics() IS
	'metrics: part of the operator class name, distance operator, and the kinds of vector it is defined on';

CREATE FUNCTION vektonn.kernel_in_use() RETURNS text
	AS 'MODULE_PATHNAME', 'vk_kernel_name' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION vektonn.kernel_in_use() IS
	'instruction set of the distance functions in this session';
