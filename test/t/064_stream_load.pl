# First load in bulk: rows first, then the vektonn indexes, then the stream; a
# load that is killed goes on where it was; the index answers like a scan.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VkStream;

my ($node, $kafka) = VkStream::start(init => { allows_streaming => 1 }, conf => "restart_after_crash = on");
sub sql { return $node->safe_psql('postgres', $_[0]); }

my $count = 20_000;
$kafka->topic('t', 2);
foreach my $id (1 .. $count)
{
	$kafka->produce('t', $id % 2, "{\"id\": $id}", sprintf('{"id": %d, "v": [%.3f, %.3f, %.3f]}', $id, sin $id, cos $id, sin 3 * $id));
}
$kafka->flush;

sub is_ready { return sql(q{SELECT indisready AND indisvalid FROM pg_index WHERE indexrelid = 't_v_idx'::regclass}); }
my $query = q{SELECT string_agg(d::text, ',' ORDER BY d) FROM (SELECT v <-> '[0.5,0.5,0.5]' AS d FROM t ORDER BY 1 LIMIT 20) s};

sql('CREATE TABLE t (id int PRIMARY KEY, v vector(3)); CREATE INDEX ON t USING vektonn (v vector_l2_ops)');
# a gate, so that the load can be seen and killed where we want it
sql(q{CREATE TABLE gate (rows int); INSERT INTO gate VALUES (4000);
	CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		WHILE (SELECT count(*) FROM public.t) > (SELECT rows FROM public.gate) LOOP
			PERFORM pg_sleep(0.02);
		END LOOP;
		RETURN NULL;
	END $$;
	CREATE TRIGGER wait_at_gate AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()});
sql(q{SELECT vektonn.create_stream('t', 't', 'k', 't', options => '{"batch_messages": 500}')});
ok($node->poll_query_until('postgres', q{SELECT bool_or(state = 'loading') AND sum(next_offset) > 1000 FROM vektonn.stream_status}), 'loading');
is(is_ready(), 'f', 'the index waits');
sql(q{SELECT pg_terminate_backend(pid) FROM vektonn.stream_status; UPDATE gate SET rows = 8000});
ok($node->poll_query_until('postgres', q{SELECT bool_or(state = 'loading') AND sum(next_offset) > 6000 FROM vektonn.stream_status}), 'a worker that died goes on');
$node->stop('immediate');
$node->start;
sql(qq{UPDATE gate SET rows = 1000000});
VkStream::caught_up($node, 't', 'loaded after a crash');
ok(VkStream::wait_state($node, 't', 'running'), 'running');
is(is_ready(), 't', 'the index is built');
is(sql('SELECT count(*), sum(id) FROM t'), "$count|" . $count * ($count + 1) / 2, 'every row');
is(sql('SELECT sum(upserted) FROM vektonn.stream_status'), $count, 'once');
is(sql("SET enable_seqscan = off; $query"), sql("SET enable_indexscan = off; $query"), 'the index answers like a scan');
is(sql(q{SELECT string_agg(kind, ',' ORDER BY happened_at) FROM vektonn.stream_events WHERE kind IN ('indexing', 'loaded')}), 'indexing,loaded', 'history');

# after that rows go into the index as they come
$kafka->produce('t', 0, '{"id": 2}', '{"id": 2, "v": [0.5, 0.5, 0.5]}');
$kafka->flush;
VkStream::caught_up($node, 't');
is(sql(q{SET enable_seqscan = off; SELECT id FROM t ORDER BY v <-> '[0.5,0.5,0.5]' LIMIT 1}), '2', 'an update is found');

# a rebuild loads in bulk again; a stream dropped while it loads leaves its index built
sql(q{UPDATE gate SET rows = 4000; SELECT vektonn.rebuild_stream('t')});
ok($node->poll_query_until('postgres', q{SELECT bool_or(state = 'loading') AND sum(next_offset) > 1000 FROM vektonn.stream_status}), 'a rebuild loads');
is(is_ready(), 'f', 'the index waits');
my $drop = $node->background_psql('postgres');
$drop->query_until(qr/dropping/, "\\echo dropping\nSELECT vektonn.drop_stream('t');\n");
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 't'::regclass}), 'a drop waits for the batch under way');
sql(qq{UPDATE gate SET rows = 1000000});
$drop->quit;
is(sql('SELECT count(*) FROM vektonn.stream'), '0', 'dropped');
is(is_ready(), 't', 'dropped while it loads: the index is built');
is(sql("SET enable_seqscan = off; $query"), sql("SET enable_indexscan = off; $query"), 'and complete');

# where that is not wanted, and where the table is not empty, nothing is held back
sql(q{SELECT vektonn.create_stream('t', 't', 'k', 't')});
VkStream::caught_up($node, 't');
is(sql(q{SELECT count(*) FROM vektonn.stream_events WHERE kind = 'indexing'}), '0', 'a table with rows keeps its index');
sql(q{SELECT vektonn.drop_stream('t'); TRUNCATE t; SELECT vektonn.create_stream('t', 't', 'k', 't', options => '{"bulk_load": false}')});
VkStream::caught_up($node, 't');
is(sql(q{SELECT count(*) FROM vektonn.stream_events WHERE kind = 'indexing'}), '0', 'nor does one whose stream does not want it');

# a standby takes no part until it is promoted; then streams go on there
$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', q{SELECT DISTINCT state FROM vektonn.stream_status}), 'standby', 'standby');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'vektonn'}), '0', 'no process of ours');
$kafka->produce('t', 0, '{"id": 1000000}', '{"id": 1000000, "v": [1, 2, 3]}');
$kafka->flush;
VkStream::caught_up($node, 't');
$node->wait_for_catchup($standby);
# Workers do not wait for their WAL to be written.
ok($standby->poll_query_until('postgres', 'SELECT count(*) = 1 FROM t WHERE id = 1000000'), 'rows come by replication');
$node->stop('immediate');
$kafka->produce('t', 0, '{"id": 1000001}', '{"id": 1000001, "v": [1, 2, 3]}');
$kafka->flush;
$standby->promote;
is($standby->safe_psql('postgres', q{SELECT vektonn.wait_for('t', '180 s')}), 't', 'goes on after promotion');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id >= 1000000'), '2', 'where it was');
$standby->stop('fast');
done_testing();
