-- algorithm = hnsw: built, grown row by row, searched, updated, vacuumed, checked.
SET client_min_messages = warning;
CREATE TABLE g (id int PRIMARY KEY, v vector(16));
INSERT INTO g SELECT i, ARRAY(SELECT sin(i * 0.7 * j)::real FROM generate_series(1, 16) j)::real[]::vector(16)
  FROM generate_series(1, 3000) i;
CREATE INDEX g_v ON g USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw);
SELECT vektonn.check_index('g_v');
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM g ORDER BY v <-> array_fill(0, ARRAY[16])::vector LIMIT 5;
-- an index scan of no columns at all is not for this index
SELECT count(*) FROM g;
SELECT id FROM g ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 5;
SELECT count(*) FROM (SELECT id FROM g ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 2500) x;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM g ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 5000) x;
-- insert only
CREATE TABLE h (id int PRIMARY KEY, v vector(16));
CREATE INDEX h_v ON h USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw, m = 8, ef_construction = 40, ef_search = 50);
INSERT INTO h SELECT * FROM g;
SELECT vektonn.check_index('h_v');
SELECT id FROM h ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 5;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM h ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 5000) x;
-- delete and vacuum
DELETE FROM h WHERE id % 3 = 0;
VACUUM h;
SELECT vektonn.check_index('h_v');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM h ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 5000) x;
DELETE FROM h;
VACUUM h;
SELECT vektonn.check_index('h_v');
INSERT INTO h SELECT * FROM g;
SELECT vektonn.check_index('h_v');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM h ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 5000) x;
-- duplicates
INSERT INTO h SELECT id + 10000, (SELECT v FROM g WHERE id = 1) FROM g;
SELECT vektonn.check_index('h_v');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM h ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 10000) x;
DELETE FROM h WHERE id > 10100;
VACUUM h;
SELECT vektonn.check_index('h_v');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM h ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 10000) x;
SELECT algorithm, metric, type, dimensions, row_count, splits, levels > 1 AS has_levels FROM vektonn.index_info('h_v');
-- in strict order nothing comes after something farther away; else everything comes
CREATE FUNCTION graph_disorder() RETURNS TABLE(n bigint, late bigint) LANGUAGE sql AS $$
  SELECT count(*), count(*) FILTER (WHERE d < before)
  FROM (SELECT d, lag(d) OVER () AS before FROM
        (SELECT v <-> '[1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8]' AS d FROM g ORDER BY 1 LIMIT 100000) x) y $$;
SET vektonn.ef_search = 10;
SELECT n = 3000 FROM graph_disorder();
SET vektonn.strict_order = on;
SELECT n <= 3000, late FROM graph_disorder();
RESET vektonn.strict_order;
RESET vektonn.ef_search;
-- options
CREATE INDEX ON g USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw, m = 1);
CREATE INDEX ON g USING vektonn (v vector_l2_ops) WITH (m = 16);
SET vektonn.ef_search = 10001;
-- how much memory a build takes
ANALYZE g;
SELECT vektonn.build_memory('g') BETWEEN 3000 * 900 AND 3000 * 1300;
SELECT vektonn.build_memory('g', 'id');
-- of sparse vectors, that of the non-zeros the rows have
CREATE TABLE gs AS SELECT i % 3 AS part, ('{' || string_agg(j || ':1', ',') || '}/1000')::sparsevec v
	FROM generate_series(1, 300) i, generate_series(1, CASE WHEN i % 3 = 0 THEN 300 ELSE 20 END) j GROUP BY i;
ANALYZE gs;
SELECT vektonn.build_memory('gs') BETWEEN 400 * 4032 AND 400 * 4032 * 1.25;
DROP TABLE gs;
SELECT vektonn.graph_row_bytes(0, 16001, 16);
DROP TABLE g, h;
DROP FUNCTION graph_disorder;
