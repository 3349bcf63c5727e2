-- Data and measuring for the tests of algorithm = hnsw.

-- A vector of dim values that has few degrees of freedom, as real data has; of
-- shape 'spectrum' as many as dimensions, ever smaller, as texts have after LSA.
CREATE FUNCTION graph_vector(dim int, shape text) RETURNS float8[] LANGUAGE sql VOLATILE AS $$
  SELECT array_agg(CASE shape WHEN 'spectrum' THEN (random() + random() + random() - 1.5) / sqrt(j)
                   ELSE CASE shape WHEN 'skewed' THEN p.n ELSE 1 END *
                   (p.a * sin(p.b * 3 + j * 0.37) + p.c * sin(p.d * 3 + j * 0.11) +
                    p.e * cos(j * 0.05 + p.f * 3) + 0.05 * random() +
                    CASE shape WHEN 'clustered' THEN 2 * sin(p.k * j) ELSE 0 END) END
                   ORDER BY j)
  FROM (SELECT random() a, random() b, random() c, random() d, random() e, random() f,
               floor(random() * 12) k, exp(2 * random() * random()) n OFFSET 0) p,
       generate_series(1, dim) j $$;

-- A sparse vector in text form: some indices of a topic, some of all.
CREATE FUNCTION graph_sparse(dim int) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT '{' || string_agg(i || ':' || round((0.1 + random())::numeric, 3), ',' ORDER BY i) || '}/' || dim
  FROM (SELECT DISTINCT 1 + CASE WHEN j % 3 = 0 THEN floor(random() * random() * dim)
                            ELSE p.topic * span + floor(random() * span) END::int % dim AS i
        FROM (SELECT floor(random() * 12)::int topic, dim * 3 / 100 span, 15 + floor(random() * dim / 100)::int terms OFFSET 0) p,
             generate_series(1, p.terms) j) x $$;

CREATE PROCEDURE graph_fill(tab text, type text, dim int, shape text, n int) LANGUAGE plpgsql AS $$
BEGIN
  IF type = 'sparsevec' THEN
    EXECUTE format('INSERT INTO %I(v) SELECT graph_sparse(%s + 0 * i)::sparsevec FROM generate_series(1, %s) i', tab, dim, n);
  ELSE
    EXECUTE format('INSERT INTO %I(v) SELECT graph_vector(%s + 0 * i, %L)::real[]::%s FROM generate_series(1, %s) i',
                   tab, dim, shape, type, n);
  END IF;
END $$;

-- Mean recall@k of nq queries, which are made like the data.
CREATE FUNCTION graph_recall(tab text, type text, op text, dim int, shape text, k int, nq int)
RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  q text; hits int := 0; wanted int := 0; kth float8; n int; expected int;
BEGIN
  FOR i IN 1..nq LOOP
    IF type = 'sparsevec' THEN
      q := graph_sparse(dim);
    ELSE
      EXECUTE format('SELECT graph_vector(%s, %L)::real[]::%s::text', dim, shape, type) INTO q;
    END IF;
    PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
    EXECUTE format('SELECT max(d), count(*) FROM (SELECT v %s %L::%s AS d FROM %I ORDER BY 1 LIMIT %s) x', op, q, type, tab, k)
      INTO kth, expected;
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true);
    EXECUTE format('SELECT count(*) FROM (SELECT v %s %L::%s AS d FROM %I ORDER BY 1 LIMIT %s) x WHERE d <= %L',
                   op, q, type, tab, k, kth) INTO n;
    hits := hits + n;
    wanted := wanted + expected;
  END LOOP;
  RETURN round((hits::float8 / wanted)::numeric, 4);
END $$;
