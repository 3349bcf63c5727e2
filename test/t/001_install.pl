# The extension as an administrator meets it: nothing preloaded and preloaded,
# two databases, a schema of choice, settings, DROP CASCADE, and a dump that
# restores every type with its values, typmods, indexes and defaults.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('install');
$node->init;
$node->start;

# Nothing preloaded.
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
is($node->safe_psql('postgres', q{SELECT '[1,2]'::vector <-> '[1,4]'}), '2', 'works with nothing preloaded');
is( $node->safe_psql(
		'postgres', q{SELECT extnamespace::regnamespace, extversion = default_version FROM pg_extension e
			JOIN pg_available_extensions a ON a.name = extname WHERE extname = 'vektonn'}),
	'public|t', 'into the current schema, at the current version');

# A library that is not of this server's postmaster must not be needed by it.
my ($maps) = $node->safe_psql('postgres',
	q{LOAD 'vektonn'; SELECT pg_read_file('/proc/' || pg_backend_pid() || '/maps')});
unlike($maps, qr/librdkafka|openblas/, 'a backend that searches loads neither librdkafka nor OpenBLAS');

# Settings: the prefix is ours once the library is loaded.
my ($ret, $out, $err) = $node->psql('postgres', q{LOAD 'vektonn'; SET vektonn.no_such_setting = 1});
like($err, qr/invalid configuration parameter name "vektonn\.no_such_setting"/, 'an unknown setting is an error');

# A second database, another schema, at the same time.
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', q{CREATE SCHEMA "My types"; CREATE EXTENSION vektonn SCHEMA "My types";
	CREATE TABLE t (v "My types".vector(3)); INSERT INTO t VALUES ('[1,2,3]')});
is( $node->safe_psql('second', q{SELECT v OPERATOR("My types".<->) '[1,2,4]' FROM t}),
	'1', 'two databases, two schemas');

# Only a superuser creates it, and says so.
$node->safe_psql('postgres', q{CREATE ROLE plain LOGIN; CREATE DATABASE third; GRANT ALL ON DATABASE third TO plain});
($ret, $out, $err) = $node->psql('third', 'CREATE EXTENSION vektonn', extra_params => [ '-U', 'plain' ]);
like($err, qr/permission denied to create extension "vektonn"/, 'not trusted');
# Whoever may connect may use the types.
is( $node->safe_psql('postgres', q{SELECT '[1,2]'::vector <=> '[1,2]'}, extra_params => [ '-U', 'plain' ]),
	'0', 'an ordinary user has types and operators');

# Dump and restore, as text and in the custom format.
$node->safe_psql(
	'postgres', q{
	CREATE SCHEMA app;
	CREATE DOMAIN app.embedding AS vector(3) CHECK (vector_dims(VALUE) = 3);
	CREATE TABLE app.item (
		id int PRIMARY KEY,
		v vector(3) NOT NULL DEFAULT '[0,0,0]',
		h halfvec(3),
		s sparsevec(10),
		vs vector[],
		e app.embedding,
		norm float8 GENERATED ALWAYS AS (l2_norm(v)) STORED,
		CHECK (l2_norm(v) < 1000));
	INSERT INTO app.item (id, v, h, s, vs, e)
		SELECT i, ARRAY[i, 0.1, -i]::vector, ARRAY[i, 1, 0.5]::vector::halfvec, format('{1:%s,9:0.25}/10', i + 1)::sparsevec,
			ARRAY['[1]'::vector, NULL, '[2,3]'], ARRAY[1, 2, i]::vector
		FROM generate_series(1, 200) i;
	INSERT INTO app.item (id) VALUES (1000);
	CREATE INDEX item_btree ON app.item (v);
	CREATE INDEX item_v ON app.item USING vektonn (v vector_l2_ops);
	CREATE INDEX item_h ON app.item USING vektonn (h halfvec_cosine_ops, id) WHERE id > 10;
	CREATE VIEW app.near AS SELECT id, v <-> '[1,0,0]' AS distance FROM app.item ORDER BY v <-> '[1,0,0]';
	CREATE AGGREGATE app.centre (vector) (SFUNC = vector_add, STYPE = vector);
	CREATE MATERIALIZED VIEW app.mean AS SELECT avg(v) AS v, sum(h) AS h FROM app.item;
});

