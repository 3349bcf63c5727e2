-- Arithmetic of the dense types, element by element, and concatenation.

--@ for TYPE
--@   vector
--@   halfvec
--@ do
CREATE FUNCTION @extschema@.{TYPE}_add(@extschema@.{TYPE}, @extschema@.{TYPE}) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_add' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_add(@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'implementation of + operator';
CREATE OPERATOR @extschema@.+ (
	LEFTARG = @extschema@.{TYPE}, RIGHTARG = @extschema@.{TYPE}, FUNCTION = @extschema@.{TYPE}_add,
	COMMUTATOR = OPERATOR(@extschema@.+)
);
COMMENT ON OPERATOR @extschema@.+ (@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'sum of each pair of elements';

CREATE FUNCTION @extschema@.{TYPE}_sub(@extschema@.{TYPE}, @extschema@.{TYPE}) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_sub' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_sub(@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'implementation of - operator';
CREATE OPERATOR @extschema@.- (
	LEFTARG = @extschema@.{TYPE}, RIGHTARG = @extschema@.{TYPE}, FUNCTION = @extschema@.{TYPE}_sub
);
COMMENT ON OPERATOR @extschema@.- (@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'difference of each pair of elements';

CREATE FUNCTION @extschema@.{TYPE}_mul(@extschema@.{TYPE}, @extschema@.{TYPE}) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_mul' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_mul(@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'implementation of * operator';
CREATE OPERATOR @extschema@.* (
	LEFTARG = @extschema@.{TYPE}, RIGHTARG = @extschema@.{TYPE}, FUNCTION = @extschema@.{TYPE}_mul,
	COMMUTATOR = OPERATOR(@extschema@.*)
);
COMMENT ON OPERATOR @extschema@.* (@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'product of each pair of elements';

CREATE FUNCTION @extschema@.{TYPE}_concat(@extschema@.{TYPE}, @extschema@.{TYPE}) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_concat' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_concat(@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'implementation of || operator';
CREATE OPERATOR @extschema@.|| (
	LEFTARG = @extschema@.{TYPE}, RIGHTARG = @extschema@.{TYPE}, FUNCTION = @extschema@.{TYPE}_concat
);
COMMENT ON OPERATOR @extschema@.|| (@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'the elements of both, one after the other';

--@ done
