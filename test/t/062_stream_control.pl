# Control of streams: everything acts at commit, only for whom it may; seek,
# pause, rebuild; what happens around brokers, topics, databases and the
# extension; nothing blocks anybody.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkStream;

my ($node, $kafka) = VkStream::start(conf => "wal_level = logical\nmax_prepared_transactions = 5");
sub sql { my ($query, $database) = @_; return $node->safe_psql($database // 'postgres', $query); }
sub error_of
{
	my ($query) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $query);
	return $err;
}

$kafka->topic('t', 1);
foreach my $id (1 .. 10) { $kafka->produce('t', 0, "{\"id\": $id}", "{\"id\": $id, \"v\": $id}"); }
$kafka->flush;
sql('CREATE TABLE t (id int PRIMARY KEY, v int)');

# what create_stream refuses
like(error_of(q{SELECT vektonn.create_stream('s', 't', 'nope', 't')}), qr/Kafka server "nope" does not exist/, 'no such server');
like(error_of(q{SELECT vektonn.create_stream('s', 't', 'k', 't', format => 'xml')}), qr/format "xml" is not known\n.*json, vektonn/s, 'no such format');
like(error_of(q{SELECT vektonn.create_stream('s', 't', 'k', 't', key_columns => '{v}')}), qr/no unique index on \(v\)/, 'no unique index');
like(error_of(q{SELECT vektonn.create_stream('s', 't', 'k', 't', key_columns => '{x}')}), qr/key column "x" does not exist/, 'no such column');
like(error_of(q{SELECT vektonn.create_stream('s', 't', 'k', 't', start => 'soon')}), qr/position "soon" is not known/, 'no such position');
like(error_of(q{SELECT vektonn.create_stream('s', 't', 'k', 't', on_error => 'panic')}), qr/on_error "panic" is not known/, 'no such choice');
like(error_of(q{SELECT vektonn.create_stream('s', 't', 'k', 't', options => '{"bacth": 1}')}), qr/option "bacth" is not known\n.*batch_messages/s, 'no such option');
like(error_of(q{CREATE TEMP TABLE nokey (a int); SELECT vektonn.create_stream('s', 'nokey', 'k', 't')}), qr/has no primary key/, 'no key');
like(error_of(q{SELECT vektonn.pause_stream('s')}), qr/stream "s" does not exist/, 'no such stream');

# transactional
my $session = $node->background_psql('postgres', on_error_die => 1);
$session->query_safe(q{BEGIN; SELECT vektonn.create_stream('t', 't', 'k', 't')});
sleep 1;
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'vektonn stream worker'}), '0', 'no worker before the commit');
$session->query_safe('ROLLBACK');
is(sql('SELECT count(*) FROM vektonn.stream_status'), '0', 'rolled back');
$session->query_safe(q{BEGIN; SELECT vektonn.create_stream('t', 't', 'k', 't'); PREPARE TRANSACTION 'p'});
$session->quit;
sql(q{COMMIT PREPARED 'p'});
VkStream::caught_up($node, 't', 'created by a prepared transaction');
is(sql('SELECT count(*), sum(v) FROM t'), '10|55', 'read');
is(sql(q{SELECT vektonn.wait_for('t', '180 s', offsets => '{"0": 10}')}), 't', 'wait for an offset');
is(sql(q{SELECT vektonn.wait_for('t', '0.2 s', offsets => '{"0": 11}')}), 'f', 'and not beyond it');

# pause and resume
sql(q{SELECT vektonn.pause_stream('t')});
ok(VkStream::wait_state($node, 't', 'paused'), 'paused');
$kafka->produce('t', 0, '{"id": 11}', '{"id": 11, "v": 11}');
$kafka->flush;
is(sql(q{SELECT vektonn.wait_for('t', '1 s')}), 'f', 'nothing is applied while paused');
is(sql('SELECT count(*) FROM t'), '10', 'no row');
sql(q{SELECT vektonn.resume_stream('t')});
VkStream::caught_up($node, 't', 'resumed');
is(sql('SELECT count(*) FROM t'), '11', 'the row');

# seek
sql(q{DELETE FROM t; SELECT vektonn.seek_stream('t', '5')});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 6 FROM t'), 'back to an offset');
is(sql('SELECT min(id) FROM t'), '6', 'from there on');
sql(q{DELETE FROM t; SELECT vektonn.seek_stream('t', 'earliest')});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 11 FROM t'), 'back to the beginning');
sql(q{BEGIN; SELECT vektonn.seek_stream('t', 'earliest'); ROLLBACK});
sql(q{SELECT vektonn.pause_stream('t')});
$kafka->produce('t', 0, '{"id": 12}', '{"id": 12, "v": 12}');
$kafka->flush;
sql(q{SELECT vektonn.seek_stream('t', 'latest'); SELECT vektonn.resume_stream('t')});
VkStream::caught_up($node, 't');
is(sql('SELECT count(*) FROM t'), '11', 'a seek to the end skips what is there');
$kafka->produce('t', 0, '{"id": 13}', '{"id": 13, "v": 13}');
$kafka->flush;
VkStream::caught_up($node, 't');
is(sql('SELECT max(id), count(*) FROM t'), '13|12', 'and reads what comes');

