-- The binary formats: the bytes that are sent, and every malformed message.
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/lib/errors.psql'
\i :errors
\pset format unaligned

SELECT encode(vector_send('[1,-2.5,0,-0,1e-45,3.4028235e38]'), 'hex');
SELECT encode(halfvec_send('[1,-2.5,0,-0,6e-8,65504]'), 'hex');
SELECT encode(sparsevec_send('{5:-2.5,1:1,1000000000:3}/1000000000'), 'hex');
SELECT encode(sparsevec_send('{}/7'), 'hex');

-- Receives a message as a client sends it: a file of COPY BINARY with one field.
-- Answers the value, or the error.
CREATE FUNCTION pg_temp.receive(type text, message text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	field bytea := decode(replace(message, ' ', ''), 'hex');
	file bytea := '\x5047434f50590aff0d0a00' || decode(repeat('00', 8), 'hex') || int2send(1::int2)
		|| int4send(length(field)) || field || int2send((-1)::int2);
	object oid;
BEGIN
	object := lo_from_bytea(0, file);
	PERFORM lo_export(object, 'types_binary.copy');
	PERFORM lo_unlink(object);
	EXECUTE format('CREATE TEMP TABLE received (value %s)', type);
	EXECUTE format('COPY received FROM %L (FORMAT binary)', current_setting('data_directory') || '/types_binary.copy');
	EXECUTE 'ALTER TABLE received RENAME TO seen';
	RETURN (SELECT value FROM pg_temp.seen);
END $$;
CREATE FUNCTION pg_temp.received(type text, message text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE 'DROP TABLE IF EXISTS seen';
	RETURN pg_temp.answer(format('SELECT pg_temp.receive(%L, %L)', type, message));
END $$;
SET client_min_messages = warning;

WITH message (id, type, bytes) AS (VALUES
	(1, 'vector', '0003 0000 3f800000 c0200000 80000000'),
	(2, 'vector(3)', '0003 0000 3f800000 c0200000 80000000'),
	(3, 'vector(2)', '0003 0000 3f800000 c0200000 80000000'),
	(4, 'vector', ''), (5, 'vector', '0001'), (6, 'vector', '0001 0000'), (7, 'vector', '0001 0000 3f8000'),
	(8, 'vector', '0000 0000'), (9, 'vector', 'ffff 0000 3f800000'), (10, 'vector', '3e81 0000'), (11, 'vector', '8000 0000'),
	(12, 'vector', '0001 0001 3f800000'), (13, 'vector', '0001 ffff 3f800000'),
	(14, 'vector', '0002 0000 3f800000 7fc00000'), (15, 'vector', '0002 0000 ffc00001 7f800000'),
	(16, 'vector', '0002 0000 7f800000 7fc00000'), (17, 'vector', '0002 0000 3f800000 ff800000'),
	(18, 'vector', '0001 0000 3f800000 00'),
	(20, 'halfvec', '0003 0000 3c00 c100 8000'), (21, 'halfvec(3)', '0003 0000 3c00 c100 8000'),
	(22, 'halfvec(4)', '0003 0000 3c00 c100 8000'), (23, 'halfvec', '0001 0000'), (24, 'halfvec', '0001 0000 3c'),
	(25, 'halfvec', '0000 0000'), (26, 'halfvec', '3e81 0000'), (27, 'halfvec', '0001 0100 3c00'),
	(28, 'halfvec', '0002 0000 3c00 7e00'), (29, 'halfvec', '0002 0000 7c00 7e00'), (30, 'halfvec', '0002 0000 3c00 fc00'),
	(31, 'halfvec', '0001 0000 0001'), (32, 'halfvec', '0001 0000 7bff'), (33, 'halfvec', '0001 0000 3c00 3c00'),
	(40, 'sparsevec', '00000005 00000002 00000000 00000000 00000004 3f800000 c0200000'),
	(41, 'sparsevec(5)', '00000005 00000002 00000000 00000000 00000004 3f800000 c0200000'),
	(42, 'sparsevec(6)', '00000005 00000002 00000000 00000000 00000004 3f800000 c0200000'),
	(43, 'sparsevec', '00000005 00000000 00000000'), (44, 'sparsevec', ''), (45, 'sparsevec', '00000005 00000001 000000'),
	(46, 'sparsevec', '00000005 00000001 00000000 00000000 3f8000'), (47, 'sparsevec', '00000000 00000000 00000000'),
	(48, 'sparsevec', 'ffffffff 00000000 00000000'), (49, 'sparsevec', '3b9aca01 00000000 00000000'),
	(50, 'sparsevec', '00000005 ffffffff 00000000'), (51, 'sparsevec', '00000005 00000006 00000000'),
	(52, 'sparsevec', '00010000 00003e81 00000000'), (53, 'sparsevec', '00010000 7fffffff 00000000'), (54, 'sparsevec', '00000005 00000000 00000001'),
	(55, 'sparsevec', '00000005 00000001 00000000 00000005 3f800000'), (56, 'sparsevec', '00000005 00000001 00000000 ffffffff 3f800000'),
	(57, 'sparsevec', '00000005 00000002 00000000 00000001 00000001 3f800000 3f800000'),
	(58, 'sparsevec', '00000005 00000002 00000000 00000001 00000000 3f800000 3f800000'),
	(59, 'sparsevec', '00000005 00000002 00000000 00000001 80000000 3f800000 3f800000'),
	(60, 'sparsevec', '00000005 00000001 00000000 00000001 00000000'), (61, 'sparsevec', '00000005 00000001 00000000 00000001 80000000'),
	(62, 'sparsevec', '00000005 00000001 00000000 00000001 7fc00000'), (63, 'sparsevec', '00000005 00000001 00000000 00000001 7f800000'),
	(64, 'sparsevec', '00000005 00000000 00000000 00'))
SELECT type, bytes, pg_temp.received(type, bytes) FROM message ORDER BY id;
