# docs/walkthrough.md runs as printed, on the mock broker.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

plan skip_all => 'no translations of psql in /usr/share/locale'
  unless glob('/usr/share/locale/{de,es}/LC_MESSAGES/psql-*.mo') && -e '/usr/share/locale/es/LC_MESSAGES';
my $kafka = VkKafka->mock(1);
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'\nmax_worker_processes = 24");
$node->start;
chdir $ENV{VK_SUITE_DIR} or die;
my @blocks = slurp_file('docs/walkthrough.md') =~ /```sql\n(.*?)```/sg;
my $script = join '', @blocks;
my $bootstrap = $kafka->bootstrap;
$script =~ s/localhost:9092/$bootstrap/;
my ($ret, $out, $err) = $node->psql('postgres', $script);
is($ret, 0, 'every statement works') or diag($err);
is(scalar(() = $out =~ /^t$/mg), 5, 'what must be true is');
like($out, qr/Tabelle/, 'the sparse search finds its words');
like($out, qr/^1\|.*existe/m, 'the dense one too');
like($out, qr/^es\|t$/m, 'deleted: the one language');
unlike($out, qr/^de\|t$/m, 'and not the other');
is($node->safe_psql('postgres', 'SELECT count(*) FROM vektonn.data_sources'), 0, 'nothing stays');
$node->stop('fast');
done_testing();
