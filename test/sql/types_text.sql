-- The text formats: what each type accepts, what it writes, and for everything
-- else an SQLSTATE, the message clients know, and where the mistake is.
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/lib/errors.psql'
\i :errors

-- vector and halfvec share one reader: the same literals for both
CREATE TEMP TABLE literal (id serial, value text);
INSERT INTO literal (value) VALUES
	('[1,2,3]'), ('[-1,-2.5,-0]'), (' [ 1, 2 ,3 ] '), (E'\t\n\r\x0b\f[1,\t2\n]\t'),
	('[1.,.5,+2,1e2,1E-2,1e+2,0x10,0x1.8p1]'), ('[0.1,1e-05,123456,1234567,16777217]'),
	('[1.5e-8,-1.5e-8,1e-46,-1e-46]'), ('[65504,65519]'), ('[65520]'), ('[4e38,1]'), ('[1,-4e38]'), ('[1e400]'),
	('[123456789012345678901234567890e-29]'), ('[0.000000000000000000000000000001e30]'),
	('[0.12345678901234568,2049,2051,5.9604644775390625e-08,2.98e-08]'),
	('[NaN,1]'), ('[1,nan(1)]'), ('[Infinity,1]'), ('[1,-inf]'), ('[hello,1]'), ('[1,2h]'), ('[1e]'), ('[1e+]'), ('[0x]'),
	('[1 2]'), ('[1,2,3'), ('[1,2,3,'), ('[1,2,3]9'), ('[1,2,3] ]'), ('1,2,3'), (''), (' '), ('['), ('[ '), ('[,'), ('[]'), ('[ ]'),
	('[,]'), ('[1,]'), ('[1,,3]'), ('[1, ,3]'), ('[--1]'), ('[+-1]'), ('[.]'), ('[-]'), ('[e5]'), ('{1,2}'), ('[1;2]'), ('[1,2)'),
	('[äöü]'), ('[1,€uro€uro€uro€uro€uro€uro]'), (E'[1,\u00a02]'), ('null');
\pset format unaligned
SELECT value, vector, CASE WHEN halfvec = replace(vector, 'type vector', 'type halfvec') THEN '=' ELSE halfvec END AS halfvec
FROM (SELECT id, value, pg_temp.answer(format('SELECT %L::vector', value)) AS vector,
	pg_temp.answer(format('SELECT %L::halfvec', value)) AS halfvec FROM literal) s
ORDER BY id;

-- the limit of dimensions
SELECT type, pg_temp.answer(format('SELECT vector_dims((''['' || repeat(''1,'', 15999) || ''1]'')::%s)', type)) AS most,
	pg_temp.answer(format('SELECT vector_dims((''['' || repeat(''1,'', 16000) || ''1]'')::%s)', type)) AS too_many
FROM unnest('{vector,halfvec}'::text[]) type;

-- sparsevec
TRUNCATE literal RESTART IDENTITY;
INSERT INTO literal (value) VALUES
	('{1:1.5,3:3.5}/5'), ('{3:3.5,1:1.5}/5'), (' { 1 : 1.5 , 3 : -3.5 } / 5 '), ('{}/5'), ('{ }/1'), ('{1:0,2:-0,3:1}/3'),
	('{1:1e-46}/3'), ('{1:-1e-400}/3'), ('{1:1e-45,2:1e-40}/3'), ('{1:0e-99999}/1'), ('{+1:+1}/+3'), ('{1:1}/1000000000'), ('{1000000000:1}/1000000000'), ('{1:65520,2:0x10}/2'),
	('{}/1000000001'), ('{}/99999999999999999999'), ('{}/0'), ('{}/-1'), ('{}/-99999999999999999999'), ('{}'), ('{}/'), ('{}/a'), ('{}/1a'),
	('{}/1.5'), ('{1:1}/2 x'), ('{6:1}/5'), ('{1:1,0:1}/5'), ('{-1:1}/5'), ('{1:1,99999999999999999999:1}/5'), ('{-99999999999999999999:1}/5'),
	('{2:1,1:1,2:3}/5'), ('{1:0,1:1}/5'), ('{9:0}/5'), ('{1:4e38}/1'), ('{1:-1e400}/1'), ('{1:NaN}/1'), ('{1:Infinity}/1'), ('{1:-inf}/1'),
	('{1:hello}/1'), ('{hello:1}/1'), ('{1:1'), ('{1:1,'), ('{1'), ('{1:'), ('{'), (''), ('}'), ('{,}/1'), ('{1:1,}/1'), ('{:1}/1'), ('{1:}/1'), ('{1 1}/1'),
	('{1:1 2:1}/2'), ('{1.5:1}/2'), ('[1,2]'), ('{1:1}5'), ('{1:1}/5}');
SELECT value, pg_temp.answer(format('SELECT %L::sparsevec', value)) AS sparsevec FROM literal ORDER BY id;
SELECT pg_temp.answer($$SELECT l2_norm(('{' || string_agg(i || ':1', ',') || '}/20000')::sparsevec) ^ 2 FROM generate_series(1, 16000) i$$) AS most,
	pg_temp.answer($$SELECT l2_norm(('{' || string_agg(i || ':1', ',') || '}/20000')::sparsevec) FROM generate_series(1, 16001) i$$) AS too_many;

-- whatever is written reads back as the same bits: every half, and floats of all sizes
SELECT count(*), count(*) FILTER (WHERE halfvec_send(h::text::halfvec) <> halfvec_send(h)) AS differ
FROM (SELECT array_agg(((i & 1023) + CASE WHEN i >= 1024 THEN 1024 ELSE 0 END) * 2.0 ^ (greatest(i / 1024, 1) - 25))::halfvec AS h
	FROM generate_series(0, 31743) i GROUP BY i / 1024) s;
SELECT count(*), count(*) FILTER (WHERE vector_send(v::text::vector) <> vector_send(v)) AS differ
FROM (SELECT array_agg(sign(sin(i)) * exp(87 * sin(i * 1.7) + sin(i * 0.3)))::vector AS v FROM generate_series(1, 20000) i GROUP BY i / 100) s;
-- and real and vector agree on every literal
SELECT count(*), count(*) FILTER (WHERE vector_send(format('[%s]', t)::vector) <> vector_send(ARRAY[t::real]::vector)) AS differ
FROM (SELECT (exp(85 * sin(i * 1.7)))::text AS t FROM generate_series(1, 20000) i) s;

-- a malformed value is a soft error where the server has those (16 and later)
DO $$
DECLARE
	good bool;
	bad bool;
BEGIN
	IF current_setting('server_version_num')::int < 160000 THEN
		RETURN;
	END IF;
	FOR i IN 1..3 LOOP
		EXECUTE format('SELECT pg_input_is_valid(%L, %L), pg_input_is_valid(%L, %L)',
			('{"[1,2]","[1,2]","{1:2}/3"}'::text[])[i], ('{vector(2),halfvec(2),sparsevec(3)}'::text[])[i],
			('{"[1,x]","[1,NaN]","{9:2}/3"}'::text[])[i], ('{vector(2),halfvec(2),sparsevec(3)}'::text[])[i]) INTO good, bad;
		ASSERT good AND NOT bad, i;
	END LOOP;
END $$;
