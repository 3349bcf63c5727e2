# Streams on a real broker: what the mock cannot do.  Points of time, control
# records of transactions, compaction gaps, partitions added, records removed,
# topics missing, deleted and made again, a broker killed, SASL and TLS, and
# how soon a message is seen.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use VkStream;

my ($can, $why) = VkKafka->can_run_real;
plan skip_all => $why unless $can;

my ($node, $kafka) = VkStream::start(kafka => VkKafka->real(PostgreSQL::Test::Utils::tempdir()));
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub put
{
	my ($topic, $partition, $id, $time) = @_;
	$kafka->produce($topic, $partition, "{\"id\": $id}", "{\"id\": $id, \"v\": $id}", $time);
	return;
}
sub becomes { my ($query, $name) = @_; ok($node->poll_query_until('postgres', $query), $name); return; }
sub hex_of { return unpack 'H*', $_[0]; }

# a topic that is not yet there
sql('CREATE TABLE t (id int PRIMARY KEY, v int)');
sql(q{SELECT vektonn.create_stream('t', 't', 'k', 't')});
becomes(q{SELECT state = 'retrying' AND last_error ~ 'topic' FROM vektonn.stream_status}, 'no topic: retrying, and says so');
$kafka->topic('t', 2);
my $now = int(time * 1000);
put('t', $_ % 2, $_, $now - 100_000 + 1000 * $_) foreach 1 .. 50;
$kafka->flush;
VkStream::caught_up($node, 't', 'it comes, and is read');
is(sql('SELECT count(*) FROM t'), '50', 'rows');

# points of time
sql(q{DELETE FROM t; SELECT vektonn.seek_stream('t', to_timestamp(} . (($now - 60_000) / 1000) . q{)::text)});
VkStream::caught_up($node, 't');
is(sql('SELECT min(id), count(*) FROM t'), '40|11', 'seek to a point of time');
sql(q{DELETE FROM t; SELECT vektonn.seek_stream('t', (now() + interval '1 day')::text)});
VkStream::caught_up($node, 't');
is(sql('SELECT count(*), (SELECT sum(lag) FROM vektonn.stream_status) FROM t'), '0|0', 'a time to come is the end');

# transactions: aborted messages are not seen, markers do not count as lag
$kafka->command('transaction abort t 0 ' . hex_of('{"id": 1000}') . ' ' . hex_of('{"id": 1000}'));
$kafka->command('transaction commit t 0 ' . hex_of('{"id": 1001}') . ' ' . hex_of('{"id": 1001}'));
VkStream::caught_up($node, 't');
is(sql('SELECT array_agg(id) FROM t'), '{1001}', 'only what was committed');
becomes('SELECT sum(lag) = 0 FROM vektonn.stream_status', 'and no lag is left');

# a partition added is read from its beginning
$kafka->command('partitions t 3');
put('t', 2, 2000);
$kafka->flush;
becomes('SELECT count(*) = 1 FROM t WHERE id = 2000', 'a partition added');
becomes(q{SELECT count(*) = 1 FROM vektonn.stream_status WHERE partition = 2 AND state = 'running'}, 'and shown');

# records removed by the broker before they were read
sql(q{SELECT vektonn.pause_stream('t')});
put('t', 0, 3000 + $_) foreach 0 .. 9;
$kafka->flush;
my $end = ($kafka->watermarks('t', 0))[1];
$kafka->command("delete_records t 0 " . ($end - 3));
sql(q{SELECT vektonn.resume_stream('t')});
VkStream::caught_up($node, 't', 'records removed: it goes on behind them');
is(sql('SELECT array_agg(id ORDER BY id) FROM t WHERE id BETWEEN 3000 AND 3009'), '{3007,3008,3009}', 'with what is left');
like(sql(q{SELECT last_error FROM vektonn.stream_status WHERE partition = 0}), qr/out of range/, 'and says so');

# the broker dies and comes back
$kafka->broker('kill');
ok(VkStream::wait_state($node, 't', 'retrying'), 'broker killed: retrying');
$node->restart;
pass('the server restarts meanwhile');
$kafka->broker('start');
put('t', 1, 4000);
$kafka->flush;
VkStream::caught_up($node, 't', 'the broker is back');
is(sql('SELECT count(*) FROM t WHERE id = 4000'), '1', 'and so is the stream');

