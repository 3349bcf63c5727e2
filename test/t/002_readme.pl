# The SQL of README.md runs as it stands there, top to bottom, with a broker at
# the address it names, and gives the answers it promises.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my $readme = slurp_file("$ENV{VK_SUITE_DIR}/README.md");
my @blocks = $readme =~ /^```sql\n(.*?)^```$/msg;
cmp_ok(scalar @blocks, '>=', 2, 'README.md has SQL');

my $kafka = VkKafka->mock;
my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'");
$node->start;

my $bootstrap = $kafka->bootstrap;
foreach my $number (0 .. $#blocks)
{
	(my $sql = $blocks[$number]) =~ s/localhost:9092/$bootstrap/;
	my ($ret, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
	is($ret, 0, "block $number runs") or diag($err);
	is($err, '', "block $number says nothing unexpected");
}
is( $node->safe_psql('postgres', q{SELECT string_agg(id::text, ',') FROM
		(SELECT id FROM book WHERE lang = 'en' ORDER BY vec <-> '[1,2,2.5]' LIMIT 5) s}),
	'1,2', 'the first answer');
is( $node->safe_psql('postgres', q{SELECT attributes ->> 'payload' FROM
		vektonn.search('QuickStart.Index', '1.0', ARRAY['[0,2]']::vector[], k => 2)}),
	'first', 'the data point went through Kafka');

$node->stop;
done_testing();
