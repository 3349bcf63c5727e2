-- Casts: length coercion, from and to arrays, between the types.
CREATE FUNCTION @extschema@.vector(@extschema@.vector, integer, boolean) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_coerce' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector(@extschema@.vector, integer, boolean) IS 'checks that vector has the dimensions of its type modifier';
CREATE CAST (@extschema@.vector AS @extschema@.vector)
	WITH FUNCTION @extschema@.vector(@extschema@.vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.vector AS @extschema@.vector) IS 'checks that vector has the dimensions of its type modifier';

CREATE FUNCTION @extschema@.halfvec(@extschema@.halfvec, integer, boolean) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_coerce' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec(@extschema@.halfvec, integer, boolean) IS 'checks that halfvec has the dimensions of its type modifier';
CREATE CAST (@extschema@.halfvec AS @extschema@.halfvec)
	WITH FUNCTION @extschema@.halfvec(@extschema@.halfvec, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.halfvec AS @extschema@.halfvec) IS 'checks that halfvec has the dimensions of its type modifier';

CREATE FUNCTION @extschema@.sparsevec(@extschema@.sparsevec, integer, boolean) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_coerce' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec(@extschema@.sparsevec, integer, boolean) IS 'checks that sparsevec has the dimensions of its type modifier';
CREATE CAST (@extschema@.sparsevec AS @extschema@.sparsevec)
	WITH FUNCTION @extschema@.sparsevec(@extschema@.sparsevec, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.sparsevec AS @extschema@.sparsevec) IS 'checks that sparsevec has the dimensions of its type modifier';

CREATE FUNCTION @extschema@.array_to_vector(integer[], integer, boolean) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_vector(integer[], integer, boolean) IS 'makes vector of integer[]';
CREATE CAST (integer[] AS @extschema@.vector)
	WITH FUNCTION @extschema@.array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS @extschema@.vector) IS 'makes vector of integer[]';

CREATE FUNCTION @extschema@.array_to_vector(real[], integer, boolean) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_vector(real[], integer, boolean) IS 'makes vector of real[]';
CREATE CAST (real[] AS @extschema@.vector)
	WITH FUNCTION @extschema@.array_to_vector(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS @extschema@.vector) IS 'makes vector of real[]';

CREATE FUNCTION @extschema@.array_to_vector(double precision[], integer, boolean) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_vector(double precision[], integer, boolean) IS 'makes vector of double precision[]';
CREATE CAST (double precision[] AS @extschema@.vector)
	WITH FUNCTION @extschema@.array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS @extschema@.vector) IS 'makes vector of double precision[]';

CREATE FUNCTION @extschema@.array_to_vector(numeric[], integer, boolean) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_vector(numeric[], integer, boolean) IS 'makes vector of numeric[]';
CREATE CAST (numeric[] AS @extschema@.vector)
	WITH FUNCTION @extschema@.array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS @extschema@.vector) IS 'makes vector of numeric[]';

CREATE FUNCTION @extschema@.array_to_halfvec(integer[], integer, boolean) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_halfvec(integer[], integer, boolean) IS 'makes halfvec of integer[]';
CREATE CAST (integer[] AS @extschema@.halfvec)
	WITH FUNCTION @extschema@.array_to_halfvec(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS @extschema@.halfvec) IS 'makes halfvec of integer[]';

CREATE FUNCTION @extschema@.array_to_halfvec(real[], integer, boolean) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_halfvec(real[], integer, boolean) IS 'makes halfvec of real[]';
CREATE CAST (real[] AS @extschema@.halfvec)
	WITH FUNCTION @extschema@.array_to_halfvec(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS @extschema@.halfvec) IS 'makes halfvec of real[]';

CREATE FUNCTION @extschema@.array_to_halfvec(double precision[], integer, boolean) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_halfvec(double precision[], integer, boolean) IS 'makes halfvec of double precision[]';
CREATE CAST (double precision[] AS @extschema@.halfvec)
	WITH FUNCTION @extschema@.array_to_halfvec(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS @extschema@.halfvec) IS 'makes halfvec of double precision[]';

CREATE FUNCTION @extschema@.array_to_halfvec(numeric[], integer, boolean) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_halfvec(numeric[], integer, boolean) IS 'makes halfvec of numeric[]';
CREATE CAST (numeric[] AS @extschema@.halfvec)
	WITH FUNCTION @extschema@.array_to_halfvec(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS @extschema@.halfvec) IS 'makes halfvec of numeric[]';

CREATE FUNCTION @extschema@.array_to_sparsevec(integer[], integer, boolean) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_sparsevec(integer[], integer, boolean) IS 'makes sparsevec of integer[]';
CREATE CAST (integer[] AS @extschema@.sparsevec)
	WITH FUNCTION @extschema@.array_to_sparsevec(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS @extschema@.sparsevec) IS 'makes sparsevec of integer[]';

CREATE FUNCTION @extschema@.array_to_sparsevec(real[], integer, boolean) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_sparsevec(real[], integer, boolean) IS 'makes sparsevec of real[]';
CREATE CAST (real[] AS @extschema@.sparsevec)
	WITH FUNCTION @extschema@.array_to_sparsevec(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS @extschema@.sparsevec) IS 'makes sparsevec of real[]';

