# Limits and changes of a running stream: a topic full of garbage stops it,
# partitions move between workers, many partitions, a table made anew beside the
# old one, retries that meet a passing error, memory, and what an idle worker does.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use VkStream;

my ($node, $kafka) = VkStream::start();
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub becomes { my ($query, $name) = @_; ok($node->poll_query_until('postgres', $query), $name); return; }
sub put { my ($topic, $partition, $id, $v) = @_; $kafka->produce($topic, $partition, "{\"id\": $id}", "{\"id\": $id, \"v\": $v}"); return; }

# a topic full of garbage: the stream fails instead of copying it to the dead letters
$kafka->topic('garbage', 1);
$kafka->produce('garbage', 0, undef, 'x') foreach 1 .. 25_000;
$kafka->flush;
sql(q{CREATE TABLE g (id int PRIMARY KEY); SELECT vektonn.create_stream('g', 'g', 'k', 'garbage')});
ok(VkStream::wait_state($node, 'g', 'failed'), 'a topic full of garbage: failed');
like(sql('SELECT last_error FROM vektonn.stream_status'), qr/^1\d{4} of the last 1\d{4} messages became dead letters, more than max_error_rate 0.9 allows/, 'and says why');
is(sql('SELECT count(*) BETWEEN 10000 AND 15000 AND count(*) = (SELECT next_offset FROM vektonn.stream_status) FROM vektonn.dead_letters'), 't', 'after a window of messages');
like(($node->psql('postgres', q{SELECT vektonn.alter_stream('g', options => '{"max_error_rate": 2}')}))[2], qr/"max_error_rate" must be between 0 and 1/, 'a rate is checked');
sql(q{SELECT vektonn.alter_stream('g', options => '{"max_error_rate": 1}')});
VkStream::caught_up($node, 'g', 'any rate, where that is wanted');
is(sql('SELECT count(*) FROM vektonn.dead_letters'), '25000', 'all are set aside');
sql(q{SELECT vektonn.drop_stream('g')});

# partitions move between workers while messages flow: nothing is lost or doubled
my $partitions = 6;
my %want;
my $number = 0;
sub produce_some
{
	foreach (1 .. 1500)
	{
		my $id = int rand 400;
		$want{$id} = ++$number;
		put('moving', $id % $partitions, $id, $number);
	}
	$kafka->flush;
	return;
}
$kafka->topic('moving', $partitions);
sql(q{CREATE TABLE m (id int PRIMARY KEY, v int, writes int DEFAULT 0);
	SELECT vektonn.create_stream('m', 'm', 'k', 'moving', options => '{"batch_messages": 100}')});
foreach my $workers (3, 2, 6, 1, 4)
{
	produce_some();
	sql("SELECT vektonn.alter_stream('m', workers => $workers)");
	produce_some();
}
VkStream::caught_up($node, 'm', 'workers came and went');
is(sql(q{SELECT string_agg(id || ' ' || v, ',' ORDER BY id) FROM m}), join(',', map { "$_ $want{$_}" } sort { $a <=> $b } keys %want), 'row for row');
is(sql('SELECT sum(next_offset) FROM vektonn.stream_status'), $number, 'every message once');
becomes(q{SELECT count(DISTINCT pid) = 4 FROM vektonn.stream_status}, 'by as many workers as were asked for');
sql(q{SELECT vektonn.drop_stream('m')});

# many partitions
$kafka->topic('wide', 300);
put('wide', $_, $_, 1) foreach 0, 150, 299;
$kafka->flush;
sql(q{CREATE TABLE w (id int PRIMARY KEY, v int); SELECT vektonn.create_stream('w', 'w', 'k', 'wide')});
VkStream::caught_up($node, 'w', 'many partitions');
is(sql('SELECT array_agg(id ORDER BY id) FROM w'), '{0,150,299}', 'all are read');
becomes(q{SELECT count(*) = 300 AND bool_and(high_watermark IS NOT NULL) FROM vektonn.stream_status}, 'and shown');
sql(q{SELECT vektonn.drop_stream('w')});

