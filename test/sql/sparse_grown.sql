-- A sparse index that grows row by row: how large it becomes, with and without
-- VACUUM; what the most expensive single insert writes; records stay in their
-- pages when logs and segments merge, and move when too many of a page's are
-- dead; more segments than the head page has room for.
CREATE FUNCTION sg_vector(elements int, terms int) RETURNS sparsevec LANGUAGE sql VOLATILE AS $$
	SELECT ('{' || string_agg(i || ':' || x, ',' ORDER BY i) || '}/100000')::sparsevec
	FROM (SELECT 1 + (power(random(), 3) * terms)::int AS i, max(random() + 0.01)::float4 AS x
		FROM generate_series(1, elements) GROUP BY 1) e $$;
-- Inserts rows one by one; the most WAL one of them caused.
CREATE FUNCTION sg_grow(first int, last int, OUT most numeric) LANGUAGE plpgsql AS $$
DECLARE r record; before pg_lsn;
BEGIN
	most := 0;
	FOR r IN SELECT id, v FROM sg_pool WHERE id BETWEEN first AND last ORDER BY id LOOP
		before := pg_current_wal_insert_lsn();
		INSERT INTO sg_rows VALUES (r.id, r.v);
		most := greatest(most, pg_current_wal_insert_lsn() - before);
	END LOOP;
END $$;
CREATE FUNCTION sg_compare() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE a text; b text; q sparsevec; wrong bigint := 0;
BEGIN
	FOR q IN SELECT v FROM sg_pool WHERE id % 1000 = 1 LOOP
		SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_indexscan = on;
		EXECUTE 'SELECT array_agg(d) FROM (SELECT v <=> $1 AS d FROM sg_rows ORDER BY v <=> $1 LIMIT 20) s' INTO a USING q;
		SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on; SET LOCAL enable_indexscan = off;
		EXECUTE 'SELECT array_agg(d) FROM (SELECT v <=> $1 AS d FROM sg_rows ORDER BY v <=> $1 LIMIT 20) s' INTO b USING q;
		wrong := wrong + (a IS DISTINCT FROM b)::int;
	END LOOP;
	RETURN wrong;
END $$;

SELECT setseed(0.5);
CREATE TABLE sg_pool AS SELECT i AS id, sg_vector(30 + i % 120, 2000)::sparsevec(100000) AS v FROM generate_series(1, 8000) i;
CREATE TABLE sg_rows (id int, v sparsevec(100000)) WITH (autovacuum_enabled = off);
CREATE INDEX sg_rows_i ON sg_rows USING vektonn (v sparsevec_cosine_ops);
-- bytes of the index per byte of the vectors
CREATE FUNCTION sg_ratio(OUT ratio numeric) LANGUAGE sql AS $$
	SELECT pg_relation_size('sg_rows_i')::numeric / sum(octet_length(sparsevec_send(v))) FROM sg_rows $$;
SET vektonn.sparse_log_limit = '64kB';

-- At most 24 logs are merged by an insert: their lists, not their records, are written.
-- (A small index: one of 30,000 rows and more has less waste in the pages of its terms.)
SELECT most < 12 * 65536 AS most_wal_of_an_insert FROM sg_grow(1, 6000);
SELECT ratio < 1.6 AS size FROM sg_ratio();
SELECT vektonn.check_index('sg_rows_i'), sg_compare();
VACUUM sg_rows;
SELECT ratio < 1.75 AS size_after_vacuum FROM sg_ratio();
SELECT vektonn.check_index('sg_rows_i'), sg_compare();
SELECT most < 12 * 65536 AS most_wal_of_an_insert FROM sg_grow(6001, 8000);
VACUUM sg_rows;
SELECT ratio < 1.75 AS size_after_vacuum FROM sg_ratio();
SELECT vektonn.check_index('sg_rows_i'), sg_compare();

-- Dead rows: their pages are given back, and used by those that come.
CREATE TEMP TABLE sg_size AS SELECT pg_relation_size('sg_rows_i') AS bytes;
DELETE FROM sg_rows WHERE id % 10 < 3;
VACUUM (INDEX_CLEANUP ON) sg_rows;
SELECT vektonn.check_index('sg_rows_i'), sg_compare();
DELETE FROM sg_rows WHERE id % 10 < 7;
VACUUM (INDEX_CLEANUP ON) sg_rows;
SELECT vektonn.check_index('sg_rows_i'), sg_compare();
INSERT INTO sg_rows SELECT id, v FROM sg_pool WHERE id % 10 < 6;
SELECT pg_relation_size('sg_rows_i') < 1.3 * bytes AS space_used_again FROM sg_size;
SELECT vektonn.check_index('sg_rows_i'), sg_compare();
DELETE FROM sg_rows;
VACUUM (INDEX_CLEANUP ON) sg_rows;
SELECT vektonn.check_index('sg_rows_i');
RESET vektonn.sparse_log_limit;
DROP TABLE sg_rows;

-- So little memory that every 256 rows are a segment: more than the head page holds.
CREATE TABLE sg_rows AS SELECT i AS id, v FROM sg_pool, generate_series(1, 6) n, LATERAL (SELECT id + n * 10000 AS i) x
	WHERE id % 120 > 15;
SET maintenance_work_mem = '1MB';
CREATE INDEX sg_rows_i ON sg_rows USING vektonn (v sparsevec_cosine_ops);
SELECT count(*) > 40000 AS many FROM sg_rows;
DELETE FROM sg_rows WHERE id % 9 = 0;
SET maintenance_work_mem = '64MB';
VACUUM (INDEX_CLEANUP ON) sg_rows;
SELECT vektonn.check_index('sg_rows_i') = count(*) AS complete, sg_compare() FROM sg_rows;
RESET maintenance_work_mem;
DROP TABLE sg_rows, sg_pool;
