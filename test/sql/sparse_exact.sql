-- An index scan over sparse vectors returns what a sequential scan and sort
-- return: all operators, negative and extreme values, empty vectors, rows that
-- share no term with the query, duplicates, splits, NULLs, any LIMIT; as log, as
-- segments, after deletes, updates and VACUUM.
CREATE FUNCTION sp_random(kind int) RETURNS sparsevec LANGUAGE plpgsql VOLATILE AS $$
DECLARE list text;
BEGIN
	IF kind = 4 THEN RETURN '{}/1000000000'; END IF;		-- empty
	IF kind = 3 THEN RETURN '{1:1,5:2,9:3}/1000000000'; END IF;	-- duplicates
	SELECT string_agg(i || ':' || x, ',' ORDER BY i) INTO list FROM (
		SELECT DISTINCT ON (i) i, x FROM (
			SELECT 1 + CASE WHEN kind = 5 THEN (random() * 999999998)::int	-- far indices
					ELSE (random() * random() * 300)::int END AS i,
				CASE kind WHEN 1 THEN random() - 0.5			-- signed
					WHEN 2 THEN (random() - 0.5) * 10.0::float8 ^ (random() * 70 - 35)	-- extreme
					ELSE random() + 0.01 END::float4 AS x
			FROM generate_series(1, 1 + (random() * 30)::int)) a WHERE x <> 0) b;
	RETURN ('{' || list || '}/1000000000')::sparsevec;
END $$;

