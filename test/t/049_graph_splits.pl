# CREATE INDEX of algorithm = hnsw with split columns by one process (by several:
# 050_graph_splits_parallel.pl): rows are sorted by split,
# each large split is built in memory and written once, small ones share pages.
# The index is as good as one that grew row by row, whatever the splits' sizes,
# and nothing is left of a build that is canceled or killed.
use strict;
use warnings;

use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VkBuild;
use VkCrash;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('splits');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
shared_buffers = 64MB
maintenance_work_mem = 64MB
max_parallel_maintenance_workers = 0
max_parallel_workers_per_gather = 0
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/graph_recall.sql"));

# Splits, mixed all over the table: 1 to 3 and NULL of 1,500 rows, 100 to 115 of
# 300, 1,000 to 1,199 of 5; in each kind some vectors are NULL, and 5,000 has no
# other.  s * 2 is the second split column.
$node->safe_psql('postgres', <<SQL);
SELECT setseed(0.5);
CREATE TABLE src (id serial, v vector(24));
CALL graph_fill('src', 'vector', 24, 'plain', 11800);
CREATE TABLE t (id serial, s int, u text, v vector(24));
INSERT INTO t(s, u, v)
  SELECT s, 'x' || s * 2, CASE WHEN id % 89 = 0 THEN NULL ELSE v END
  FROM (SELECT id, v, CASE WHEN id <= 6000 THEN nullif(id % 4, 0) WHEN id <= 10800 THEN 100 + id % 16
                      ELSE 1000 + id % 200 END AS s FROM src) x
  ORDER BY hashint4(id);
INSERT INTO t(s, u) SELECT 5000, 'x10000' FROM generate_series(1, 20);
CREATE TABLE grown (LIKE t);
CREATE INDEX grown_v ON grown USING vektonn (v vector_l2_ops, s, u) WITH (algorithm = hnsw);
INSERT INTO grown SELECT * FROM t;

-- Mean recall\@10 of queries made like the data, in each of the large splits.
CREATE FUNCTION split_recall(tab text) RETURNS float8 LANGUAGE plpgsql AS \$\$
DECLARE
  q text; key text; kth float8; n int; hits int := 0; wanted int := 0; expected int;
BEGIN
  PERFORM setseed(0.3);
  FOR i IN 1..40 LOOP
    SELECT graph_vector(24, 'plain')::real[]::vector::text INTO q;
    FOREACH key IN ARRAY ARRAY['s = 1', 's = 2', 's = 3', 's IS NULL', 's = 107', 's = 1044'] LOOP
      PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
      EXECUTE format('SELECT max(d), count(*) FROM (SELECT v <-> %L::vector AS d FROM %I WHERE %s ORDER BY 1 LIMIT 10) x', q, tab, key)
        INTO kth, expected;
      PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true);
      EXECUTE format('SELECT count(*) FROM (SELECT v <-> %L::vector AS d FROM %I WHERE %s ORDER BY 1 LIMIT 10) x WHERE d <= %L', q, tab, key, kth)
        INTO n;
      hits := hits + n;
      wanted := wanted + (SELECT least(expected, 10));
    END LOOP;
  END LOOP;
  RETURN round((hits::float8 / wanted)::numeric, 4);
END \$\$;
SQL

sub value { return (split /\n/, $node->safe_psql('postgres', join(';', @_)))[-1] }

# Builds t_v with the settings; in how many splits the graph outgrew its memory.
sub build
{
	my ($settings, $sql) = @_;
	$sql //= 'CREATE INDEX t_v ON t USING vektonn (v vector_l2_ops, s, u) WITH (algorithm = hnsw)';
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS t_v');
	my (undef, undef, $err) = $node->psql('postgres', "SET client_min_messages = debug1; $settings; $sql");
	unlike($err, qr/ERROR|NOTICE|WARNING/, "$settings: no error");
	return scalar(() = $err =~ /exceeds maintenance_work_mem/g);
}

