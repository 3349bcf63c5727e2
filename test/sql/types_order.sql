-- The order of vectors: comparison operators, btree, DISTINCT, GROUP BY.
\pset format unaligned

-- all pairs of a list already in order, for the three types and every operator
CREATE TEMP TABLE ordered (n int, value float8[]);
INSERT INTO ordered VALUES (1, '{-2}'), (2, '{-1,-1}'), (3, '{-1,0}'), (4, '{-1,0,-1}'), (5, '{-1,0,0}'), (6, '{-1,1}'), (7, '{0}'), (8, '{0,-1}'),
	(9, '{0,0}'), (10, '{0,0,-1}'), (11, '{0,0,0}'), (12, '{0,0,2}'), (13, '{0,1}'), (14, '{0,1,-3}'), (15, '{0,1,0}'), (16, '{1}'), (17, '{1,-1}'), (18, '{1,0}'),
	(19, '{1,0,0}'), (20, '{1,0,1}'), (21, '{1,2}'), (22, '{1,2,-1}'), (23, '{1,2,0}'), (24, '{1.5}');
CREATE FUNCTION pg_temp.disagree(type text) RETURNS TABLE (pairs bigint, wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE replace($q$
		SELECT count(*), count(*) FILTER (WHERE (a.value::@ < b.value::@) <> (a.n < b.n) OR (a.value::@ <= b.value::@) <> (a.n <= b.n)
			OR (a.value::@ = b.value::@) <> (a.n = b.n) OR (a.value::@ <> b.value::@) <> (a.n <> b.n)
			OR (a.value::@ >= b.value::@) <> (a.n >= b.n) OR (a.value::@ > b.value::@) <> (a.n > b.n)
			OR @_cmp(a.value::@, b.value::@) <> sign(a.n - b.n))
		FROM ordered a, ordered b $q$, '@', type);
END $$;
SELECT type, (pg_temp.disagree(type)).* FROM unnest('{vector,halfvec,sparsevec}'::text[]) type;
-- and as arrays of the same numbers compare
SELECT count(*) FILTER (WHERE (a.value < b.value) <> (a.n < b.n)) FROM ordered a, ordered b;

SELECT '[0,-0]'::vector = '[-0,0]' AS zero, '[-0]'::halfvec < '[0]' AS less, '{}/1000000000'::sparsevec > '{}/1' AS dims,
	'{1000000000:1}/1000000000'::sparsevec > '{}/1' AS far, '{1000000000:-1}/1000000000'::sparsevec > '{}/1' AS beyond;

-- a btree index serves equality, range and order; sorts, DISTINCT and GROUP BY need none
CREATE TEMP TABLE t (id int, v vector, h halfvec, s sparsevec);
INSERT INTO t SELECT i, ARRAY[i % 10, i % 3], ARRAY[i % 10, i % 3], ARRAY[i % 10, i % 3] FROM generate_series(1, 300) i;
INSERT INTO t VALUES (301, NULL, NULL, NULL);
CREATE UNIQUE INDEX t_v_id ON t (v, id);
CREATE INDEX ON t (h);
CREATE INDEX ON t (s DESC);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM t WHERE v = '[1,2]';
EXPLAIN (COSTS OFF) SELECT * FROM t ORDER BY h;
EXPLAIN (COSTS OFF) SELECT s FROM t WHERE s < '{1:2}/2' ORDER BY s DESC;
SELECT count(*), min(id) FROM t WHERE v = '[1,2]';
SELECT count(*) FROM t WHERE h > '[8,1]';
SELECT s FROM (SELECT DISTINCT s FROM t WHERE s < '{1:1}/2' ) d ORDER BY s DESC;
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT v, count(*) FROM t GROUP BY v ORDER BY v NULLS FIRST LIMIT 4;
SELECT count(DISTINCT v) AS v, count(DISTINCT h) AS h, count(DISTINCT s) AS s FROM t;
SELECT count(*) FROM t a JOIN t b USING (s) WHERE a.id <= 30;
SELECT max(array_length(v::real[], 1)) FROM (SELECT v FROM t UNION SELECT v FROM t) u;
INSERT INTO t SELECT id, v FROM t WHERE id = 1;

-- only the default operator classes exist for btree, and no hashing
SELECT opcname, opcintype::regtype, opcdefault FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE amname IN ('btree', 'hash') AND opcintype IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype) ORDER BY 1;
SELECT amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE amname = 'btree' AND opcintype IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype);
