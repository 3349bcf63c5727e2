-- Many query vectors at once: vektonn.search answers as it does one by one, also where it searches
-- them in one pass, and where it may not.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT setseed(0.25);
SELECT vektonn.create_data_source('B', '1', 24, '{"id": "Int64", "lang": "String", "at": "DateTime", "u": "Guid", "f": "Float64", "ok": "Bool"}', '{id,lang,at,u,f,ok}');
CREATE TABLE points AS SELECT i AS id, (ARRAY['en', 'de', 'it''s "q"'])[1 + i % 3] AS lang, timestamptz '2026-01-01 00:00:00.123457+02' + i % 2 * interval '1 day' AS at,
	md5((i % 2)::text)::uuid AS u, 0.1 + (i % 2) AS f, i % 2 = 0 AS ok, (SELECT array_agg(random() - 0.5 + 0 * (i + j)) FROM generate_series(1, 24) j)::vector AS vector FROM generate_series(1, 3000) i;
CREATE TABLE queries AS SELECT i AS number, (SELECT array_agg(random() - 0.5 + 0 * (i + j)) FROM generate_series(1, 24) j)::vector AS query FROM generate_series(1, 150) i;
SELECT count(vektonn.create_index('B ' || a, '1', 'B', '1', a, id_attributes => '{id}', split_attributes => '{lang,at,u,f,ok}', table_name => 'b_' || n))
FROM (VALUES ('FaissIndex.L2', 0), ('FaissIndex.IP', 1), ('Cosine', 2), ('L1', 3)) x (a, n);
SELECT vektonn.create_index('B hnsw', '1', 'B', '1', 'L2', params => '{"algorithm": "hnsw", "m": 8, "ef_construction": 40, "ef_search": 40}', id_attributes => '{id}', table_name => 'b_hnsw');
DO $$
BEGIN
	FOR i IN 0 .. 3 LOOP
		EXECUTE format('INSERT INTO b_%s (id, lang, at, u, f, ok, vector) SELECT id, lang, at, u, f, ok, vector FROM points', i);
	END LOOP;
END $$;
INSERT INTO b_hnsw (id, lang, at, u, f, ok, vector) SELECT id, lang, at, u, f, ok, vector FROM points;
DELETE FROM b_0 WHERE id % 7 = 0;
UPDATE b_1 SET vector = vector + vector WHERE id % 100 = 0;

-- rows of the batch against rows of single searches
CREATE FUNCTION compare(index_name text, k integer, filter jsonb) RETURNS text LANGUAGE sql AS $$
	WITH many AS MATERIALIZED (SELECT s.* FROM vektonn.search(index_name, '1', (SELECT array_agg(query ORDER BY number) FROM queries), k, filter, k < 10) s),
		one AS MATERIALIZED (SELECT q.number, s.* FROM queries q, vektonn.search(index_name, '1', ARRAY[q.query], k, filter, k < 10) s)
	SELECT format('%s rows, %s of %s differ', (SELECT count(*) FROM many), count(*) FILTER (WHERE m.distance IS DISTINCT FROM o.distance
		OR m.attributes IS DISTINCT FROM o.attributes OR m.vector IS DISTINCT FROM o.vector), count(*))
	FROM many m FULL JOIN one o ON m.query_number = o.number AND m.rank = o.rank $$;
SELECT index_name, k, filter, compare('B ' || index_name, k, filter)
FROM unnest('{FaissIndex.L2,FaissIndex.IP,Cosine,L1,hnsw}'::text[]) index_name,
	(VALUES (1, NULL::jsonb), (7, '{"lang": "it''s \"q\""}'), (20, '{"at": "2026-01-02T00:00:00.123457+02:00", "u": "C4CA4238-a0b9-2382-0dcc-509a6f75849b", "ok": false}'), (1, '{"lang": "nope"}')) f (k, filter)
WHERE index_name <> 'hnsw' OR filter IS NULL;
-- what it may not do in one pass: a float in the filter, a large k, few queries, arrays of arrays
SELECT compare('B FaissIndex.L2', 3, '{"f": 1.1}'), compare('B FaissIndex.L2', 1001, '{"lang": "en"}');
SELECT count(*), min(query_number), max(query_number) FROM vektonn.search('B FaissIndex.L2', '1', (SELECT array_agg(query) FROM queries WHERE number <= 127), 2);
SELECT count(*) FROM vektonn.search('B FaissIndex.L2', '1', (SELECT array_agg(ARRAY[query]) FROM queries), 2);

-- That one pass is made.
CREATE FUNCTION passes(index_name text, many integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM vektonn.search(index_name, '1', (SELECT array_agg(query) FROM queries WHERE number <= many), 2);
	RETURN EXISTS (SELECT FROM pg_stat_xact_user_functions WHERE schemaname = 'vektonn' AND funcname = 'knn');
END $$;
BEGIN;
SET LOCAL track_functions = 'all';
SELECT passes('B FaissIndex.L2', 127), passes('B hnsw', 150);
SELECT passes('B FaissIndex.L2', 128);
ROLLBACK;

-- by somebody who may read some rows only, and by somebody who may read nothing
CREATE ROLE regress_batch_reader;
GRANT SELECT ON queries, b_0 TO regress_batch_reader;
ALTER TABLE b_0 ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON b_0 TO regress_batch_reader USING (id < 50);
SET ROLE regress_batch_reader;
SELECT count(*), max((attributes ->> 'id')::int) < 50 AS allowed FROM vektonn.search('B FaissIndex.L2', '1', (SELECT array_agg(query) FROM queries), 10);
SELECT count(*) FROM vektonn.search('B FaissIndex.IP', '1', (SELECT array_agg(query) FROM queries), 10);
RESET ROLE;
DROP INDEX b_0_vector_lang_at_u_f_ok_idx;
SELECT compare('B FaissIndex.L2', 3, NULL);
SELECT vektonn.drop_data_source('B', '1', cascade => true);
DROP TABLE points, queries;
DROP ROLE regress_batch_reader;
DROP FUNCTION compare, passes;
