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

CREATE TYPE @extschema@.vector;

CREATE FUNCTION @extschema@.vector_in(cstring, oid, integer) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_in(cstring, oid, integer) IS 'reads vector from text';

CREATE FUNCTION @extschema@.vector_out(@extschema@.vector) RETURNS cstring
	AS 'MODULE_PATHNAME', 'vk_vector_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_out(@extschema@.vector) IS 'writes vector as text';

CREATE FUNCTION @extschema@.vector_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_vector_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_typmod_in(cstring[]) IS 'checks the number of dimensions of vector(n)';

CREATE FUNCTION @extschema@.vector_recv(internal, oid, integer) RETURNS @extschema@.vector
	AS 'MODULE_PATHNAME', 'vk_vector_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_recv(internal, oid, integer) IS 'reads vector from binary';

CREATE FUNCTION @extschema@.vector_send(@extschema@.vector) RETURNS bytea
	AS 'MODULE_PATHNAME', 'vk_vector_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.vector_send(@extschema@.vector) IS 'writes vector as binary';

CREATE TYPE @extschema@.vector (
	INPUT = @extschema@.vector_in,
	OUTPUT = @extschema@.vector_out,
	TYPMOD_IN = @extschema@.vector_typmod_in,
	RECEIVE = @extschema@.vector_recv,
	SEND = @extschema@.vector_send,
	STORAGE = external
);
COMMENT ON TYPE @extschema@.vector IS 'a dense vector of real, 1 to 16,000 dimensions';

CREATE TYPE @extschema@.halfvec;

CREATE FUNCTION @extschema@.halfvec_in(cstring, oid, integer) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_in(cstring, oid, integer) IS 'reads halfvec from text';

CREATE FUNCTION @extschema@.halfvec_out(@extschema@.halfvec) RETURNS cstring
	AS 'MODULE_PATHNAME', 'vk_halfvec_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_out(@extschema@.halfvec) IS 'writes halfvec as text';

CREATE FUNCTION @extschema@.halfvec_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_halfvec_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_typmod_in(cstring[]) IS 'checks the number of dimensions of halfvec(n)';

CREATE FUNCTION @extschema@.halfvec_recv(internal, oid, integer) RETURNS @extschema@.halfvec
	AS 'MODULE_PATHNAME', 'vk_halfvec_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_recv(internal, oid, integer) IS 'reads halfvec from binary';

CREATE FUNCTION @extschema@.halfvec_send(@extschema@.halfvec) RETURNS bytea
	AS 'MODULE_PATHNAME', 'vk_halfvec_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.halfvec_send(@extschema@.halfvec) IS 'writes halfvec as binary';

CREATE TYPE @extschema@.halfvec (
	INPUT = @extschema@.halfvec_in,
	OUTPUT = @extschema@.halfvec_out,
	TYPMOD_IN = @extschema@.halfvec_typmod_in,
	RECEIVE = @extschema@.halfvec_recv,
	SEND = @extschema@.halfvec_send,
	STORAGE = external
);
COMMENT ON TYPE @extschema@.halfvec IS 'a dense vector of half-precision numbers, 1 to 16,000 dimensions';

CREATE TYPE @extschema@.sparsevec;

CREATE FUNCTION @extschema@.sparsevec_in(cstring, oid, integer) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec_in(cstring, oid, integer) IS 'reads sparsevec from text';

CREATE FUNCTION @extschema@.sparsevec_out(@extschema@.sparsevec) RETURNS cstring
	AS 'MODULE_PATHNAME', 'vk_sparsevec_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec_out(@extschema@.sparsevec) IS 'writes sparsevec as text';

CREATE FUNCTION @extschema@.sparsevec_typmod_in(cstring[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_sparsevec_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec_typmod_in(cstring[]) IS 'checks the number of dimensions of sparsevec(n)';

CREATE FUNCTION @extschema@.sparsevec_recv(internal, oid, integer) RETURNS @extschema@.sparsevec
	AS 'MODULE_PATHNAME', 'vk_sparsevec_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec_recv(internal, oid, integer) IS 'reads sparsevec from binary';

CREATE FUNCTION @extschema@.sparsevec_send(@extschema@.sparsevec) RETURNS bytea
	AS 'MODULE_PATHNAME', 'vk_sparsevec_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.sparsevec_send(@extschema@.sparsevec) IS 'writes sparsevec as binary';

CREATE TYPE @extschema@.sparsevec (
	INPUT = @extschema@.sparsevec_in,
	OUTPUT = @extschema@.sparsevec_out,
	TYPMOD_IN = @extschema@.sparsevec_typmod_in,
	RECEIVE = @extschema@.sparsevec_recv,
	SEND = @extschema@.sparsevec_send,
	STORAGE = external
);
COMMENT ON TYPE @extschema@.sparsevec IS 'a sparse vector of real: up to 16,000 non-zeros in up to 1,000,000,000 dimensions';
