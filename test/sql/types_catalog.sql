-- What every object of the extension promises: functions of the vector types
-- are immutable, strict and parallel safe; every object has a comment.
\pset format unaligned

-- functions that take or return a vector (or are support functions of one)
CREATE TEMP VIEW member AS
SELECT classid, objid FROM pg_depend JOIN pg_extension e ON e.oid = refobjid AND extname = 'vektonn'
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e';
CREATE TEMP VIEW vector_function AS
SELECT p.* FROM pg_proc p JOIN member m ON classid = 'pg_proc'::regclass AND objid = p.oid
WHERE pronamespace = 'public'::regnamespace;
SELECT oid::regprocedure AS function, prokind, provolatile, proisstrict, proparallel FROM vector_function
WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') AND prokind = 'f' AND (provolatile <> 'i' OR NOT proisstrict OR proparallel <> 's')
	AND prorettype <> 'index_am_handler'::regtype;
SELECT oid::regprocedure AS aggregate, provolatile, proparallel, aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype, agginitval
FROM vector_function JOIN pg_aggregate ON aggfnoid = oid ORDER BY oid::regprocedure::text COLLATE "C";
-- commutators and negators are mutual, estimators are set
SELECT o.oid::regoperator, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin
FROM pg_operator o JOIN member ON classid = 'pg_operator'::regclass AND objid = o.oid
WHERE oprresult = 'boolean'::regtype ORDER BY o.oid::regoperator::text COLLATE "C";
SELECT o.oid::regoperator, oprcom::regoperator FROM pg_operator o JOIN member ON classid = 'pg_operator'::regclass AND objid = o.oid
WHERE (oprcom = 0 AND oprname NOT IN ('-', '||')) OR oprcode = 0;

-- no object without a comment (a type's own array type and a table's row type have none)
SELECT pg_describe_object(classid, objid, 0) FROM member
WHERE coalesce(obj_description(objid, classid::regclass::text::name), '') = ''
	AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t WHERE t.oid = objid AND (t.typelem <> 0 AND t.typcategory = 'A' OR t.typrelid <> 0)))
ORDER BY 1;
