-- algorithm = hnsw: built, grown row by row, searched, updated, vacuumed, checked.
SET client_min_messages = warning;
CREATE TABLE g (id int PRIMARY KEY, v vector(16));
INSERT INTO g SELECT i, ARRAY(SELECT sin(i * 0.7 * j)::real FROM generate_series(1, 16) j)::real[]::vector(16)
  FROM generate_series(1, 3000) i;
CREATE INDEX g_v ON g USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw);
SELECT vektonn.check_index('g_v');
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM g ORDER BY v <-> (SELECT v FROM g WHERE id = 17) LIMIT 5;
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