-- The distances an index scan and a sequential scan return for one query.
CREATE FUNCTION sp_compare(tab text, op text, query sparsevec, cond text, lim int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE q text; line text; a float8[]; b float8[]; ids int[]; used boolean := false;
BEGIN
	q := format('SELECT v %s %L::sparsevec AS d, id FROM %I %s ORDER BY v %s %L::sparsevec LIMIT %s',
		op, query, tab, cond, op, query, lim);
	SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off;
	SET LOCAL enable_indexscan = on;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || q LOOP
		used := used OR line LIKE '%Index Scan using%';
	END LOOP;
	EXECUTE format('SELECT array_agg(d), array_agg(id) FROM (%s) s', q) INTO a, ids;
	SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on; SET LOCAL enable_indexscan = off;
	EXECUTE format('SELECT array_agg(d) FROM (%s) s', q) INTO b;
	IF NOT used THEN RETURN 'index not used: ' || q; END IF;
	IF a IS DISTINCT FROM b THEN RETURN 'different: ' || q; END IF;
	IF (SELECT count(DISTINCT i) FROM unnest(ids) i) <> coalesce(cardinality(ids), 0) THEN
		RETURN 'duplicates: ' || q;
	END IF;
	RETURN NULL;
END $$;

-- Runs queries of every kind; the number of comparisons, and warnings.
CREATE FUNCTION sp_run(tab text, op text, conds text[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE cond text; r text; lim int; n int := 0;
BEGIN
	FOR kind IN 0..5 LOOP
		FOREACH cond IN ARRAY conds LOOP
			FOREACH lim IN ARRAY ARRAY[7, 400, 100000] LOOP
				r := sp_compare(tab, op, sp_random(kind), cond, lim);
				n := n + 1;
				IF r IS NOT NULL THEN RAISE WARNING '%', left(r, 300); END IF;
			END LOOP;
		END LOOP;
	END LOOP;
	RETURN n;
END $$;

SELECT setseed(0.25);
CREATE TABLE sp_rows (id int, a int, v sparsevec(1000000000));
INSERT INTO sp_rows SELECT i, i % 3, CASE WHEN i % 100 <> 0 THEN sp_random(i % 6) END
	FROM generate_series(1, 6000) i;

-- One index per operator over one table: built in bulk, then changed by rows.
CREATE TABLE sp_one AS SELECT * FROM sp_rows WHERE id <= 2500;
ALTER TABLE sp_one ALTER v TYPE sparsevec(1000000000);
CREATE INDEX sp_l2 ON sp_one USING vektonn (v sparsevec_l2_ops);
CREATE INDEX sp_ip ON sp_one USING vektonn (v sparsevec_ip_ops);
CREATE INDEX sp_cosine ON sp_one USING vektonn (v sparsevec_cosine_ops);
CREATE INDEX sp_l1 ON sp_one USING vektonn (v sparsevec_l1_ops);
CREATE INDEX sp_jaccard ON sp_one USING vektonn (v sparsevec_jaccard_ops);
CREATE VIEW sp_indexes AS SELECT c.relname, vektonn.check_index(c.oid) AS checked
	FROM pg_class c WHERE relname LIKE 'sp\_%' AND relkind = 'i' ORDER BY 1;
SELECT op, sp_run('sp_one', op, '{""}') FROM unnest('{<->,<#>,<=>,<+>,<%>}'::text[]) op;
SELECT * FROM sp_indexes;
INSERT INTO sp_one SELECT * FROM sp_rows WHERE id > 2500;
DELETE FROM sp_one WHERE id % 3 = 0;
SELECT op, sp_run('sp_one', op, '{""}') FROM unnest('{<->,<#>,<=>,<+>,<%>}'::text[]) op;
VACUUM (INDEX_CLEANUP ON) sp_one;
SELECT * FROM sp_indexes;
UPDATE sp_one SET v = sp_random(id % 6) WHERE id % 5 = 1;
INSERT INTO sp_one SELECT id + 10000, a, v FROM sp_rows WHERE id % 2 = 0;
SELECT op, sp_run('sp_one', op, '{""}') FROM unnest('{<->,<#>,<=>,<+>,<%>}'::text[]) op;
VACUUM (INDEX_CLEANUP ON) sp_one;
SELECT * FROM sp_indexes;
SELECT op, sp_run('sp_one', op, '{""}') FROM unnest('{<->,<#>,<=>,<+>,<%>}'::text[]) op;

-- Everything deleted: pages are given back and used again.
DELETE FROM sp_one;
VACUUM (INDEX_CLEANUP ON) sp_one;
SELECT * FROM sp_indexes;
CREATE TABLE sp_before AS SELECT relname, pg_relation_size(oid) AS size FROM pg_class WHERE relname LIKE 'sp\_%' AND relkind = 'i';
INSERT INTO sp_one SELECT * FROM sp_rows WHERE id <= 2500;
SELECT relname FROM sp_before WHERE pg_relation_size(relname::regclass) > size;
SELECT * FROM sp_indexes;
DROP VIEW sp_indexes;
DROP TABLE sp_one;

-- Splits: small ones on shared pages, large ones with a store of their own.
CREATE TABLE sp_split AS SELECT * FROM sp_rows WHERE id <= 1500;
UPDATE sp_split SET a = id + 10 WHERE id % 50 = 7;
CREATE INDEX sp_split_i ON sp_split USING vektonn (v sparsevec_cosine_ops, a);
INSERT INTO sp_split SELECT * FROM sp_rows WHERE id > 1500 AND id % 10 <> 0;
SELECT sp_run('sp_split', '<=>', ARRAY['', 'WHERE a = 1', 'WHERE a IN (0, 2, 17)', 'WHERE a = 217', 'WHERE a > 100']);
DELETE FROM sp_split WHERE a = 1 OR id % 2 = 0;
VACUUM (INDEX_CLEANUP ON) sp_split;
SELECT vektonn.check_index('sp_split_i');
SELECT sp_run('sp_split', '<=>', ARRAY['', 'WHERE a = 1', 'WHERE a IN (0, 2, 17)', 'WHERE a = 217']);
-- VACUUM without dead rows sorts in what inserts left.
CREATE FUNCTION sp_log_rows(query sparsevec) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL enable_seqscan = off;
	PERFORM id FROM sp_split WHERE a = 2 ORDER BY v <=> query LIMIT 1;
	RETURN (SELECT row_count > 300 FROM vektonn.scan_stats);
END $$;
INSERT INTO sp_split SELECT id, 2, sp_random(0) FROM generate_series(1, 900) id;
SELECT sp_log_rows('{3:1}/1000000000') AS compared_one_by_one;
VACUUM sp_split;
SELECT sp_log_rows('{3:1}/1000000000') AS compared_one_by_one;
DROP TABLE sp_split;

-- The longest vectors, on many pages each, in the log and in segments.
CREATE FUNCTION sp_long(n int, seed int) RETURNS sparsevec LANGUAGE sql AS $$
	SELECT ('{' || string_agg(i * 62000 + seed || ':' || (i * seed) % 97 + 1, ',' ORDER BY i) || '}/1000000000')::sparsevec
	FROM generate_series(1, n) i $$;
CREATE TABLE sp_wide (id int, v sparsevec(1000000000));
INSERT INTO sp_wide SELECT i, sp_long(CASE i % 4 WHEN 0 THEN 16000 WHEN 1 THEN 30 ELSE 1000 * (i % 7 + 1) END, i % 9)
	FROM generate_series(1, 30) i;
SET maintenance_work_mem = '1MB';	-- elements are gathered in parts
CREATE INDEX sp_wide_i ON sp_wide USING vektonn (v sparsevec_l2_ops);
SELECT sp_compare('sp_wide', '<->', sp_long(16000, 4), '', lim) FROM unnest('{3,50}'::int[]) lim;
INSERT INTO sp_wide SELECT i, sp_long(CASE i % 4 WHEN 0 THEN 16000 WHEN 1 THEN 30 ELSE 1000 * (i % 7 + 1) END, i % 9)
	FROM generate_series(31, 60) i;
SELECT sp_compare('sp_wide', '<->', sp_long(16000, 4), '', lim) FROM unnest('{3,100}'::int[]) lim;
SELECT vektonn.check_index('sp_wide_i');
DELETE FROM sp_wide WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP ON) sp_wide;
SELECT sp_compare('sp_wide', '<->', sp_long(16000, 4), '', lim) FROM unnest('{3,100}'::int[]) lim;
SELECT vektonn.check_index('sp_wide_i');
RESET maintenance_work_mem;
DROP TABLE sp_wide;

-- What a scan did is visible: of 3000 rows few are compared.
CREATE TABLE sp_stat AS SELECT i AS id, ('{' || i % 50 + 1 || ':1,' || 100 + i || ':0.5}/5000')::sparsevec(5000) AS v
	FROM generate_series(1, 3000) i;
CREATE INDEX ON sp_stat USING vektonn (v sparsevec_ip_ops);
SET enable_seqscan = off;
SELECT id FROM sp_stat ORDER BY v <#> '{7:1,106:5}/5000' LIMIT 1;
SELECT row_count < 100 AS few_compared, codes AS postings FROM vektonn.scan_stats;
RESET enable_seqscan;
DROP TABLE sp_stat, sp_before;

-- What an insert costs, merging included: budgets per row of 60 elements.
CREATE TABLE sp_cost (id int, v sparsevec(1000000000));
CREATE INDEX sp_cost_i ON sp_cost USING vektonn (v sparsevec_cosine_ops);
CREATE FUNCTION sp_cost(rows int, OUT wal_bytes numeric, OUT buffers numeric) LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE format('EXPLAIN (ANALYZE, WAL, BUFFERS, FORMAT json) INSERT INTO sp_cost SELECT i, '
		'(SELECT (''{'' || string_agg(n * 70 + i %% 60 || '':'' || n, '','' ORDER BY n) || ''}/1000000000'')::sparsevec '
		'FROM generate_series(1, 60) n WHERE i > 0) FROM generate_series(1, %s) i', rows) INTO plan;
	wal_bytes := (plan -> 0 -> 'Plan' ->> 'WAL Bytes')::numeric / rows;
	buffers := ((plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::numeric +
		(plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::numeric) / rows;
END $$;
SELECT wal_bytes < 3000 AS wal_within_budget, buffers < 10 AS buffers_within_budget FROM sp_cost(5000);
SELECT vektonn.check_index('sp_cost_i');
DROP TABLE sp_cost;

-- Temporary and unlogged tables.
CREATE TEMP TABLE sp_temp (id int, v sparsevec(1000000000));
CREATE INDEX sp_temp_i ON sp_temp USING vektonn (v sparsevec_ip_ops);
CREATE UNLOGGED TABLE sp_unlogged (id int, v sparsevec(1000000000));
CREATE INDEX sp_unlogged_i ON sp_unlogged USING vektonn (v sparsevec_ip_ops);
INSERT INTO sp_temp SELECT id, v FROM sp_rows;
INSERT INTO sp_unlogged SELECT id, v FROM sp_rows;
DELETE FROM sp_temp WHERE id % 2 = 0;
DELETE FROM sp_unlogged WHERE id % 2 = 0;
VACUUM (INDEX_CLEANUP ON) sp_temp, sp_unlogged;
SELECT vektonn.check_index('sp_temp_i'), vektonn.check_index('sp_unlogged_i');
SELECT sp_compare('sp_temp', '<#>', '{3:1,7:2}/1000000000', '', 100), sp_compare('sp_unlogged', '<#>', '{3:1,7:2}/1000000000', '', 100);
DROP TABLE sp_temp, sp_unlogged;
DROP TABLE sp_rows;
