-- vektonn.knn returns, for many query vectors at once, what ORDER BY ... LIMIT
-- returns for each: the same distances to the bit, of visible rows, k of them.
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SELECT setseed(0.5);

-- Vectors of several shapes that are hard on sums of floats.
CREATE FUNCTION knn_vector(shape integer, dim integer) RETURNS vector LANGUAGE sql VOLATILE AS $$
	SELECT array_agg((CASE shape
		WHEN 0 THEN random() - 0.5								-- ordinary
		WHEN 1 THEN 1000 + random() * 1e-3						-- a large mean
		WHEN 2 THEN (random() - 0.5) * 1e15						-- huge
		WHEN 3 THEN (random() - 0.5) * 1e-19						-- tiny
		WHEN 4 THEN (random() + 0.1) * 1e-42 * sign(random() - 0.5)					-- denormal
		WHEN 5 THEN CASE WHEN i = floor(random() * dim) THEN 1 ELSE 0 END	-- one-hot
		WHEN 6 THEN floor(random() * 3)							-- many ties
		WHEN 7 THEN 0											-- zero
		WHEN 8 THEN (random() - 0.5) * 1e18						-- sums of squares overflow
		ELSE 3e38 * sign(random() - 0.5)							-- the largest
		END)::real)::vector
	FROM generate_series(0, dim - 1) i $$;

-- Of few dimensions but for a little noise: the index finds compact codes for them.
CREATE FUNCTION knn_flat_vector(dim integer, scale float8) RETURNS vector LANGUAGE sql VOLATILE AS $$
	SELECT array_agg((scale * (a * sin(i * 0.3) + b * cos(i * 0.7) + c * sin(i * 1.1) + d * cos(i * 1.9) + 0.01 * random() + 0.5))::real ORDER BY i)::vector
	FROM (SELECT random() AS a, random() AS b, random() AS c, random() AS d OFFSET 0) r, generate_series(1, dim) i $$;

CREATE FUNCTION knn_shapes(what text, dim integer, n integer) RETURNS SETOF vector LANGUAGE sql VOLATILE AS $$
	SELECT CASE WHEN what LIKE 'flat%' THEN knn_flat_vector(dim, CASE what WHEN 'flat' THEN 1 WHEN 'flat mixed' THEN 10 ^ (i % 40 - 20) ELSE 1e-22 END)
		ELSE knn_vector(CASE what WHEN 'mixed' THEN (i % 10) WHEN 'plain' THEN 0 WHEN 'mean' THEN 1 WHEN 'tiny' THEN 3 + i % 2 WHEN 'ties' THEN 5 + i % 3 ELSE what::integer END, dim) END
	FROM generate_series(1, n) i $$;

CREATE TABLE knn_query (n integer, vec vector);
-- The answers of a sequential scan beside those of knn; returns what differs.
CREATE FUNCTION knn_compare(type text, op text, k integer, filter jsonb, condition text, queries text) RETURNS TABLE (answers bigint, differ bigint, lacking bigint)
LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL enable_indexscan = off;
	RETURN QUERY EXECUTE format($q$
		WITH queries AS MATERIALIZED (SELECT row_number() OVER (ORDER BY n) AS number, vec::%1$s AS q FROM knn_query %6$s),
		expected AS MATERIALIZED (SELECT number, n.* FROM queries, LATERAL (SELECT t.vec %2$s q AS d, row_number() OVER (ORDER BY t.vec %2$s q) AS rank
			FROM knn_table t WHERE t.vec IS NOT NULL AND %5$s ORDER BY 1 LIMIT %3$s) n),
		found AS MATERIALIZED (SELECT k.query_number, k.rank, k.distance, t.vec %2$s q.q AS now
			FROM vektonn.knn('knn_index', (SELECT array_agg(q ORDER BY number) FROM queries), %3$s, %4$L) k
			JOIN queries q ON q.number = k.query_number LEFT JOIN knn_table t ON t.ctid = k.ctid AND %5$s)
		SELECT count(*), count(*) FILTER (WHERE e.d IS DISTINCT FROM f.distance OR f.now IS DISTINCT FROM f.distance), count(*) FILTER (WHERE f.rank IS NULL)
		FROM expected e FULL JOIN found f ON f.query_number = e.number AND f.rank = e.rank$q$, type, op, k, filter, condition, queries);
END $$;

-- Every type and metric, without and with compact codes, in many splits and in none.
CREATE FUNCTION knn_try(what text, type text, metric text, dim integer, n integer, splits integer) RETURNS TABLE (answers bigint, differ bigint, lacking bigint)
LANGUAGE plpgsql AS $$
DECLARE
	op text := CASE metric WHEN 'l2' THEN '<->' WHEN 'ip' THEN '<#>' WHEN 'cosine' THEN '<=>' WHEN 'l1' THEN '<+>' ELSE '<%>' END;
	cast_to text := CASE WHEN type = 'halfvec' THEN 'halfvec' ELSE type END;
