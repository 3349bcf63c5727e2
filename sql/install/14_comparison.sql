-- Comparison, and the btree operator classes for ORDER BY, DISTINCT, GROUP BY.

--@ for TYPE
--@   vector
--@   halfvec
--@   sparsevec
--@ do
--@ for NAME, SIGN, COMMUTATOR, NEGATOR, ESTIMATOR, WORDS
--@   lt, <, >, >=, scalarlt, less than
--@   le, <=, >=, >, scalarle, less than or equal
--@   eq, =, =, <>, eq, equal
--@   ne, <>, <>, =, neq, not equal
--@   ge, >=, <=, <, scalarge, greater than or equal
--@   gt, >, <, <=, scalargt, greater than
--@ do
CREATE FUNCTION @extschema@.{TYPE}_{NAME}(@extschema@.{TYPE}, @extschema@.{TYPE}) RETURNS boolean
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_{NAME}' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_{NAME}(@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'implementation of {SIGN} operator';
CREATE OPERATOR @extschema@.{SIGN} (
	LEFTARG = @extschema@.{TYPE}, RIGHTARG = @extschema@.{TYPE}, FUNCTION = @extschema@.{TYPE}_{NAME},
	COMMUTATOR = OPERATOR(@extschema@.{COMMUTATOR}), NEGATOR = OPERATOR(@extschema@.{NEGATOR}),
	RESTRICT = {ESTIMATOR}sel, JOIN = {ESTIMATOR}joinsel
);
COMMENT ON OPERATOR @extschema@.{SIGN} (@extschema@.{TYPE}, @extschema@.{TYPE}) IS '{WORDS}';

--@ done
CREATE FUNCTION @extschema@.{TYPE}_cmp(@extschema@.{TYPE}, @extschema@.{TYPE}) RETURNS integer
	AS 'MODULE_PATHNAME', 'vk_{TYPE}_cmp' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.{TYPE}_cmp(@extschema@.{TYPE}, @extschema@.{TYPE}) IS 'less-equal-greater';
CREATE OPERATOR CLASS @extschema@.{TYPE}_ops DEFAULT FOR TYPE @extschema@.{TYPE} USING btree AS
	OPERATOR 1 @extschema@.<,
	OPERATOR 2 @extschema@.<=,
	OPERATOR 3 @extschema@.=,
	OPERATOR 4 @extschema@.>=,
	OPERATOR 5 @extschema@.>,
	FUNCTION 1 @extschema@.{TYPE}_cmp(@extschema@.{TYPE}, @extschema@.{TYPE});
COMMENT ON OPERATOR CLASS @extschema@.{TYPE}_ops USING btree IS 'order of {TYPE}: by elements, then dimensions';
COMMENT ON OPERATOR FAMILY @extschema@.{TYPE}_ops USING btree IS 'order of {TYPE}: by elements, then dimensions';

--@ done
