-- pgvector's documented behaviour of vector, halfvec and sparsevec, statement by
-- statement: an application written for it finds the same names and answers.
-- (Its index methods and its operators on bit are not part of this.)
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/lib/errors.psql'
\i :errors
\pset format unaligned

-- Create a vector column with 3 dimensions; insert vectors; get the nearest neighbours by L2 distance
CREATE TEMP TABLE items (id bigserial PRIMARY KEY, embedding vector(3));
INSERT INTO items (embedding) VALUES ('[1,2,3]'), ('[4,5,6]');
SELECT * FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;
-- "Also supports inner product (<#>), cosine distance (<=>), and L1 distance (<+>)"
SELECT id, embedding <-> '[3,1,2]' AS l2, embedding <#> '[3,1,2]' AS ip, round((embedding <=> '[3,1,2]')::numeric, 6) AS cosine, embedding <+> '[3,1,2]' AS l1 FROM items;
-- "Note: <#> returns the negative inner product since Postgres only supports ASC order index scans on operators"
SELECT (embedding <#> '[3,1,2]') * -1 AS inner_product FROM items;

-- Storing: a column added, upsert, update, delete
ALTER TABLE items ADD COLUMN other vector(3);
INSERT INTO items (id, embedding) VALUES (1, '[1,2,3]'), (2, '[4,5,7]') ON CONFLICT (id) DO UPDATE SET embedding = EXCLUDED.embedding;
UPDATE items SET embedding = '[1,2,4]' WHERE id = 1;
SELECT * FROM items ORDER BY id;
DELETE FROM items WHERE id = 1;
SELECT count(*) FROM items;

-- Querying: neighbours of a vector, of a row, within a distance; distances; similarity
INSERT INTO items (id, embedding) VALUES (11, '[1,2,3]'), (12, '[3,1,2]'), (13, '[9,9,9]'), (14, NULL);
SELECT id FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;
SELECT id FROM items WHERE id != 11 ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 11) LIMIT 5;
SELECT id FROM items WHERE embedding <-> '[3,1,2]' < 5 ORDER BY id;
SELECT id, embedding <-> '[3,1,2]' AS distance FROM items ORDER BY id;
SELECT id, 1 - (embedding <=> '[3,1,2]') AS cosine_similarity FROM items WHERE id = 12;

-- Aggregates: average vectors, of groups
SELECT AVG(embedding) FROM items;
SELECT id % 2 AS category_id, AVG(embedding), SUM(embedding) FROM items GROUP BY 1 ORDER BY 1;

-- Half-precision vectors, and half precision by an expression
CREATE TEMP TABLE half_items (id bigserial PRIMARY KEY, embedding halfvec(3));
INSERT INTO half_items (embedding) VALUES ('[1,2,3]'), ('[4,5,6]');
SELECT *, embedding <-> '[3,1,2]' AS distance FROM half_items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;
SELECT id FROM items ORDER BY embedding::halfvec(3) <-> '[1,2,3]' LIMIT 5;

