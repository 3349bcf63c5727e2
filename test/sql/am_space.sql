-- Pages a bulk load took in advance: none is lost, none is used twice.
CREATE TABLE am_space (id int, v vector(784));
CREATE INDEX am_space_v ON am_space USING vektonn (v);
CREATE FUNCTION am_fill(first int, count int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO am_space SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 784) j)::vector
	FROM generate_series(first, first + count - 1) i
$$;
CREATE FUNCTION am_nearest_ok() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE q vector := (SELECT v FROM am_space ORDER BY id LIMIT 1); a int[]; b int[];
BEGIN
	SET LOCAL enable_seqscan = off;
	a := ARRAY(SELECT id FROM am_space ORDER BY v <-> q LIMIT 20);
	SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off;
	b := ARRAY(SELECT id FROM am_space ORDER BY v <-> q LIMIT 20);
	RETURN a = b;
END $$;
-- what a transaction did not use, the next one does
SELECT am_fill(1, 210);
SELECT pg_relation_size('am_space_v') AS size \gset
SELECT pg_relation_size('am_space_v') / 8192 - 210 * 3136 / 8152 > 20 AS has_reserve;
SELECT am_fill(211, 40);
SELECT pg_relation_size('am_space_v') = :size AS not_grown, vektonn.check_index('am_space_v'), am_nearest_ok();
-- a transaction that fails leaves its rows to VACUUM; savepoints keep the reserve
BEGIN;
SAVEPOINT s;
SELECT am_fill(300, 30);
ROLLBACK TO s;
SELECT am_fill(400, 30);
COMMIT;
BEGIN;
SELECT am_fill(500, 100);
ROLLBACK;
SELECT vektonn.check_index('am_space_v') AS with_dead, am_nearest_ok();
VACUUM am_space;
SELECT vektonn.check_index('am_space_v') AS live, am_nearest_ok();
-- neither its rows' space nor the pages it had taken in advance are lost
SELECT pg_relation_size('am_space_v') AS size \gset
SELECT am_fill(1000, 150);
SELECT pg_relation_size('am_space_v') = :size AS not_grown, vektonn.check_index('am_space_v'), am_nearest_ok();
-- an index that is emptied and built anew in the transaction that made it
BEGIN;
CREATE TABLE am_space2 (LIKE am_space);
CREATE INDEX am_space2_v ON am_space2 USING vektonn (v);
INSERT INTO am_space2 SELECT * FROM am_space;
TRUNCATE am_space2;
INSERT INTO am_space2 SELECT * FROM am_space;
INSERT INTO am_space2 SELECT * FROM am_space WHERE id <= 100;
COMMIT;
SELECT vektonn.check_index('am_space2_v'), count(*) FROM am_space2;
-- and one that is dropped with its reserve
BEGIN;
INSERT INTO am_space2 SELECT * FROM am_space;
DROP INDEX am_space2_v;
COMMIT;
DROP TABLE am_space, am_space2;
