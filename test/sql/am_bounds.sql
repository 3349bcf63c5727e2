-- Bounds from compact codes are proofs: on data made to break them an index
-- scan still returns what a sequential scan returns.  Each kind of data is
-- large enough to be coded; how many were is checked at the end.
CREATE TABLE am_coded (coded boolean);
CREATE FUNCTION am_bounds(kind text, dim int, typ text, metric text, op text, grown boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE q text; query text; a float8[]; b float8[]; n int := 1300; bad int := 0; coded boolean := false; c bigint;
BEGIN
	PERFORM setseed(0.25);
	EXECUTE format('CREATE TABLE am_b (id int, v %s(%s))', typ, dim);
	IF grown THEN EXECUTE format('CREATE INDEX am_bi ON am_b USING vektonn (v %s_%s_ops)', typ, metric); END IF;
	EXECUTE format($q$
		INSERT INTO am_b SELECT i, (SELECT array_agg(CASE $1
			WHEN 'cluster' THEN sin(j * (1 + i %% 7)) * 10 + random()
			WHEN 'isotropic' THEN random() - 0.5 + i * 0
			WHEN 'offset' THEN 30000 + random() + i * 0
			WHEN 'huge' THEN (CASE WHEN i %% 2 = 0 THEN 1e18 ELSE 1e19 END) * (random() - 0.5)
			WHEN 'overflow' THEN (CASE WHEN i %% 3 = 0 THEN 3e38 ELSE 1 END) * (random() - 0.5)
			WHEN 'tiny' THEN 1e-30 * (random() - 0.5) + i * 0
			WHEN 'denormal' THEN 1e-42 * ((i * j) %% 7 - 3)
			WHEN 'mixed' THEN power(10, i %% 30 - 15) * (random() - 0.5)
			WHEN 'onehot' THEN CASE WHEN j = 1 + i %% %s THEN 1 + i / 100 ELSE 0 END
			WHEN 'constant' THEN 3
			WHEN 'zero' THEN CASE WHEN i %% 10 = 0 THEN 0 ELSE random() - 0.5 END
			WHEN 'duplicates' THEN sin(j * (1 + i %% 5))
			END)::real[] FROM generate_series(1, %s) j)::%s FROM generate_series(1, %s) i$q$, dim, dim, typ, n)
		USING kind;
	IF NOT grown THEN EXECUTE format('CREATE INDEX am_bi ON am_b USING vektonn (v %s_%s_ops)', typ, metric); END IF;
	FOR i IN 0 .. 9 LOOP
		EXECUTE format('SELECT v::text FROM am_b WHERE id = %s', 1 + i * 129) INTO query;
		q := format('SELECT v OPERATOR(public.%s) %L::%s AS d FROM am_b ORDER BY v OPERATOR(public.%s) %L::%s LIMIT %s',
			op, query, typ, op, query, typ, (ARRAY[1, 7, 40])[1 + i % 3]);
		SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on;
		EXECUTE format('SELECT array_agg(d) FROM (%s) s', q) INTO a;
		SELECT s.codes INTO c FROM vektonn.scan_stats s;
		coded := coded OR c > 0;
		SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off;
		EXECUTE format('SELECT array_agg(d) FROM (%s) s', q) INTO b;
		bad := bad + (a IS DISTINCT FROM b)::int;
	END LOOP;
	PERFORM vektonn.check_index('am_bi');
	DROP TABLE am_b;
	INSERT INTO am_coded VALUES (coded);
	RETURN bad || ' wrong';
END $$;

SELECT kind, metric, am_bounds(kind, 80, 'vector', metric, op, false) AS vector
FROM unnest(ARRAY['cluster', 'isotropic', 'offset', 'huge', 'overflow', 'tiny', 'denormal', 'mixed', 'onehot',
	'constant', 'zero', 'duplicates']) WITH ORDINALITY k(kind, n),
	(VALUES (1, 'l2', '<->'), (2, 'ip', '<#>'), (3, 'cosine', '<=>'), (4, 'l1', '<+>')) m(o, metric, op)
ORDER BY n, o;
SELECT kind, metric, am_bounds(kind, 300, 'halfvec', metric, op, true) AS halfvec
FROM unnest(ARRAY['cluster', 'isotropic', 'tiny', 'onehot', 'zero']) WITH ORDINALITY k(kind, n),
	(VALUES (1, 'l2', '<->'), (2, 'ip', '<#>'), (3, 'cosine', '<=>')) m(o, metric, op)
ORDER BY n, o;
SELECT am_bounds('cluster', 2100, 'vector', 'l2', '<->', true) AS grown,
	am_bounds('mixed', 2100, 'vector', 'ip', '<#>', false) AS spanning;
SELECT count(*) FILTER (WHERE coded) >= 15 AS many_used_codes FROM am_coded;
