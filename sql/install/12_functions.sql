-- Functions of one vector.

CREATE FUNCTION @extschema@.vector_dims(@extschema@.vector) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_vector_dims' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_dims(@extschema@.vector) IS 'number of dimensions';

CREATE FUNCTION @extschema@.vector_norm(@extschema@.vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vk_vector_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_norm(@extschema@.vector) IS 'Euclidean length';

CREATE FUNCTION @extschema@.l2_norm(@extschema@.vector) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vk_vector_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.l2_norm(@extschema@.vector) IS 'Euclidean length';

CREATE FUNCTION @extschema@.l2_normalize(@extschema@.vector) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.l2_normalize(@extschema@.vector) IS 'the vector of length 1 in the same direction';

CREATE FUNCTION @extschema@.binary_quantize(@extschema@.vector) RETURNS bit
	AS 'MODULE_PATHNAME', 'vk_vector_quantize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.binary_quantize(@extschema@.vector) IS 'one bit per element, 1 where it is positive';

CREATE FUNCTION @extschema@.subvector(@extschema@.vector, integer, integer) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_subvector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.subvector(@extschema@.vector, integer, integer) IS 'the elements from a position (from 1), as many as said';

CREATE FUNCTION @extschema@.vector_dims(@extschema@.halfvec) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_halfvec_dims' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_dims(@extschema@.halfvec) IS 'number of dimensions';

CREATE FUNCTION @extschema@.l2_norm(@extschema@.halfvec) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vk_halfvec_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.l2_norm(@extschema@.halfvec) IS 'Euclidean length';

CREATE FUNCTION @extschema@.l2_normalize(@extschema@.halfvec) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.l2_normalize(@extschema@.halfvec) IS 'the vector of length 1 in the same direction';

CREATE FUNCTION @extschema@.binary_quantize(@extschema@.halfvec) RETURNS bit
	AS 'MODULE_PATHNAME', 'vk_halfvec_quantize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.binary_quantize(@extschema@.halfvec) IS 'one bit per element, 1 where it is positive';

CREATE FUNCTION @extschema@.subvector(@extschema@.halfvec, integer, integer) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_subvector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.subvector(@extschema@.halfvec, integer, integer) IS 'the elements from a position (from 1), as many as said';

CREATE FUNCTION @extschema@.l2_norm(@extschema@.sparsevec) RETURNS double precision
	AS 'MODULE_PATHNAME', 'vk_sparsevec_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.l2_norm(@extschema@.sparsevec) IS 'Euclidean length';

CREATE FUNCTION @extschema@.l2_normalize(@extschema@.sparsevec) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.l2_normalize(@extschema@.sparsevec) IS 'the vector of length 1 in the same direction';
