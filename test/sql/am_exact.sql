-- An index scan returns what a sequential scan and sort return: all dense
-- types and operators, with and without splits, NULLs, any LIMIT.
CREATE FUNCTION am_explain(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Index Scan using%' THEN RETURN true; END IF;
	END LOOP;
	RETURN false;
END $$;

-- Compares the distances in order, and the multiset of ids up to ties at the end.
CREATE FUNCTION am_compare(tab text, op text, query text, cond text, lim int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE q text; a float8[]; b float8[]; ids int[]; c int; used boolean;
BEGIN
	q := format('SELECT v OPERATOR(public.%s) %s AS d, id FROM %I %s ORDER BY v OPERATOR(public.%s) %s LIMIT %s',
		op, query, tab, cond, op, query, lim);
	SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off;
	SET LOCAL enable_indexscan = on;
	used := am_explain(q);
	EXECUTE format('SELECT array_agg(d), array_agg(id) FROM (%s) s', q) INTO a, ids;
	-- DISTINCT beside array_agg(d) would sort its input, from 16 on.
	c := (SELECT count(DISTINCT i) FROM unnest(ids) i);
	SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on; SET LOCAL enable_indexscan = off;
	EXECUTE format('SELECT array_agg(d) FROM (%s) s', q) INTO b;
	IF NOT used THEN RETURN 'index not used: ' || q; END IF;
	IF a IS DISTINCT FROM b THEN RETURN 'different: ' || q; END IF;
	IF c <> coalesce(cardinality(a), 0) THEN RETURN 'duplicates: ' || q; END IF;
	RETURN NULL;
END $$;

SELECT setseed(0.5);
CREATE FUNCTION am_random(dim int) RETURNS float4[] LANGUAGE sql VOLATILE AS
$$ SELECT array_agg((random() * 20 - 10)::numeric(6,2)::float4) FROM generate_series(1, dim) $$;

CREATE TABLE am_rows (id int PRIMARY KEY, a int, b text, v vector(9), h halfvec(9));
INSERT INTO am_rows
	SELECT i, CASE WHEN i % 11 = 0 THEN NULL ELSE i % 7 END, 'k' || i % 300,
		CASE WHEN i % 50 = 0 THEN NULL ELSE am_random(9 + 0 * i)::vector END, NULL
	FROM generate_series(1, 3000) i;
UPDATE am_rows SET h = v::halfvec;

DO $$
DECLARE t text; o text; s text; cond text; lim int; r text; q text; n int := 0;
BEGIN
	FOREACH t IN ARRAY ARRAY['vector', 'halfvec'] LOOP
	FOR o, s IN VALUES ('<->', 'l2'), ('<#>', 'ip'), ('<=>', 'cosine'), ('<+>', 'l1') LOOP
		EXECUTE format('CREATE TABLE am_t AS SELECT id, a, b, %s AS v FROM am_rows WHERE id <= 1500',
			CASE t WHEN 'vector' THEN 'v' ELSE 'h' END);
		EXECUTE format('ALTER TABLE am_t ALTER v TYPE %s(9)', t);
		EXECUTE format('CREATE INDEX am_i ON am_t USING vektonn (v %s_%s_ops%s)', t, s,
			CASE WHEN s IN ('ip', 'l1') THEN ', a, b' WHEN s = 'cosine' THEN ', a' ELSE '' END);
		EXECUTE format('INSERT INTO am_t SELECT id, a, b, %s FROM am_rows WHERE id > 1500',
			CASE t WHEN 'vector' THEN 'v' ELSE 'h' END);
		FOREACH lim IN ARRAY ARRAY[1, 10, 333, 100000] LOOP
			q := quote_literal(am_random(9)::vector::text) || '::' || t;
			FOREACH cond IN ARRAY ARRAY['', 'WHERE a = 3', 'WHERE a IS NULL', 'WHERE a IN (1, 2, 5)',
				'WHERE a = 2 AND b = ''k9''', 'WHERE a = ANY (''{4,NULL,6,6}'') AND b IN (''k1'', ''k2'', ''k3'', ''k4'')',
				'WHERE b = ''k5''', 'WHERE a IS NOT NULL AND b > ''k2''', 'WHERE a = 99',
				'WHERE v IS NOT NULL', 'WHERE v IS NULL', 'WHERE a = 3::bigint AND id % 10 = 1'] LOOP
				r := am_compare('am_t', o, q, cond, lim);
				n := n + 1;
				IF r IS NOT NULL THEN RAISE WARNING '%', r; END IF;
			END LOOP;
		END LOOP;
		PERFORM vektonn.check_index('am_i');
		DROP TABLE am_t;
	END LOOP; END LOOP;
	RAISE NOTICE '% comparisons', n;
END $$;
