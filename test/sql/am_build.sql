-- CREATE INDEX with split columns loads split by split: the rows are those of an
-- index that grew row by row, whatever the splits' sizes, and it is not larger.
CREATE TABLE am_build (id int, a numeric, b text, v vector(32));
INSERT INTO am_build SELECT i,
	CASE WHEN i % 4 = 0 THEN i % 3 WHEN i % 5 = 0 THEN (i % 3)::numeric(5, 2) WHEN i % 7 = 0 THEN NULL ELSE i % 900 END,
	CASE WHEN i % 11 = 0 THEN NULL ELSE 'x' || i % 2 END,
	CASE WHEN i % 97 = 0 THEN NULL ELSE (SELECT array_agg(sin(i * j)) FROM generate_series(1, 32) j)::vector END
FROM generate_series(1, 6000) i;
CREATE TABLE am_grown (LIKE am_build);
CREATE INDEX am_grown_i ON am_grown USING vektonn (v, a, b);
INSERT INTO am_grown SELECT * FROM am_build;
CREATE INDEX am_build_i ON am_build USING vektonn (v, a, b);
SELECT vektonn.check_index('am_build_i') = vektonn.check_index('am_grown_i') AS same_rows,
	(x).splits = (y).splits AS same_splits, (x).small_splits >= (y).small_splits AS as_many_small,
	(x).small_splits BETWEEN 1 AND (x).splits - 1 AS both_kinds,
	pg_relation_size('am_build_i') <= pg_relation_size('am_grown_i') AS not_larger
FROM (SELECT vektonn.index_info('am_build_i') x, vektonn.index_info('am_grown_i') y) i;
-- each split's answer is that of a sequential scan
CREATE FUNCTION am_answers(tab regclass, by_index boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text := ''; part text; key record;
BEGIN
	PERFORM set_config('enable_seqscan', (NOT by_index)::text, true), set_config('enable_indexscan', by_index::text, true);
	FOR key IN EXECUTE format('SELECT DISTINCT a::numeric(8, 1) AS a, b FROM %s WHERE a < 40 OR a IS NULL ORDER BY 1, 2', tab) LOOP
		EXECUTE format('SELECT string_agg(id::text, '','') FROM (SELECT id FROM %s WHERE %s AND %s ORDER BY v <-> %L LIMIT 7) r',
			tab, coalesce('a = ' || key.a, 'a IS NULL'), coalesce('b = ' || quote_literal(key.b), 'b IS NULL'),
			(SELECT array_agg(cos(j)) FROM generate_series(1, 32) j)::vector) INTO part;
		result := result || part || ';';
	END LOOP;
	RETURN result;
END $$;
SELECT am_answers('am_build', true) = am_answers('am_build', false) AS built,
	am_answers('am_build', true) = am_answers('am_grown', true) AS as_grown,
	length(am_answers('am_build', true)) > 1000 AS enough;
-- the whole index of an approximate one is loaded the same way
CREATE INDEX am_build_h ON am_build USING vektonn (v, a, b) WITH (algorithm = hnsw);
SELECT vektonn.check_index('am_build_h') = vektonn.check_index('am_build_i') AS same_rows;
-- a row in each split: no more than 1.6 times the vectors
CREATE TABLE am_single AS SELECT i AS id, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 128) j)::vector(128) AS v
FROM generate_series(1, 4000) i;
CREATE INDEX am_single_i ON am_single USING vektonn (v, id);
SELECT pg_relation_size('am_single_i') <= 1.6 * 4000 * 128 * 4 AS single, (vektonn.index_info('am_single_i')).splits;
SELECT id FROM am_single WHERE id = 77 ORDER BY v <-> (SELECT v FROM am_single WHERE id = 5) LIMIT 2;
-- nothing to load
CREATE TABLE am_empty (LIKE am_build);
CREATE INDEX am_empty_i ON am_empty USING vektonn (v, a, b);
SELECT vektonn.check_index('am_empty_i');
DROP TABLE am_build, am_grown, am_single, am_empty;
