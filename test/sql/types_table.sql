-- Vectors in tables: storage, TOAST, COPY in text and binary, dump form.
\pset format unaligned

SELECT typname, typlen, typbyval, typalign, typstorage, typcategory, typdelim, typinput, typoutput, typreceive, typsend, typmodin, typmodout
FROM pg_type WHERE oid IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype) ORDER BY typname;
-- sizes on disk: header, dimensions, elements
SELECT pg_column_size('[1,2,3]'::vector) AS vector, pg_column_size('[1,2,3]'::halfvec) AS halfvec, pg_column_size('{1:1,2:2}/9'::sparsevec) AS sparsevec;

CREATE TABLE types_stored (id int, v vector, h halfvec, s sparsevec);
INSERT INTO types_stored VALUES (1, '[1,2]', '[1,2]', '{1:1}/2'), (2, NULL, NULL, NULL), (3, '[-0]', '[-0]', '{}/1000000000');
-- large values: TOASTed, not compressed, and whole again
INSERT INTO types_stored SELECT 4, array_agg(i / 7.0)::vector, array_agg(i / 7.0)::halfvec, array_agg(i / 7.0)::sparsevec FROM generate_series(0, 15999) i;
SELECT id, pg_column_size(v) AS v, pg_column_size(h) AS h, pg_column_size(s) AS s, pg_column_compression(v) AS compression,
	md5(vector_send(v)) AS v, md5(halfvec_send(h)) AS h, md5(sparsevec_send(s)) AS s FROM types_stored ORDER BY id;
SELECT sum(v), avg(h), vector_dims(v || '[1]'), l2_norm(v), v = v AS same, v < v AS less FROM types_stored WHERE id = 1 GROUP BY v, h, s;
SELECT v = v AND h = h AND s = s AS same, vector_cmp(v, '[0]'), l2_norm(v) > l2_norm(h) FROM types_stored WHERE id = 4;
-- stored inline with a short header: read the same, and both storages give the same bits
ALTER TABLE types_stored ALTER v SET STORAGE main, ALTER h SET STORAGE plain, ALTER s SET STORAGE extended;
CREATE TABLE types_inline (LIKE types_stored INCLUDING STORAGE);
INSERT INTO types_inline SELECT * FROM types_stored WHERE id < 4;
INSERT INTO types_inline (id, v, s) SELECT id, v, s FROM types_stored WHERE id = 4;
SELECT id, a.v = b.v AS v, a.h = b.h AS h, a.s = b.s AS s FROM types_stored a JOIN types_inline b USING (id) ORDER BY id;

-- COPY in text and binary gives the table back bit for bit
CREATE FUNCTION types_file(name text) RETURNS text LANGUAGE sql AS $$ SELECT current_setting('data_directory') || '/types_' || name $$;
CREATE FUNCTION types_copy(format text) RETURNS TABLE (rows bigint, differ bigint) LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE copied (LIKE types_stored) ON COMMIT DROP;
	EXECUTE format('COPY types_stored TO %L (FORMAT %s)', types_file(format), format);
	EXECUTE format('COPY copied FROM %L (FORMAT %s)', types_file(format), format);
	RETURN QUERY SELECT count(*), count(*) FILTER (WHERE vector_send(a.v) IS DISTINCT FROM vector_send(b.v)
		OR halfvec_send(a.h) IS DISTINCT FROM halfvec_send(b.h) OR sparsevec_send(a.s) IS DISTINCT FROM sparsevec_send(b.s))
		FROM types_stored a JOIN copied b USING (id);
END $$;
SELECT * FROM types_copy('text');
SELECT * FROM types_copy('binary');
SELECT * FROM types_copy('csv');
COPY (SELECT * FROM types_stored WHERE id < 4 ORDER BY id) TO stdout;
COPY types_stored FROM stdin;
5	[1,2	\N	\N
\.
COPY types_stored (id, s) FROM stdin;
5	{1:1,1:2}/3
\.
COPY types_stored (id, h) FROM stdin CSV;
5,"[1,1e6]"
\.

-- arrays of vectors, vectors in composite values, as defaults, in constraints and generated columns
CREATE TABLE types_more (v vector(2) DEFAULT '[1,1]', many vector(2)[] DEFAULT ARRAY['[1,2]', '[3,4]']::vector[], CHECK (l2_norm(v) < 10),
	unit vector GENERATED ALWAYS AS (l2_normalize(v)) STORED, half halfvec(2) GENERATED ALWAYS AS (v::halfvec(2)) STORED);
INSERT INTO types_more DEFAULT VALUES;
INSERT INTO types_more (v) VALUES ('[3,4]');
INSERT INTO types_more (v) VALUES ('[30,40]');
SELECT * FROM types_more;
SELECT many[2], types_more FROM types_more LIMIT 1;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'types_more'::regclass;
ALTER TABLE types_more ALTER v TYPE vector(3);
ALTER TABLE types_more DROP unit, DROP half, ALTER v DROP DEFAULT, ALTER v TYPE halfvec(2), ALTER many TYPE halfvec(2)[];
SELECT * FROM types_more;
ALTER TABLE types_more DROP CONSTRAINT types_more_v_check, ALTER v TYPE real[];
SELECT * FROM types_more;
DROP TABLE types_stored, types_inline, types_more;
DROP FUNCTION types_copy, types_file;

-- the bytes on disk, as README.md of src/types has them, behind a short varlena header (little-endian)
CREATE EXTENSION IF NOT EXISTS pageinspect;
CREATE TABLE types_bytes (v vector, h halfvec, s sparsevec);
INSERT INTO types_bytes VALUES ('[1,-2.5]', '[1,-2.5]', '{5:-2.5,1:1}/9');
SELECT encode(attr, 'hex') AS bytes FROM heap_page_item_attrs(get_raw_page('types_bytes', 0), 'types_bytes'), unnest(t_attrs) attr;
DROP TABLE types_bytes;
