# Point-in-time recovery brings an index back to the state of a restore point, a
# dense one and an inverted one amid merges; an unlogged index is empty after a crash and takes rows again.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VkCrash;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(has_archiving => 1, allows_streaming => 1);
$primary->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\nvektonn.sparse_log_limit = 8kB\n");
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$primary->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/am_property.sql"));
my $fill = 'WITH new AS (INSERT INTO t SELECT i, i % 5, NULL, am_vector(40)::vector FROM generate_series(%d, %d) i RETURNING id, a)'
  . ' INSERT INTO s SELECT id, a, NULL, am_vector(200, true)::sparsevec FROM new;';
$primary->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, a int, b text, v vector(40));'
	  . 'CREATE INDEX i ON t USING vektonn (v vector_l2_ops, a);'
	  . 'CREATE TABLE s (id int PRIMARY KEY, a int, b text, v sparsevec(200));'
	  . 'CREATE INDEX si ON s USING vektonn (v sparsevec_l2_ops);' . sprintf($fill, 1, 300));
$primary->backup('base');
$primary->safe_psql('postgres', sprintf($fill, 301, 3000)
	  . 'DELETE FROM t WHERE id % 3 = 0; UPDATE t SET a = 7 WHERE id < 100; DELETE FROM s WHERE id % 3 = 0;');
$primary->safe_psql('postgres', 'INSERT INTO t SELECT 30000 + i, 20 + i % 2, NULL, am_vector(40)::vector FROM generate_series(1, 1500) i;');
$primary->safe_psql('postgres', 'DELETE FROM t WHERE a IN (20, 21)');
$primary->safe_psql('postgres', 'VACUUM t, s');
my $rows = $primary->safe_psql('postgres', 'SELECT count(*) FROM t');
$primary->safe_psql('postgres', "SELECT pg_create_restore_point('here')");
$primary->safe_psql('postgres', 'DELETE FROM t WHERE a = 1; DELETE FROM s WHERE a = 1;' . sprintf($fill, 10001, 10300));
$primary->safe_psql('postgres', 'VACUUM t, s');
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($primary, 'base', has_restoring => 1);
$restored->append_conf('postgresql.conf', "recovery_target_name = 'here'\nrecovery_target_action = 'promote'\n");
$restored->start;
$restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is($restored->safe_psql('postgres', 'SELECT count(*) FROM t'), $rows, 'the rows of the restore point');
is($restored->safe_psql('postgres', "SELECT vektonn.check_index('i') >= $rows"), 't', 'check_index');

# The free space map is not in WAL: the pages that VACUUM freed are found again.
$restored->safe_psql('postgres', 'VACUUM t');
my $size = $restored->safe_psql('postgres', "SELECT pg_relation_size('i')");
$restored->safe_psql('postgres', 'INSERT INTO t SELECT 40000 + i, 22 + i % 2, NULL, am_vector(40)::vector FROM generate_series(1, 1200) i');
is($restored->safe_psql('postgres', "SELECT pg_relation_size('i')"), $size, 'free pages are found after a promotion');
is($restored->safe_psql('postgres', "SELECT vektonn.check_index('i') >= $rows"), 't', 'check_index');
is($restored->safe_psql('postgres', "SELECT am_compare_some('t', '<->', 40, 'vector', 10)"), '', 'same answers');
is($restored->safe_psql('postgres', "SELECT vektonn.check_index('si') >= count(*) FROM s"), 't', 'check_index, sparse');
is($restored->safe_psql('postgres', "SELECT am_compare_some('s', '<->', 200, 'sparsevec', 6)"), '', 'same answers, sparse');
$restored->safe_psql('postgres', sprintf($fill, 20001, 20500));
is($restored->safe_psql('postgres', "SELECT am_compare_some('t', '<->', 40, 'vector', 10)"), '', 'and after more rows');
is($restored->safe_psql('postgres', "SELECT am_compare_some('s', '<->', 200, 'sparsevec', 6)"), '', 'likewise, sparse');

$primary->safe_psql('postgres', 'CREATE UNLOGGED TABLE u (LIKE t); CREATE INDEX iu ON u USING vektonn (v vector_l2_ops, a);'
	  . 'INSERT INTO u SELECT * FROM t;');
kill_server($primary);
$primary->start;
is($primary->safe_psql('postgres', "SELECT count(*), vektonn.check_index('iu') FROM u"), '0|0',
	'an unlogged index is empty after a crash');
$primary->safe_psql('postgres', 'INSERT INTO u SELECT * FROM t');
is($primary->safe_psql('postgres', "SELECT am_compare_some('u', '<->', 40, 'vector', 5)"), '', 'and takes rows again');
done_testing();
