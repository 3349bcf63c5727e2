# CREATE INDEX of algorithm = hnsw with split columns by several processes: the
# index is as good as one built by one process, whatever the splits' sizes, shared
# memory stays within maintenance_work_mem, and nothing is left of a build that
# is canceled, fails, or is killed.
use strict;
use warnings;

use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VkBuild;
use VkCrash;
use VkWait;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('splits');
$node->init;

# Shared memory is files in pg_dynshmem, which can be counted.
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
shared_buffers = 64MB
maintenance_work_mem = 64MB
max_parallel_maintenance_workers = 2
min_parallel_table_scan_size = 0
max_parallel_workers_per_gather = 0
dynamic_shared_memory_type = mmap
min_dynamic_shared_memory = 0
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/graph_recall.sql"));

# Splits, mixed all over the table: 1 has 7,000 rows, NULL 1,000, 100 to 107 have
# 350, 1,000 to 1,199 have 5; 5,000 has NULL vectors only, and every other some.
# s * 2 is the second split column.
$node->safe_psql('postgres', <<SQL);
SELECT setseed(0.5);
CREATE TABLE src (id serial, v vector(24));
CALL graph_fill('src', 'vector', 24, 'plain', 11800);
CREATE TABLE t (id serial, s int, u text, v vector(24));
INSERT INTO t(s, u, v)
  SELECT s, 'x' || s * 2, CASE WHEN id % 89 = 0 THEN NULL ELSE v END
  FROM (SELECT id, v, CASE WHEN id <= 7000 THEN 1 WHEN id <= 8000 THEN NULL WHEN id <= 10800 THEN 100 + id % 8
                      ELSE 1000 + id % 200 END AS s FROM src) x
  ORDER BY hashint4(id);
INSERT INTO t(s, u) SELECT 5000, 'x10000' FROM generate_series(1, 20);

-- Mean recall\@10 in splits of all sizes, of queries made like the data.
CREATE FUNCTION split_recall() RETURNS float8 LANGUAGE plpgsql AS \$\$
DECLARE
  q text; key text; kth float8; n int; hits int := 0; wanted int := 0; expected int;
BEGIN
  PERFORM setseed(0.3);
  FOR i IN 1..40 LOOP
    SELECT graph_vector(24, 'plain')::real[]::vector::text INTO q;
    FOREACH key IN ARRAY ARRAY['s = 1', 's IS NULL', 's = 107', 's = 1044'] LOOP
      PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
      EXECUTE format('SELECT max(d), count(*) FROM (SELECT v <-> %L::vector AS d FROM t WHERE %s ORDER BY 1 LIMIT 10) x', q, key)
        INTO kth, expected;
      PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true);
      EXECUTE format('SELECT count(*) FROM (SELECT v <-> %L::vector AS d FROM t WHERE %s ORDER BY 1 LIMIT 10) x WHERE d <= %L', q, key, kth)
        INTO n;
      hits := hits + n;
      wanted := wanted + least(expected, 10);
    END LOOP;
  END LOOP;
  RETURN round((hits::float8 / wanted)::numeric, 4);
END \$\$;
SQL

sub value { return (split /\n/, $node->safe_psql('postgres', join(';', @_)))[-1] }

