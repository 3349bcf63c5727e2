-- The types vector, halfvec and sparsevec: I/O, type modifier, length coercion.

-- Another extension may have put a type of the same name into this schema; say
-- what to do, instead of failing somewhere in the middle.
DO $$
DECLARE
	taken text;
BEGIN
	SELECT string_agg(typname, ', ' ORDER BY typname) INTO taken FROM pg_catalog.pg_type
		WHERE typnamespace = '@extschema@'::pg_catalog.regnamespace
			AND typname IN ('vector', 'halfvec', 'sparsevec');
	IF taken IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
			MESSAGE = pg_catalog.format('types already exist in schema %s: %s', '@extschema@', taken),
			DETAIL = 'vektonn creates the types vector, halfvec and sparsevec in its schema.',
			HINT = 'Choose another schema: CREATE SCHEMA vk; CREATE EXTENSION vektonn SCHEMA vk.';
	END IF;
END $$;

--@ for TYPE, WORDS
--@   vector, a dense vector of real, 1 to 16,000 dimensions
--@   halfvec, a dense vector of half-precision numbers, 1 to 16,000 dimensions
--@   sparsevec, a sparse vector of real: up to 16,000 non-zeros in up to 1,000,000,000 dimensions
--@ do
CREATE TYPE @extschema@.{TYPE};

CREATE FUNCTION @extschema@.{TYPE}_in(cstring, oid, integer) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_in(cstring, oid, integer) IS 'reads {TYPE} from text';

CREATE FUNCTION @extschema@.{TYPE}_out(@extschema@.{TYPE}) RETURNS cstring
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_out(@extschema@.{TYPE}) IS 'writes {TYPE} as text';

CREATE FUNCTION @extschema@.{TYPE}_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_typmod_in(cstring[]) IS 'checks the number of dimensions of {TYPE}(n)';

CREATE FUNCTION @extschema@.{TYPE}_recv(internal, oid, integer) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_recv(internal, oid, integer) IS 'reads {TYPE} from binary';

CREATE FUNCTION @extschema@.{TYPE}_send(@extschema@.{TYPE}) RETURNS bytea
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_send(@extschema@.{TYPE}) IS 'writes {TYPE} as binary';

CREATE TYPE @extschema@.{TYPE} (
	INPUT = @extschema@.{TYPE}_in,
	OUTPUT = @extschema@.{TYPE}_out,
	TYPMOD_IN = @extschema@.{TYPE}_typmod_in,
	RECEIVE = @extschema@.{TYPE}_recv,
	SEND = @extschema@.{TYPE}_send,
	STORAGE = external
);
COMMENT ON TYPE @extschema@.{TYPE} IS '{WORDS}';

--@ done
