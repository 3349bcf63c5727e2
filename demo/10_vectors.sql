\set QUIET on
\pset pager off
\pset footer off
\pset linestyle unicode
\pset border 2
-- == 1. Vectors in SQL
-- One extension adds the types vector, halfvec and sparsevec.
CREATE EXTENSION vektonn;

-- A colour is a vector of red, green and blue.
CREATE TABLE colour (name text PRIMARY KEY, family text NOT NULL, rgb vector(3) NOT NULL);
INSERT INTO colour VALUES
	('tomato', 'warm', '[255,99,71]'),     ('crimson', 'warm', '[220,20,60]'),
	('salmon', 'warm', '[250,128,114]'),   ('coral', 'warm', '[255,127,80]'),
	('gold', 'warm', '[255,215,0]'),       ('orange', 'warm', '[255,165,0]'),
	('chocolate', 'warm', '[210,105,30]'), ('hot pink', 'warm', '[255,105,180]'),
	('navy', 'cool', '[0,0,128]'),         ('royal blue', 'cool', '[65,105,225]'),
	('sky blue', 'cool', '[135,206,235]'), ('turquoise', 'cool', '[64,224,208]'),
	('teal', 'cool', '[0,128,128]'),       ('forest green', 'cool', '[34,139,34]'),
	('lime', 'cool', '[0,255,0]'),         ('violet', 'cool', '[238,130,238]'),
	('silver', 'grey', '[192,192,192]'),   ('slate grey', 'grey', '[112,128,144]');

-- Which colours are nearest to (250,110,90)?  <-> is the Euclidean distance.
SELECT name, rgb, round((rgb <-> '[250,110,90]')::numeric, 1) AS distance
FROM colour ORDER BY rgb <-> '[250,110,90]' LIMIT 4;

-- Other distances: <=> cosine, <#> negative inner product, <+> taxicab.
SELECT name, round((rgb <=> '[1,1,1]')::numeric, 4) AS cosine_to_grey
FROM colour ORDER BY rgb <=> '[1,1,1]' LIMIT 3;

-- == 2. The index
-- 20,000 rows of 64 dimensions in five languages.
CREATE TABLE book (id int PRIMARY KEY, lang text NOT NULL, vec vector(64) NOT NULL);
\o /dev/null
SELECT setseed(0.42);
\o
INSERT INTO book SELECT i, (ARRAY['en','de','fr','es','it'])[1 + i % 5],
	(SELECT array_agg(random())::vector(64) FROM generate_series(1, 64 + 0 * i))
FROM generate_series(1, 20000) i;

-- An exact index.  The second column is a split: a condition on it reads that part alone.
CREATE INDEX book_vec ON book USING vektonn (vec vector_l2_ops, lang);
VACUUM ANALYZE book;
\set QUIET off
EXPLAIN (COSTS OFF) SELECT id FROM book WHERE lang = 'de' ORDER BY vec <-> (SELECT vec FROM book WHERE id = 42) LIMIT 3;
\set QUIET on
SELECT id, lang, round((vec <-> (SELECT vec FROM book WHERE id = 42))::numeric, 3) AS distance
FROM book WHERE lang = 'de' ORDER BY vec <-> (SELECT vec FROM book WHERE id = 42) LIMIT 3;

-- Never short: the index reads on until the LIMIT is filled, however selective the rest is.
SELECT count(*) FROM (SELECT id FROM book WHERE id % 1000 = 7 ORDER BY vec <-> (SELECT vec FROM book WHERE id = 1) LIMIT 15) s;
