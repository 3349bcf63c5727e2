# Recall of algorithm = hnsw against exact answers: every type, metric and many
# dimensions, built and grown row by row, after VACUUM and after churn, with
# duplicates, clusters and norms that differ much.  No scan is ever short.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('recall');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
shared_buffers = 128MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/graph_recall.sql"));

my %op = (l2 => '<->', ip => '<#>', cosine => '<=>', l1 => '<+>', jaccard => '<%>');

sub sql { return $node->safe_psql('postgres', join(';', 'SET client_min_messages = warning', 'SELECT setseed(0.5)', @_)) }

# The last line: setseed and SET say things of their own.
sub value { return (split /\n/, sql(@_))[-1] }

sub create_table
{
	my ($type, $dim) = @_;
	sql('DROP TABLE IF EXISTS t', "CREATE TABLE t (id serial, v $type($dim))",
		'ALTER TABLE t ALTER v SET STORAGE external');
}

sub check_recall
{
	my ($name, $type, $metric, $dim, $shape, $wanted, $ef) = @_;
	$ef //= 0;
	my $recall = value("SET vektonn.ef_search = $ef",
		"SELECT graph_recall('t', '$type', '$op{$metric}', $dim, '$shape', 10, 25)");
	cmp_ok($recall, '>=', $wanted, "$name: recall $recall");
	return $recall;
}

