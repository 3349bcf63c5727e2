-- Casts: length coercion, from and to arrays, between the types.

--@ for TYPE
--@   vector
--@   halfvec
--@   sparsevec
--@ do
CREATE FUNCTION @extschema@.{TYPE}(@extschema@.{TYPE}, integer, boolean) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_coerce' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}(@extschema@.{TYPE}, integer, boolean) IS 'checks that {TYPE} has the dimensions of its type modifier';
CREATE CAST (@extschema@.{TYPE} AS @extschema@.{TYPE})
	WITH FUNCTION @extschema@.{TYPE}(@extschema@.{TYPE}, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (@extschema@.{TYPE} AS @extschema@.{TYPE}) IS 'checks that {TYPE} has the dimensions of its type modifier';

--@ for ARRAY
--@   integer[]
--@   real[]
--@   double precision[]
--@   numeric[]
--@ do
CREATE FUNCTION @extschema@.array_to_{TYPE}({ARRAY}, integer, boolean) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.array_to_{TYPE}({ARRAY}, integer, boolean) IS 'makes {TYPE} of {ARRAY}';
CREATE CAST ({ARRAY} AS @extschema@.{TYPE})
	WITH FUNCTION @extschema@.array_to_{TYPE}({ARRAY}, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST ({ARRAY} AS @extschema@.{TYPE}) IS 'makes {TYPE} of {ARRAY}';

--@ done
--@ done
--@ for TYPE, CONTEXT
--@   vector, IMPLICIT
--@   halfvec, ASSIGNMENT
--@ do
CREATE FUNCTION @extschema@.{TYPE}_to_float4(@extschema@.{TYPE}, integer, boolean) RETURNS real[]
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_to_float4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_to_float4(@extschema@.{TYPE}, integer, boolean) IS 'makes real[] of {TYPE}';
CREATE CAST (@extschema@.{TYPE} AS real[])
	WITH FUNCTION @extschema@.{TYPE}_to_float4(@extschema@.{TYPE}, integer, boolean) AS {CONTEXT};
COMMENT ON CAST (@extschema@.{TYPE} AS real[]) IS 'makes real[] of {TYPE}';

--@ done
--@ for FROM, TO, SYMBOL, CONTEXT, WORDS
--@   vector, halfvec, vk_vector_to_halfvec, IMPLICIT, rounds vector to halfvec
--@   halfvec, vector, vk_halfvec_to_vector, ASSIGNMENT, widens halfvec to vector
--@   vector, sparsevec, vk_vector_to_sparsevec, IMPLICIT, makes sparsevec of vector
--@   halfvec, sparsevec, vk_halfvec_to_sparsevec, IMPLICIT, makes sparsevec of halfvec
--@   sparsevec, vector, vk_vector_from_sparsevec, ASSIGNMENT, makes vector of sparsevec
--@   sparsevec, halfvec, vk_halfvec_from_sparsevec, ASSIGNMENT, makes halfvec of sparsevec
--@ do
CREATE FUNCTION @extschema@.{FROM}_to_{TO}(@extschema@.{FROM}, integer, boolean) RETURNS @extschema@.{TO}
	AS 'MODULE_PATHNAME', '{SYMBOL}' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{FROM}_to_{TO}(@extschema@.{FROM}, integer, boolean) IS '{WORDS}';
CREATE CAST (@extschema@.{FROM} AS @extschema@.{TO})
	WITH FUNCTION @extschema@.{FROM}_to_{TO}(@extschema@.{FROM}, integer, boolean) AS {CONTEXT};
COMMENT ON CAST (@extschema@.{FROM} AS @extschema@.{TO}) IS '{WORDS}';

--@ done
