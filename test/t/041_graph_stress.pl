# algorithm = hnsw under concurrent inserts, deletes, updates, VACUUM and
# searches; through kill -9 and recovery; on a standby.  After each round
# check_index proves the invariants, every row is found once, and recall holds.
use strict;
use warnings;

use IPC::Run qw(start finish timeout);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VkCrash;
use Test::More;
use Time::HiRes qw(usleep);

my $seconds = $ENV{VK_STRESS_SECONDS} // 4;
my $rounds = $ENV{VK_STRESS_ROUNDS} // 3;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
shared_buffers = 16MB
checkpoint_timeout = 1h
wal_consistency_checking = 'generic'
restart_after_crash = off
wal_keep_size = 4GB
max_wal_size = 2GB
CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$primary->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/graph_recall.sql"));
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', <<SQL);
CREATE TABLE t (id bigserial, grp int DEFAULT floor(random() * 2), v vector(24));
INSERT INTO t(v) SELECT graph_vector(24 + 0 * i, 'plain')::real[]::vector FROM generate_series(1, 2500) i;
CREATE INDEX t_v ON t USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw, m = 8, ef_construction = 40, ef_search = 60);
CREATE INDEX t_vg ON t USING vektonn (v vector_cosine_ops, grp) WITH (algorithm = hnsw, m = 6, ef_construction = 40);
-- large vectors go on in further slots
CREATE TABLE u (id bigserial, v vector(2500));
CREATE INDEX u_v ON u USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw, m = 4, ef_construction = 20);
INSERT INTO u(v) SELECT graph_vector(2500 + 0 * i, 'plain')::real[]::vector FROM generate_series(1, 100) i;
SQL

# One statement of each kind, chosen at random, again and again.
my %scripts = (
	change => <<'SQL',
\set what random(1, 8)
\set low random(1, 6000)
\if :what <= 3
INSERT INTO t(v) SELECT graph_vector(24 + 0 * i, 'plain')::real[]::vector FROM generate_series(1, 5) i;
\elif :what = 4
INSERT INTO t(v) SELECT v FROM t WHERE id BETWEEN :low AND :low + 8;
\elif :what = 5
UPDATE t SET grp = 1 - grp WHERE id BETWEEN :low AND :low + 3;
\elif :what = 6
BEGIN;
INSERT INTO t(v) SELECT graph_vector(24 + 0 * i, 'plain')::real[]::vector FROM generate_series(1, 3) i;
ROLLBACK;
\elif :what = 7
INSERT INTO u(v) SELECT graph_vector(2500, 'plain')::real[]::vector;
DELETE FROM u WHERE id = (SELECT min(id) + floor(random() * 5) FROM u);
\else
DELETE FROM t WHERE id BETWEEN :low AND :low + 20;
\endif
SQL
	search => <<'SQL',
\set low random(1, 6000)
SET enable_seqscan = off;
SELECT 1 / (count(*) = 20)::int FROM (SELECT id FROM t ORDER BY v <-> (SELECT graph_vector(24, 'plain')::real[]::vector) LIMIT 20) x;
SELECT count(*) FROM (SELECT id FROM t WHERE grp = 1 ORDER BY v <=> (SELECT graph_vector(24, 'plain')::real[]::vector) LIMIT 300) x;
SELECT count(*) FROM (SELECT id FROM u ORDER BY v <-> (SELECT graph_vector(2500, 'plain')::real[]::vector) LIMIT 10) x;
SQL
	vacuum => "VACUUM t;\nVACUUM u;\nSELECT pg_sleep(0.05);\n",);

my $dir = PostgreSQL::Test::Utils::tempdir;
while (my ($name, $text) = each %scripts)
{
	append_to_file("$dir/$name.sql", $text);
}

sub load_start
{
	my ($script, $clients) = @_;
	my $out = '';
	my $handle = start(
		[
			'pgbench', '-n', '-c', $clients, '-j', $clients, '-T', $seconds, '-f', "$dir/$script.sql",
			'-h', $primary->host, '-p', $primary->port, 'postgres'
		],
		'>', \$out, '2>', \$out);
	return { name => $script, handle => $handle, out => \$out };
}

sub load_finish
{
	my ($load, $may_fail) = @_;
	my $ok = finish($load->{handle});
	ok($ok, "$load->{name} without an error") or diag(${ $load->{out} }) unless $may_fail;
	return;
}

sub check_all
{
	my ($what) = @_;
	for my $index (qw(t_v t_vg u_v))
	{
		my ($code, $out, $err) = $primary->psql('postgres', "SELECT vektonn.check_index('$index')");
		is($err, '', "$what: check_index of $index");
	}
	for my $query (
		"SELECT id FROM t ORDER BY v <-> (SELECT graph_vector(24, 'plain')::real[]::vector)",
		"SELECT id FROM t ORDER BY v <=> (SELECT graph_vector(24, 'plain')::real[]::vector)",
		"SELECT id FROM u ORDER BY v <-> (SELECT graph_vector(2500, 'plain')::real[]::vector)")
	{
		my ($table) = $query =~ /FROM (\w)/;
		my $counts = $primary->safe_psql('postgres',
			"SET enable_seqscan = off; SET enable_sort = off;
			SELECT count(*) || ' ' || count(DISTINCT id) FROM ($query) x;
			SET enable_indexscan = off; SET enable_seqscan = on; SELECT count(*) FROM $table");
		like($counts, qr/^(\d+) \1\n\1$/, "$what: every row once: $query");
	}
	my $recall = $primary->safe_psql('postgres', "SELECT graph_recall('t', 'vector', '<->', 24, 'plain', 10, 40)");
	cmp_ok($recall, '>=', 0.95, "$what: recall $recall");
	return;
}

for my $round (1 .. $rounds)
{
	my @loads = (load_start('change', 3), load_start('search', 2), load_start('vacuum', 1));
	load_finish($_) for @loads;
	check_all("round $round");
}

# The standby gives the same answers.
$primary->wait_for_catchup($standby);
for my $query (
	"SELECT id FROM t ORDER BY v <-> (SELECT v FROM t ORDER BY id LIMIT 1), id LIMIT 50",
	"SELECT id FROM t WHERE grp = 0 ORDER BY v <=> (SELECT v FROM t ORDER BY id LIMIT 1) LIMIT 50",
	"SELECT id FROM u ORDER BY v <-> (SELECT v FROM u ORDER BY id LIMIT 1) LIMIT 20")
{
	my @answers = map { $_->safe_psql('postgres', "SET enable_seqscan = off; $query") } ($primary, $standby);
	is($answers[1], $answers[0], "standby: $query");
}

# Killed while everything is going on.
for my $round (1 .. $rounds)
{
	my @loads = (load_start('change', 3), load_start('search', 1), load_start('vacuum', 1));
	usleep(1_000_000 * (0.3 + rand(1.2)));
	kill_server($primary);
	load_finish($_, 1) for @loads;
	$primary->start;
	check_all("after kill $round");
	$primary->safe_psql('postgres', 'VACUUM t; VACUUM u');
	check_all("after kill $round and VACUUM");
}

done_testing();