sub check_complete
{
	my ($name, $type, $dim, $metric, $shape) = @_;
	my $q = $type eq 'sparsevec' ? "graph_sparse($dim)::sparsevec" : "graph_vector($dim, '$shape')::real[]::$type";
	my $answer = value('SET enable_seqscan = off', 'SET enable_sort = off',
		"SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || (SELECT count(*) FROM t)
		FROM (SELECT id FROM t ORDER BY v $op{$metric} (SELECT $q)) x");
	like($answer, qr/^(\d+) \1 \1$/, "$name: every row once");
	is(value("SELECT vektonn.check_index('t_v')"), (split ' ', $answer)[0], "$name: check_index");
}

# type, metric, dimension, rows, shape, least recall
my @cases = (
	[ 'vector', 'l2', 1, 2500, 'plain', 0.99 ],
	[ 'vector', 'l2', 2, 2500, 'plain', 0.99 ],
	[ 'vector', 'cosine', 3, 2500, 'plain', 0.99 ],
	[ 'vector', 'l1', 3, 2500, 'plain', 0.99 ],
	[ 'halfvec', 'l2', 3, 2500, 'plain', 0.99 ],
	[ 'vector', 'cosine', 2, 2500, 'plain', 0.99 ],
	[ 'halfvec', 'l2', 1, 2500, 'plain', 0.99 ],
	[ 'vector', 'l2', 64, 2500, 'plain', 0.97 ],
	[ 'vector', 'cosine', 64, 2500, 'spectrum', 0.97 ],
	[ 'vector', 'ip', 64, 2500, 'skewed', 0.95 ],
	[ 'vector', 'cosine', 64, 2500, 'clustered', 0.95 ],
	[ 'vector', 'l1', 64, 2500, 'plain', 0.95 ],
	[ 'halfvec', 'l2', 64, 2500, 'clustered', 0.95 ],
	[ 'halfvec', 'ip', 64, 2500, 'plain', 0.95 ],
	[ 'halfvec', 'cosine', 64, 2500, 'plain', 0.95 ],
	[ 'halfvec', 'l1', 64, 2500, 'plain', 0.95 ],
	[ 'sparsevec', 'l2', 1000, 2500, 'plain', 0.98 ],
	[ 'sparsevec', 'ip', 1000, 2500, 'plain', 0.98 ],
	[ 'sparsevec', 'cosine', 1000, 2500, 'plain', 0.98 ],
	[ 'sparsevec', 'l1', 1000, 2500, 'plain', 0.98 ],
	[ 'sparsevec', 'jaccard', 1000, 2500, 'plain', 0.95 ],
	# four times as many non-zeros as a code has room for, and some rows beyond a slot
	[ 'sparsevec', 'cosine', 20000, 2500, 'plain', 0.9 ],
	[ 'sparsevec', 'ip', 20000, 2500, 'plain', 0.9 ],
	[ 'vector', 'l2', 784, 1200, 'plain', 0.97 ],
	[ 'vector', 'cosine', 1536, 1200, 'plain', 0.97 ],
	[ 'halfvec', 'cosine', 1536, 1200, 'plain', 0.97 ],
	[ 'vector', 'l2', 4096, 500, 'plain', 0.97 ],
	[ 'halfvec', 'ip', 4096, 500, 'plain', 0.97 ],
	[ 'vector', 'cosine', 16000, 200, 'plain', 0.95 ],
	[ 'halfvec', 'l2', 16000, 300, 'plain', 0.95 ],);

for my $case (@cases)
{
	my ($type, $metric, $dim, $rows, $shape, $wanted) = @$case;
	my $name = "$type $metric $dim $shape";

	create_table($type, $dim);
	sql("CALL graph_fill('t', '$type', $dim, '$shape', $rows)");
	sql("CREATE INDEX t_v ON t USING vektonn (v ${type}_${metric}_ops) WITH (algorithm = hnsw)");
	check_recall("$name, built", @$case[ 0 .. 2 ], $shape, $wanted);
	sql('DELETE FROM t WHERE id % 10 = 3');
	sql('VACUUM t');
	check_recall("$name, after VACUUM", @$case[ 0 .. 2 ], $shape, $wanted);
	check_complete("$name, after VACUUM", $type, $dim, $metric, $shape);

	next if $dim > 1000 && $type ne 'vector';
	sql('CREATE TEMP TABLE saved AS TABLE t', 'TRUNCATE t', 'INSERT INTO t SELECT * FROM saved');
	check_recall("$name, grown", @$case[ 0 .. 2 ], $shape, $wanted);
	check_complete("$name, grown", $type, $dim, $metric, $shape);
}

# Duplicates: nothing is lost, and the others are found as well.
create_table('vector', 32);
sql("CREATE INDEX t_v ON t USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw)");
sql("CALL graph_fill('t', 'vector', 32, 'plain', 1500)",
	'INSERT INTO t(v) SELECT v FROM t, generate_series(1, 3) WHERE id % 2 = 0',
	'INSERT INTO t(v) SELECT v FROM (SELECT v FROM t LIMIT 1) x, generate_series(1, 3000)');
check_recall('duplicates', 'vector', 'l2', 32, 'plain', 0.97);
check_complete('duplicates', 'vector', 32, 'l2', 'plain');
sql('DELETE FROM t WHERE id % 3 > 0');
sql('VACUUM t');
check_complete('duplicates, after VACUUM', 'vector', 32, 'l2', 'plain');
sql('REINDEX INDEX t_v');
check_recall('duplicates, built', 'vector', 'l2', 32, 'plain', 0.97);
check_complete('duplicates, built', 'vector', 32, 'l2', 'plain');

# Values at the ends of the range of float: answers may be slow, not wrong.
create_table('vector', 4);
sql("CREATE INDEX t_v ON t USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw)");
sql(q{INSERT INTO t(v) SELECT ARRAY[10 ^ (i % 60 - 30), i, -10 ^ (i % 37), 0]::real[]::vector FROM generate_series(1, 2000) i});
check_complete('extreme values', 'vector', 4, 'l2', 'plain');

# Churn: six times 10 % deleted and as many inserted, against a fresh build; data
# that is easy, and data whose neighbours are all about equally near.
for my $churn ([ 'plain', 'l2', 48, 20 ], [ 'spectrum', 'cosine', 64, 50 ])
{
	my ($shape, $metric, $dim, $ef) = @$churn;
	my $recall = sub {
		return value("SET vektonn.ef_search = $ef",
			"SELECT graph_recall('t', 'vector', '$op{$metric}', $dim, '$shape', 10, 250)");
	};

	create_table('vector', $dim);
	sql("CALL graph_fill('t', 'vector', $dim, '$shape', 5000)");
	sql("CREATE INDEX t_v ON t USING vektonn (v vector_${metric}_ops) WITH (algorithm = hnsw)");
	my $pages = value("SELECT relpages FROM pg_class WHERE relname = 't_v'");
	for my $round (1 .. 6)
	{
		sql("DELETE FROM t WHERE id % 10 = $round % 10");
		sql('VACUUM t');
		my $missing = 5000 - value('SELECT count(*) FROM t');
		sql("CALL graph_fill('t', 'vector', $dim, '$shape', $missing)");
	}
	sql('VACUUM t');
	my $grown = value("SELECT relpages FROM pg_class WHERE relname = 't_v'");
	cmp_ok($grown, '<', 1.15 * $pages, "churn, $shape: space is used again, $pages to $grown pages");
	my $churned = $recall->();
	check_complete("churn, $shape", 'vector', $dim, $metric, $shape);
	sql('REINDEX INDEX t_v');
	my $fresh = $recall->();
	cmp_ok($churned, '>=', $fresh - 0.005, "churn, $shape: recall $churned, of a fresh build $fresh");
}

# More memory than allowed: the build goes on on pages.
sql('SET maintenance_work_mem = 1024', 'REINDEX INDEX t_v');
check_recall('small maintenance_work_mem', 'vector', 'cosine', 64, 'spectrum', 0.97);
check_complete('small maintenance_work_mem', 'vector', 64, 'cosine', 'spectrum');

done_testing();
