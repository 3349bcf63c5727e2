# Producing from SQL and looking at a topic, on the mock broker: offsets, keys,
# tombstones, errors, interrupts, and a backend that ends in order afterwards.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my $kafka = VkKafka->mock(1);
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "statement_timeout = '600s'");
$node->start;
my $bootstrap = $kafka->bootstrap;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION vektonn;
	CREATE SERVER k FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$bootstrap');
	CREATE ROLE producer LOGIN;
	CREATE ROLE nobody LOGIN;
	GRANT USAGE ON FOREIGN SERVER k TO producer;
});

sub sql { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', $_[1] // 'producer' ]); }

sub sql_error
{
	my (undef, undef, $err) = $node->psql('postgres', $_[0], extra_params => [ '-U', $_[1] // 'producer' ]);
	return $err;
}

my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
$kafka->topic('t', 1);
is(sql(q{SELECT vektonn.produce('k', 't', ARRAY['a', 'b', NULL]::bytea[], ARRAY['1', NULL, '']::bytea[])}),
	'{"0": 3}', 'offsets behind the last message');
is_deeply([ $kafka->consume('t', 0, 0) ],
	[ [ 0, 'a', '1' ], [ 1, 'b', undef ], [ 2, undef, '' ] ], 'what was produced is there');
is(sql(q{SELECT vektonn.produce('k', 't', '{}', '{}')}), '{}', 'nothing to produce');

# A large batch, and order within a key.
$kafka->topic('many', 3);
my $offsets = sql(q{SELECT sum(value::int) FROM jsonb_each_text((SELECT vektonn.produce('k', 'many',
	array_agg(convert_to('k' || i % 100, 'UTF8') ORDER BY i), array_agg(convert_to(i::text, 'UTF8') ORDER BY i))
	FROM generate_series(1, 20000) i))});
is($offsets, 20000, '20000 messages over three partitions');
is(sql(q{SELECT count(DISTINCT convert_from(key, 'UTF8') || partition), bool_and(ordered) FROM (
	SELECT partition, key, convert_from(value, 'UTF8')::int > lag(convert_from(value, 'UTF8')::int, 1, 0)
		OVER (PARTITION BY key ORDER BY partition, "offset") AS ordered
	FROM vektonn.peek('k', 'many', NULL, 0, 100000)) x}), '100|t', 'a key has one partition and its order');

# peek
is(sql(q{SELECT "offset", convert_from(key, 'UTF8'), value IS NULL, message_time > now() - interval '1 hour'
	FROM vektonn.peek('k', 't', 0, 1, 1)}), '1|b|t|t', 'peek at an offset');
is(sql(q{SELECT string_agg("offset"::text, ',') FROM vektonn.peek('k', 't', count => 2)}), '1,2', 'peek at the end');
is(sql(q{SELECT count(*) FROM vektonn.peek('k', 't', 0, 3)}), '0', 'peek at nothing');
like(sql_error(q{SELECT * FROM vektonn.peek('k', 't', 7)}), qr/partition 7 of topic "t" does not exist/, 'no such partition');
like(sql_error(q{SELECT * FROM vektonn.peek('k', 't', 0, -1)}), qr/offset -1 is negative/, 'negative offset');
like(sql_error(q{SELECT * FROM vektonn.peek('k', 't', 0, 0, 0)}), qr/cannot peek at 0 messages/, 'no messages');

# errors
like(sql_error(q{SELECT vektonn.produce('k', 't', '{a,b}', '{c}')}), qr/there are 2 keys and 1 values/, 'keys and values');
like(sql_error(q{SELECT vektonn.produce('k', 't', '{a}', '{c}')}, 'nobody'), qr/permission denied for foreign server k/, 'USAGE');
like(sql_error(q{SELECT * FROM vektonn.peek('k', 't')}, 'nobody'), qr/permission denied for foreign server k/, 'USAGE for peek');
like(sql_error(q{SELECT vektonn.produce('none', 't', '{a}', '{c}')}), qr/server "none" does not exist/, 'no server');
like(sql_error(q{SELECT vektonn.produce('k', 'bad topic!', '{a}', '{c}')}), qr/"bad topic!" is not a topic name/, 'a name no topic can have');
like(sql_error(q{SELECT vektonn.produce('k', 't', '{a}', ARRAY[convert_to(repeat('x', 2000000), 'UTF8')])}),
	qr/message 1 of 1 is too large/, 'message too large');
is(sql(q{SELECT vektonn.ensure_topic('k', 't')}), 'f', 'the topic was there');

# A transient refusal is retried.
$kafka->command('errors 0 6 6 6');
is(sql(q{SELECT vektonn.produce('k', 't', '{again}', '{1}')}), '{"0": 4}', 'NOT_LEADER is retried');

# Away: the timeout holds, a cancel works at once, DROP DATABASE elsewhere is not blocked.
$kafka->command('down');
like(sql_error(q{SELECT vektonn.produce('k', 't', '{a}', '{c}', '2 s')}), qr/did not answer in time/, 'the broker is down, and the timeout is kept');
like(sql_error(q{SET statement_timeout = '1s'; SELECT vektonn.produce('k', 't', '{a}', '{c}', '10 min')}), qr/statement timeout/, 'cancelled');
$node->safe_psql('postgres', 'CREATE DATABASE other');
my $waiting = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'producer' ]);
$waiting->query_until(qr/start/, "\\echo start\nSELECT vektonn.produce('k', 't', '{a}', '{c}', '20 min');\n");
$node->safe_psql('postgres', 'SET statement_timeout = 0; DROP DATABASE other');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ '20 min' AND usename = 'producer'}),
	'1', 'DROP DATABASE does not wait for a producing backend');
$kafka->command('up');
$waiting->quit;

# One backend: recovery after an error, a changed server, and its end.
my ($ret, $out, $err) = $node->psql('postgres', qq{
	SELECT vektonn.produce('k', 't', '{a}', '{c}') IS NOT NULL;
	ALTER SERVER k OPTIONS (SET bootstrap_servers '127.0.0.1:1');
	SELECT vektonn.produce('k', 't', '{a}', '{c}', '1 s') IS NOT NULL;
	ALTER SERVER k OPTIONS (SET bootstrap_servers '$bootstrap');
	SELECT vektonn.produce('k', 't', '{a}', '{c}') IS NOT NULL;
}, on_error_stop => 0);
is($out, "t\nt", 'a changed server is noticed');
like($err, qr/did not answer in time/, 'and an unreachable one');

# Backends that had clients end without bringing the server down.
sql(q{SELECT vektonn.produce('k', 't', '{a}', '{c}')}) foreach 1 .. 20;
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server is the same');
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'and no backend crashed');
unlike(slurp_file('/proc/' . (slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/)[0] . '/maps'),
	qr/rdkafka/, 'the postmaster never loads librdkafka');

$node->stop;
done_testing();
