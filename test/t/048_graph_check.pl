# check_index finds each violation of a graph's invariants, as its README numbers
# them: one index per violation, damaged on disk.  VACUUM mends what crashes and
# pruning leave.  And what has damaged other graph indexes: entry points that go
# while rows come (pgvector #988, #993), insertions beside VACUUM (#1010), room
# that is searched for in vain (#975, #1025), VACUUM that searches anew (#450).
use strict;
use warnings;

use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant { PAGE => 8192, SLOTS => 64, ROOT_KIND => 48, SLOTS_KIND => 49, NODE => 1, TIDS => 2, PAYLOAD => 3, NONE => 0xFFFFFFFF };

my $node = PostgreSQL::Test::Cluster->new('check');
$node->init;
$node->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
shared_buffers = 64MB
ignore_checksum_failure = on
max_parallel_maintenance_workers = 0
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/graph_recall.sql"));
sub value { return (split /\n/, $node->safe_psql('postgres', join(';', @_)))[-1] }

# ---- damage: an index file in memory

sub get { my ($file, $at, $format) = @_; return unpack($format, substr($$file, $at, length(pack($format, 0)))) }
sub put { my ($file, $at, $format, $value) = @_; substr($$file, $at, length(pack($format, 0)), pack($format, $value)); return }

sub graph_of
{
	my ($file) = @_;
	my %g = (file => $file, nodes => [], pages => [], links => []);
	for (my $page = 0; $page < length($$file); $page += PAGE)
	{
		my $kind = get($file, $page + PAGE - 6, 'v');
		$g{root} = $page if $kind == ROOT_KIND;
		push @{ $g{pages} }, $page if $kind == SLOTS_KIND;
	}
	$g{edges} = get($file, $g{root} + 64, 'V');
	$g{code} = $g{edges} * get($file, $g{root} + 68, 'V') / 8;
	$g{size} = get($file, $g{root} + 72, 'V');
	$g{per_page} = get($file, $g{root} + 76, 'V');
	for my $page (@{ $g{pages} })
	{
		for my $i (0 .. get($file, $page + 28, 'v') - 1)
		{
			my $at = $page + SLOTS + $i * $g{size};
			my %slot = (at => $at, id => $page / PAGE * $g{per_page} + $i, kind => get($file, $at, 'C'),
				level => get($file, $at + 1, 'C'), nedges => get($file, $at + 4, 'C'));
			push @{ $slot{kind} == NODE ? $g{nodes} : $g{links} }, \%slot;
		}
	}
	return \%g;
}

sub first_node { my ($g, $test) = @_; my ($found) = grep { $test->($_) } @{ $g->{nodes} }; return $found }
sub level0 { my ($g) = @_; return first_node($g, sub { $_[0]{level} == 0 && $_[0]{nedges} >= 3 }) }
sub upper { my ($g) = @_; return first_node($g, sub { $_[0]{level} > 0 }) }
sub ids_at { my ($g, $slot) = @_; return $slot->{at} + 64 + $g->{code} }