CREATE FUNCTION @extschema@.array_to_sparsevec(double precision[], integer, boolean) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_sparsevec(double precision[], integer, boolean) IS 'makes sparsevec of double precision[]';
CREATE CAST (double precision[] AS @extschema@.sparsevec)
	WITH FUNCTION @extschema@.array_to_sparsevec(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS @extschema@.sparsevec) IS 'makes sparsevec of double precision[]';

CREATE FUNCTION @extschema@.array_to_sparsevec(numeric[], integer, boolean) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_sparsevec(numeric[], integer, boolean) IS 'makes sparsevec of numeric[]';
CREATE CAST (numeric[] AS @extschema@.sparsevec)
	WITH FUNCTION @extschema@.array_to_sparsevec(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS @extschema@.sparsevec) IS 'makes sparsevec of numeric[]';

CREATE FUNCTION @extschema@.vector_to_float4(@extschema@.vector, integer, boolean) RETURNS real[]
	AS 'MODULE_PATHNAME', 'vk_vector_to_float4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_to_float4(@extschema@.vector, integer, boolean) IS 'makes real[] of vector';
CREATE CAST (@extschema@.vector AS real[])
	WITH FUNCTION @extschema@.vector_to_float4(@extschema@.vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.vector AS real[]) IS 'makes real[] of vector';

CREATE FUNCTION @extschema@.halfvec_to_float4(@extschema@.halfvec, integer, boolean) RETURNS real[]
	AS 'MODULE_PATHNAME', 'vk_halfvec_to_float4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_to_float4(@extschema@.halfvec, integer, boolean) IS 'makes real[] of halfvec';
CREATE CAST (@extschema@.halfvec AS real[])
	WITH FUNCTION @extschema@.halfvec_to_float4(@extschema@.halfvec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (@extschema@.halfvec AS real[]) IS 'makes real[] of halfvec';

CREATE FUNCTION @extschema@.vector_to_halfvec(@extschema@.vector, integer, boolean) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_vector_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_to_halfvec(@extschema@.vector, integer, boolean) IS 'rounds vector to halfvec';
CREATE CAST (@extschema@.vector AS @extschema@.halfvec)
	WITH FUNCTION @extschema@.vector_to_halfvec(@extschema@.vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.vector AS @extschema@.halfvec) IS 'rounds vector to halfvec';

CREATE FUNCTION @extschema@.halfvec_to_vector(@extschema@.halfvec, integer, boolean) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_halfvec_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_to_vector(@extschema@.halfvec, integer, boolean) IS 'widens halfvec to vector';
CREATE CAST (@extschema@.halfvec AS @extschema@.vector)
	WITH FUNCTION @extschema@.halfvec_to_vector(@extschema@.halfvec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (@extschema@.halfvec AS @extschema@.vector) IS 'widens halfvec to vector';

CREATE FUNCTION @extschema@.vector_to_sparsevec(@extschema@.vector, integer, boolean) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_vector_to_sparsevec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_to_sparsevec(@extschema@.vector, integer, boolean) IS 'makes sparsevec of vector';
CREATE CAST (@extschema@.vector AS @extschema@.sparsevec)
	WITH FUNCTION @extschema@.vector_to_sparsevec(@extschema@.vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.vector AS @extschema@.sparsevec) IS 'makes sparsevec of vector';

CREATE FUNCTION @extschema@.halfvec_to_sparsevec(@extschema@.halfvec, integer, boolean) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_halfvec_to_sparsevec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_to_sparsevec(@extschema@.halfvec, integer, boolean) IS 'makes sparsevec of halfvec';
CREATE CAST (@extschema@.halfvec AS @extschema@.sparsevec)
	WITH FUNCTION @extschema@.halfvec_to_sparsevec(@extschema@.halfvec, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.halfvec AS @extschema@.sparsevec) IS 'makes sparsevec of halfvec';

CREATE FUNCTION @extschema@.sparsevec_to_vector(@extschema@.sparsevec, integer, boolean) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_from_sparsevec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec_to_vector(@extschema@.sparsevec, integer, boolean) IS 'makes vector of sparsevec';
CREATE CAST (@extschema@.sparsevec AS @extschema@.vector)
	WITH FUNCTION @extschema@.sparsevec_to_vector(@extschema@.sparsevec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (@extschema@.sparsevec AS @extschema@.vector) IS 'makes vector of sparsevec';

CREATE FUNCTION @extschema@.sparsevec_to_halfvec(@extschema@.sparsevec, integer, boolean) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_from_sparsevec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec_to_halfvec(@extschema@.sparsevec, integer, boolean) IS 'makes halfvec of sparsevec';
CREATE CAST (@extschema@.sparsevec AS @extschema@.halfvec)
	WITH FUNCTION @extschema@.sparsevec_to_halfvec(@extschema@.sparsevec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (@extschema@.sparsevec AS @extschema@.halfvec) IS 'makes halfvec of sparsevec';