my $recall = value("SET vektonn.ef_search = 20", "SELECT split_recall('grown')");
my $info = "SELECT (i).row_count || ' rows, ' || (i).splits || ' splits, ' || (i).small_splits || ' small' FROM vektonn.index_info";

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
	my $found = value('SET vektonn.ef_search = 20', "SELECT split_recall('t')");
	cmp_ok($found, '>=', $recall - 0.03, "$name: recall $found, of one that grew row by row $recall");
	return;
}

cmp_ok($recall, '>', 0.9, "recall of an index that grew row by row: $recall");
is(build('SET maintenance_work_mem = 65536'), 0, 'all splits are built in memory');
check_index('in memory');
is(value("$info('t_v') i"), value("$info('grown_v') i"), 'splits are as large as in an index that grew');
like(value("$info('t_v') i"), qr/, 221 splits, 201 small$/, 'large and small splits');
cmp_ok(value("SELECT pg_relation_size('t_v')"), '<=', 1.05 * value("SELECT pg_relation_size('grown_v')"),
	'no larger than an index that grew');

# Its pages are in WAL, and rows come and go as in any.
kill_server($node);
$node->start;
check_index('killed after the build');
$node->safe_psql('postgres', <<SQL);
DELETE FROM t WHERE s = 2 OR s = 1007 OR id % 5 = 0;
VACUUM t;
INSERT INTO t SELECT * FROM grown WHERE s = 2 OR s = 1007 OR id % 5 = 0;
INSERT INTO t(s, u, v) SELECT 6000, 'x', v FROM src WHERE id <= 400;
SQL
check_index('rows deleted and inserted');
$node->safe_psql('postgres', "DELETE FROM t WHERE s = 6000; VACUUM t");

# More than the memory, half of which is for the sort: the graphs of the four
# large splits go on on pages, those of the others are built in memory.  This is
# also how one sees that splits are built in memory at all.
is(build('SET maintenance_work_mem = 1024'), 4, 'large splits outgrow their memory');
check_index('little memory');

# Beside writers.
my $writer = start(
	[ 'psql', '-X', '-d', $node->connstr('postgres') ],
	'<', \'DO $$ BEGIN FOR i IN 1..2000 LOOP
  INSERT INTO t(s, u, v) SELECT 1 + i % 7, \'x\', v FROM src WHERE id = i; COMMIT;
END LOOP; END $$',
	'>', '/dev/null', '2>', \my $written);
build('SET maintenance_work_mem = 65536',
	'CREATE INDEX CONCURRENTLY t_v ON t USING vektonn (v vector_l2_ops, s, u) WITH (algorithm = hnsw)');
finish($writer);
is($written, '', 'rows are inserted during CREATE INDEX CONCURRENTLY');
check_index('CREATE INDEX CONCURRENTLY');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY t_v');
check_index('REINDEX CONCURRENTLY');
$node->safe_psql('postgres', "DELETE FROM t WHERE u = 'x'; VACUUM t");

# Vectors that go on in further slots; a split of one row that is too large for
# a shared page.
$node->safe_psql('postgres', <<SQL);
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

# A build that takes long, in the background, with a sort on disk.
$node->safe_psql('postgres', 'DROP INDEX t_v');
my $before = relation_files($node);
my @segments = segments($node);

sub start_slow
{
	my ($out) = @_;
	return start_slow_build($node, 'SET maintenance_work_mem = 1024', 't USING vektonn (v vector_l2_ops, s, u)',
		"phase ~ 'loading splits' AND tuples_done > 100", $out);
}

my $err = '';
my $handle = start_slow(\$err);
cmp_ok(temporary_files($node), '>', 0, 'the sort is on disk');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index');
finish($handle);
like($err, qr/canceling statement due to user request/, 'canceled');
check_nothing_left($node, 'canceled', $before, @segments);

$err = '';
$handle = start_slow(\$err);
kill_server($node);
finish($handle);
$node->start;
is(value("SELECT count(*) FROM pg_class WHERE relname = 't_slow'"), 0, 'killed: no index');
build('SET maintenance_work_mem = 65536');
check_index('killed, then built');

done_testing();