# Builds t_v with the settings.  How many processes did, how many splits all of
# them together, and what the server said.
sub build
{
	my ($settings, $sql) = @_;
	$sql //= 'CREATE INDEX t_v ON t USING vektonn (v vector_l2_ops, s, u) WITH (algorithm = hnsw)';
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS t_v');
	my (undef, undef, $err) = $node->psql('postgres', "SET client_min_messages = debug1; $settings; $sql");
	unlike($err, qr/ERROR|WARNING/, "$settings: no error");
	my ($processes) = $err =~ /"t_v\S*" is built by (\d+) process/;
	my ($together) = $err =~ /(\d+) of \d+ parts of index "t_v\S*" are loaded by all/;
	return ($processes // 0, $together // 0, $err);
}

my @segments;
my $recall;
my $splits;
my $info = "SELECT (i).row_count || ' rows, ' || (i).splits || ' splits, ' || (i).small_splits || ' small' FROM vektonn.index_info('t_v') i";

# Graphs are random: recall of good ones differs by less than 0.01.
sub check_index
{
	my ($name) = @_;
	my $rows = value('SELECT count(*) FROM t');

	is(value("SELECT vektonn.check_index('t_v')"), $rows, "$name: check_index");
	is( value(
			'SET enable_seqscan = off', 'SET enable_sort = off',
			"SELECT count(*) || ' ' || count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM t WHERE id = 7)) x"),
		"$rows $rows", "$name: every row once");
	is(value('SET enable_seqscan = off', 'SELECT count(*) FROM (SELECT FROM t WHERE s = 5000 ORDER BY v <-> (SELECT v FROM t WHERE id = 7)) x'),
		20, "$name: a split of NULLs");
	my $found = value('SET vektonn.ef_search = 4', 'SELECT split_recall()');
	$recall //= $found;
	cmp_ok($found, '>=', $recall - 0.03, "$name: recall $found, by one process $recall");
	return;
}

my ($processes, $together, $said) = build('SET max_parallel_maintenance_workers = 0');
is($processes, 0, 'one process when one is asked for');
check_index('one process');
cmp_ok($recall, '>', 0.9, 'by one process it is good');
$splits = value($info);
my $size = value("SELECT pg_relation_size('t_v')");

@segments = segments($node);
for my $workers (1, 2)
{
	($processes, $together) = build("SET max_parallel_maintenance_workers = $workers");
	is($processes, $workers + 1, "$workers workers");
	is($together, 1, 'the largest split is built by all together');
	check_index("$workers workers");
	is(value($info), $splits, "$workers workers: splits are as large as by one process");
	cmp_ok(value("SELECT pg_relation_size('t_v')"), '<=', 1.1 * $size, "$workers workers: no larger than by one process");
}
is(other_segments($node, @segments) . ' ' . temporary_files($node), '0 0', 'no shared memory, no temporary file is left');

($processes) = build('SET max_parallel_workers = 0');
is($processes, 1, 'no worker is free: the leader alone');
check_index('leader alone');

# More than the memory: all go on on pages.
($processes, $together, $said) = build('SET maintenance_work_mem = 1024');
is($processes, 3, 'three processes with little memory');
like($said, qr/exceeds maintenance_work_mem/, 'pages are written before the end');
check_index('little memory');

# A crash does not damage it, and rows come and go as in any.
build('SET max_parallel_maintenance_workers = 1');
kill_server($node);
$node->start;
check_index('killed after the build');
$node->safe_psql('postgres', <<SQL);
CREATE TABLE gone AS SELECT * FROM t WHERE s = 1007 OR id % 5 = 0;
DELETE FROM t WHERE s = 1007 OR id % 5 = 0;
VACUUM t;
INSERT INTO t SELECT * FROM gone;
SQL
check_index('rows deleted and inserted');

# Beside writers.
my $writer = start(
	[ 'psql', '-X', '-d', $node->connstr('postgres') ],
	'<', \'DO $$ BEGIN FOR i IN 1..2000 LOOP
  INSERT INTO t(s, u, v) SELECT 1 + i % 7, \'x\', v FROM src WHERE id = i; COMMIT;
END LOOP; END $$',
	'>', '/dev/null', '2>', \my $written);
($processes) = build('SET max_parallel_maintenance_workers = 2',
	'CREATE INDEX CONCURRENTLY t_v ON t USING vektonn (v vector_l2_ops, s, u) WITH (algorithm = hnsw)');
finish($writer);
is($processes, 3, 'CREATE INDEX CONCURRENTLY');
is($written, '', 'rows are inserted during CREATE INDEX CONCURRENTLY');
check_index('CREATE INDEX CONCURRENTLY');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY t_v');
check_index('REINDEX CONCURRENTLY');
$node->safe_psql('postgres', "DELETE FROM t WHERE u = 'x'; VACUUM t");

# Other values, some of the rows; other kinds of tables and vectors.
($processes) = build('SET max_parallel_maintenance_workers = 2',
	'CREATE INDEX t_v ON t USING vektonn (((v * v)::vector(24)) vector_cosine_ops, (s % 3)) WITH (algorithm = hnsw) WHERE id % 2 = 0');
is($processes, 3, 'expression and predicate');
is(value("SELECT vektonn.check_index('t_v')"), value('SELECT count(*) FROM t WHERE id % 2 = 0'), 'expression and predicate: check_index');
$node->safe_psql('postgres', <<SQL);
CREATE UNLOGGED TABLE n AS SELECT * FROM t;
CREATE INDEX n_v ON n USING vektonn (v vector_l2_ops, s) WITH (algorithm = hnsw);
CREATE TABLE w (id serial, s int, v vector(2500), h halfvec(2500), p sparsevec(5000));
INSERT INTO w(s, v, h, p) SELECT i % 2, v, v::halfvec, graph_sparse(5000 + 0 * i)::sparsevec
  FROM (SELECT i, graph_vector(2500 + 0 * i, 'plain')::real[]::vector AS v FROM generate_series(1, 300) i) x;
UPDATE w SET s = 7 WHERE id = 11;
CREATE INDEX w_v ON w USING vektonn (v vector_cosine_ops, s) WITH (algorithm = hnsw);
CREATE INDEX w_h ON w USING vektonn (h halfvec_l1_ops, s) WITH (algorithm = hnsw);
CREATE INDEX w_p ON w USING vektonn (p sparsevec_cosine_ops, s) WITH (algorithm = hnsw);
SET maintenance_work_mem = 1024;
CREATE INDEX w_v_pages ON w USING vektonn (v vector_ip_ops, s) WITH (algorithm = hnsw);
SQL
is(value("SELECT vektonn.check_index('$_')"), 300, "$_: check_index") for qw(w_v w_h w_p w_v_pages);
is(value("SELECT vektonn.check_index('n_v')"), value('SELECT count(*) FROM t'), 'unlogged: check_index');
is( value(
		'CREATE TEMP TABLE x AS SELECT * FROM t',
		'CREATE INDEX x_v ON x USING vektonn (v vector_l2_ops, s) WITH (algorithm = hnsw)',
		"SELECT vektonn.check_index('x_v')"),
	value('SELECT count(*) FROM t'), 'temporary: check_index');

# An error in one of the processes.
@segments = segments($node);
my (undef, undef, $err) = $node->psql('postgres',
	'CREATE INDEX t_bad ON t USING vektonn (v vector_l2_ops, s) WITH (algorithm = hnsw) WHERE 1 / (id - 9999) < 2');
like($err, qr/division by zero/, 'an error ends the build');
until_true('an error: nothing is left', sub { return other_segments($node, @segments) == 0 && temporary_files($node) == 0 });

# A build that takes long, in the background.
$node->safe_psql('postgres', 'DROP INDEX t_v');
my $before = relation_files($node);

sub start_slow
{
	my ($out) = @_;
	return start_slow_build($node, 'SET maintenance_work_mem = 8192', 't USING vektonn (v vector_l2_ops, s, u)',
		"phase ~ 'loading splits' AND tuples_done > 100", $out);
}

$err = '';
my $handle = start_slow(\$err);
my $shared = 0;
$shared += -s $_ for map { $node->data_dir . "/pg_dynshmem/$_" } segments($node);
cmp_ok($shared, '>', 1024 * 1024, 'the largest split is in shared memory');
cmp_ok($shared, '<', 8 * 1024 * 1024, 'all of it is less than maintenance_work_mem');
cmp_ok(temporary_files($node), '>', 0, 'rows are in temporary files');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index');
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
($processes, $together, $said) = build('SET max_parallel_maintenance_workers = 2');
chmod(0700, $dir);
is($processes, 0, 'no shared memory: one process');
like($said, qr/NOTICE:  index "t_v" is built by one process/, 'no shared memory: a notice');
check_index('no shared memory');
is(other_segments($node, @segments) . ' ' . temporary_files($node), '0 0', 'no shared memory: nothing is left');

# Killed in the middle.
$node->safe_psql('postgres', 'DROP INDEX t_v');
$err = '';
$handle = start_slow(\$err);
@segments = segments($node);
kill_server($node);
finish($handle);
$node->start;
is(value("SELECT count(*) FROM pg_class WHERE relname = 't_slow'"), 0, 'killed: no index');
my %now = map { $_ => 1 } segments($node);
is(scalar(grep { $now{$_} } @segments), 0, 'killed: no shared memory is left');
is(temporary_files($node), 0, 'killed: no temporary file is left');
build('SET max_parallel_maintenance_workers = 2');
check_index('killed, then built');

done_testing();
