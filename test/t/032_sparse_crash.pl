# An inverted index survives kill -9 at any moment of inserts, merges and
# VACUUM: after each recovery it answers as a sequential scan does, check_index
# proves its invariants, and what the crash left half done (segments under
# construction, logs and segments being freed) is taken up by the next merge, so
# that the index does not grow with the number of crashes.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VkCrash;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = $ENV{VK_SEED} // 20261120;
my $crashes = $ENV{VK_CASES} // 6;
srand($seed);
diag("seed $seed, $crashes crashes");

my $node = PostgreSQL::Test::Cluster->new('sparse_crash');
$node->init;
# With the least limit, every page of rows is merged.
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
checkpoint_timeout = 1h
wal_consistency_checking = 'generic'
vektonn.sparse_log_limit = 8kB
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/am_property.sql"));
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE rows (id serial PRIMARY KEY, a int, b text, v sparsevec(200));
CREATE INDEX rows_i ON rows USING vektonn (v sparsevec_l2_ops);
SELECT setseed(0.5);
CREATE TABLE pool AS SELECT am_vector(200, true)::sparsevec AS v FROM generate_series(1, 400);
CREATE PROCEDURE work(seed float8, rounds int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. rounds LOOP
		INSERT INTO rows (a, b, v) SELECT (random() * 4)::int, 'x', v FROM pool
			WHERE random() < 0.2;
		DELETE FROM rows WHERE id % 13 = i % 13 AND random() < 0.7;
		COMMIT;
	END LOOP;
END $$;
SQL

# Starts a session that the crash will end.  Its statements come from a file:
# what is piped would wait for somebody to pump it.
my $scripts = 0;

sub start_session
{
	my ($sql) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script' . ++$scripts;
	my ($out, $err) = ('', '');
	PostgreSQL::Test::Utils::append_to_file($file, $sql);
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', $file ],
		'<', '/dev/null', '>', \$out, '2>', \$err);
}

for my $crash (1 .. $crashes)
{
	my @sessions = map { start_session($_) }
	  sprintf('CALL work(%.6f, 1000);', rand()), sprintf('CALL work(%.6f, 1000);', rand()),
	  'VACUUM (INDEX_CLEANUP ON) rows;' x 200;
	usleep(300_000 + int(rand(900_000)));
	kill_server($node);
	$_->finish for @sessions;
	$node->start;
	my $result = $node->safe_psql('postgres', sprintf(
		"SELECT setseed(%.6f); SELECT am_compare_some('rows', '<->', 200, 'sparsevec', 6);", rand()));
	$result =~ s/^\s+//;
	is($result, '', "same answers after crash $crash");
	is($node->safe_psql('postgres', "SELECT vektonn.check_index('rows_i') >= (SELECT count(*) FROM rows)"),
		't', "check_index after crash $crash");
}

ok($node->safe_psql('postgres', 'SELECT count(*) FROM rows') > 100, 'there were rows to lose');

# How many pages of each kind the index has on disk; 0: never used.
sub page_kinds
{
	my ($index) = @_;
	my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$index')");
	my $size = $node->safe_psql('postgres', "SELECT current_setting('block_size')");
	my %kinds;
	$node->stop;
	open(my $file, '<:raw', $path) or die "$path: $!";
	while (read($file, my $page, $size))
	{
		# six bytes before the end
		$kinds{ unpack('S', substr($page, $size - 6, 2)) }++;
	}
	close($file);
	$node->start;
	return %kinds;
}

# All rows go, and with them all pages: none was lost in a crash.  What is left
# is free (1), but for the metapage (2), the directory (3, 4) and the head (32, 33).
# The free space map would not do as a witness: it does not survive a crash.
$node->safe_psql('postgres', 'DELETE FROM rows');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP ON) rows') for 1 .. 2;
is($node->safe_psql('postgres', "SELECT vektonn.check_index('rows_i')"), 0, 'check_index of the empty index');
my %kinds = page_kinds('rows_i');
diag('pages by kind: ' . join(', ', map { "$_: $kinds{$_}" } sort { $a <=> $b } keys %kinds));
is(join(' ', sort grep { !/^(0|1|2|3|4|32|33)$/ } keys %kinds), '', 'no page is lost');
ok($kinds{1} > 10, 'there were pages to lose');
$node->safe_psql('postgres', 'CALL work(0.5, 10)');
is($node->safe_psql('postgres', "SELECT vektonn.check_index('rows_i') >= (SELECT count(*) FROM rows)"),
	't', 'and the index fills again');

done_testing();
