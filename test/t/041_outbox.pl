# The outbox: messages go out when their transaction commits and never when it
# rolls back, in the order of commits, through crashes and absences of the
# broker; a message that is refused for good holds nothing up.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my $kafka = VkKafka->mock(1);
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'\nmax_worker_processes = 16");
$node->start;
my $bootstrap = $kafka->bootstrap;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION vektonn;
	CREATE SERVER k FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$bootstrap', message_timeout_ms '2000');
	CREATE ROLE app LOGIN;
	CREATE ROLE nobody LOGIN;
	GRANT USAGE ON FOREIGN SERVER k TO app;
});
$kafka->topic($_, 1) foreach qw(t u);

sub sql { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', $_[1] // 'app' ]); }
sub values_of { return join ' ', map { $_->[2] // 'null' } $kafka->consume($_[0], 0, 0); }

sub drained
{
	return $node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM vektonn.outbox WHERE error_code IS NULL)');
}

is(sql(q{BEGIN; SELECT vektonn.enqueue('k', 't', '{a,b}', '{rolled,back}'); ROLLBACK;
	SELECT vektonn.enqueue('k', 't', ARRAY['a', 'b', NULL]::bytea[], ARRAY['1', NULL, '3']::bytea[])}), "2\n3", 'enqueued');
ok(drained(), 'sent');
is(values_of('t'), '1 null 3', 'what was committed, and a tombstone');
is($node->safe_psql('postgres', 'SELECT count(*) FROM vektonn.outbox_commit'), 0, 'nothing stays behind');

# The order is that of the commits, not of the first write.
$node->safe_psql('postgres', q{ALTER SERVER k OPTIONS (SET bootstrap_servers '127.0.0.1:1')});
my $first = $node->background_psql('postgres', extra_params => [ '-U', 'app' ]);
$first->query_safe("BEGIN");
$first->query_safe("SELECT vektonn.enqueue('k', 't', '{x}', '{written first}')");
sql(q{SELECT vektonn.enqueue('k', 't', '{x}', '{committed first}')});
$first->query_safe("COMMIT");
$first->quit;
ok($node->poll_query_until('postgres', q{SELECT last_error IS NOT NULL FROM vektonn.outbox_status WHERE topic = 't'}), 'an absent broker is said');
is($node->safe_psql('postgres', q{SELECT pending FROM vektonn.outbox_status}), 2, 'and both wait');
$node->safe_psql('postgres', qq{ALTER SERVER k OPTIONS (SET bootstrap_servers '$bootstrap')});
ok(drained(), 'sent when the broker is back');
like(values_of('t'), qr/committed first written first$/, 'in the order of commits');

# A refused message is set aside; what comes behind it goes on, also in another topic.
sql(q{SELECT vektonn.enqueue('k', 'u', ARRAY['a', 'b', 'c']::bytea[], ARRAY['before', convert_to(repeat('x', 2000000), 'UTF8'), 'after']);
	SELECT vektonn.enqueue('k', 't', '{y}', '{other}')});
ok(drained(), 'the rest is sent');
is(values_of('u'), 'before after', 'before and after the one refused');
is(sql(q{SELECT refused, last_error ~ 'too large' FROM vektonn.outbox_status}), '1|t', 'which is set aside with its error');
sql('DELETE FROM vektonn.outbox');

# Who may what.
like((($node->psql('postgres', q{SELECT vektonn.enqueue('k', 't', '{a}', '{b}')}, extra_params => [ '-U', 'nobody' ]))[2]),
	qr/permission denied for foreign server k/, 'USAGE');
sql(q{INSERT INTO vektonn.outbox (server, topic, key, value) VALUES ('k', 't', 'z', 'around')}, 'nobody');
ok($node->poll_query_until('postgres', q{SELECT last_error ~ 'permission denied' FROM vektonn.outbox_status}), 'and no way around it');
is(sql('SELECT count(*) FROM vektonn.outbox'), 0, 'the rows of others are not visible');
sql('DELETE FROM vektonn.outbox', 'nobody');
ok(($node->psql('postgres', q{INSERT INTO vektonn.outbox (server, topic, owner) VALUES ('k', 't', 'app')}, extra_params => [ '-U', 'nobody' ]))[0] != 0,
	'nor can they be written in the name of others');

# Kills: nothing is lost, and order per key holds.
my $at = ($kafka->watermarks('u', 0))[1];
foreach my $round (1 .. 10)
{
	sql(sprintf q{SELECT vektonn.enqueue('k', 'u', ARRAY['k']::bytea[], ARRAY['%d']::bytea[])}, $_) foreach ($round * 20 - 19 .. $round * 20);
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'vektonn outbox worker'});
	if ($round == 5) { $node->stop('immediate'); $node->start; }
	elsif ($pid) { $node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)"); }
}
ok(drained(), 'sent through it all');
my @sent = map { $_->[2] } $kafka->consume('u', 0, $at);
my (%seen, @distinct);
foreach (@sent) { push @distinct, $_ unless $seen{$_}++; }
is(join(' ', @distinct), join(' ', 1 .. 200), 'all of it, in order');
note(scalar(@sent) - 200, ' sent twice');

# Points of the model in a transaction of the caller's.
sql(q{SELECT vektonn.create_data_source('S', '1', 1, '{"id": "Int64"}', '{id}', server => 'k', topic => 'points')});
is(sql(q{SELECT vektonn.upload_on_commit('S', '1', '[{"attributes": {"id": 1}, "vector": [1]}, {"attributes": {"id": 1}, "isDeleted": true}]')}), 2, 'points');
ok(drained(), 'sent');
is($node->safe_psql('postgres', q{SELECT string_agg(coalesce(convert_from(value, 'UTF8'), 'null'), ' ' ORDER BY "offset") FROM vektonn.peek('k', 'points')}),
	'{"id": 1, "vector": [1]} null', 'as messages');
$node->safe_psql('postgres', 'DROP EXTENSION vektonn CASCADE');
$node->stop('fast');
done_testing();