# the group's offsets are there for other tools
$kafka->topic('lag', 1);
sql(q{CREATE TABLE lag (id int PRIMARY KEY, v int); SELECT vektonn.create_stream('lag', 'lag', 'k', 'lag')});

# how soon a message is seen: 1000 a second, produced in small steps
sql('CREATE TABLE seen (id int PRIMARY KEY, at timestamptz); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS '
	. '$$ BEGIN INSERT INTO public.seen VALUES (new.id, clock_timestamp()) ON CONFLICT DO NOTHING; RETURN new; END $$;'
	. 'CREATE TRIGGER note AFTER INSERT ON lag FOR EACH ROW EXECUTE FUNCTION note()');
my %sent;
put('lag', 0, 0);
$kafka->flush;
VkStream::caught_up($node, 'lag');
my $next = time;
foreach my $step (1 .. 200)
{
	foreach my $i (1 .. 10) { put('lag', 0, $step * 10 + $i); }
	$kafka->flush;
	$sent{ $step * 10 + $_ } = time foreach 1 .. 10;
	$next += 0.01;
	usleep(1e6 * ($next - time)) if $next > time;
}
VkStream::caught_up($node, 'lag');
my @delays = sort { $a <=> $b } map { my ($id, $at) = split /\|/; $sent{$id} ? $at - $sent{$id} : () }
  split /\n/, sql('SELECT id, extract(epoch FROM at) FROM seen');
note(sprintf 'from acknowledged to applied, %d messages: p50 %.1f ms, p99 %.1f ms', scalar @delays,
	1000 * $delays[ @delays / 2 ], 1000 * $delays[ @delays * 0.99 ]);
is(scalar @delays, 2000, 'every message was seen');

# a topic deleted and made again under a running stream
$kafka->command('delete_topic lag');
ok(VkStream::wait_state($node, 'lag', 'retrying'), 'topic deleted: retrying');
# waiting for librdkafka to end would be for ever here
$node->restart;
pass('the server stops all the same');
$kafka->topic('lag', 1);
put('lag', 0, 5000);
$kafka->flush;
becomes('SELECT count(*) = 1 FROM lag WHERE id = 5000', 'made again: read from its beginning');

# credentials: wrong, then right, and nowhere to be seen
my ($sasl, $ca) = ($kafka->address('sasl_tls'), $kafka->address('ca'));
sql(qq{
CREATE SERVER secure FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$sasl', security_protocol 'sasl_ssl',
	sasl_mechanism 'SCRAM-SHA-512', ssl_ca_location '$ca');
CREATE USER MAPPING FOR PUBLIC SERVER secure OPTIONS (sasl_username 'vektonn', sasl_password 'not-the-secret');
CREATE TABLE s (id int PRIMARY KEY, v int);
SELECT vektonn.create_stream('s', 's', 'secure', 't')});
becomes(q{SELECT bool_and(state = 'retrying' AND last_error ~* 'authentication') FROM vektonn.stream_status WHERE stream_name = 's'}, 'a wrong password: retrying, and says so');
sql(q{ALTER USER MAPPING FOR PUBLIC SERVER secure OPTIONS (SET sasl_password 'vektonn-secret')});
becomes('SELECT count(*) > 0 FROM s', 'a right one: it goes on by itself');
VkStream::caught_up($node, 's');
my $visible = sql(q{SELECT * FROM vektonn.stream_status; SELECT * FROM vektonn.stream_events; SELECT * FROM pg_stat_activity WHERE backend_type ~ 'vektonn'});
unlike($visible, qr/not-the-secret|vektonn-secret/, 'no secret in a view');
my $log = join "\n", grep { !/statement: / && !/SET sasl_password|CREATE USER MAPPING/ } split /\n/, slurp_file($node->logfile);
unlike($log, qr/not-the-secret|vektonn-secret/, 'nor in the log, but for the statements themselves');

VkStream::no_crash($node);
$node->stop('fast');
done_testing();
