-- What an insertion may cost: buffers accessed and bytes of WAL per row, above
-- those of the table alone.  A change that needs more must change these numbers.
CREATE FUNCTION am_cost(tab text, columns text, dim int, n int, OUT buffers numeric, OUT wal numeric)
LANGUAGE plpgsql AS $$
DECLARE plan json; node json;
BEGIN
	EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, WAL, FORMAT json) INSERT INTO %I SELECT i, i %% 10, (SELECT array_agg(sin(i * j)) FROM generate_series(1, %s) j)::vector FROM generate_series(1, %s) i',
		tab, dim, n) INTO plan;
	node := plan->0->'Plan';
	buffers := ((node->>'Shared Hit Blocks')::numeric + (node->>'Shared Read Blocks')::numeric) / n;
	wal := (node->>'WAL Bytes')::numeric / n;
END $$;
CREATE FUNCTION am_budget(columns text, dim int, fill int) RETURNS TABLE(buffers numeric, wal numeric)
LANGUAGE plpgsql AS $$
DECLARE bare record; indexed record;
BEGIN
	EXECUTE format('CREATE TABLE am_bare (id int, a int, v vector(%1$s)); CREATE TABLE am_indexed (id int, a int, v vector(%1$s)); CREATE INDEX ON am_indexed USING vektonn (%2$s)', dim, columns);
	PERFORM am_cost(t, columns, dim, fill) FROM unnest(ARRAY['am_bare', 'am_indexed']) t;
	SELECT * INTO bare FROM am_cost('am_bare', columns, dim, 200);
	SELECT * INTO indexed FROM am_cost('am_indexed', columns, dim, 200);
	DROP TABLE am_bare, am_indexed;
	RETURN QUERY SELECT indexed.buffers - bare.buffers, indexed.wal - bare.wal;
END $$;
-- a row's elements are 4 bytes each, its code here a byte each and 20 of bounds; new pages
-- come as images of what is used of them
SELECT 'one split, rows only' AS index, buffers <= 4 AS buffers, wal <= 4 * 8 + 120 AS wal FROM am_budget('v', 8, 500);
SELECT 'one split, codes' AS index, buffers <= 5 AS buffers, wal <= 5 * 128 + 180 AS wal FROM am_budget('v', 128, 1500);
SELECT 'one split, long rows' AS index, buffers <= 4.2 AS buffers, wal <= 5 * 784 + 280 AS wal FROM am_budget('v', 784, 1500);
SELECT 'ten splits' AS index, buffers <= 6 AS buffers, wal <= 4 * 8 + 120 AS wal FROM am_budget('v, a', 8, 4000);
SELECT 'ten small splits' AS index, buffers <= 6 AS buffers, wal <= 4 * 8 + 200 AS wal FROM am_budget('v, a', 8, 200);
