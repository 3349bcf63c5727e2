-- A distance that a query orders by and does not return is not computed for each row.
CREATE TABLE hidden (id int, v vector(2));
INSERT INTO hidden SELECT i, ARRAY[i, i % 7]::real[]::vector FROM generate_series(1, 500) i;
CREATE INDEX hidden_v ON hidden USING vektonn (v vector_l2_ops);
ANALYZE hidden;
SET enable_seqscan = off;
SET enable_sort = off;

-- hidden: alone, with LIMIT, prepared, in subqueries and LATERAL
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM hidden ORDER BY v <-> '[3,3]' LIMIT 2;
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM hidden ORDER BY v <-> '[3,3]';
SET plan_cache_mode = force_generic_plan;
PREPARE nearest AS SELECT id FROM hidden ORDER BY v <-> $1 LIMIT 2;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE nearest('[3,3]');
EXECUTE nearest('[3,3]');
EXECUTE nearest('[100,0]');
RESET plan_cache_mode;
EXPLAIN (VERBOSE, COSTS OFF)
  SELECT x.id FROM (VALUES ('[3,3]'::vector), ('[9,2]')) q(p), LATERAL (SELECT id FROM hidden ORDER BY v <-> q.p LIMIT 2) x;
SELECT x.id FROM (VALUES ('[3,3]'::vector), ('[9,2]')) q(p), LATERAL (SELECT id FROM hidden ORDER BY v <-> q.p LIMIT 2) x;
SELECT (SELECT id FROM hidden ORDER BY v <-> '[3,3]' LIMIT 1);

-- not hidden, or looked at
EXPLAIN (VERBOSE, COSTS OFF) SELECT id, v <-> '[3,3]' FROM hidden ORDER BY v <-> '[3,3]' LIMIT 2;
SELECT id, v <-> '[3,3]' FROM hidden ORDER BY v <-> '[3,3]' LIMIT 2;
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM hidden ORDER BY v <-> '[3,3]' FETCH FIRST 2 ROWS WITH TIES;
SELECT id FROM hidden ORDER BY v <-> '[3.5,3.5]' FETCH FIRST 2 ROWS WITH TIES;
EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM hidden ORDER BY v <-> '[3,3]' LIMIT 2 FOR UPDATE;
SELECT id FROM hidden ORDER BY v <-> '[3,3]' LIMIT 2 FOR UPDATE;
CREATE TABLE taken AS SELECT id FROM hidden ORDER BY v <-> '[3,3]' LIMIT 3;
INSERT INTO taken SELECT id FROM hidden ORDER BY v <-> '[9,2]' LIMIT 2;
TABLE taken;
DROP TABLE hidden, taken;