my $state = q{SELECT md5(string_agg(i::text, E'\n' ORDER BY id)) FROM app.item i
	UNION ALL SELECT string_agg(pg_get_indexdef(indexrelid), E'\n' ORDER BY indexrelid::regclass::text)
		FROM pg_index WHERE indrelid = 'app.item'::regclass
	UNION ALL SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'app.item'::regclass AND attnum > 0
	UNION ALL SELECT v::text || h::text FROM app.mean
	UNION ALL SELECT string_agg(id::text, ',') FROM (SELECT id FROM app.near LIMIT 3) n};
my $before = $node->safe_psql('postgres', $state);
my $dir = PostgreSQL::Test::Utils::tempdir();

for my $format (qw(plain custom directory))
{
	my $dump = "$dir/dump_$format";
	my $base = "restored_$format";

	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $dump, '-d', $node->connstr('postgres') ], "pg_dump -F $format");
	$node->safe_psql('postgres', "CREATE DATABASE $base");
	if ($format eq 'plain')
	{
		$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr($base) ], 'psql restores');
	}
	else
	{
		$node->command_ok([ 'pg_restore', '-e', '-j', '2', '-d', $node->connstr($base), $dump ], "pg_restore from $format");
	}
	is($node->safe_psql($base, $state), $before, "everything is there after $format");
	is( $node->safe_psql(
			$base, q{SET enable_seqscan = off; SET enable_sort = off;
			SELECT string_agg(id::text, ',') FROM (SELECT id FROM app.item ORDER BY v <-> '[7,0,-7]' LIMIT 3) s}),
		'7,6,8', "the index of $format answers");
}
unlike(slurp_file("$dir/dump_plain"), qr/CREATE (TYPE|FUNCTION|OPERATOR|SCHEMA) (public\.vector|vektonn)/,
	'the dump names the extension, not what belongs to it');

# DROP: refused while something depends on it, CASCADE takes exactly that.
($ret, $out, $err) = $node->psql('restored_plain', 'DROP EXTENSION vektonn');
like($err, qr/cannot drop extension vektonn because other objects depend on it/, 'DROP is refused');
$node->safe_psql('restored_plain', 'SET client_min_messages = warning; DROP EXTENSION vektonn CASCADE');
is( $node->safe_psql(
		'restored_plain', q{SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
			WHERE attrelid = 'app.item'::regclass AND attnum > 0 AND NOT attisdropped}),
	'id', 'CASCADE leaves the table and its other columns');
is($node->safe_psql('restored_plain', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'vektonn'}), '0', 'and no schema');
$node->safe_psql('restored_plain', 'CREATE EXTENSION vektonn');
is($node->safe_psql('restored_plain', q{SELECT '[1,2]'::vector}), '[1,2]', 'and it can come again');

# Preloaded: the same, and the postmaster has no librdkafka either.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'");
$node->restart;
is($node->safe_psql('postgres', $state), $before, 'works preloaded');
is($node->safe_psql('second', q{SELECT v FROM t}), '[1,2,3]', 'in every database');
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
unlike(slurp_file("/proc/$postmaster/maps"), qr/librdkafka|openblas/, 'the postmaster loads neither librdkafka nor OpenBLAS');
like(slurp_file("/proc/$postmaster/maps"), qr/vektonn\.so/, 'but vektonn');
($ret, $out, $err) = $node->psql('postgres', 'SET vektonn.no_such_setting = 1');
like($err, qr/invalid configuration parameter name/, 'an unknown setting is an error from the start');
$node->safe_psql('postgres', 'DROP DATABASE second');
$node->stop;

done_testing();
