-- avg and sum: values, no rows, overflow, states by hand, parallel plans.
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/lib/errors.psql'
\i :errors
\pset format unaligned

SELECT expression, pg_temp.answer(replace('SELECT ' || expression, '@', 'vector')) AS vector,
	pg_temp.answer(replace('SELECT ' || expression, '@', 'halfvec')) AS halfvec
FROM unnest(ARRAY[
	$$avg(v) FROM unnest('{"[1,2,3]","[3,5,7]"}'::@[]) v$$, $$sum(v) FROM unnest('{"[1,2,3]","[3,5,7]"}'::@[]) v$$,
	$$avg(v) FROM unnest('{"[1,2,3]","[3,5,7]",NULL}'::@[]) v$$, $$sum(v) FROM unnest('{NULL,"[1,2,3]","[3,5,7]",NULL}'::@[]) v$$,
	$$avg(v) FROM unnest('{"[-0,0]","[-0,-0]"}'::@[]) v$$, $$avg(v) FROM unnest('{}'::@[]) v$$, $$sum(v) FROM unnest('{}'::@[]) v$$, $$avg(v) FROM unnest('{NULL}'::@[]) v$$,
	$$avg(v) FROM unnest('{"[1,2]","[3]"}'::@[]) v$$, $$sum(v) FROM unnest('{"[1,2]","[3]"}'::@[]) v$$,
	$$avg(v) FROM unnest('{"[1,65504]","[1,65504]"}'::@[]) v$$, $$sum(v) FROM unnest('{"[1,65504]","[1,65504]"}'::@[]) v$$,
	$$array_agg(a) FROM (SELECT avg(v) OVER (ORDER BY n) a FROM unnest('{"[1]","[3]","[8]"}'::@[]) WITH ORDINALITY u(v, n)) w$$,
	$$array_agg(a ORDER BY g) FROM (SELECT n % 2 AS g, avg(v) a FROM unnest('{"[1]","[3]","[8]"}'::@[]) WITH ORDINALITY u(v, n) GROUP BY 1) w$$,
	$$avg(v) FILTER (WHERE false) FROM unnest('{"[1]"}'::@[]) v$$, $$avg(DISTINCT v) FROM unnest('{"[1]","[1]","[4]"}'::@[]) v$$
]) WITH ORDINALITY e(expression, n) ORDER BY n;
SELECT avg(v), pg_temp.answer($$SELECT sum(v) FROM unnest('{"[1,3e38]","[1,3e38]"}'::vector[]) v$$) FROM unnest('{"[1,3e38]","[1,3e38]"}'::vector[]) v;

-- the steps by hand leave their argument alone, and reject what is no state
SELECT vector_accum(s, '[1,2]'), vector_combine(s, s), vector_combine('{0}', s), vector_combine(s, '{0}'), vector_avg(s), s
FROM (SELECT '{2,10,20}'::float8[] AS s) q;
SELECT expression, pg_temp.answer('SELECT ' || expression) FROM unnest(ARRAY[
	$$vector_accum('{}', '[1]')$$, $$vector_accum('{1,NULL}', '[1]')$$, $$vector_accum('{{1,2}}', '[1]')$$, $$vector_accum('{1,2,3}', '[1]')$$,
	$$vector_accum('{1,1e308}', '[1]')$$, $$vector_accum('{1,Infinity}', '[1]')$$, $$vector_combine('{1,1e308}', '{1,1e308}')$$, $$vector_combine('{1,2,3}', '{1,2}')$$,
	$$vector_combine('{}', '{1}')$$, $$vector_avg('{0}')$$, $$vector_avg('{0,0}')$$, $$vector_avg('{1}')$$, $$vector_avg('{1,NaN}')$$, $$vector_avg('{1,1e39}')$$, $$vector_avg('{NaN,1}')$$,
	$$halfvec_avg('{1,65520}')$$, $$halfvec_avg(array_fill(0::float8, ARRAY[16002]))$$, $$vector_accum(array_fill(0::float8, ARRAY[16002]), '[1]')$$, $$halfvec_accum('{1,2}', '[1]')$$, $$halfvec_combine('{1,2}', '{1,2}')$$
]) WITH ORDINALITY e(expression, n) ORDER BY n;

-- parallel: partial aggregates in workers, combined to the same result
CREATE TABLE types_parallel (g int, v vector(3), h halfvec(3));
INSERT INTO types_parallel SELECT i % 5, ARRAY[i % 1000, i % 7, 1], ARRAY[i % 100, i % 7, 1] FROM generate_series(1, 20000) i;
ANALYZE types_parallel;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT avg(v), avg(h), sum(v) FROM types_parallel;
SELECT avg(v), avg(h), sum(v), count(*) FROM types_parallel;
SELECT g, avg(v), avg(h) FROM types_parallel GROUP BY g ORDER BY g;
SET max_parallel_workers_per_gather = 0;
SELECT avg(v), avg(h), sum(v), count(*) FROM types_parallel;
DROP TABLE types_parallel;