# rebuild: the table is what the topic says, whatever was there
sql(q{INSERT INTO t VALUES (999, 999); SELECT vektonn.rebuild_stream('t')});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 13 AND max(id) = 13 FROM t'), 'rebuilt');
is(sql(q{SELECT array_agg(DISTINCT kind ORDER BY kind) FROM vektonn.stream_events}), '{started}', 'history');

# an offset the broker does not have
sql(q{SELECT vektonn.seek_stream('t', '1000')});
ok($node->poll_query_until('postgres', q{SELECT last_error ~ 'out of range' AND next_offset = 13 FROM vektonn.stream_status}), 'out of range: says so and goes on');
is(sql(q{SELECT count(*) FROM vektonn.stream_events WHERE kind = 'offset_reset'}), '1', 'and it is on record');

# other people: no rights, no sight
sql(q{
CREATE ROLE alice NOLOGIN; CREATE ROLE bob LOGIN;
CREATE SCHEMA a; GRANT USAGE, CREATE ON SCHEMA a TO alice;
SET ROLE alice; CREATE TABLE a.t (id int PRIMARY KEY, v int); RESET ROLE;
});
like(error_of(q{SET ROLE bob; SELECT vektonn.pause_stream('t')}), qr/stream "t" does not exist/, 'others cannot pause it');
is(sql('SET ROLE bob; SELECT count(*) FROM vektonn.stream_status; SELECT count(*) FROM vektonn.stream; SELECT count(*) FROM vektonn._stream_workers()'), "0\n0\n0", 'or see it');
like(error_of(q{SET ROLE bob; SELECT vektonn.create_stream('b', 't', 'k', 't')}), qr/must be owner of table/, 'or write another table');
like(error_of(q{SET ROLE bob; INSERT INTO vektonn.stream_offset (stream_id, partition, seek) SELECT stream_id, 7, 'earliest' FROM generate_series(1, 9) stream_id}),
	qr/row-level security/, 'or touch its offsets');
like(error_of(q{SET ROLE alice; SELECT vektonn.create_stream('a', 'a.t', 'k', 't')}), qr/permission denied for foreign server k\n.*GRANT USAGE/s, 'a server takes USAGE');
sql('GRANT USAGE ON FOREIGN SERVER k TO alice');
sql(q{SET ROLE alice; SELECT vektonn.create_stream('a', 'a.t', 'k', 't')});
is(sql(q{SET ROLE alice; SELECT vektonn.wait_for('a', '180 s')}), 't', 'an owner who may not log in has streams');
is(sql('SELECT count(*) FROM a.t'), '13', 'read');
# the worker has its owner's rights and no more
sql(q{CREATE TABLE secret (n int); INSERT INTO secret VALUES (42)});
sql(q{SET ROLE alice;
CREATE FUNCTION a.spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.v := (SELECT n FROM public.secret); RETURN new; END $$;
CREATE TRIGGER spy BEFORE INSERT ON a.t FOR EACH ROW EXECUTE FUNCTION a.spy();
});
$kafka->produce('t', 0, '{"id": 14}', '{"id": 14, "v": 14}');
$kafka->flush;
ok($node->poll_query_until('postgres', q{SELECT state = 'failed' AND last_error ~ 'permission denied for table secret' FROM vektonn.stream_status WHERE stream_name = 'a'}), 'a trigger runs as the owner');
sql(q{SET ROLE alice; DROP TRIGGER spy ON a.t; SELECT vektonn.resume_stream('a')});
VkStream::caught_up($node, 'a');
sql(q{REVOKE USAGE ON FOREIGN SERVER k FROM alice; SELECT vektonn.pause_stream('a')});
like(error_of(q{SET ROLE alice; SELECT vektonn.resume_stream('a')}), qr/permission denied for foreign server/, 'a right that is gone is noticed');
sql(q{SET ROLE alice; SELECT vektonn.drop_stream('a')});

# brokers away and back
VkStream::caught_up($node, 't');
$kafka->command('down');
ok(VkStream::wait_state($node, 't', 'retrying'), 'brokers away: retrying');
ok($node->poll_query_until('postgres', q{SELECT last_error <> '' FROM vektonn.stream_status WHERE stream_name = 't'}), 'and says why');
# what would block these would do so until the brokers are back
sql('CREATE DATABASE other');
sql('DROP DATABASE other');
pass('other databases come and go meanwhile');
$node->stop('fast');
pass('the server stops with brokers down');
$node->start;
$kafka->command('up');
$kafka->produce('t', 0, '{"id": 15}', '{"id": 15, "v": 15}');
$kafka->flush;
VkStream::caught_up($node, 't', 'carries on when they are back');
ok(VkStream::wait_state($node, 't', 'running'), 'running');
is(sql('SELECT count(*) FROM t WHERE id = 15'), '1', 'nothing lost');

