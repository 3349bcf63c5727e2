# CREATE INDEX of algorithm = hnsw by several processes: as good as by one, within
# maintenance_work_mem, and nothing is left of it when it is canceled, when a
# process of it dies, when there is no shared memory, or when the server crashes.
use strict;
use warnings;

use IPC::Run qw(finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VkBuild;
use VkCrash;
use VkWait;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('parallel');
$node->init;

# Shared memory is files in pg_dynshmem, which can be counted.
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
shared_buffers = 64MB
maintenance_work_mem = 256MB
min_parallel_table_scan_size = 0
max_parallel_maintenance_workers = 2
max_parallel_workers_per_gather = 0
dynamic_shared_memory_type = mmap
min_dynamic_shared_memory = 0
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/graph_recall.sql"));
$node->safe_psql('postgres', <<SQL);
SELECT setseed(0.5);
CREATE TABLE t (id serial, v vector(48));
ALTER TABLE t ALTER v SET STORAGE external;
CALL graph_fill('t', 'vector', 48, 'plain', 4000);
INSERT INTO t(v) SELECT NULL FROM generate_series(1, 40);
INSERT INTO t(v) SELECT v FROM (SELECT v FROM t LIMIT 1) x, generate_series(1, 700);
SQL

sub value { return (split /\n/, $node->safe_psql('postgres', join(';', @_)))[-1] }

# Builds t_v with the settings; how many processes did, and what the server said.
sub build
{
	my ($settings, $sql) = @_;
	$sql //= 'CREATE INDEX t_v ON t USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw)';
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS t_v');
	my (undef, undef, $err) = $node->psql('postgres', "SET client_min_messages = debug1; $settings; $sql");
	unlike($err, qr/ERROR/, "$settings: no error");
	my ($processes) = $err =~ /"t_v\S*" is built by (\d+) process/;
	return ($processes // 0, $err);
}

sub check_index
{
	my ($name, $rows, $recall) = @_;
	is(value("SELECT vektonn.check_index('t_v')"), $rows, "$name: check_index");
	like(
		value(
			'SET enable_seqscan = off', 'SET enable_sort = off',
			"SELECT count(*) || ' ' || count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM t WHERE id = 7)) x"),
		qr/^4740 4740$/,
		"$name: every row once");
	return if !defined $recall;
	my $found = value('SELECT setseed(0.3)', 'SET vektonn.ef_search = 20', "SELECT graph_recall('t', 'vector', '<->', 48, 'plain', 10, 100)");
	cmp_ok($found, '>=', $recall - 0.01, "$name: recall $found, by one process $recall");
	return $found;
}

my ($processes, $said) = build('SET max_parallel_maintenance_workers = 0');
is($processes, 0, 'one process when one is asked for');
my $rows = value("SELECT vektonn.check_index('t_v')");
my $recall = check_index('one process', $rows, 0.9);

($processes) = build('SET max_parallel_maintenance_workers = 1');
is($processes, 2, 'leader and worker');
check_index('leader and worker', $rows, $recall);
($processes) = build('SET max_parallel_maintenance_workers = 2');
is($processes, 3, 'leader and two workers');
check_index('three processes', $rows, $recall);
($processes) = build('SET max_parallel_workers = 0');
is($processes, 1, 'no worker is free: the leader alone');
check_index('leader alone', $rows, $recall);

# More than the memory: all go on on pages.
($processes, $said) = build('SET maintenance_work_mem = 1024');
is($processes, 3, 'three processes with little memory');
like($said, qr/exceeds maintenance_work_mem/, 'pages are written before the end');
check_index('little memory', $rows, $recall);

$node->safe_psql('postgres', 'ALTER TABLE t SET (parallel_workers = 0)');
($processes) = build('SET max_parallel_maintenance_workers = 2');
is($processes, 0, 'parallel_workers of the table');
$node->safe_psql('postgres', 'ALTER TABLE t RESET (parallel_workers)');

# Beside writers, and where the graph is of other values and of some rows.
($processes) = build('SET max_parallel_maintenance_workers = 2',
	'CREATE INDEX CONCURRENTLY t_v ON t USING vektonn (v vector_cosine_ops) WITH (algorithm = hnsw)');
is($processes, 3, 'CREATE INDEX CONCURRENTLY');
is(value("SELECT vektonn.check_index('t_v')"), $rows, 'CREATE INDEX CONCURRENTLY: check_index');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY t_v');
is(value("SELECT vektonn.check_index('t_v')"), $rows, 'REINDEX CONCURRENTLY: check_index');
($processes) = build('SET max_parallel_maintenance_workers = 2',
	'CREATE INDEX t_v ON t USING vektonn (((v * v)::vector(48)) vector_l2_ops) WITH (algorithm = hnsw) WHERE id % 2 = 0');
is($processes, 3, 'expression and predicate');
is(value("SELECT vektonn.check_index('t_v')"), value('SELECT count(*) FROM t WHERE id % 2 = 0'),
	'expression and predicate: check_index');

# Vectors that go on in further slots.
$node->safe_psql('postgres', <<SQL);
CREATE TABLE u (id serial, v vector(2500), s sparsevec(5000));
INSERT INTO u(v, s) SELECT graph_vector(2500 + 0 * i, 'plain')::real[]::vector, graph_sparse(5000 + 0 * i)::sparsevec
  FROM generate_series(1, 300) i;
CREATE INDEX u_v ON u USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw);
CREATE INDEX u_s ON u USING vektonn (s sparsevec_cosine_ops) WITH (algorithm = hnsw);
SET maintenance_work_mem = 1024;
CREATE INDEX u_v_pages ON u USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw);
SQL
is(value("SELECT vektonn.check_index('$_')"), 300, "$_: check_index") for qw(u_v u_s u_v_pages);

# A build that takes long, in the background.
$node->safe_psql('postgres', 'DROP INDEX t_v');
my $before = relation_files($node);
my @segments = segments($node);

sub start_slow
{
	my ($out) = @_;
	return start_slow_build($node, "SET application_name = 'slow'", 't USING vektonn (v vector_l2_ops)',
		'tuples_done > 0 AND blocks_total > 0', $out);
}

my $err = '';
my $handle = start_slow(\$err);
cmp_ok(other_segments($node, @segments), '>', 0, 'the graph is in shared memory');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index");
finish($handle);
like($err, qr/canceling statement due to user request/, 'canceled');
check_nothing_left($node, 'canceled', $before, @segments);

$err = '';
$handle = start_slow(\$err);
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
finish($handle);
like($err, qr/terminating/, 'a worker ended');
check_nothing_left($node, 'a worker ended', $before, @segments);

# No shared memory to be had: one process, and it says so.
my $dir = $node->data_dir . '/pg_dynshmem';
chmod(0500, $dir);
($processes, $said) = build('SET max_parallel_maintenance_workers = 2');
chmod(0700, $dir);
is($processes, 0, 'no shared memory: one process');
like($said, qr/NOTICE:  index "t_v" is built by one process/, 'no shared memory: a notice');
check_index('no shared memory', $rows, $recall);
is(other_segments($node, @segments), 0, 'no shared memory: no file');

# Killed in the middle.
$node->safe_psql('postgres', 'DROP INDEX t_v');
$err = '';
$handle = start_slow(\$err);
kill_server($node);
finish($handle);
$node->start;
is(value("SELECT count(*) FROM pg_class WHERE relname = 't_slow'"), 0, 'killed: no index');
build('SET max_parallel_maintenance_workers = 2');
check_index('killed, then built', $rows, $recall);

done_testing();
