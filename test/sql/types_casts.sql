-- Type modifiers and casts: which there are, what they do, how they fail.
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/lib/errors.psql'
\i :errors
\pset format unaligned

-- the type modifier is one number in the limits of the type
SELECT type || modifier AS modified, pg_temp.answer(format('SELECT NULL::%s%s', type, modifier)) AS answer
FROM unnest('{vector,halfvec,sparsevec}'::text[]) WITH ORDINALITY t(type, m),
	unnest('{(3),(1),(16000),(0),(-1),(16001),(1000000000),(1000000001),"(3,2)",(a),(),(99999999999)}'::text[]) WITH ORDINALITY u(modifier, n)
ORDER BY m, n;

-- it is enforced on casts and assignments, of values and arrays
CREATE TEMP TABLE t (v vector(3), h halfvec(3), s sparsevec(3), vs vector(2)[]);
INSERT INTO t VALUES ('[1,2,3]', '[1,2,3]', '{1:1}/3', '{"[1,2]"}');
INSERT INTO t SELECT ARRAY[1,2,3], '{1,2,3}'::real[], '{1,0,3}'::numeric[] FROM t;
INSERT INTO t (v, h) SELECT h, v FROM t LIMIT 1;
SELECT * FROM t;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
SELECT column_name, pg_temp.answer(format('INSERT INTO t (%I) VALUES (%L)', column_name, literal)) AS insert
FROM (VALUES (1, 'v', '[1,2]'), (2, 'v', '[1,2,3,4]'), (3, 'h', '[1]'), (4, 's', '{1:1}/2'), (5, 'vs', '{"[1,2]","[1]"}')) v(n, column_name, literal) ORDER BY n;
SELECT statement, pg_temp.answer(statement) FROM unnest(ARRAY[
	$$SELECT '[1,2]'::vector::vector(3)$$, $$SELECT '[1,2]'::halfvec::halfvec(3)$$, $$SELECT '{}/2'::sparsevec::sparsevec(3)$$,
	$$SELECT '[1,2]'::vector::halfvec(3)$$, $$SELECT '[1,2]'::halfvec::vector(3)$$, $$SELECT '[1,2]'::vector::sparsevec(3)$$,
	$$SELECT '[1,2]'::halfvec::sparsevec(3)$$, $$SELECT '{}/2'::sparsevec::vector(3)$$, $$SELECT '{}/2'::sparsevec::halfvec(3)$$,
	$$SELECT ARRAY[1,2]::vector(3)$$, $$SELECT ARRAY[1,2]::halfvec(3)$$, $$SELECT ARRAY[1,2]::sparsevec(3)$$,
	$$SELECT '{"[1,2]"}'::vector[]::vector(3)[]$$]) statement;

-- every cast there is: i implicit, a on assignment
SELECT castsource::regtype AS source, casttarget::regtype AS target, castcontext AS context, castfunc::regprocedure AS function
FROM pg_cast WHERE 'vector'::regtype IN (castsource, casttarget) OR 'halfvec'::regtype IN (castsource, casttarget)
	OR 'sparsevec'::regtype IN (castsource, casttarget)
ORDER BY casttarget::regtype::text COLLATE "C", castsource::regtype::text COLLATE "C";

-- from arrays: every element type, every vector type, values and errors
SELECT array_type, literal, pg_temp.answer(format('SELECT %L::%s::vector', literal, array_type)) AS vector,
	pg_temp.answer(format('SELECT %L::%s::halfvec', literal, array_type)) AS halfvec,
	pg_temp.answer(format('SELECT %L::%s::sparsevec', literal, array_type)) AS sparsevec
FROM (VALUES
	(1, 'integer[]', '{1,0,-3}'), (2, 'real[]', '{1,0,-2.5}'), (3, 'double precision[]', '{1,0,-2.5}'), (4, 'numeric[]', '{1,0,-2.5}'),
	(5, 'integer[]', '{16777217,2049,65519}'), (6, 'integer[]', '{1,2147483647}'), (7, 'real[]', '[5:6]={7,8}'),
	(8, 'numeric[]', '{1e-50,123456789012345678901234567890,0.000000001}'), (9, 'numeric[]', '{1,1e39}'), (10, 'numeric[]', '{1,NaN}'),
	(11, 'numeric[]', '{Infinity}'), (12, 'double precision[]', '{1e-46,4e38,-4e38}'), (13, 'double precision[]', '{1,NaN}'),
	(14, 'double precision[]', '{-Infinity}'), (15, 'real[]', '{1,NaN}'), (16, 'real[]', '{1,-Infinity}'), (17, 'real[]', '{65520}'),
	(18, 'real[]', '{}'), (19, 'integer[]', '{}'), (20, 'real[]', '{1,NULL,3}'), (21, 'numeric[]', '{NULL}'), (22, 'real[]', '{{1},{2}}'),
	(23, 'real[]', '{{1,2}}')) v(n, array_type, literal) ORDER BY n;
SELECT type, pg_temp.answer(format('SELECT length(array_fill(1, ARRAY[16000])::%s::text) > 0', type)) AS most,
	pg_temp.answer(format('SELECT array_fill(1, ARRAY[16001])::%s', type)) AS too_many,
	pg_temp.answer(format('SELECT l2_norm(array_fill(0, ARRAY[16001])::%s)', type)) AS zeros
FROM unnest('{vector,halfvec,sparsevec}'::text[]) type;
-- the context tells which numeric does not fit
SELECT '{1,1e39}'::numeric[]::vector;
-- by hand, with what no cast would pass
SELECT pg_temp.answer($$SELECT array_to_vector('{1,2}'::real[], 3, true)$$), pg_temp.answer($$SELECT array_to_vector('{1,2}'::real[], -1, false)$$);

-- to arrays and between the types
SELECT '[1,-2.5]'::vector::real[], '[0.1,65504]'::halfvec::real[], array_dims('[1,2,3]'::vector::real[]);
SELECT '[0.1,1e-8,0,-0]'::vector::halfvec, '[0.1]'::halfvec::vector, '[0,1,0,-0,2]'::vector::sparsevec, '[0,1,0,2]'::halfvec::sparsevec,
	'{2:0.1}/3'::sparsevec::vector, '{2:0.1,3:1e-8}/3'::sparsevec::halfvec;
SELECT statement, pg_temp.answer(statement) FROM unnest(ARRAY[
	$$SELECT '[1,65520]'::vector::halfvec$$, $$SELECT '{1:1,3:-70000}/3'::sparsevec::halfvec$$, $$SELECT '{}/16001'::sparsevec::vector$$,
	$$SELECT '{}/16001'::sparsevec::halfvec$$, $$SELECT vector_dims('{}/16000'::sparsevec::vector)$$, $$SELECT '{}/3'::sparsevec::real[]$$,
	$$SELECT '[1]'::text::vector$$, $$SELECT '[1]'::vector::integer[]$$]) statement;

-- implicit casts let a vector go where a halfvec, sparsevec or real[] is wanted
CREATE FUNCTION pg_temp.total(real[]) RETURNS real LANGUAGE sql AS 'SELECT sum(x) FROM unnest($1) x';
SELECT halfvec_send('[1,2]'::vector), sparsevec_send('[0,2]'::vector), sparsevec_send('[0,2]'::halfvec), pg_temp.total('[1,2]'::vector);
SELECT pg_temp.answer($$SELECT vector_send('[1,2]'::halfvec)$$), pg_temp.answer($$SELECT vector_send('{1,2}'::real[])$$);