# an error of the topic
$kafka->command('topic_error t 29');
ok(VkStream::wait_state($node, 't', 'retrying'), 'not authorized: retrying');
ok($node->poll_query_until('postgres', q{SELECT last_error ~* 'authoriz' FROM vektonn.stream_status WHERE stream_name = 't'}), 'and says why');
$kafka->command('topic_error t 0');
ok(VkStream::wait_state($node, 't', 'running'), 'running again by itself');

# a database in use as a template, renamed, dropped; the copy stays stopped
sql('CREATE DATABASE d');
sql('CREATE EXTENSION vektonn; CREATE TABLE t (id int PRIMARY KEY, v int)', 'd');
VkStream::create_server($node, 'd', $kafka);
sql(q{SELECT vektonn.create_stream('t', 't', 'k', 't')}, 'd');
is(sql(q{SELECT vektonn.wait_for('t', '180 s')}, 'd'), 't', 'a stream in another database');
sql('CREATE DATABASE copy TEMPLATE d');
pass('it can be copied');
is(sql('SELECT state FROM vektonn.stream_status', 'copy'), 'stopped', 'the stream of the copy is stopped');
like(sql('SELECT last_error FROM vektonn.stream_status', 'copy'), qr/resume_stream/, 'and says what to do');
sql('ALTER DATABASE d RENAME TO e');
is(sql(q{SELECT vektonn.wait_for('t', '180 s')}, 'e'), 't', 'it can be renamed, and the stream goes on');
$kafka->produce('t', 0, '{"id": 16}', '{"id": 16, "v": 16}');
$kafka->flush;
sql(q{SELECT vektonn.resume_stream('t')}, 'copy');
is(sql(q{SELECT vektonn.wait_for('t', '180 s')}, 'copy'), 't', 'the copy can be started');
is(sql('SELECT max(id) FROM t', 'copy'), '16', 'and goes on where it was');
# dump and restore
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('e'), '-f', $dump ], 'dumped');
sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'restored');
is(sql('SELECT state, next_offset FROM vektonn.stream_status', 'restored'), 'stopped|' . sql('SELECT next_offset FROM vektonn.stream_status', 'e'), 'a restored stream is stopped where it was');
sql(q{SELECT vektonn.resume_stream('t')}, 'restored');
is(sql(q{SELECT vektonn.wait_for('t', '180 s')}, 'restored'), 't', 'and can be started');
sql("DROP DATABASE $_") foreach qw(copy e restored);
pass('they can be dropped');

# a role that may not drop the database does not stop its streams either
my $pid = sql(q{SELECT pid FROM vektonn.stream_status WHERE stream_name = 't'});
like(error_of('SET ROLE bob; ALTER DATABASE postgres RENAME TO mine'), qr/must be owner|cannot be renamed/, 'not the owner');
is(sql(q{SELECT pid FROM vektonn.stream_status WHERE stream_name = 't'}), $pid, 'the worker is the same');

# terminated: it comes back
sql("SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', qq{SELECT pid <> $pid FROM vektonn.stream_status WHERE stream_name = 't'}), 'a terminated worker comes back');

# too many
sql(q{SELECT vektonn.alter_stream('t', workers => 3)});
VkStream::caught_up($node, 't', 'more workers than partitions');
sql(q{SELECT vektonn.alter_stream('t', workers => 1, new_name => 'u')});
VkStream::caught_up($node, 'u', 'renamed');

# a table that is dropped ends its worker
sql('DROP TABLE t');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'vektonn stream worker'}), 'a dropped table ends the worker');
ok($node->poll_query_until('postgres', q{SELECT state = 'failed' AND last_error = 'the target table does not exist' FROM vektonn.stream_status}), 'and the status says so');
sql(q{SELECT vektonn.drop_stream('u')});

# the extension
sql('CREATE TABLE t (id int PRIMARY KEY, v int)');
sql(q{SELECT vektonn.create_stream('t', 't', 'k', 't')});
VkStream::caught_up($node, 't');
sql('DROP EXTENSION vektonn CASCADE');
pass('the extension can be dropped');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'vektonn stream worker'}), 'which ends the worker');

VkStream::no_crash($node);
$node->stop('smart');

# without the library preloaded
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->start;
sql('CREATE EXTENSION vektonn');
like(error_of(q{SELECT vektonn.create_stream('t', 't', 'k', 't')}), qr/preloaded\n.*shared_preload_libraries = 'vektonn'/s, 'not preloaded: says what to do');
done_testing();
