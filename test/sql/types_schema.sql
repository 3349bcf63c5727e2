-- Another type named vector: in the same schema CREATE EXTENSION stops and says
-- why; in another schema both live side by side.
\pset format unaligned
SET client_min_messages = warning;
DROP EXTENSION vektonn CASCADE;
RESET client_min_messages;
CREATE SCHEMA other;
CREATE SCHEMA "My Vectors";
CREATE DOMAIN other.halfvec AS real[];
CREATE TYPE other.vector AS (x real, y real);
CREATE FUNCTION other.less(other.vector, other.vector) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x < ($2).x';
CREATE OPERATOR other.< (LEFTARG = other.vector, RIGHTARG = other.vector, FUNCTION = other.less);
CREATE FUNCTION other.l2_norm(other.vector) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'the other'::text $$;
DO $$
DECLARE
	detail text;
	hint text;
BEGIN
	CREATE EXTENSION vektonn SCHEMA other;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RAISE NOTICE E'% %\n%\n%', SQLSTATE, SQLERRM, detail, hint;
END $$;
SELECT count(*) FROM pg_extension WHERE extname = 'vektonn';

-- in a schema of its own, whatever comes first in the path
SET search_path = other, public;
CREATE EXTENSION vektonn SCHEMA "My Vectors";
SELECT l2_norm('(1,2)'::vector), "My Vectors".l2_norm('[3,4]'::"My Vectors".vector), '(1,2)'::vector < '(2,1)'::vector AS less;
SET search_path = "My Vectors", other;
SELECT '[1,2]'::vector + '[1,2]', '[1,2]'::vector < '[1,3]' AS less, ARRAY[1,2]::vector(2)::halfvec, '(1,2)'::other.vector < '(2,1)'::other.vector AS less;
RESET search_path;
SELECT "My Vectors".avg(v), "My Vectors".sum(v::"My Vectors".halfvec) FROM unnest('{"[1,2]","[3,4]"}'::"My Vectors".vector[]) v;
SELECT '[1,2]'::"My Vectors".vector OPERATOR("My Vectors".*) '[3,4]', '{1,2}'::numeric[]::"My Vectors".sparsevec;
CREATE TEMP TABLE t (v "My Vectors".vector(2) PRIMARY KEY, o other.vector);
INSERT INTO t VALUES ('[2,1]', '(1,2)'), ('[1,2]', '(2,1)');
SELECT * FROM t ORDER BY v;
SELECT DISTINCT v FROM t ORDER BY v DESC;
-- nothing of the extension is outside its schema and the schema vektonn
SELECT DISTINCT coalesce(p.pronamespace, y.typnamespace, o.oprnamespace, c.opcnamespace)::regnamespace AS schema
FROM pg_depend d JOIN pg_extension e ON e.oid = refobjid AND extname = 'vektonn' AND refclassid = 'pg_extension'::regclass
LEFT JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid
LEFT JOIN pg_type y ON classid = 'pg_type'::regclass AND y.oid = objid
LEFT JOIN pg_operator o ON classid = 'pg_operator'::regclass AND o.oid = objid
LEFT JOIN pg_opclass c ON classid = 'pg_opclass'::regclass AND c.oid = objid
WHERE coalesce(p.pronamespace, y.typnamespace, o.oprnamespace, c.opcnamespace)::regnamespace::text <> 'vektonn';
DROP TABLE t;
SET client_min_messages = warning;
DROP EXTENSION vektonn;
DROP SCHEMA other, "My Vectors" CASCADE;
CREATE EXTENSION vektonn;
