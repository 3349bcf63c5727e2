-- Distances: functions and operators, by metric.  The types are declared in
-- 10_*.sql; cost is in units of a cheap function call.

-- Euclidean distance

CREATE FUNCTION @extschema@.l2_distance(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_l2_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.l2_distance(@extschema@.vector, @extschema@.vector) IS 'Euclidean distance';

CREATE FUNCTION @extschema@.l2_distance(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_l2_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.l2_distance(@extschema@.halfvec, @extschema@.halfvec) IS 'Euclidean distance';

CREATE FUNCTION @extschema@.l2_distance(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_l2_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.l2_distance(@extschema@.sparsevec, @extschema@.sparsevec) IS 'Euclidean distance';

CREATE FUNCTION @extschema@.l2_squared_distance(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.l2_squared_distance(@extschema@.vector, @extschema@.vector) IS 'square of the Euclidean distance';

CREATE FUNCTION @extschema@.l2_squared_distance(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.l2_squared_distance(@extschema@.halfvec, @extschema@.halfvec) IS 'square of the Euclidean distance';

CREATE FUNCTION @extschema@.l2_squared_distance(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.l2_squared_distance(@extschema@.sparsevec, @extschema@.sparsevec) IS 'square of the Euclidean distance';

CREATE FUNCTION @extschema@.vector_l2_squared_distance(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.vector_l2_squared_distance(@extschema@.vector, @extschema@.vector) IS 'square of the Euclidean distance';

CREATE FUNCTION @extschema@.halfvec_l2_squared_distance(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.halfvec_l2_squared_distance(@extschema@.halfvec, @extschema@.halfvec) IS 'square of the Euclidean distance';

CREATE FUNCTION @extschema@.sparsevec_l2_squared_distance(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.sparsevec_l2_squared_distance(@extschema@.sparsevec, @extschema@.sparsevec) IS 'square of the Euclidean distance';

CREATE OPERATOR @extschema@.<-> (LEFTARG = @extschema@.vector, RIGHTARG = @extschema@.vector,
	FUNCTION = @extschema@.l2_distance, COMMUTATOR = OPERATOR(@extschema@.<->));
COMMENT ON OPERATOR @extschema@.<-> (@extschema@.vector, @extschema@.vector) IS 'Euclidean distance';

CREATE OPERATOR @extschema@.<-> (LEFTARG = @extschema@.halfvec, RIGHTARG = @extschema@.halfvec,
	FUNCTION = @extschema@.l2_distance, COMMUTATOR = OPERATOR(@extschema@.<->));
COMMENT ON OPERATOR @extschema@.<-> (@extschema@.halfvec, @extschema@.halfvec) IS 'Euclidean distance';

CREATE OPERATOR @extschema@.<-> (LEFTARG = @extschema@.sparsevec, RIGHTARG = @extschema@.sparsevec,
	FUNCTION = @extschema@.l2_distance, COMMUTATOR = OPERATOR(@extschema@.<->));
COMMENT ON OPERATOR @extschema@.<-> (@extschema@.sparsevec, @extschema@.sparsevec) IS 'Euclidean distance';

-- Inner product

CREATE FUNCTION @extschema@.inner_product(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.inner_product(@extschema@.vector, @extschema@.vector) IS 'inner product';

CREATE FUNCTION @extschema@.inner_product(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.inner_product(@extschema@.halfvec, @extschema@.halfvec) IS 'inner product';

CREATE FUNCTION @extschema@.inner_product(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.inner_product(@extschema@.sparsevec, @extschema@.sparsevec) IS 'inner product';

CREATE FUNCTION @extschema@.vector_negative_inner_product(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_negative_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.vector_negative_inner_product(@extschema@.vector, @extschema@.vector) IS 'inner product with the sign changed: the largest comes first';

CREATE FUNCTION @extschema@.halfvec_negative_inner_product(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_negative_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.halfvec_negative_inner_product(@extschema@.halfvec, @extschema@.halfvec) IS 'inner product with the sign changed: the largest comes first';

CREATE FUNCTION @extschema@.sparsevec_negative_inner_product(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_negative_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.sparsevec_negative_inner_product(@extschema@.sparsevec, @extschema@.sparsevec) IS 'inner product with the sign changed: the largest comes first';

CREATE OPERATOR @extschema@.<#> (LEFTARG = @extschema@.vector, RIGHTARG = @extschema@.vector,
	FUNCTION = @extschema@.vector_negative_inner_product, COMMUTATOR = OPERATOR(@extschema@.<#>));
COMMENT ON OPERATOR @extschema@.<#> (@extschema@.vector, @extschema@.vector) IS 'negative inner product';

CREATE OPERATOR @extschema@.<#> (LEFTARG = @extschema@.halfvec, RIGHTARG = @extschema@.halfvec,
	FUNCTION = @extschema@.halfvec_negative_inner_product, COMMUTATOR = OPERATOR(@extschema@.<#>));
COMMENT ON OPERATOR @extschema@.<#> (@extschema@.halfvec, @extschema@.halfvec) IS 'negative inner product';

CREATE OPERATOR @extschema@.<#> (LEFTARG = @extschema@.sparsevec, RIGHTARG = @extschema@.sparsevec,
	FUNCTION = @extschema@.sparsevec_negative_inner_product, COMMUTATOR = OPERATOR(@extschema@.<#>));
COMMENT ON OPERATOR @extschema@.<#> (@extschema@.sparsevec, @extschema@.sparsevec) IS 'negative inner product';

-- Cosine

CREATE FUNCTION @extschema@.cosine_distance(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.cosine_distance(@extschema@.vector, @extschema@.vector) IS '1 - cosine of the angle; 1 if a vector is zero';

CREATE FUNCTION @extschema@.cosine_distance(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.cosine_distance(@extschema@.halfvec, @extschema@.halfvec) IS '1 - cosine of the angle; 1 if a vector is zero';

CREATE FUNCTION @extschema@.cosine_distance(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.cosine_distance(@extschema@.sparsevec, @extschema@.sparsevec) IS '1 - cosine of the angle; 1 if a vector is zero';

CREATE OPERATOR @extschema@.<=> (LEFTARG = @extschema@.vector, RIGHTARG = @extschema@.vector,
	FUNCTION = @extschema@.cosine_distance, COMMUTATOR = OPERATOR(@extschema@.<=>));
COMMENT ON OPERATOR @extschema@.<=> (@extschema@.vector, @extschema@.vector) IS 'cosine distance';

CREATE OPERATOR @extschema@.<=> (LEFTARG = @extschema@.halfvec, RIGHTARG = @extschema@.halfvec,
	FUNCTION = @extschema@.cosine_distance, COMMUTATOR = OPERATOR(@extschema@.<=>));
COMMENT ON OPERATOR @extschema@.<=> (@extschema@.halfvec, @extschema@.halfvec) IS 'cosine distance';

CREATE OPERATOR @extschema@.<=> (LEFTARG = @extschema@.sparsevec, RIGHTARG = @extschema@.sparsevec,
	FUNCTION = @extschema@.cosine_distance, COMMUTATOR = OPERATOR(@extschema@.<=>));
COMMENT ON OPERATOR @extschema@.<=> (@extschema@.sparsevec, @extschema@.sparsevec) IS 'cosine distance';

CREATE FUNCTION @extschema@.vector_spherical_distance(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_spherical_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.vector_spherical_distance(@extschema@.vector, @extschema@.vector) IS 'angle between unit vectors, in half turns';

CREATE FUNCTION @extschema@.halfvec_spherical_distance(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_spherical_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.halfvec_spherical_distance(@extschema@.halfvec, @extschema@.halfvec) IS 'angle between unit vectors, in half turns';

-- Taxicab distance

CREATE FUNCTION @extschema@.l1_distance(@extschema@.vector, @extschema@.vector)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_vector_l1_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.l1_distance(@extschema@.vector, @extschema@.vector) IS 'taxicab distance';

CREATE FUNCTION @extschema@.l1_distance(@extschema@.halfvec, @extschema@.halfvec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_halfvec_l1_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION @extschema@.l1_distance(@extschema@.halfvec, @extschema@.halfvec) IS 'taxicab distance';

CREATE FUNCTION @extschema@.l1_distance(@extschema@.sparsevec, @extschema@.sparsevec)
	RETURNS float8
	AS 'MODULE_PATHNAME', 'vk_sparsevec_l1_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION @extschema@.l1_distance(@extschema@.sparsevec, @extschema@.sparsevec) IS 'taxicab distance';

CREATE OPERATOR @extschema@.<+> (LEFTARG = @extschema@.vector, RIGHTARG = @extschema@.vector,
	FUNCTION = @extschema@.l1_distance, COMMUTATOR = OPERATOR(@extschema@.<+>));
COMMENT ON OPERATOR @extschema@.<+> (@extschema@.vector, @extschema@.vector) IS 'taxicab distance';

CREATE OPERATOR @extschema@.<+> (LEFTARG = @extschema@.halfvec, RIGHTARG = @extschema@.halfvec,
	FUNCTION = @extschema@.l1_distance, COMMUTATOR = OPERATOR(@extschema@.<+>));
COMMENT ON OPERATOR @extschema@.<+> (@extschema@.halfvec, @extschema@.halfvec) IS 'taxicab distance';

CREATE OPERATOR @extschema@.<+> (LEFTARG = @extschema@.sparsevec, RIGHTARG = @extschema@.sparsevec,
	FUNCTION = @extschema@.l1_distance, COMMUTATOR = OPERATOR(@extschema@.<+>));
COMMENT ON OPERATOR @extschema@.<+> (@extschema@.sparsevec, @extschema@.sparsevec) IS 'taxicab distance';

-- Jaccard distance

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
