# Exactly once: whatever is killed at whatever moment, the table ends up as the
# topic says, the offsets at its end, and the dead letters are the bad messages.
# VK_SOAK=1 (make soak) kills more often, in more messages, with a real broker, and
# cuts the network as well.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use VkProxy;
use VkStream;

my $soak = $ENV{VK_SOAK};
my $kills = $ENV{VK_KILLS} // ($soak ? 50 : 10);
my $messages = $ENV{VK_MESSAGES} // ($soak ? 1_000_000 : 40_000);
my $seed = $ENV{VK_SEED} // time;
srand $seed;
note("VK_SEED=$seed");

my $real;
if ($soak)
{
	my ($can, $reason) = VkKafka->can_run_real;
	die "$reason\n" unless $can;
	$real = VkKafka->real(PostgreSQL::Test::Utils::tempdir());
}
$real->{bootstrap} = $real->address('proxy') if $real;
my $proxy = $real ? VkProxy->new($real->address('proxy'), $real->address('proxied')) : undef;
my ($node, $kafka) = VkStream::start(
	kafka => $real,
	conf => "restart_after_crash = on\nlog_min_messages = warning\nlog_statement = none");
my $partitions = 3;
$kafka->topic('t', $partitions);
$node->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v int CHECK (v <> -1), n text)');
$node->safe_psql('postgres', q{SELECT vektonn.create_stream('t', 't', 'k', 't', workers => 2, options => '{"batch_messages": 700}')});

my (%want, %bad, @next);
my $sent = 0;

# Updates and tombstones of few ids, so that order matters; one in 200 is bad, in one of two ways.
sub produce_some
{
	my ($count) = @_;
	foreach my $i (1 .. $count)
	{
		my $id = int rand($messages / 5);
		my $partition = $id % $partitions;
		my $offset = $next[$partition]++;
		my $kind = rand;
		if ($kind < 0.0025)
		{
			$bad{"$partition/$offset"} = 1;
			$kafka->produce('t', $partition, "{\"id\": $id}", 'bad');
		}
		elsif ($kind < 0.005)
		{
			# A key of its own: a later message of the same batch would make it pointless.
			$id = $messages + $partitions * scalar(keys %bad) + $partition;
			$bad{"$partition/$offset"} = 1;
			$kafka->produce('t', $partition, "{\"id\": $id}", "{\"id\": $id, \"v\": -1}");
		}
		elsif ($kind < 0.2)
		{
			delete $want{$id};
			$kafka->produce('t', $partition, "{\"id\": $id}", undef);
		}
		else
		{
			$want{$id} = $sent + $i;
			$kafka->produce('t', $partition, "{\"id\": $id}", "{\"id\": $id, \"v\": $want{$id}, \"n\": \"x\"}");
		}
	}
	$sent += $count;
	return;
}

sub wait_until_up
{
	foreach (1 .. 1800)
	{
		my ($code) = $node->psql('postgres', 'SELECT 1');
		return if $code == 0;
		usleep 100_000;
	}
	die 'the server does not come back';
}

# Like poll_query_until, of a server that may be going down and coming up.
sub becomes_true
{
	my ($query) = @_;
	foreach (1 .. 1800)
	{
		my ($code, $out) = $node->psql('postgres', $query);
		return 1 if $code == 0 && $out eq 't';
		usleep 100_000;
	}
	return 0;
}

sub worker_pid
{
	foreach (1 .. 100)
	{
		my ($code, $out) = $node->psql('postgres',
			q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'vektonn stream worker' ORDER BY random() LIMIT 1});
		return $out if $code == 0 && $out;
		usleep 50_000;
	}
	return;
}

# The postmaster takes a while to notice; until then the server looks as if nothing had happened.
sub crashes { return scalar(() = slurp_file($node->logfile) =~ /all server processes terminated; reinitializing/g); }

sub wait_for_crash
{
	my ($before) = @_;
	foreach (1 .. 1800)
	{
		return if crashes() > $before;
		usleep 100_000;
	}
	die 'the server does not notice that a worker was killed';
}

my %ways = (
	worker => sub { my $pid = worker_pid() or return; my $before = crashes(); kill 9, $pid; wait_for_crash($before); wait_until_up(); },
	terminate => sub { my $pid = worker_pid() or return; kill 15, $pid; },
	server => sub { $node->stop('immediate'); $node->start; },
	broker => sub {
		if ($real) { $kafka->broker('kill'); usleep 200_000; $kafka->broker('start'); }
		else { $kafka->command('down'); usleep 200_000; $kafka->command('up'); }
	},
);
$ways{cut} = sub { $proxy->cut; } if $proxy;
my @names = sort keys %ways;
my %killed;
foreach my $kill (1 .. $kills)
{
	produce_some(int($messages / $kills));
	$kafka->flush;
	usleep int rand 400_000;
	my $way = $names[ $kill % @names ];
	note("kill $kill of $kills: $way");
	$ways{$way}->();
	$killed{$way}++;
}
wait_until_up();
VkStream::caught_up($node, 't', 'caught up after the last');

my $rows = $node->safe_psql('postgres', 'SELECT id, v FROM t ORDER BY id');
my $expected = join "\n", map { "$_|$want{$_}" } sort { $a <=> $b } keys %want;
ok($rows eq $expected, 'the table is the last state of the topic, row for row');
diag(scalar(split /\n/, $rows) . ' rows, expected ' . scalar(keys %want)) if $rows ne $expected;
is($node->safe_psql('postgres', 'SELECT string_agg(next_offset::text, $$,$$ ORDER BY partition) FROM vektonn.stream_status'),
	join(',', @next), 'the offsets are at its end');

my @letters = sort split /\n/, $node->safe_psql('postgres', q{SELECT partition || '/' || "offset" FROM vektonn.dead_letters});
ok("@letters" eq join(' ', sort keys %bad), 'the dead letters are the bad messages, each of them and no other');
is($node->safe_psql('postgres', 'SELECT sum(dead_letters) FROM vektonn.stream_status'), scalar(keys %bad), 'and each was set aside once');
note(sprintf '%d messages, %d rows, offsets %s, %d dead letters; %s', $sent, scalar(keys %want), join(',', @next), scalar(@letters),
	join(', ', map { "$_: $killed{$_}" } sort keys %killed));
is($node->safe_psql('postgres', q{SELECT count(*) FROM vektonn.stream_events WHERE kind IN ('offset_reset', 'quarantine', 'failed')}), '0', 'nothing was skipped');

# A message that kills whoever applies it is set aside after some deaths, and the rest goes on.
if (!$soak)
{
	$node->safe_psql('postgres', q{
		CREATE FUNCTION deadly() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			EXECUTE format('COPY (SELECT 1) TO PROGRAM ''kill -9 %s''', pg_backend_pid());
			PERFORM pg_sleep(1);
			RETURN new;
		END $$;
		CREATE TRIGGER deadly BEFORE INSERT OR UPDATE ON t FOR EACH ROW WHEN (new.v = 666) EXECUTE FUNCTION deadly()});
	foreach my $v (1, 666, 2)
	{
		$kafka->produce('t', 0, "{\"id\": 90000$v}", "{\"id\": 90000$v, \"v\": $v}");
	}
	$kafka->flush;
	ok(becomes_true(q{SELECT count(*) = 1 FROM vektonn.dead_letters WHERE error ~ 'died 2 times'}), 'quarantined');
	ok(becomes_true('SELECT count(*) = 2 FROM t WHERE id IN (900001, 900002)'), 'the others are applied');
}
$node->stop('fast');
done_testing();
