-- vektonn.knn answers what as many ORDER BY ... LIMIT queries answer.
CREATE TABLE am_k (id int, a int, b text, v vector(40), h halfvec(40), s sparsevec(40));
SELECT setseed(0.75);
INSERT INTO am_k SELECT i, i % 4, CASE WHEN i % 3 > 0 THEN 'x' || i % 300 END, v, v::halfvec, v::sparsevec
	FROM (SELECT i, CASE WHEN i % 100 > 0 THEN
		(SELECT array_agg(round((sin(j * (i % 9)) * 5 + random())::numeric, 2)::real) FROM generate_series(1, 40) j)::vector END AS v
		FROM generate_series(1, 3000) i) r;
CREATE INDEX am_k_l2 ON am_k USING vektonn (v vector_l2_ops, a);
CREATE INDEX am_k_ip ON am_k USING vektonn (h halfvec_ip_ops);
CREATE INDEX am_k_cos ON am_k USING vektonn (s sparsevec_cosine_ops, b, a);
CREATE INDEX am_k_l1 ON am_k USING vektonn (v vector_l1_ops);
DELETE FROM am_k WHERE id % 5 = 0;
CREATE FUNCTION am_knn_same(index text, col text, op text, cond text, filter jsonb, k int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE n int; bad int; vectors int;
BEGIN
	EXECUTE format($q$
		WITH q AS (SELECT row_number() OVER () AS number, %1$I AS v FROM (SELECT * FROM am_k WHERE v IS NOT NULL LIMIT 300) s),
		knn AS (SELECT query_number, rank, distance, ctid FROM vektonn.knn(%2$L, (SELECT array_agg(v ORDER BY number) FROM q), %6$s, %5$L)),
		wanted AS (SELECT number, r.n, r.d FROM q, LATERAL (SELECT row_number() OVER (ORDER BY d) AS n, d
			FROM (SELECT t.%1$I %3$s q.v AS d FROM am_k t WHERE %4$s AND t.v IS NOT NULL ORDER BY 1 LIMIT %6$s) x) r)
		SELECT count(*), count(*) FILTER (WHERE w.d IS DISTINCT FROM knn.distance
				OR (SELECT t.%1$I %3$s q.v FROM am_k t, q WHERE t.ctid = knn.ctid AND q.number = query_number) IS DISTINCT FROM knn.distance),
			count(DISTINCT query_number)
		FROM wanted w FULL JOIN knn ON number = query_number AND n = rank$q$,
		col, index, op, cond, filter, k) INTO n, bad, vectors;
	RETURN format('%s rows of %s vectors, %s wrong', n, vectors, bad);
END $$;
SELECT am_knn_same('am_k_l2', 'v', '<->', 'true', NULL, 7);
SELECT am_knn_same('am_k_l2', 'v', '<->', 'a = 2', '{"a": 2}', 7);
SELECT am_knn_same('am_k_l2', 'v', '<->', 'a IN (1, 3)', '{"a": [1, "3"]}', 30);
SELECT am_knn_same('am_k_ip', 'h', '<#>', 'true', '{}', 5);
SELECT am_knn_same('am_k_cos', 's', '<=>', 'true', NULL, 5);
SELECT am_knn_same('am_k_cos', 's', '<=>', 'b = ''x7''', '{"b": "x7"}', 5);
SELECT am_knn_same('am_k_cos', 's', '<=>', 'b IS NULL', '{"b": null}', 5);
SELECT am_knn_same('am_k_l1', 'v', '<+>', 'true', NULL, 3);
-- more than there are; none; NULLs among the queries
SELECT count(*), max(rank) FROM vektonn.knn('am_k_l2', ARRAY[(SELECT v FROM am_k WHERE id = 1)], 100000, '{"a": 1}');
SELECT count(*) FROM am_k WHERE a = 1 AND v IS NOT NULL;
SELECT count(*) FROM vektonn.knn('am_k_l2', '{}'::vector[], 5);
SELECT query_number, rank FROM vektonn.knn('am_k_l2', ARRAY[NULL, (SELECT v FROM am_k WHERE id = 1)], 1);
SELECT count(*) FROM vektonn.knn('am_k_l2', NULL::vector[], 5);
-- errors
SELECT vektonn.knn('am_k_l2', ARRAY['[1,2]'::vector], 5);
SELECT vektonn.knn('am_k_l2', ARRAY[(SELECT v FROM am_k WHERE id = 1)], 0);
SELECT vektonn.knn('am_k_l2', ARRAY[(SELECT v FROM am_k WHERE id = 1)], 5, '{"b": 1}');
SELECT vektonn.knn('am_k_l2', ARRAY[(SELECT v FROM am_k WHERE id = 1)], 5, '{"a": "one"}');
SELECT vektonn.knn('am_k_l2', ARRAY[(SELECT v FROM am_k WHERE id = 1)], 5, '{"a": {"b": 1}}');
SELECT vektonn.knn('am_k_l2', ARRAY[(SELECT v FROM am_k WHERE id = 1)], 5, '[1]');
SELECT vektonn.knn('am_k_l2', ARRAY[(SELECT h FROM am_k WHERE id = 1)], 5);
SELECT vektonn.knn('am_k', ARRAY[(SELECT v FROM am_k WHERE id = 1)], 5);
-- rights
CREATE ROLE regress_am_knn;
SET ROLE regress_am_knn;
SELECT vektonn.knn('am_k_l2', ARRAY['[1,2]'::vector], 5);
RESET ROLE;
GRANT SELECT ON am_k TO regress_am_knn;
ALTER TABLE am_k ENABLE ROW LEVEL SECURITY;
SET ROLE regress_am_knn;
SELECT vektonn.knn('am_k_l2', ARRAY['[1,2]'::vector], 5);
RESET ROLE;
DROP OWNED BY regress_am_knn;
DROP ROLE regress_am_knn;
