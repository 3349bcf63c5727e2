-- Functions of the property test of the access method: random rows, and the
-- comparison of an index scan with a sequential scan in one snapshot.

-- A vector as text: mostly of clusters, sometimes of what breaks bounds.
CREATE FUNCTION am_vector(dim int, sparse boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE kind float8 := random(); r float4[]; c int := (random() * 5)::int; at int;
BEGIN
	IF kind < 0.03 THEN RETURN NULL; END IF;
	IF kind < 0.06 THEN
		r := array_fill(0::float4, ARRAY[dim]);
	ELSIF kind < 0.09 THEN
		r := array_fill(0::float4, ARRAY[dim]);
		at := 1 + (random() * (dim - 1))::int;
		r[at] := (random() * 100 - 50)::float4;
	ELSIF kind < 0.11 THEN
		r := array_fill((random() * 4)::int::float4, ARRAY[dim]);
	ELSE
		SELECT array_agg(round((sin(c * i) * 10 + random() * 3)::numeric, 2)::float4)
			INTO r FROM generate_series(1, dim) i;
		IF kind < 0.13 THEN
			SELECT array_agg((x * 1e3)::float4) INTO r FROM unnest(r) x;
		ELSIF kind < 0.15 THEN
			SELECT array_agg((x * 1e-3)::float4) INTO r FROM unnest(r) x;
		END IF;
	END IF;
	IF sparse THEN
		RETURN (SELECT '{' || coalesce(string_agg(i || ':' || r[i], ',' ORDER BY i), '') || '}/' || dim
			FROM generate_series(1, dim) i WHERE r[i] <> 0 AND (i % 4 = c % 4 OR random() < 0.1));
	END IF;
	RETURN replace(replace(r::text, '{', '['), '}', ']');
END $$;

CREATE FUNCTION am_uses_index(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Index Scan using%' THEN RETURN true; END IF;
	END LOOP;
	RETURN false;
END $$;

-- NULL if an index scan returns the distances of a sequential scan, and no
-- row twice.  Run it in REPEATABLE READ when others write.
CREATE FUNCTION am_compare(tab text, op text, query text, cond text, lim int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE q text; a float8[]; b float8[]; ids int[]; c int; used boolean;
BEGIN
	q := format('SELECT v OPERATOR(public.%s) %s AS d, id FROM %I %s ORDER BY v OPERATOR(public.%s) %s LIMIT %s',
		op, query, tab, cond, op, query, lim);
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
		set_config('enable_bitmapscan', 'off', true), set_config('enable_indexscan', 'on', true);
	used := am_uses_index(q);
	EXECUTE format('SELECT array_agg(d), array_agg(id) FROM (%s) s', q) INTO a, ids;
	-- DISTINCT beside array_agg(d) would sort its input, from 16 on.
	c := (SELECT count(DISTINCT i) FROM unnest(ids) i);
	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true),
		set_config('enable_indexscan', 'off', true);
	EXECUTE format('SELECT array_agg(d) FROM (%s) s', q) INTO b;
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
	IF NOT used THEN RETURN 'index not used: ' || q; END IF;
	IF a IS DISTINCT FROM b THEN
		RETURN format('different: %s: %s rows %s, %s rows %s', left(q, 300), cardinality(a), left(a::text, 200),
			cardinality(b), left(b::text, 200));
	END IF;
	IF c <> coalesce(cardinality(a), 0) THEN RETURN 'duplicates: ' || q; END IF;
	RETURN NULL;
END $$;

-- Some random comparisons; the first fault or NULL.
CREATE FUNCTION am_compare_some(tab text, op text, dim int, typ text, n int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE fault text; v text; cond text;
BEGIN
	FOR i IN 1 .. n LOOP
		v := am_vector(dim, typ = 'sparsevec');
		CONTINUE WHEN v IS NULL;
		cond := (ARRAY['', '', 'WHERE a = 1', 'WHERE a IN (0, 2, 3)', 'WHERE a IS NULL', 'WHERE a = 1 AND b = ''y''',
			'WHERE b = ''x''', 'WHERE a IS NOT NULL AND id % 3 = 0', 'WHERE id % 50 = 7'])[1 + (random() * 8)::int];
		fault := am_compare(tab, op, quote_literal(v) || '::' || typ, cond,
			(ARRAY[1, 5, 10, 100, 3000])[1 + (random() * 4)::int]);
		IF fault IS NOT NULL THEN RETURN fault; END IF;
	END LOOP;
	RETURN NULL;
END $$;
