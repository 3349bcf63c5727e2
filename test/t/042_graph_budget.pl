# What algorithm = hnsw may cost: pages read per query, WAL bytes per inserted
# row outside full-page images, pages of the index per row.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('budget');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
full_page_writes = off
shared_buffers = 128MB
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/graph_recall.sql"));

sub number { return (split /\n/, $node->safe_psql('postgres', join(';', @_)))[-1]; }

# dimension, rows, WAL bytes a row, index pages per 100 rows, pages read per query
for my $budget ([ 128, 3000, 6 * 1024, 27, 95 ], [ 784, 2000, 16 * 1024, 105, 95 ])
{
	my ($dim, $rows, $wal, $pages, $reads) = @$budget;
	my $half = $rows - 300;

	$node->safe_psql('postgres', <<SQL);
DROP TABLE IF EXISTS t, src;
SELECT setseed(0.3);
CREATE TABLE src (id serial, v vector($dim));
CALL graph_fill('src', 'vector', $dim, 'plain', $rows);
CREATE TABLE t (id int, v vector($dim));
ALTER TABLE t ALTER v SET STORAGE plain;
INSERT INTO t SELECT * FROM src WHERE id <= $half;
CREATE INDEX t_v ON t USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw, m = 16, ef_construction = 200, ef_search = 40);
SQL
	cmp_ok(100 * number("SELECT pg_relation_size('t_v') / 8192") / $half,
		'<', $pages, "dimension $dim: index pages per 100 rows");

	my $insert = "SELECT pg_current_wal_insert_lsn() AS before \\gset
INSERT INTO t SELECT * FROM src WHERE id > $half;
SELECT (pg_current_wal_insert_lsn() - :'before') / 300";
	my $with = number($insert);
	my $graph_rows = number("SELECT vektonn.check_index('t_v')");
	is($graph_rows, $rows, "dimension $dim: check_index");
	my $read = number('SET enable_seqscan = off',
		"SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM src WHERE id = 7) LIMIT 10) x",
		'SELECT pages FROM vektonn.last_scan_stats()');
	cmp_ok($read, '<', $reads, "dimension $dim: pages read per query");
	$node->safe_psql('postgres', "DROP INDEX t_v; DELETE FROM t WHERE id > $half");
	my $without = number($insert);
	cmp_ok($with - $without, '<', $wal, "dimension $dim: WAL bytes per row of the index");
}

done_testing();