BEGIN
	DROP TABLE IF EXISTS knn_table;
	EXECUTE format('CREATE TABLE knn_table (id integer, a integer, b text, vec %s(%s))', type, dim);
	EXECUTE format('INSERT INTO knn_table SELECT row_number() OVER (), CASE WHEN i %% 7 = 0 THEN NULL ELSE i %% %s END, chr((97 + i %% 3)::integer), v::%s FROM (SELECT row_number() OVER () AS i, v FROM knn_shapes(%L, %s, %s) v) r',
		greatest(splits, 1), type, what, dim, n);
	INSERT INTO knn_table (id) SELECT -i FROM generate_series(1, 5) i;
	EXECUTE format('CREATE INDEX knn_index ON knn_table USING vektonn (vec %s_%s_ops%s)', type, metric, CASE WHEN splits > 0 THEN ', a, b' ELSE '' END);
	DELETE FROM knn_table WHERE id % 11 = 3;
	UPDATE knn_table SET id = id + 1000000 WHERE id % 13 = 5;
	EXECUTE format('UPDATE knn_table SET vec = (SELECT v::%s FROM knn_shapes(%L, %s, 1) v) WHERE id %% 17 = 6', type, what, dim);
	TRUNCATE knn_query;
	INSERT INTO knn_query SELECT row_number() OVER (), v FROM knn_shapes(what, dim, 12) v;
	EXECUTE format('INSERT INTO knn_query SELECT 100 + id, vec::vector FROM knn_table WHERE vec IS NOT NULL AND id < 20');
	RETURN QUERY SELECT * FROM knn_compare(type, op, 10, NULL, 'true', '');
	IF splits > 0 THEN
		RETURN QUERY SELECT * FROM knn_compare(type, op, 7, '{"a": 1}', 't.a = 1', '');
		RETURN QUERY SELECT * FROM knn_compare(type, op, 7, '{"b": ["a", "c"], "a": null}', 't.b IN (''a'', ''c'') AND t.a IS NULL', '');
		RETURN QUERY SELECT * FROM knn_compare(type, op, 1000, '{"b": "b"}', 't.b = ''b''', 'WHERE n < 6');
	END IF;
END $$;

SELECT what, type, metric, dim, splits, sum(answers) > 0 AS some, sum(r.differ) AS differ, sum(r.lacking) AS lacking
FROM (VALUES ('flat', 'vector', 'l2', 200, 1100, 0), ('flat', 'vector', 'ip', 200, 1100, 0), ('flat', 'vector', 'cosine', 200, 1100, 0),
		('flat', 'halfvec', 'l2', 300, 1100, 2), ('flat mixed', 'vector', 'l2', 200, 1100, 0), ('flat mixed', 'vector', 'ip', 200, 1100, 0),
		('flat mixed', 'vector', 'cosine', 200, 1100, 0), ('flat tiny', 'vector', 'l2', 200, 1100, 0), ('flat', 'vector', 'l2', 2500, 300, 0),
		('plain', 'vector', 'l2', 8, 1500, 0), ('plain', 'vector', 'l2', 100, 1500, 0), ('plain', 'halfvec', 'l2', 100, 1000, 3),
		('plain', 'vector', 'ip', 100, 1000, 2), ('plain', 'vector', 'cosine', 100, 1000, 2), ('plain', 'halfvec', 'ip', 40, 800, 0),
		('plain', 'halfvec', 'cosine', 40, 800, 0), ('plain', 'vector', 'l1', 20, 500, 2), ('mean', 'vector', 'l2', 64, 1000, 0),
		('mean', 'vector', 'cosine', 64, 1000, 0), ('mean', 'vector', 'ip', 64, 1000, 0), ('ties', 'vector', 'l2', 30, 1000, 0),
		('ties', 'vector', 'cosine', 30, 1000, 0), ('ties', 'vector', 'ip', 30, 1500, 4), ('mixed', 'vector', 'l2', 48, 1000, 0),
		('mixed', 'vector', 'ip', 48, 1000, 0), ('mixed', 'vector', 'cosine', 48, 1000, 0), ('tiny', 'vector', 'l2', 48, 1000, 0),
		('tiny', 'vector', 'cosine', 48, 1000, 0), ('tiny', 'vector', 'ip', 48, 1000, 0), ('ties', 'halfvec', 'l2', 30, 1500, 30),
		('plain', 'vector', 'l2', 3000, 60, 0), ('plain', 'vector', 'cosine', 1, 300, 0), ('ties', 'sparsevec', 'l2', 30, 300, 2),
		('ties', 'sparsevec', 'jaccard', 30, 300, 0), ('plain', 'sparsevec', 'cosine', 30, 300, 0)) t (what, type, metric, dim, n, splits),
	LATERAL knn_try(what, type, metric, dim, n, splits) r
