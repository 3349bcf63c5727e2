-- What a scan did: the view, and on PostgreSQL 18 the lines of EXPLAIN (ANALYZE).
SET enable_seqscan = off;
CREATE TABLE ex (id integer, a integer, vec vector(3));
INSERT INTO ex SELECT i, i % 3, ARRAY[i, i % 7, 1]::real[]::vector FROM generate_series(1, 900) i;
CREATE INDEX ex_index ON ex USING vektonn (vec vector_l2_ops, a);
CREATE FUNCTION ex_node(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
	RETURN jsonb_path_query_first(plan::jsonb, '$.** ? (@."Index Name" == "ex_index")');
END $$;
-- The same numbers for one execution, sums for several; nothing without execution.
CREATE FUNCTION ex_same(query text) RETURNS TABLE (passes boolean, splits boolean, compared boolean, pages boolean) LANGUAGE plpgsql AS $$
DECLARE node jsonb := ex_node(query);
BEGIN
	IF current_setting('server_version_num')::integer >= 180000 THEN
		RETURN QUERY SELECT (node ->> 'Index Passes')::bigint = s.passes, (node ->> 'Splits Searched')::bigint = s.splits,
			(node ->> 'Rows Compared')::bigint = s.row_count AND s.row_count > 0, (node ->> 'Index Pages')::bigint = s.pages AND s.pages > 0 FROM vektonn.scan_stats s;
	ELSE
		RETURN QUERY SELECT NOT node ? 'Index Passes' AND s.passes > 0, s.splits > 0, s.row_count > 0, s.pages > 0 FROM vektonn.scan_stats s;
	END IF;
END $$;
SELECT * FROM ex_same('SELECT id FROM ex ORDER BY vec <-> ''[1,2,3]'' LIMIT 5');
SELECT * FROM ex_same('SELECT id FROM ex WHERE a = 1 ORDER BY vec <-> ''[1,2,3]'' LIMIT 5');
SELECT splits FROM vektonn.scan_stats;
SELECT CASE WHEN current_setting('server_version_num')::integer >= 180000 THEN (node ->> 'Index Passes')::bigint >= 4 ELSE NOT node ? 'Index Passes' END AS good
	FROM ex_node('SELECT n.id FROM generate_series(1, 4) i, LATERAL (SELECT id FROM ex ORDER BY vec <-> ARRAY[i, 0, 0]::real[]::vector LIMIT 2) n') node;
EXPLAIN (COSTS OFF) SELECT id FROM ex ORDER BY vec <-> '[1,2,3]' LIMIT 5;
DROP TABLE ex;
DROP FUNCTION ex_node, ex_same;
