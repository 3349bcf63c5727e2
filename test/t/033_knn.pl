# vektonn.knn among writers: its answers are those of a sequential scan in the
# same snapshot while others insert, update, delete and vacuum, on the primary
# and on a standby; it can be cancelled; OpenBLAS is loaded only by the session that
# needs it, and starts no thread there.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{VK_SECONDS} // 8;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
wal_keep_size = 4GB
max_parallel_workers_per_gather = 0
CONF
$node->start;
$node->backup('base');

# Rows near a subspace, so that the index has codes, in a store and in small splits.
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION vektonn;
CREATE FUNCTION v(dim integer DEFAULT 64) RETURNS vector LANGUAGE sql VOLATILE AS $$
	SELECT array_agg((a * sin(i * 0.3) + b * cos(i * 0.7) + c * sin(i * 1.1) + 0.01 * random())::real ORDER BY i)::vector
	FROM (SELECT random() AS a, random() AS b, random() AS c OFFSET 0) r, generate_series(1, dim) i $$;
CREATE TABLE t (id serial, a integer, note text, vec vector(64)) WITH (fillfactor = 80);
INSERT INTO t (a, vec) SELECT CASE WHEN i < 2000 THEN 1 ELSE i % 20 END, v() FROM generate_series(1, 2300) i;
CREATE INDEX t_l2 ON t USING vektonn (vec vector_l2_ops);
CREATE INDEX t_ip ON t USING vektonn (vec vector_ip_ops, a);
CREATE INDEX t_cosine ON t USING vektonn (vec vector_cosine_ops, a);
CREATE TABLE q AS SELECT row_number() OVER () AS number, v() AS q FROM generate_series(1, 40);
CREATE FUNCTION compare(index text, op text, k integer, filter jsonb, condition text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE result text;
BEGIN
	EXECUTE format($q$
		WITH expected AS (SELECT number, n.* FROM q, LATERAL (SELECT (t.vec %2$s q) + 0 AS d, row_number() OVER (ORDER BY (t.vec %2$s q) + 0) AS rank
			FROM t WHERE %5$s ORDER BY 1 LIMIT %3$s) n),
		found AS (SELECT k.query_number, k.rank, k.distance, t.vec %2$s q.q AS now
			FROM vektonn.knn('%1$s', (SELECT array_agg(q ORDER BY number) FROM q), %3$s, %4$L) k
			JOIN q ON q.number = k.query_number LEFT JOIN t ON t.ctid = k.ctid)
		SELECT CASE WHEN count(*) < 40 THEN 'too few answers' ELSE string_agg(concat_ws(' ', number, query_number, e.rank, f.rank, e.d, f.distance, now), '; ')
			FILTER (WHERE e.d IS DISTINCT FROM f.distance OR now IS DISTINCT FROM f.distance) END
		FROM expected e FULL JOIN found f ON f.query_number = e.number AND f.rank = e.rank$q$, index, op, k, filter, condition) INTO result;
	RETURN coalesce(left(result, 500), 'same');
END $$;
SQL

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

sub compare_all
{
	my ($server) = @_;
	return join ',', map { $server->safe_psql('postgres', "SELECT compare($_)") }
		("'t_l2', '<->', 10, NULL, 'true'", "'t_ip', '<#>', 5, '{\"a\": [1, 3]}', 'a IN (1, 3)'",
		"'t_cosine', '<=>', 12, '{\"a\": 7}', 'a = 7'", "'t_l2', '<->', 300, NULL, 'true'");
}
my $good = 'same,same,same,same';

is(compare_all($node), $good, 'same answers without writers');

# Writers and VACUUM in the background.
my $script = $node->basedir . '/writers.sql';
append_to_file($script, <<'SQL');
\set id random(1, 3000)
\set what random(1, 100)
\if :what < 40
UPDATE t SET vec = v() WHERE id = :id;
\elif :what < 60
UPDATE t SET note = 'x' || :id WHERE id BETWEEN :id AND :id + 20;
\elif :what < 75
DELETE FROM t WHERE id = :id;
\elif :what < 95
INSERT INTO t (a, vec) SELECT CASE WHEN :what < 90 THEN 1 ELSE :id % 20 END, v() FROM generate_series(1, 3);
\elif :what < 98
BEGIN; DELETE FROM t WHERE id > :id; ROLLBACK;
\else
VACUUM t;
\endif
SQL
my $writers = IPC::Run::start(
	[ 'pgbench', '-n', '-c', '3', '-T', $seconds + 5, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>', \my $out, '2>', \my $err);
my $end = time + $seconds;
my ($rounds, $bad) = (0, '');
while (time < $end && $bad eq '')
{
	for my $server ($node, $standby)
	{
		my $result = compare_all($server);
		$bad = $server->name . ": $result" if $result ne $good;
	}
	$rounds++;
}
is($bad, '', 'same answers among writers');
cmp_ok($rounds, '>=', 1, "compared $rounds times");
$writers->finish;
unlike($err, qr/ERROR/, 'writers went on');
$node->wait_for_catchup($standby);
is(compare_all($_), $good, 'same answers afterwards on ' . $_->name) for $node, $standby;
for my $index (qw(t_l2 t_ip t_cosine))
{
	ok($node->safe_psql('postgres', "SELECT vektonn.check_index('$index')") > 0, "$index is sound");
}

# Half of the candidates of each query dead, none vacuumed.
$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 10 <> 0');
is($node->safe_psql('postgres', "SELECT compare('t_l2', '<->', 10, NULL, 'true')"), 'same', 'same answers among dead rows');

# It can be cancelled between blocks.
my $start = time;
my ($rc, $stdout, $stderr) = $node->psql('postgres', <<'SQL');
SET statement_timeout = '300ms';
SELECT count(*) FROM vektonn.knn('t_l2', (SELECT array_agg(q) FROM q, generate_series(1, 20000)), 100);
SQL
like($stderr, qr/canceling statement due to statement timeout/, 'cancelled');
cmp_ok(time - $start, '<', 60, 'soon');

# Of the modules with threads a session has what it uses, and no thread.
SKIP:
{
	skip 'no /proc', 3 unless -d '/proc/self/task';
	my $blas = `ls \$(pg_config --pkglibdir)/vektonn_blas.so 2>/dev/null` ne '';
	my $loaded = q{(SELECT count(*) > 0 FROM regexp_split_to_table(pg_read_file('/proc/' || pg_backend_pid() || '/maps'), E'\n') l WHERE l LIKE '%openblas%')};
	my $threads = q{(SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task'))};
	my $result = $node->safe_psql('postgres', "SELECT count(*) FROM (SELECT FROM t ORDER BY vec <-> v() LIMIT 5) x;"
		. "SELECT $loaded; SELECT count(*) FROM vektonn.knn('t_l2', (SELECT array_agg(q) FROM q), 1); SELECT $loaded, $threads;");
	my ($before, $after) = $result =~ /^5\n(\w)\n40\n(\S+)$/;
	is($before, 'f', 'OpenBLAS is not loaded by a search');
	is($after, $blas ? 't|1' : 'f|1', 'it is by a batch, and starts no thread');
	my $alone = $node->safe_psql('postgres', "SELECT count(*) FROM vektonn.knn('t_l2', (SELECT array_agg(q) FROM q WHERE number = 1), 1); SELECT $loaded");
	like($alone, qr/^1\n[tf]$/, 'one query vector');
}
done_testing();