-- Binary quantization, with the distance of bits PostgreSQL has
SELECT id, binary_quantize(embedding)::bit(3), bit_count(binary_quantize(embedding)::bit(3) # binary_quantize('[1,-2,3]'::vector)::bit(3)) AS hamming FROM items ORDER BY id LIMIT 1;

-- Sparse vectors: "the format is {index1:value1,index2:value2}/dimensions and indices start at 1 like SQL arrays"
CREATE TEMP TABLE sparse_items (id bigserial PRIMARY KEY, embedding sparsevec(5));
INSERT INTO sparse_items (embedding) VALUES ('{1:1,3:2,5:3}/5'), ('{1:4,3:5,5:6}/5');
SELECT *, embedding <-> '{1:3,3:1,5:2}/5' AS distance FROM sparse_items ORDER BY embedding <-> '{1:3,3:1,5:2}/5' LIMIT 5;
SELECT embedding <#> '{1:3}/5' AS ip, embedding <+> '{2:1}/5' AS l1, round((embedding <=> '{1:1,3:2,5:3}/5')::numeric, 6) AS cosine FROM sparse_items;

-- Subvectors
SELECT id FROM items ORDER BY subvector(embedding, 1, 2)::vector(2) <=> subvector('[1,2,3]'::vector, 1, 2) LIMIT 2;

-- Vectors with different dimensions in one column; cast to search one kind
CREATE TEMP TABLE embeddings (model_id bigint, item_id bigint, embedding vector, PRIMARY KEY (model_id, item_id));
INSERT INTO embeddings VALUES (123, 1, '[1,2,3]'), (123, 2, '[3,1,2]'), (456, 1, '[1,2]');
SELECT * FROM embeddings WHERE model_id = 123 ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;
SELECT pg_temp.answer($$SELECT count(embedding <-> '[3,1,2]') FROM embeddings$$);

-- Vectors with more precision: double precision[] or numeric[], with the dimensions checked, searched by a cast
CREATE TEMP TABLE precise_items (id bigserial PRIMARY KEY, embedding double precision[], n numeric[], CHECK (vector_dims(embedding::vector) = 3));
INSERT INTO precise_items (embedding, n) VALUES ('{1,2,3}', '{1,2,3}'), ('{4,5,6}', '{4,5,6}');
SELECT id FROM precise_items ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;
SELECT id FROM precise_items ORDER BY n::vector(3) <-> '[3,1,2]' LIMIT 5;
SELECT pg_temp.answer($$INSERT INTO precise_items (embedding) VALUES ('{1,2}')$$);

-- Reference: "4 * dimensions + 8", "2 * dimensions + 8", "8 * non-zero elements + 16" bytes
SELECT pg_column_size(array_fill(1, ARRAY[100])::vector) = 4 * 100 + 8 AS vector, pg_column_size(array_fill(1, ARRAY[100])::halfvec) = 2 * 100 + 8 AS halfvec,
	pg_column_size(array_fill(1, ARRAY[100])::sparsevec) = 8 * 100 + 16 AS sparsevec;
-- "all elements must be finite"; up to 16,000 dimensions; sparsevec up to 16,000 non-zero elements
SELECT type, pg_temp.answer(format('SELECT ARRAY[%L]::real[]::%s', value, type)) FROM unnest('{vector,halfvec,sparsevec}'::text[]) type, unnest('{NaN,Infinity,-Infinity}'::text[]) value;

-- Every operator and function of the reference, with the types it takes and gives: missing ones are listed
WITH documented (name, arguments, result) AS (
	SELECT name, format('%s, %s', t, t), 'double precision'
	FROM unnest('{l2_distance,inner_product,cosine_distance,l1_distance}'::text[]) name, unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT format('%s_%s', t, verb), format('%s, %s', t, t), 'double precision'
	FROM unnest('{l2_squared_distance,negative_inner_product}'::text[]) verb, unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT format('%s_spherical_distance', t), format('%s, %s', t, t), 'double precision' FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT format('%s_%s', t, verb), format('%s, %s', t, t), t FROM unnest('{add,sub,mul,concat}'::text[]) verb, unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT format('%s_%s', t, verb), format('%s, %s', t, t), 'boolean' FROM unnest('{lt,le,eq,ne,ge,gt}'::text[]) verb, unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT format('%s_cmp', t), format('%s, %s', t, t), 'integer' FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT 'l2_normalize', t, t FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT 'l2_norm', t, 'double precision' FROM unnest('{halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT 'vector_norm', 'vector', 'double precision'
	UNION ALL SELECT 'vector_dims', t, 'integer' FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT 'binary_quantize', t, 'bit' FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT 'subvector', t || ', integer, integer', t FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT a, t, t FROM unnest('{avg,sum}'::text[]) a, unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT t || '_accum', 'double precision[], ' || t, 'double precision[]' FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT t || '_combine', 'double precision[], double precision[]', 'double precision[]' FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT t || '_avg', 'double precision[]', t FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT t, t || ', integer, boolean', t FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT 'array_to_' || t, a || ', integer, boolean', t FROM unnest('{vector,halfvec,sparsevec}'::text[]) t, unnest('{integer[],real[],double precision[],numeric[]}'::text[]) a
	UNION ALL SELECT format('%s_to_float4', t), t || ', integer, boolean', 'real[]' FROM unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT format('%s_to_%s', s, t), s || ', integer, boolean', t FROM unnest('{vector,halfvec,sparsevec}'::text[]) s, unnest('{vector,halfvec,sparsevec}'::text[]) t WHERE s <> t
	UNION ALL SELECT t || '_in', 'cstring, oid, integer', t FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT t || '_out', t, 'cstring' FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT t || '_recv', 'internal, oid, integer', t FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT t || '_send', t, 'bytea' FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT t || '_typmod_in', 'cstring[]', 'integer' FROM unnest('{vector,halfvec,sparsevec}'::text[]) t
)
SELECT count(*) AS documented, array_agg(format('%s(%s) -> %s', name, arguments, result)) FILTER (WHERE p.oid IS NULL) AS missing
FROM documented LEFT JOIN pg_proc p ON proname = name AND pg_get_function_identity_arguments(p.oid) = arguments
	AND format_type(prorettype, NULL) = result AND pronamespace = 'public'::regnamespace;
WITH documented (name, type, result) AS (
	SELECT name, t, 'double precision' FROM unnest('{<->,<#>,<=>,<+>}'::text[]) name, unnest('{vector,halfvec,sparsevec}'::text[]) t
	UNION ALL SELECT name, t, t FROM unnest('{+,-,*,||}'::text[]) name, unnest('{vector,halfvec}'::text[]) t
	UNION ALL SELECT name, t, 'boolean' FROM unnest('{<,<=,=,<>,>=,>}'::text[]) name, unnest('{vector,halfvec,sparsevec}'::text[]) t
)
SELECT count(*) AS documented, array_agg(format('%s %s %s -> %s', type, name, type, result)) FILTER (WHERE o.oid IS NULL) AS missing
FROM documented LEFT JOIN pg_operator o ON oprname = name AND oprleft = type::regtype AND oprright = type::regtype AND format_type(oprresult, NULL) = result;
-- a distance operator is its own commutator
SELECT count(*) FILTER (WHERE oprcom = oid) AS own, count(*) FROM pg_operator WHERE oprname IN ('<->', '<#>', '<=>', '<+>', '<%>')
	AND oprleft IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype);

-- Indexing, with this index method's name: an index per distance, the operator class named
CREATE INDEX ON items USING vektonn (embedding vector_l2_ops);
CREATE INDEX ON items USING vektonn (embedding vector_ip_ops);
CREATE INDEX ON items USING vektonn (embedding vector_cosine_ops);
CREATE INDEX ON items USING vektonn (embedding vector_l1_ops);
CREATE INDEX ON half_items USING vektonn (embedding halfvec_l2_ops);
CREATE INDEX ON half_items USING vektonn (embedding halfvec_ip_ops);
CREATE INDEX ON half_items USING vektonn (embedding halfvec_cosine_ops);
CREATE INDEX ON half_items USING vektonn (embedding halfvec_l1_ops);
CREATE INDEX ON sparse_items USING vektonn (embedding sparsevec_l2_ops);
CREATE INDEX ON sparse_items USING vektonn (embedding sparsevec_ip_ops);
CREATE INDEX ON sparse_items USING vektonn (embedding sparsevec_cosine_ops);
CREATE INDEX ON sparse_items USING vektonn (embedding sparsevec_l1_ops);
-- half precision, subvectors, one kind of several, more precision: by expressions and conditions
CREATE INDEX items_half ON items USING vektonn ((embedding::halfvec(3)) halfvec_l2_ops);
CREATE INDEX items_sub ON items USING vektonn ((subvector(embedding, 1, 2)::vector(2)) vector_cosine_ops);
CREATE INDEX embeddings_123 ON embeddings USING vektonn ((embedding::vector(3)) vector_l2_ops) WHERE (model_id = 123);
CREATE INDEX precise_items_cast ON precise_items USING vektonn ((embedding::vector(3)) vector_l2_ops);
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM items ORDER BY embedding::halfvec(3) <-> '[1,2,3]' LIMIT 5;
SELECT id FROM items ORDER BY embedding::halfvec(3) <-> '[1,2,3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM items ORDER BY subvector(embedding, 1, 2)::vector(2) <=> subvector('[1,2,3]'::vector, 1, 2) LIMIT 2;
SELECT id FROM items ORDER BY subvector(embedding, 1, 2)::vector(2) <=> subvector('[1,2,3]'::vector, 1, 2) LIMIT 2;
EXPLAIN (COSTS OFF) SELECT * FROM embeddings WHERE model_id = 123 ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;
SELECT * FROM embeddings WHERE model_id = 123 ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM precise_items ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;
SELECT id FROM precise_items ORDER BY embedding::vector(3) <-> '[3,1,2]' LIMIT 5;
RESET enable_seqscan;
RESET enable_sort;

-- Errors clients know: SQLSTATE and primary message of each
SELECT statement, pg_temp.answer(statement) FROM unnest(ARRAY[
	$$SELECT '[1,2]'::vector <-> '[1,2,3]'$$, $$SELECT '[1,2]'::halfvec <#> '[1,2,3]'$$, $$SELECT '{}/2'::sparsevec <=> '{}/3'$$, $$SELECT '[1,2]'::vector <+> '[1]'$$,
	$$SELECT l2_distance('[1]'::vector, '[1,2]')$$, $$SELECT inner_product('[1]'::halfvec, '[1,2]')$$, $$SELECT cosine_distance('{}/1'::sparsevec, '{}/2')$$,
	$$SELECT vector_cmp('[1,2]', '[1]')$$, $$SELECT '[1]'::vector::vector(2)$$, $$SELECT '[]'::vector$$, $$SELECT '[1,2,3]'::vector(2)$$,
	$$CREATE TABLE x (v vector(0))$$, $$CREATE TABLE x (v halfvec(16001))$$, $$CREATE TABLE x (v sparsevec(1000000001))$$, $$CREATE TABLE x (v vector(2147483647))$$]) statement;
-- What differs, on purpose: a distance is never NaN
SELECT '[0,0]'::vector <=> '[1,2]' AS zero, '{}/2'::sparsevec <=> '{}/2' AS empty, '[0]'::halfvec <=> '[0]' AS both;