GROUP BY what, type, metric, dim, n, splits ORDER BY 1, 2, 3, 4;

-- Little memory: several passes, the same answers.
SET work_mem = '64kB';
SELECT differ, lacking FROM knn_try('plain', 'vector', 'l2', 100, 1000, 0);
SELECT passes > 1 AS several FROM vektonn.scan_stats;
RESET work_mem;

-- Bounds exclude most rows, by codes and without.
SELECT differ FROM knn_try('flat', 'vector', 'l2', 200, 2000, 0);
SELECT count(*) FROM vektonn.knn('knn_index', (SELECT array_agg(vec) FROM knn_query), 3);
SELECT codes > 1500 AS coded, survivors < 0.05 * 2000 * (SELECT count(*) FROM knn_query) AS few FROM vektonn.scan_stats;
SELECT differ FROM knn_try('plain', 'vector', 'l2', 32, 2000, 0);
SELECT count(*) FROM vektonn.knn('knn_index', (SELECT array_agg(vec) FROM knn_query), 3);
SELECT row_count < 0.3 * 2000 * (SELECT count(*) FROM knn_query) AS few FROM vektonn.scan_stats;

-- Most candidates are dead, and the rows of a transaction that sees its own changes.
BEGIN;
DELETE FROM knn_table WHERE id % 50 <> 0;
SELECT * FROM knn_compare('vector', '<->', 10, NULL, 'true', '');
SAVEPOINT s;
DELETE FROM knn_table;
SELECT * FROM knn_compare('vector', '<->', 10, NULL, 'true', '');
ROLLBACK TO s;
SELECT * FROM knn_compare('vector', '<->', 1000, NULL, 'true', '');
ROLLBACK;
SELECT differ, lacking FROM knn_compare('vector', '<->', 10, NULL, 'true', '');

-- Order of the result; one query; none; an empty table; a table's columns by ctid.
CREATE TABLE knn_small (id integer, vec vector(2), lang text);
INSERT INTO knn_small VALUES (1, '[0,0]', 'en'), (2, '[3,4]', 'de'), (3, '[1,0]', 'en'), (4, NULL, 'en');
CREATE INDEX knn_small_index ON knn_small USING vektonn (vec vector_l2_ops, lang);
SELECT k.query_number, k.rank, k.distance, t.id FROM vektonn.knn('knn_small_index', ARRAY['[0,0]', '[3,4]', '[1,1]', '[2,2]', '[5,5]']::vector[], 2) k JOIN knn_small t ON t.ctid = k.ctid ORDER BY 1, 2;
SELECT query_number, rank, distance FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 10);
SELECT query_number, rank, distance FROM vektonn.knn('knn_small_index', ARRAY['[0,0]', '[0,0]', '[0,0]', '[1,0]']::vector[], 10, '{"lang": "en"}');
SELECT * FROM vektonn.knn('knn_small_index', '{}'::vector[], 10);
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 10, '{"lang": "fr"}');
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 10, '{"lang": []}');
TRUNCATE knn_small;
SELECT * FROM vektonn.knn('knn_small_index', ARRAY['[0,0]', '[3,4]', '[1,1]', '[2,2]', '[5,5]']::vector[], 2);

-- Wrong arguments.
SELECT * FROM vektonn.knn(NULL, '{"[0,0]"}'::vector[], 1);
SELECT * FROM vektonn.knn('knn_small_index', NULL::vector[], 1);
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], NULL);
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 0);
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0,0]"}'::vector[], 1);
SELECT * FROM vektonn.knn('knn_small_index', '{NULL}'::vector[], 1);
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::halfvec[], 1);
SELECT * FROM vektonn.knn('knn_small', '{"[0,0]"}'::vector[], 1);
SELECT * FROM vektonn.knn('pg_class_oid_index', '{"[0,0]"}'::vector[], 1);
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1, '{"id": 1}');
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1, '{"lang": {"a": 1}}');
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1, '{"lang": ["en", null]}');
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1, '["en"]');

-- Rights: those of the caller on the table or on the index's columns; policies.
CREATE ROLE knn_reader;
INSERT INTO knn_small VALUES (1, '[0,0]', 'en');
GRANT SELECT (vec) ON knn_small TO knn_reader;
SET ROLE knn_reader;
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1);
RESET ROLE;
GRANT SELECT (lang) ON knn_small TO knn_reader;
SET ROLE knn_reader;
SELECT query_number, rank, distance FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1);
RESET ROLE;
ALTER TABLE knn_small ENABLE ROW LEVEL SECURITY;
SET ROLE knn_reader;
SELECT * FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1);
RESET ROLE;
SELECT query_number, rank, distance FROM vektonn.knn('knn_small_index', '{"[0,0]"}'::vector[], 1);

DROP TABLE knn_table, knn_query, knn_small;
DROP FUNCTION knn_vector, knn_flat_vector, knn_shapes, knn_compare, knn_try;
DROP ROLE knn_reader;
