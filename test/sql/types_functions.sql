-- Arithmetic and functions of the types, with their limits and errors.
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/lib/errors.psql'
\i :errors
\pset format unaligned

-- arithmetic, the same statements for both dense types
SELECT expression, pg_temp.answer(replace('SELECT ' || expression, '@', 'vector')) AS vector,
	pg_temp.answer(replace('SELECT ' || expression, '@', 'halfvec')) AS halfvec
FROM unnest(ARRAY[
	$$'[1,2,3]'::@ + '[4,5,6]'$$, $$'[1,2,3]'::@ - '[4,5,6.5]'$$, $$'[1,2,3]'::@ * '[4,5,-6]'$$, $$'[1,2,3]'::@ || '[4,5]'$$,
	$$'[0.1]'::@ + '[0.2]'$$, $$'[0.1]'::@ * '[0.1]'$$, $$'[2048]'::@ + '[1]'$$, $$'[2048]'::@ + '[3]'$$, $$'[1,2]'::@ * '[0,-0]'$$,
	$$'[65504]'::@ + '[15]'$$, $$'[65504]'::@ + '[16]'$$, $$'[1,65504]'::@ - '[1,-65504]'$$, $$'[1,300]'::@ * '[1,300]'$$, $$'[1e-4]'::@ * '[1e-4]'$$,
	$$'[1,2]'::@ + '[3]'$$, $$'[1,2]'::@ - '[3]'$$, $$'[1,2]'::@ * '[3]'$$, $$NULL + '[1]'::@$$,
	$$vector_dims(array_fill(1, ARRAY[9000])::@ || array_fill(1, ARRAY[7000])::@)$$, $$array_fill(1, ARRAY[9000])::@ || array_fill(1, ARRAY[7001])::@$$
]) WITH ORDINALITY e(expression, n) ORDER BY n;
SELECT expression, pg_temp.answer('SELECT ' || expression)
FROM unnest(ARRAY[
	$$'[1,3e38]'::vector + '[1,3e38]'$$, $$'[-3e38]'::vector - '[3e38]'$$, $$'[1,1e20]'::vector * '[1,1e20]'$$, $$'[1,1e-30]'::vector * '[1,1e-30]'$$,
	$$'[1e-20]'::vector * '[1e-20]'$$, $$'[1e-30]'::vector * '[0]'$$
]) WITH ORDINALITY e(expression, n) ORDER BY n;

-- functions
SELECT expression, pg_temp.answer(replace('SELECT ' || expression, '@', 'vector')) AS vector,
	pg_temp.answer(replace('SELECT ' || expression, '@', 'halfvec')) AS halfvec
FROM unnest(ARRAY[
	$$vector_dims('[1,2,3]'::@)$$, $$l2_norm('[3,4]'::@)$$, $$l2_norm('[0,1]'::@)$$, $$l2_norm('[0,0]'::@)$$, $$l2_norm('[2]'::@)$$,
	$$l2_normalize('[3,4]'::@)$$, $$l2_normalize('[3,0]'::@)$$, $$l2_normalize('[0,0.1]'::@)$$, $$l2_normalize('[0,0]'::@)$$, $$l2_normalize('[-0,0]'::@)$$,
	$$l2_normalize('[65504]'::@)$$, $$l2_normalize('[6e-8,-6e-8]'::@)$$,
	$$binary_quantize('[1,0,-1]'::@)$$, $$binary_quantize('[0,0.1,-0.2,-0.3,0.4,0.5,0.6,-0.7,0.8,-0.9,1]'::@)$$, $$binary_quantize('[-0]'::@)$$,
	$$binary_quantize(array_fill(1, ARRAY[16])::@)$$,
	$$subvector('[1,2,3,4,5]'::@, 1, 3)$$, $$subvector('[1,2,3,4,5]'::@, 3, 2)$$, $$subvector('[1,2,3,4,5]'::@, -1, 3)$$, $$subvector('[1,2,3,4,5]'::@, 3, 9)$$,
	$$subvector('[1,2,3,4,5]'::@, 1, 0)$$, $$subvector('[1,2,3,4,5]'::@, 3, -1)$$, $$subvector('[1,2,3,4,5]'::@, -1, 2)$$, $$subvector('[1,2,3,4,5]'::@, 6, 1)$$,
	$$subvector('[1,2,3,4,5]'::@, 2147483647, 2147483647)$$, $$subvector('[1,2,3,4,5]'::@, -2147483644, 2147483647)$$,
	$$subvector('[1,2,3,4,5]'::@, -2147483648, 2147483647)$$, $$subvector('[1,2,3,4,5]'::@, 2, 2147483647)$$
]) WITH ORDINALITY e(expression, n) ORDER BY n;
SELECT vector_norm('[3,4]'), vector_norm('[3e37,4e37]'), l2_norm('[3e37,4e37]'::vector), l2_normalize('[3e38]'::vector), l2_normalize('[1e-45,1e-45]'::vector);
SELECT l2_norm('{1:3,2:4}/9'::sparsevec), l2_norm('{}/9'::sparsevec), l2_norm('{1:3e37,9:4e37}/9'::sparsevec);
SELECT l2_normalize('{1:3,2:4}/9'::sparsevec), l2_normalize('{}/9'::sparsevec), l2_normalize('{1:3e38,2:1e-45}/9'::sparsevec),
	l2_normalize('{1:1e-45}/9'::sparsevec);

-- rounding of halfs: half-precision arithmetic, ties to even, of many pairs against the exact result in double precision
WITH half AS (SELECT i, ((i * 7919) % 2048 + 1) * 2.0::float8 ^ ((i * 31) % 20 - 14) AS x, ((i * 104729) % 2048 + 1) * 2.0::float8 ^ ((i * 17) % 20 - 14) AS y
	FROM generate_series(1, 4000) i)
SELECT count(*), count(*) FILTER (WHERE halfvec_send(ARRAY[x]::halfvec + ARRAY[y]::halfvec) <> halfvec_send(ARRAY[x + y]::halfvec)) AS sums_differ,
	count(*) FILTER (WHERE halfvec_send(ARRAY[x]::halfvec - ARRAY[y]::halfvec) <> halfvec_send(ARRAY[x - y]::halfvec)) AS differences_differ
FROM half WHERE x + y < 60000;
