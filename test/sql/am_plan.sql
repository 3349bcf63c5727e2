-- The planner takes the index where it pays, and something else where that pays.
CREATE TABLE am_p (id int PRIMARY KEY, a int, b int, v vector(64));
INSERT INTO am_p SELECT i, i % 20, i % 3, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 64) j)::vector
	FROM generate_series(1, 8000) i;
CREATE INDEX am_p_v ON am_p USING vektonn (v vector_l2_ops, a, b);
CREATE INDEX am_p_b ON am_p (b, id);
VACUUM ANALYZE am_p;
CREATE VIEW am_q AS SELECT v AS q FROM am_p WHERE id = 17;

-- Plans with the query vector as $1: their text is that of every version.
SET plan_cache_mode = force_generic_plan;
CREATE FUNCTION am_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'PREPARE am_s (vector) AS ' || query;
	RETURN QUERY EXECUTE $q$EXPLAIN (COSTS OFF) EXECUTE am_s ('[1]')$q$;
	DEALLOCATE am_s;
END $$;

-- the nearest: the index
SELECT * FROM am_plan($q$SELECT id FROM am_p ORDER BY v <-> $1 LIMIT 10$q$);
-- in a split, in several, in those of a partial key: conditions of the index
SELECT * FROM am_plan($q$SELECT id FROM am_p WHERE a = 3 AND b = 1 ORDER BY v <-> $1 LIMIT 10$q$);
SELECT * FROM am_plan($q$SELECT id FROM am_p WHERE a IN (3, 4, 5, 7) ORDER BY v <-> $1 LIMIT 10$q$);
SELECT * FROM am_plan($q$SELECT id FROM am_p WHERE a = ANY ('{1,2,3,4,5,6,7}') AND b IN (0, 1) ORDER BY v <-> $1 LIMIT 10$q$);
SELECT * FROM am_plan($q$SELECT id FROM am_p WHERE a IS NULL ORDER BY v <-> $1 LIMIT 10$q$);
-- a condition that hardly a row fails: read on
SELECT * FROM am_plan($q$SELECT id FROM am_p WHERE id > 100 ORDER BY v <-> $1 LIMIT 10$q$);
-- a condition that hardly a row passes: a btree finds those, then a sort
SELECT * FROM am_plan($q$SELECT id FROM am_p WHERE id < 20 ORDER BY v <-> $1 LIMIT 10$q$);
SELECT * FROM am_plan($q$SELECT id FROM am_p WHERE id = 5 AND a = 5 ORDER BY v <-> $1 LIMIT 10$q$);
-- all rows in order: a sort
SELECT * FROM am_plan($q$SELECT id FROM am_p ORDER BY v <-> $1$q$);
-- no order, no condition: never this index
SELECT * FROM am_plan($q$SELECT count(*) FROM am_p WHERE v IS NOT NULL AND id > 0$q$);
SET enable_seqscan = off;
SELECT * FROM am_plan($q$SELECT sum(b) FROM am_p$q$);
RESET enable_seqscan;

-- partitions: merged in order
CREATE TABLE am_parts (id int, a int, v vector(64)) PARTITION BY LIST (a);
CREATE TABLE am_part1 PARTITION OF am_parts FOR VALUES IN (1);
CREATE TABLE am_part2 PARTITION OF am_parts FOR VALUES IN (2);
INSERT INTO am_parts SELECT id, 1 + id % 2, v FROM am_p;
CREATE INDEX ON am_parts USING vektonn (v vector_l2_ops);
ANALYZE am_parts;
SELECT * FROM am_plan($q$SELECT id FROM am_parts ORDER BY v <-> $1 LIMIT 5$q$);
SELECT (SELECT array_agg(id) FROM (SELECT id FROM am_parts ORDER BY v <-> (SELECT q FROM am_q), id LIMIT 5) s) =
	(SELECT array_agg(id) FROM (SELECT id FROM am_p ORDER BY v <-> (SELECT q FROM am_q), id LIMIT 5) s) AS same;

