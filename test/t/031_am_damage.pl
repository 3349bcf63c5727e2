# A damaged page is an error or does no harm, never a crash or a hang: flips
# bytes in the files of many indexes, then searches, writes, vacuums and checks
# them.  VK_SEED chooses the bytes.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{VK_SEED} // 4711;
my $copies = $ENV{VK_CASES} // 18;
srand($seed);
diag("seed $seed, $copies indexes");

my $node = PostgreSQL::Test::Cluster->new('damage');
# Checksums, which PostgreSQL 18 has unless told otherwise, would notice before we do.
$node->init($node->pg_version >= 18 ? (extra => ['--no-data-checksums']) : ());
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\nrestart_after_crash = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');

# Kinds of index: one split with codes, many small splits, some of each, sparse,
# graphs with the vectors in their records and beside them, graphs in splits.
my $hnsw = 'WITH (algorithm = hnsw, m = 8, ef_construction = 32)';
my @kinds = (
	[ 'vector(80)', 'v vector_l2_ops', 'cluster' ],
	[ 'vector(8)', 'v vector_cosine_ops, a', 'cluster' ],
	[ 'halfvec(300)', 'v halfvec_ip_ops, b', 'cluster' ],
	[ 'vector(2500)', 'v vector_l1_ops, b', 'wide' ],
	[ 'vector(24)', 'v vector_l2_ops', 'cluster', $hnsw ],
	[ 'halfvec(300)', 'v halfvec_cosine_ops, b', 'cluster', $hnsw ],
	[ 'vector(2500)', 'v vector_ip_ops', 'wide', $hnsw ]);
push @kinds, [ 'sparsevec(500)', 'v sparsevec_ip_ops, b', 'sparse' ], [ 'sparsevec(500)', 'v sparsevec_l2_ops', 'sparse', $hnsw ]
  if $node->safe_psql('postgres', "SELECT count(*) FROM pg_opclass WHERE opcname = 'sparsevec_ip_ops' AND opcmethod = (SELECT oid FROM pg_am WHERE amname = 'vektonn')");

my (%file, %query);
for my $n (1 .. $copies)
{
	my ($type, $columns, $data, $with) = @{ $kinds[ $n % @kinds ] };
	$with //= '';
	my ($name, $dim) = $type =~ /(\w+)\((\d+)\)/;
	my $rows = $data eq 'wide' ? 60 : 1500;
	my $value = $data eq 'sparse'
	  ? "(SELECT '{' || string_agg(j || ':' || (1 + (i * j) % 7), ',' ORDER BY j) || '}/500' FROM generate_series(1 + i % 50, 500, 37) j)::sparsevec"
	  : "(SELECT array_agg((sin(j * (i % 9)) * 5 + ((i * j) % 11) / 11.0)::real) FROM generate_series(1, $dim) j)::vector::$name";
	$node->safe_psql('postgres', <<SQL);
CREATE TABLE t$n (id int, a int, b int, v $type);
INSERT INTO t$n SELECT i, i % 400, i % 3, CASE WHEN i % 50 > 0 THEN $value END FROM generate_series(1, $rows) i;
CREATE INDEX i$n ON t$n USING vektonn ($columns) $with;
INSERT INTO t$n SELECT id, a, b, v FROM t$n WHERE id <= 40;
DELETE FROM t$n WHERE id % 13 = 0;
SQL
	$query{$n} = $columns =~ /_(l2|cosine|ip|l1)_/ ? { l2 => '<->', cosine => '<=>', ip => '<#>', l1 => '<+>' }->{$1} : '';
	$file{$n} = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('i$n')");
}
$node->stop;

# Bytes, words or whole stretches, mostly of one page.
for my $n (1 .. $copies)
{
	open(my $handle, '+<:raw', $file{$n}) or die "$file{$n}: $!";
	my $pages = (-s $handle) / 8192;
	my $page = int(rand($pages > 12 && rand() < 0.5 ? 12 : $pages));
	for (1 .. 1 + int(rand(12)))
	{
		seek($handle, $page * 8192 + int(rand(8192 - 8)), 0);
		print $handle pack(rand() < 0.5 ? 'C' : 'V', int(rand(2**32)) & (rand() < 0.3 ? 0xff : 0xffffffff));
	}
	close($handle);
}
$node->start;

my ($errors, $clean) = (0, 0);
for my $n (1 .. $copies)
{
	my $op = $query{$n};
	for my $sql (
		"SELECT count(*) FROM (SELECT id FROM t$n ORDER BY v $op (SELECT v FROM t$n WHERE id = 1) LIMIT 20) s",
		"SELECT count(*) FROM (SELECT id FROM t$n WHERE a = 1 AND b = 1 ORDER BY v $op (SELECT v FROM t$n WHERE id = 1) LIMIT 5) s",
		"SELECT count(*) FROM (SELECT id FROM t$n ORDER BY v $op (SELECT v FROM t$n WHERE id = 1)) s",
		"INSERT INTO t$n SELECT id, a, b, v FROM t$n LIMIT 100",
		"SELECT * FROM vektonn.index_info('i$n')", "SELECT vektonn.check_index('i$n')", "VACUUM t$n")
	{
		my ($out, $err) = ('', '');
		my $code = $node->psql('postgres',
			"SET enable_seqscan = off; SET enable_sort = off; SET statement_timeout = '20s'; $sql",
			stdout => \$out, stderr => \$err);
		if ($code == 2 || $err =~ /server closed|terminated abnormally|statement timeout|could not connect/)
		{
			fail("index $n: $sql");
			diag($err);
			BAIL_OUT('the server is down') if $node->psql('postgres', 'SELECT 1') != 0;
		}
		$err =~ /ERROR/ ? $errors++ : $clean++;
	}
}
is($node->safe_psql('postgres', 'SELECT 1'), '1', "the server survived ($errors errors, $clean without)");
cmp_ok($errors, '>', $copies, 'damage was noticed');

# A vector that is not the one its code was made of: no page's form tells, check_index does.
$node->safe_psql('postgres', <<SQL);
CREATE TABLE vectors (id int, v vector(80));
INSERT INTO vectors SELECT i, (SELECT array_agg((sin(j * (i % 9)) * 5 + ((i * j) % 11) / 11.0)::real) FROM generate_series(1, 80) j)::vector
FROM generate_series(1, 1500) i;
CREATE INDEX vectors_v ON vectors USING vektonn (v);
SQL
is($node->safe_psql('postgres', "SELECT vektonn.check_index('vectors_v')"), '1500', 'before the damage');
my $path = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('vectors_v')");
my $row_page_kind = 18;
$node->stop;
open(my $handle, '+<:raw', $path) or die "$path: $!";
for (my $page = 0; $page < (-s $handle) / 8192; $page++)
{
	my $special;
	seek($handle, $page * 8192 + 8192 - 16, 0);
	read($handle, $special, 16);
	next unless (unpack('VVvv', $special))[3] == $row_page_kind;
	seek($handle, $page * 8192 + 24 + 4 * 100, 0);
	print $handle pack('f<', 77.5);
	last;
}
close($handle);
$node->start;
my ($out, $err) = ('', '');
$node->psql('postgres', "\\set VERBOSITY verbose\nSELECT vektonn.check_index('vectors_v')", stdout => \$out, stderr => \$err);
like($err, qr/ERROR:  XX002: .*damaged page.*vector of slot 1 is not the one its code was made of/s, 'a changed vector is noticed');
done_testing();