# name, kind of index, what is done to it, what is said of it
my @damages = (
	[ '1: pages counted', 'small', sub { my ($g, $f) = @_; put($f, $g->{root} + 60, 'V', get($f, $g->{root} + 60, 'V') + 1) }, qr/pages, but counts/ ],
	[ '2: kind', 'small', sub { my ($g, $f) = @_; put($f, level0($g)->{at}, 'C', 9) }, qr/of the unknown kind 9/ ],
	[ '2: slots used', 'small', sub { my ($g, $f) = @_; put($f, $g->{pages}[0] + 12, 'v', 100) }, qr/The page counts/ ],
	[ '3: listed page', 'small', sub { my ($g, $f) = @_; put($f, get($f, $g->{root} + 56, 'V') * PAGE + 30, 'v', 0) }, qr/chain of pages with free slots is damaged/ ],
	[ '4: edge to nothing', 'small', sub { my ($g, $f) = @_; put($f, ids_at($g, level0($g)), 'V', 999_999) }, qr/leads to slot 999999, which is not a node/ ],
	[ '4: edge to itself', 'small', sub { my ($g, $f) = @_; my $n = level0($g); put($f, ids_at($g, $n), 'V', $n->{id}) }, qr/which is not a node of its level/ ],
	[ '4: edge to another level', 'small', sub { my ($g, $f) = @_; put($f, ids_at($g, level0($g)), 'V', upper($g)->{id}) }, qr/which is not a node of its level/ ],
	[ '4: generation', 'small', sub { my ($g, $f) = @_; my $at = ids_at($g, level0($g)) + $g->{edges} * 12; put($f, $at, 'C', get($f, $at, 'C') + 1) }, qr/level and generation/ ],
	[ '4: two edges', 'small', sub { my ($g, $f) = @_; my $at = ids_at($g, level0($g)); put($f, $at + 4, 'V', get($f, $at, 'V')) }, qr/has two edges to/ ],
	[ '5: node below', 'small', sub { my ($g, $f) = @_; my $n = upper($g); my $other = first_node($g, sub { $_[0]{level} == 0 && $_[0]{id} != get($f, $n->{at} + 8, 'V') }); put($f, $n->{at} + 8, 'V', $other->{id}) }, qr/stands above slot/ ],
	[ '6: chain of TIDs', 'small', sub { my ($g, $f) = @_; my $n = first_node($g, sub { get($f, $_[0]{at} + 12, 'V') != NONE }); put($f, $n->{at} + 12, 'V', level0($g)->{id}) }, qr/A chain of node/ ],
	[ '6: owner of TIDs', 'small', sub { my ($g, $f) = @_; my ($l) = grep { $_->{kind} == TIDS } @{ $g->{links} }; put($f, $l->{at} + 8, 'V', 7) }, qr/Slot \d+ of node \d+ is damaged/ ],
	[ '6: chain of a vector', 'large', sub { my ($g, $f) = @_; put($f, level0($g)->{at} + 16, 'V', NONE) }, qr/The vector of node \d+ is damaged/ ],
	[ '6: two vectors, one chain', 'large', sub { my ($g, $f) = @_; my @n = grep { $_->{level} == 0 } @{ $g->{nodes} }; put($f, $n[1]{at} + 16, 'V', get($f, $n[0]{at} + 16, 'V')) }, qr/A chain of node|norm of node|The code of edge/ ],
	[ '6: bytes of the vector', 'small', sub { my ($g, $f) = @_; put($f, level0($g)->{at} + 20, 'V', 2000) }, qr/The vector of node \d+ is damaged/ ],
	[ '7: code', 'small', sub { my ($g, $f) = @_; my $at = level0($g)->{at} + 64; put($f, $at, 'C', get($f, $at, 'C') ^ 1) }, qr/The code of edge 0/ ],
	[ '7: bias', 'small', sub { my ($g, $f) = @_; my $at = ids_at($g, level0($g)) + $g->{edges} * 4; put($f, $at, 'C', get($f, $at, 'C') ^ 1) }, qr/The code of edge 0/ ],
	[ '7: scale', 'small', sub { my ($g, $f) = @_; my $at = ids_at($g, level0($g)) + $g->{edges} * 8; put($f, $at, 'C', get($f, $at, 'C') ^ 1) }, qr/The code of edge 0/ ],
	[ '7: norm', 'small', sub { my ($g, $f) = @_; my $at = level0($g)->{at} + 24; put($f, $at, 'C', get($f, $at, 'C') ^ 1) }, qr/norm of node/ ],
	[ '8: TID twice', 'small', sub { my ($g, $f) = @_; my @n = grep { $_->{level} == 0 } @{ $g->{nodes} }; substr($$f, $n[0]{at} + 32, 6, substr($$f, $n[1]{at} + 32, 6)) }, qr/twice|more than once/ ],
	[ '8: dead with TIDs', 'small', sub { my ($g, $f) = @_; put($f, level0($g)->{at} + 2, 'C', 1) }, qr/The header of node/ ],
	[ '9: entry of another level', 'small', sub { my ($g, $f) = @_; put($f, $g->{root} + 44, 'V', 5) }, qr/The entry point, slot \d+, is not a node of level 5/ ],
	[ '9: no entry', 'small', sub { my ($g, $f) = @_; put($f, $g->{root} + 40, 'V', NONE); put($f, $g->{root} + 44, 'V', NONE) }, qr/has nodes but no entry point/ ],);