-- where the statistics take a split for larger than it is (columns that exclude each
-- other), the index itself knows; where it is large, a few rows by btree are better
CREATE TABLE am_size (id int, a int, b int, c int, v vector(64));
INSERT INTO am_size SELECT i, i % 2, CASE WHEN i <= 10 THEN 1 ELSE 1 - i % 2 END, i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 64) j)::vector
	FROM generate_series(1, 8000) i;
CREATE INDEX am_size_v ON am_size USING vektonn (v vector_l2_ops, a, b);
CREATE INDEX am_size_c ON am_size (c);
VACUUM ANALYZE am_size;
RESET plan_cache_mode;
CREATE FUNCTION am_shape(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query || $q$ ORDER BY v <-> array_fill(0.1, ARRAY[64])::vector LIMIT 10$q$ LOOP
		RETURN NEXT regexp_replace(line, $q$'\[[^']*\]'$q$, '...');
	END LOOP;
END $$;
SELECT * FROM am_shape('SELECT id FROM am_size WHERE a = 1 AND b = 1 AND c BETWEEN 5000 AND 5100');
SELECT * FROM am_shape('SELECT id FROM am_size WHERE a = 1 AND b = 0 AND c BETWEEN 5000 AND 5100');
SELECT * FROM am_shape('SELECT id FROM am_size WHERE a = 1 AND b = 77');
SET plan_cache_mode = force_generic_plan;
DROP TABLE am_size;

-- planning does not depend on the number of splits: it reads a handful of pages
CREATE TABLE am_many (id int, a int, v vector(3));
INSERT INTO am_many SELECT i, i, '[1,2,3]' FROM generate_series(1, 20000) i;
CREATE INDEX am_many_i ON am_many USING vektonn (v, a);
SELECT splits, small_splits FROM vektonn.index_info('am_many_i');
SELECT * FROM am_plan($q$SELECT id FROM am_many WHERE a = 7 ORDER BY v <-> $1 LIMIT 1$q$);
SELECT id FROM am_many WHERE a = 7 ORDER BY v <-> '[0,0,0]' LIMIT 1;
SELECT splits, pages < 20 AS few_pages FROM vektonn.scan_stats;

-- options and definitions
CREATE INDEX ON am_p USING vektonn (v) WITH (algorithm = nonsense);
CREATE INDEX ON am_p USING vektonn (v) WITH (nonsense = 1);
CREATE INDEX ON am_p USING vektonn (a, v);
CREATE INDEX ON am_p USING vektonn (v, v);
CREATE UNIQUE INDEX ON am_p USING vektonn (v);
CREATE TABLE am_nodim (v vector);
CREATE INDEX ON am_nodim USING vektonn (v);
CREATE INDEX ON am_nodim USING vektonn ((v::vector(3)));
SELECT id FROM am_p ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT amname, opcname FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	WHERE amname = 'vektonn' AND NOT amvalidate(c.oid);
SELECT vektonn.check_index('am_p_b');

-- a class that is none
CREATE OPERATOR CLASS am_wrong_ops FOR TYPE vector USING vektonn AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY pg_catalog.integer_ops;
CREATE OPERATOR CLASS am_wrong_ops FOR TYPE int4 USING vektonn AS OPERATOR 6 = (int4, int4);
SELECT opcname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	WHERE amname = 'vektonn' AND opcname = 'am_wrong_ops' ORDER BY opcintype::regtype::text;
DROP OPERATOR FAMILY am_wrong_ops USING vektonn CASCADE;
-- all rows of an index of few large splits: the index
CREATE TABLE am_large (id int, a int, v vector(200));
INSERT INTO am_large SELECT i, i % 3, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 200) j)::vector
	FROM generate_series(1, 3000) i;
CREATE INDEX am_large_i ON am_large USING vektonn (v, a);
ANALYZE am_large;
SELECT * FROM am_plan($q$SELECT id FROM am_large ORDER BY v <-> $1 LIMIT 10$q$);
-- nor for a count of all rows when everything else is switched off: an index-only scan would be wrong
SET enable_seqscan = off;
SELECT count(*) FROM am_large;
RESET enable_seqscan;
