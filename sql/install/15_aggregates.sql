-- Aggregates.

--@ for TYPE
--@   vector
--@   halfvec
--@ do
CREATE FUNCTION @extschema@.{TYPE}_accum(double precision[], @extschema@.{TYPE}) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_accum(double precision[], @extschema@.{TYPE}) IS 'avg({TYPE}) transition function';

CREATE FUNCTION @extschema@.{TYPE}_combine(double precision[], double precision[]) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_combine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_combine(double precision[], double precision[]) IS 'avg({TYPE}) combine function';

CREATE FUNCTION @extschema@.{TYPE}_avg(double precision[]) RETURNS @extschema@.{TYPE}
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_avg' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_avg(double precision[]) IS 'avg({TYPE}) final function';

CREATE AGGREGATE @extschema@.avg(@extschema@.{TYPE}) (
	SFUNC = @extschema@.{TYPE}_accum,
	STYPE = double precision[],
	FINALFUNC = @extschema@.{TYPE}_avg,
	COMBINEFUNC = @extschema@.{TYPE}_combine,
	INITCOND = '{0}',
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.avg(@extschema@.{TYPE}) IS 'mean of each element; NULL without rows';

CREATE AGGREGATE @extschema@.sum(@extschema@.{TYPE}) (
	SFUNC = @extschema@.{TYPE}_add,
	STYPE = @extschema@.{TYPE},
	COMBINEFUNC = @extschema@.{TYPE}_add,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.sum(@extschema@.{TYPE}) IS 'sum of each element; NULL without rows';

--@ done