# docs/streams.md: a table made anew while readers go on with the old one
$kafka->topic('books', 2);
put('books', $_ % 2, $_, $_) foreach 1 .. 1000;
$kafka->flush;
sql(q{CREATE TABLE books (id int PRIMARY KEY, v int); SELECT vektonn.create_stream('books', 'books', 'k', 'books')});
VkStream::caught_up($node, 'books');
my $text = slurp_file("$ENV{VK_SUITE_DIR}/docs/streams.md");
my ($begin, $swap) = $text =~ /```sql\n(CREATE TABLE books_new.*?)\n```.*?```sql\n(BEGIN;.*?)\n```/s;
my $reader = $node->background_psql('postgres');
$reader->query_until(qr/reading/, q{\echo reading
CREATE TEMP TABLE seen (n bigint);
DO $$ BEGIN
	WHILE to_regclass('public.enough') IS NULL LOOP
		EXECUTE 'INSERT INTO seen SELECT count(*) FROM public.books';
		COMMIT;
	END LOOP;
END $$;
});
sql($begin);
is(sql(q{SELECT vektonn.wait_for('books_new', '180 s')}), 't', 'the new table is complete');
sql($swap);
put('books', 0, 2000, 1);
$kafka->flush;
VkStream::caught_up($node, 'books', 'the stream of the new table has taken over');
sql('CREATE TABLE enough ()');
is($reader->query('SELECT min(n), max(n) >= 1000 FROM seen'), '1000|t', 'no reader has seen less than all rows');
$reader->quit;
is(sql('SELECT count(*) FROM books'), '1001', 'and the new one goes on');
is(sql('SELECT string_agg(stream_name, $$,$$) FROM vektonn.stream'), 'books', 'under the old name');

# a retry that meets a passing error is made again by itself
$kafka->produce('books', 0, '{"id": 3000}', '{"id": 3000, "v": "x"}');
$kafka->flush;
VkStream::caught_up($node, 'books');
is(sql('SELECT count(*) FROM vektonn.dead_letters'), '1', 'a dead letter');
sql(q{CREATE TABLE mood (bad bool); INSERT INTO mood VALUES (true);
ALTER TABLE books ALTER v TYPE text;
CREATE FUNCTION moody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT bad FROM public.mood) THEN RAISE 'not now' USING ERRCODE = '40001'; END IF;
	RETURN new;
END $$;
CREATE TRIGGER moody BEFORE INSERT ON books FOR EACH ROW EXECUTE FUNCTION moody();
SELECT vektonn.resume_stream('books'); SELECT vektonn.retry_dead_letters('books')});
becomes(q{SELECT bool_or(last_error = 'not now') FROM vektonn.stream_status}, 'a passing error is said');
is(sql('SELECT count(*), sum(attempts) FROM vektonn.dead_letters'), '1|1', 'and does not count as an attempt');
sql('UPDATE mood SET bad = false');
becomes('SELECT count(*) = 0 FROM vektonn.dead_letters', 'it is tried again by itself');
is(sql('SELECT v FROM books WHERE id = 3000'), 'x', 'and applied');

# memory: what a worker keeps does not grow with what it is asked, or with the messages it applies
sub kept
{
	my ($pid) = @_;
	my $log = length slurp_file($node->logfile);
	sql("SELECT pg_log_backend_memory_contexts($pid)");
	foreach (1 .. 1800)
	{
		my $text = substr slurp_file($node->logfile), $log;
		if ($text =~ /Grand total/)
		{
			my $sum = 0;
			$sum += $1 while $text =~ /vektonn[^:\n]*: (\d+) total/g;
			return $sum;
		}
		sleep 0.1;
	}
	die 'no memory contexts in the log';
}
sub private_kb { my ($pid) = @_; return (slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m)[0]; }
sub ask_and_apply
{
	sql(q{SELECT bool_and(vektonn.wait_for('books', '180 s')) FROM generate_series(1, 60)});
	put('books', $_ % 2, $_, "\"$_\"") foreach 1 .. 4000;
	$kafka->flush;
	VkStream::caught_up($node, 'books', 'asked and applied');
	return;
}
ask_and_apply();
my $pid = sql('SELECT DISTINCT pid FROM vektonn.stream_status');
my $before = kept($pid);
cmp_ok($before, '>', 0, 'memory is reported');
ask_and_apply() foreach 1 .. 2;
is(sql('SELECT DISTINCT pid FROM vektonn.stream_status'), $pid, 'the same worker');
cmp_ok(kept($pid), '<=', $before + 8192, 'it keeps no more than before');
cmp_ok(private_kb($pid), '<', 200 * 1024, 'and stays within its bound');

# an idle worker sleeps: a loop that polled would wake its main thread many times a second
sub switches { return (slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m)[0]; }
my ($start, $switches) = (time, switches());
sleep 6;
my $rate = (switches() - $switches) / (time - $start);
cmp_ok($rate, '<', 10, 'an idle worker sleeps');
note(sprintf '%.2f wake-ups a second', $rate);

VkStream::no_crash($node);
$node->stop('fast');
done_testing();
