-- Messages, byte for byte: upstream's published examples of its binary format, and JSON.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE FUNCTION message(source text, point jsonb, OUT key text, OUT value text) LANGUAGE sql AS $$
	SELECT encode(m.keys[1], 'hex'), encode(m.values[1], 'hex')
	FROM vektonn.data_source s, vektonn._messages(s, jsonb_build_array(point), false) m WHERE s.name = source
$$;

-- the quick start
SELECT vektonn.create_data_source('Quick', '1', 2, '{"id": "Int64", "payload": "String"}', '{id}', format => 'vektonn');
SELECT key, value = '0a080a02696412022001' || '0a1d0a077061796c6f6164' || '12120a10' || encode('first data point', 'hex')
	|| '110000000000000000' || '11000000000000f03f' AS value_is_upstreams
FROM message('Quick', '{"attributes": {"id": 1, "payload": "first data point"}, "vector": [0, 1]}');

-- every type; upstream writes attributes in the order of the request, we in that of their keys
SELECT vektonn.create_data_source('Golden', '1', 50, '{"str": "String", "guid": "Guid", "bool": "Bool", "int64": "Int64", "float64": "Float64", "date_time": "DateTime"}',
	'{str,guid,bool,int64,float64,date_time}', sparse => true, format => 'vektonn');
WITH upstream (message) AS (SELECT decode('ChEKA3N0chIKCghsYS1sYS1sYQoaCgRndWlkEhISEDmxRuyYA0t+qjXzVQrA5e0KCgoEYm9vbBICGAEKEwoFaW50NjQSCiD//////////38KFAoHZmxvYXQ2NBIJKf///////+//ChUKCWRhdGVfdGltZRIIMgYIu6uViAYRMzMzMzMz8z8RMzMzMzMzC0ARZmZmZmZmFsAYBxgNGBs=', 'base64')),
	ours AS (SELECT decode(value, 'hex') AS message FROM message('Golden', '{"attributes": {"str": "la-la-la", "guid": "39b146ec-9803-4b7e-aa35-f3550ac0e5ed",
		"bool": true, "int64": 9223372036854775807, "float64": -1.7976931348623157e308, "date_time": "2021-07-31T13:52:59Z"},
		"vector": {"isSparse": true, "coordinates": [1.2, 3.4, -5.6], "coordinateIndices": [7, 13, 27]}}')),
	-- the map entries of both, as a set, and what follows them
	entries AS (
		SELECT who, array_agg(substr(message, start, 2 + get_byte(message, start)) ORDER BY substr(message, start, 2 + get_byte(message, start))) AS parts
		FROM (SELECT 'upstream' AS who, message FROM upstream UNION ALL SELECT 'ours', message FROM ours) m,
			LATERAL (WITH RECURSIVE walk (start) AS (SELECT 1 UNION ALL SELECT start + 2 + get_byte(message, start) FROM walk
				WHERE get_byte(message, start + 1 + get_byte(message, start)) = 10) SELECT start FROM walk) w
		GROUP BY who)
SELECT (SELECT parts FROM entries WHERE who = 'ours') = (SELECT parts FROM entries WHERE who = 'upstream') AS same_attributes,
	length(u.message) AS length, right(encode(u.message, 'hex'), 66) = right(encode(o.message, 'hex'), 66) AS same_vector
FROM upstream u, ours o;

-- lengths of keys, as upstream's tests have them
SELECT vektonn.create_data_source(t, '1', 1, jsonb_build_object('a', t), '{a}', format => 'vektonn')
FROM unnest('{Bool,Guid,String,Int64,Float64,DateTime}'::text[]) t;
SELECT source, value, length((message(source, jsonb_build_object('attributes', jsonb_build_object('a', value), 'vector', '[0]'::jsonb))).key) / 2 AS length, want
FROM (VALUES ('Bool', 'true'::jsonb, 4), ('Bool', 'false', 4), ('Guid', '"39b146ec-9803-4b7e-aa35-f3550ac0e5ed"', 20), ('Guid', '"00000000-0000-0000-0000-000000000000"', 4),
	('String', '""', 4), ('String', '"x"', 5), ('Int64', '0', 4), ('Int64', '255', 5), ('Int64', '32767', 6), ('Int64', '2147483647', 8),
	('Int64', '9223372036854775807', 12), ('Int64', '-9223372036854775808', 13), ('Float64', '0', 11), ('DateTime', '"2021-07-31T13:52:59Z"', 10)) v (source, value, want);

-- keys are in the order of .NET's invariant culture
SELECT vektonn.create_data_source('Order', '1', 1, '{"ProductId": "Int64", "ProductCategory": "Int64", "ShopId": "Int64", "B": "Int64", "a": "Int64", "c": "Int64", "A": "Int64"}',
	'{ShopId,ProductId,ProductCategory,c,B,a,A}', format => 'vektonn');
SELECT attribute_names, permanent_attributes FROM vektonn.data_source WHERE name = 'Order';

-- deletions, JSON, and non-ASCII
SELECT keys, values FROM vektonn.data_source s, vektonn._messages(s, '[{"id": -1}]', true) WHERE s.name = 'Quick';
SELECT vektonn.create_data_source('Json', '1', 50, '{"id": "Int64", "s": "String", "d": "DateTime", "f": "Float64", "b": "Bool"}', '{id,s}', sparse => true);
SELECT convert_from(decode(key, 'hex'), 'UTF8') AS key, convert_from(decode(value, 'hex'), 'UTF8') AS value
FROM message('Json', '{"attributes": {"id": 1, "s": "a\"\u00e9\n", "d": "2021-11-23T23:59:01.5+03:00", "f": 0.1, "b": true}, "vector": {"indices": [9, 3], "values": [1e-3, 2]}}');
SELECT "values" FROM vektonn.data_source s, vektonn._messages(s, '[]', false) WHERE s.name = 'Json';

DROP FUNCTION message;
SELECT count(vektonn.drop_data_source(name, version)) FROM vektonn.data_sources;
