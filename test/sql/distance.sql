-- Distances: values, special vectors, errors; that every kernel gives the same
-- bits; and that registry, operators and functions agree.
SET extra_float_digits = 1;

-- values that can be checked by hand
SELECT t.name, vector_l2, vector_ip, vector_cos, vector_l1
FROM (VALUES
	('3-4-5', vector '[0,0]' <-> '[3,4]', vector '[1,2]' <#> '[3,4]', vector '[1,1]' <=> '[-1,-1]', vector '[0,0]' <+> '[3,4]'),
	('equal', vector '[1,2]' <-> '[1,2]', vector '[1,2]' <#> '[1,2]', vector '[1,2]' <=> '[2,4]', vector '[1,2]' <+> '[1,2]'),
	('right angle', vector '[1,0]' <-> '[0,1]', vector '[1,0]' <#> '[0,1]', vector '[1,0]' <=> '[0,2]', vector '[1,0]' <+> '[0,1]')
) t (name, vector_l2, vector_ip, vector_cos, vector_l1);
SELECT t.name, half_l2, half_ip, half_cos, half_l1
FROM (VALUES
	('3-4-5', halfvec '[0,0]' <-> '[3,4]', halfvec '[1,2]' <#> '[3,4]', halfvec '[1,1]' <=> '[-1,-1]', halfvec '[0,0]' <+> '[3,4]'),
	('equal', halfvec '[1,2]' <-> '[1,2]', halfvec '[1,2]' <#> '[1,2]', halfvec '[1,2]' <=> '[2,4]', halfvec '[1,2]' <+> '[1,2]'),
	('65504', halfvec '[65504]' <-> '[-65504]', halfvec '[65504]' <#> '[65504]', halfvec '[65504]' <=> '[6e-8]', halfvec '[65504]' <+> '[-65504]')
) t (name, half_l2, half_ip, half_cos, half_l1);
SELECT t.name, sparse_l2, sparse_ip, sparse_cos, sparse_l1
FROM (VALUES
	('3-4-5', sparsevec '{}/9' <-> '{2:3,9:4}/9', sparsevec '{1:1,5:2}/9' <#> '{1:3,5:4}/9', sparsevec '{1:1,2:1}/9' <=> '{1:-1,2:-1}/9', sparsevec '{}/9' <+> '{2:3,9:4}/9'),
	('apart', sparsevec '{1:3}/9' <-> '{2:4}/9', sparsevec '{1:1}/9' <#> '{2:1}/9', sparsevec '{1:1}/9' <=> '{2:1}/9', sparsevec '{1:3}/9' <+> '{2:4}/9')
) t (name, sparse_l2, sparse_ip, sparse_cos, sparse_l1);
SELECT sparsevec '{1:1,2:1,3:1}/9' <%> '{2:5,3:5,4:5}/9' AS half, sparsevec '{1:1}/9' <%> '{1:7}/9' AS same_set,
	sparsevec '{1:1}/9' <%> '{2:1}/9' AS apart;
SELECT l2_squared_distance(vector '[0,0]', '[3,4]') AS squared, vector_l2_squared_distance('[0,0]', '[3,4]'),
	inner_product(vector '[1,2]', '[3,4]'), vector_spherical_distance('[1,0]', '[0,1]'),
	halfvec_spherical_distance('[1,0]', '[-1,0]');
SELECT l2_squared_distance(halfvec '[0,0]', '[3,4]'), l2_squared_distance(sparsevec '{}/2', '{1:3,2:4}/2'),
	inner_product(sparsevec '{1:2}/2', '{1:4}/2'), inner_product(halfvec '[2]', '[4]');

-- a zero vector is at cosine distance exactly 1 of everything, two empty sets are equal
SELECT vector '[0,0]' <=> '[1,2]' AS zero, vector '[0,0]' <=> '[0,0]' AS both, halfvec '[0]' <=> '[1]' AS half,
	sparsevec '{}/2' <=> '{1:1}/2' AS sparse, sparsevec '{}/2' <=> '{}/2' AS sparse_both, sparsevec '{}/2' <%> '{}/2' AS jaccard;

-- sums that do not fit a float are still right: no NaN, no false zero, infinity only for what no float can hold
SELECT vector '[3e38,0]' <-> '[-3e38,0]' AS l2, vector '[3e38]' <#> '[3e38]' AS ip, vector '[3e38]' <=> '[3e38]' AS cosine,
	vector '[3e38,3e38]' <+> '[-3e38,-3e38]' AS l1;
SELECT vector '[1e30,1e30]' <#> '[1e30,-1e30]' AS ip, vector '[1e-30]' <-> '[0]' AS l2, vector '[1e-40,0]' <=> '[0,1e-40]' AS apart,
	vector '[1e-30]' <=> '[1e30]' AS same;
SELECT l2_squared_distance(vector '[1e-30]', '[0]') AS tiny, l2_squared_distance(vector '[1e30]', '[-1e30]') AS huge;

SELECT vector '[3e30]' <-> '[-3e30]' AS l2, vector '[1e20,0]' <#> '[-1e20,0]' AS ip, sparsevec '{1:3e38}/2' <-> '{1:-3e38}/2' AS sparse_l2,
	inner_product(vector '[1e20]', '[1e20]') AS product;

-- rows at infinite distance are not lost from an order, and come before those without a vector
CREATE TEMP TABLE far (id int, v vector(1));
INSERT INTO far SELECT i, CASE WHEN i % 4 = 0 THEN NULL WHEN i % 4 = 1 THEN '[3e38]' ELSE format('[%s]', i)::vector END
	FROM generate_series(1, 40) i;
CREATE INDEX ON far USING vektonn (v vector_l2_ops);
SET enable_seqscan = off;
SELECT distance, count(*) FROM (SELECT v <-> '[-3e38]' AS distance, row_number() OVER () AS place FROM
	(SELECT v FROM far ORDER BY v <-> '[-3e38]') x) y GROUP BY distance, (place - 1) / 10 ORDER BY min(place);
RESET enable_seqscan;

-- errors
SELECT vector '[1,2]' <-> '[1,2,3]';
SELECT halfvec '[1,2]' <=> '[3]';
SELECT sparsevec '{1:1}/2' <%> '{1:1}/3';
SELECT l1_distance(vector '[1]', '[1,2]');
\set VERBOSITY sqlstate
SELECT vector '[1,2]' <#> '[1,2,3]';
\set VERBOSITY default
SELECT vector '[1]' <-> NULL AS "null";

-- against double precision computed in SQL, on vectors of many lengths
CREATE TEMP TABLE pair AS
	SELECT n, array_agg(sin(n * 7 + i)::float4 ORDER BY i) AS a, array_agg(cos(n * 3 + i * i)::float4 ORDER BY i) AS b
	FROM generate_series(1, 150) n, generate_series(1, n) i GROUP BY n;
CREATE TEMP TABLE oracle AS
	SELECT n, sqrt(sum((x - y) ^ 2)) AS l2, -sum(x * y) AS ip, 1 - sum(x * y) / sqrt(sum(x * x) * sum(y * y)) AS cosine,
		sum(abs(x - y)) AS l1
	FROM pair, unnest(a::float8[], b::float8[]) u (x, y) GROUP BY n;
SELECT count(*) AS rows,
	bool_and(abs((a::vector <-> b::vector) - l2) < 1e-5) AS l2, bool_and(abs((a::vector <#> b::vector) - ip) < 1e-4) AS ip,
	bool_and(abs((a::vector <=> b::vector) - cosine) < 1e-6) AS cosine, bool_and(abs((a::vector <+> b::vector) - l1) < 1e-4) AS l1
	FROM pair JOIN oracle USING (n);
SELECT bool_and(abs((a::vector::sparsevec <-> b::vector::sparsevec) - l2) < 1e-12) AS l2,
	bool_and(abs((a::vector::sparsevec <#> b::vector::sparsevec) - ip) < 1e-12) AS ip,
	bool_and(abs((a::vector::sparsevec <=> b::vector::sparsevec) - cosine) < 1e-12) AS cosine,
	bool_and(abs((a::vector::sparsevec <+> b::vector::sparsevec) - l1) < 1e-12) AS l1
	FROM pair JOIN oracle USING (n);
SELECT bool_and(abs((a::halfvec <-> b::halfvec) - l2) < 0.01) AS l2, bool_and(abs((a::halfvec <+> b::halfvec) - l1) < 0.1) AS l1
	FROM pair JOIN oracle USING (n);

-- every kernel this CPU has gives the same bits: one digest over all distances.
-- No CPU has all kernels, and asking for a missing one is an error.
CREATE FUNCTION pg_temp.digest() RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(concat_ws(' ',
		a::vector <-> b::vector, a::vector <#> b::vector, a::vector <=> b::vector, a::vector <+> b::vector,
		a::halfvec <-> b::halfvec, a::halfvec <#> b::halfvec, a::halfvec <=> b::halfvec, a::halfvec <+> b::halfvec,
		a::sparsevec <-> b::sparsevec, a::sparsevec <#> b::sparsevec, a::sparsevec <=> b::sparsevec,
		a::sparsevec <+> b::sparsevec, a::sparsevec <%> b::sparsevec), ',' ORDER BY n)) FROM pair;
$$;
DO $$
DECLARE
	kernel text;
	digest text;
	missing int := 0;
	different int := 0;
BEGIN
	PERFORM vektonn.kernel_in_use();
	SET vektonn.kernel = portable;
	digest := pg_temp.digest();
	FOREACH kernel IN ARRAY '{auto,neon,avx2,avx512,avx512vnni}'::text[] LOOP
		BEGIN
			PERFORM set_config('vektonn.kernel', kernel, false);
			different := different + (digest <> pg_temp.digest())::int;
			IF kernel <> 'auto' AND vektonn.kernel_in_use() <> kernel THEN
				RAISE 'kernel % is not in use', kernel;
			END IF;
		EXCEPTION WHEN invalid_parameter_value THEN
			missing := missing + 1;
		END;
	END LOOP;
	RAISE NOTICE 'different: %, some missing: %', different, missing > 0;
END $$;
RESET vektonn.kernel;
SET vektonn.kernel = mmx;

-- the registry: each metric has its operator for each type it is defined on, and no other operator exists
SELECT metric, operator, title, dense, sparse FROM vektonn.metrics();
WITH wanted AS (
	SELECT m.operator, t.typ FROM vektonn.metrics() m, (VALUES ('vector', false), ('halfvec', false), ('sparsevec', true)) t (typ, is_sparse)
	WHERE CASE WHEN is_sparse THEN m.sparse ELSE m.dense END
), present AS (
	SELECT oprname::text AS operator, oprleft::regtype::text AS typ FROM pg_operator
	WHERE oprresult = 'float8'::regtype AND oprleft = oprright AND oprleft IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype)
)
SELECT (SELECT count(*) FROM wanted) AS wanted, (SELECT count(*) FROM (TABLE wanted EXCEPT TABLE present) x) AS missing,
	(SELECT count(*) FROM (TABLE present EXCEPT TABLE wanted) x) AS unknown;

-- all of them commute and may be used in indexes and parallel plans
SELECT count(*) AS operators, bool_and(oprcom = o.oid) AS commute, bool_and(provolatile = 'i') AS immutable,
	bool_and(proisstrict) AS strict, bool_and(proparallel = 's') AS parallel_safe
	FROM pg_operator o JOIN pg_proc p ON p.oid = oprcode
	WHERE oprresult = 'float8'::regtype AND oprleft IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype);

-- the index method has an operator class for each of them, named after type and metric, that orders by the operator
WITH wanted AS (
	SELECT t.typ || '_' || m.metric || '_ops' AS opclass, m.operator, t.typ
	FROM vektonn.metrics() m, (VALUES ('vector', false), ('halfvec', false), ('sparsevec', true)) t (typ, is_sparse)
	WHERE CASE WHEN is_sparse THEN m.sparse ELSE m.dense END
), present AS (
	SELECT opcname::text AS opclass, oprname::text AS operator, opcintype::regtype::text AS typ
	FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod JOIN pg_amop o ON o.amopfamily = c.opcfamily
		JOIN pg_operator p ON p.oid = o.amopopr
	WHERE amname = 'vektonn' AND amoppurpose = 'o' AND opcintype IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype)
)
SELECT (SELECT count(*) FROM wanted) AS wanted, (SELECT count(*) FROM (TABLE wanted EXCEPT TABLE present) x) AS missing,
	(SELECT count(*) FROM (TABLE present EXCEPT TABLE wanted) x) AS unknown;