my $options = 'WITH (algorithm = hnsw, m = 4, ef_construction = 16)';
$node->safe_psql('postgres', <<SQL);
SELECT setseed(0.5);
CREATE TABLE small (id serial, v vector(8));
CALL graph_fill('small', 'vector', 8, 'plain', 400);
INSERT INTO small(v) SELECT v FROM (SELECT v FROM small LIMIT 1) x, generate_series(1, 20);
CREATE TABLE large (id serial, v vector(2500));
CALL graph_fill('large', 'vector', 2500, 'plain', 30);
SQL
my %file;
for my $n (0 .. $#damages)
{
	my $table = $damages[$n][1];
	$node->safe_psql('postgres', "CREATE INDEX bad_$n ON $table USING vektonn (v vector_l2_ops) $options");
	is(value("SELECT vektonn.check_index('bad_$n')"), $table eq 'small' ? 420 : 30, "$damages[$n][0]: sound") if $n == 0 || $table eq 'large';
	$file{$n} = $node->data_dir . '/' . value("SELECT pg_relation_filepath('bad_$n')");
}
# One more, of which a node will have no edge to it, and a vector no node.
my %lost;
for my $table (qw(small large))
{
	$node->safe_psql('postgres', "CREATE INDEX lost_$table ON $table USING vektonn (v vector_l2_ops) $options");
	$lost{$table} = $node->data_dir . '/' . value("SELECT pg_relation_filepath('lost_$table')");
}
$node->stop;

sub change_file
{
	my ($path, $change) = @_;
	my $content = slurp_file($path);
	$change->(graph_of(\$content), \$content);
	open(my $out, '>:raw', $path) or die "$path: $!";
	print $out $content;
	close($out);
	return;
}
change_file($file{$_}, $damages[$_][2]) for 0 .. $#damages;

# The first two nodes of level 0 that no upper level stands above lose all edges to them.
my @lost_ids;
change_file(
	$lost{small},
	sub {
		my ($g, $f) = @_;
		my %below = map { get($f, $_->{at} + 8, 'V') => 1 } grep { $_->{level} > 0 } @{ $g->{nodes} };
		my @victims = grep { $_->{level} == 0 && !$below{ $_->{id} } && $_->{nedges} > 2 } @{ $g->{nodes} };
		@lost_ids = map { $_->{id} } @victims[ 0 .. 9 ];
		my %victim = map { $_ => 1 } @lost_ids;
		for my $slot (@{ $g->{nodes} })
		{
			# the last edge takes the place of one that goes
			for (my $e = 0; $e < $slot->{nedges}; $e++)
			{
				next unless $victim{ get($f, ids_at($g, $slot) + 4 * $e, 'V') };
				my $last = --$slot->{nedges};
				put($f, $slot->{at} + 4, 'C', $last);
				my $ids = ids_at($g, $slot);
				substr($$f, $ids + $_ * 4 * $g->{edges} + 4 * $e, 4, substr($$f, $ids + $_ * 4 * $g->{edges} + 4 * $last, 4)) for 0 .. 2;
				substr($$f, $ids + 12 * $g->{edges} + $e, 1, substr($$f, $ids + 12 * $g->{edges} + $last, 1));
				for (my $piece = $slot->{at} + 64; $piece < $ids; $piece += 128)
				{
					substr($$f, $piece + 4 * $e, 4, substr($$f, $piece + 4 * $last, 4));
				}
				$e--;
			}
		}
	});
# As after a crash between the slots of a large vector and its node.
change_file(
	$lost{large},
	sub {
		my ($g, $f) = @_;
		my ($payload) = grep { $_->{kind} == PAYLOAD } @{ $g->{links} };
		# a new slot page behind the last, with a link that belongs to nobody
		my $copy = substr($$f, int($payload->{at} / PAGE) * PAGE, PAGE);
		my $block = length($$f) / PAGE;
		$$f .= $copy;
		put($f, $block * PAGE + SLOTS + 12, 'V', NONE);
		put($f, $block * PAGE + PAGE - 12, 'V', get($f, $g->{root} + 52, 'V'));
		put($f, $g->{root} + 52, 'V', $block);
		put($f, $g->{root} + 60, 'V', get($f, $g->{root} + 60, 'V') + 1);
	});
$node->start;

for my $n (0 .. $#damages)
{
	my (undef, undef, $err) = $node->psql('postgres', "SELECT vektonn.check_index('bad_$n')");
	like($err, $damages[$n][3], $damages[$n][0]);
}

# ---- VACUUM mends

sub not_reached
{
	my ($index) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "SET client_min_messages = debug1; SELECT vektonn.check_index('$index')");
	unlike($err, qr/ERROR/, "$index: sound");
	return $err =~ /, (\d+) are not reached/ ? $1 : 0;
}
$node->safe_psql('postgres', join(';', map { "DROP INDEX bad_$_" } 0 .. $#damages));
is(not_reached('lost_small'), 10, 'ten nodes are not reached');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) small');
is(not_reached('lost_small'), 0, 'after VACUUM all are');

# nodes and slot pages on disk; large has a slot a page
sub counts
{
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $content = slurp_file($lost{large});
	my $g = graph_of(\$content);
	return (scalar @{ $g->{nodes} }, scalar @{ $g->{pages} });
}
my ($nodes, $pages) = counts();
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) large');
$node->safe_psql('postgres', "CALL graph_fill('large', 'vector', 2500, 'plain', 1)");
my ($nodes_after, $pages_after) = counts();
# each node, those of upper levels too, has a slot and another for the rest of its vector; one was there
is($pages_after - $pages, 2 * ($nodes_after - $nodes) - 1, 'the slot of a vector without a node is used again');
is(value("SELECT vektonn.check_index('lost_large')"), 31, 'lost_large: check_index');

# By inner product small vectors are neighbours to nobody; a build leaves none of them alone.
$node->safe_psql('postgres', <<SQL);
CREATE TABLE skewed (id serial, v vector(16));
SELECT setseed(0.5);
CALL graph_fill('skewed', 'vector', 16, 'skewed', 4000);
UPDATE skewed SET v = (v * ('[' || repeat('0.01,', 15) || '0.01]')::vector)::vector(16) WHERE id % 2 = 0;
CREATE INDEX skewed_v ON skewed USING vektonn (v vector_ip_ops) WITH (algorithm = hnsw);
SQL
is(not_reached('skewed_v'), 0, 'by inner product: all are reached after a build');

# ---- what happened to others

$node->safe_psql('postgres', <<SQL);
CREATE TABLE race (id bigserial, v vector(12));
CREATE INDEX race_v ON race USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw, m = 4, ef_construction = 24);
CALL graph_fill('race', 'vector', 12, 'plain', 400);
SQL
my $script = PostgreSQL::Test::Utils::tempdir . '/insert.sql';
append_to_file($script, "INSERT INTO race(v) SELECT graph_vector(12 + 0 * i, 'plain')::real[]::vector FROM generate_series(1, 4) i;\n");
for my $round (1 .. 5)
{
	# everything goes, entry point and upper levels with it, while rows come
	my $out = '';
	my $load = start([ 'pgbench', '-n', '-c', 3, '-t', 40, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$out, '2>', \$out);
	for (1 .. 4)
	{
		$node->safe_psql('postgres', 'DELETE FROM race');
		$node->safe_psql('postgres', 'VACUUM race');
	}
	ok(finish($load), "round $round: insertions beside VACUUM") or diag($out);
	my $rows = value('SELECT count(*) FROM race');
	my ($code, $checked, $err) = $node->psql('postgres', "SELECT vektonn.check_index('race_v')");
	is($err, '', "round $round: check_index");
	is(value('SET enable_seqscan = off', 'SET enable_sort = off', "SELECT count(DISTINCT id) FROM (SELECT id FROM race ORDER BY v <-> (SELECT v FROM race LIMIT 1)) x"), $rows, "round $round: every row");
}

# An insertion reads as many pages after rounds of deleting as before.
sub insert_buffers
{
	my $plan = $node->safe_psql('postgres', "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) INSERT INTO room(v) SELECT graph_vector(12 + 0 * i, 'plain')::real[]::vector FROM generate_series(1, 100) i");
	my ($hit) = $plan =~ /shared hit=(\d+)/;
	return $hit;
}
$node->safe_psql('postgres', <<SQL);
CREATE TABLE room (id bigserial, v vector(12));
CREATE INDEX room_v ON room USING vektonn (v vector_l2_ops) WITH (algorithm = hnsw, m = 4, ef_construction = 24);
CALL graph_fill('room', 'vector', 12, 'plain', 3000);
SQL
my $before = insert_buffers();
for (1 .. 4)
{
	$node->safe_psql('postgres', 'DELETE FROM room WHERE random() < 0.3');
	$node->safe_psql('postgres', 'VACUUM room');
	$node->safe_psql('postgres', "CALL graph_fill('room', 'vector', 12, 'plain', 900)");
}
my $after = insert_buffers();
cmp_ok($after, '<', 1.5 * $before, "buffers of 100 insertions: $before before, $after after rounds of deleting");

# VACUUM repairs from what is around a dead node; it does not search.
$node->safe_psql('postgres', 'DELETE FROM room WHERE id % 10 = 0');
my (undef, undef, $said) = $node->psql('postgres', 'VACUUM (VERBOSE) room');
my ($hits) = $said =~ /buffer usage: (\d+) hits/;
my $rows = value('SELECT count(*) FROM room');
cmp_ok($hits, '<', 100 * $rows, "VACUUM of 10 % of $rows rows: $hits buffers");
is(not_reached('room_v'), 0, 'and all are reached');

done_testing();
