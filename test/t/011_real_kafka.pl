# The real broker of the tests: every listener answers librdkafka, what is
# produced survives a kill, topics change under us.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my ($can, $why) = VkKafka->can_run_real;
plan skip_all => $why unless $can;

my $kafka = VkKafka->real(PostgreSQL::Test::Utils::tempdir());
like($kafka->address($_), qr/^127\.0\.0\.1:\d+$/, "$_ has an address")
  foreach qw(plaintext sasl tls sasl_tls);

$kafka->topic('t', 2, 'cleanup.policy=compact');
$kafka->produce('t', 1, 'k', 'v');
$kafka->flush;
$kafka->command('transaction abort t 1 6b 61');
$kafka->command('transaction commit t 1 6b 63');
is_deeply([ map { $_->[2] } $kafka->consume('t', 1, 0) ], [ 'v', 'c' ], 'an aborted message is not read');
is(($kafka->watermarks('t', 1))[1], 5, 'but its offset, and the markers, are taken');

$kafka->broker('kill');
$kafka->broker('start');
is_deeply([ map { $_->[2] } $kafka->consume('t', 1, 0) ], [ 'v', 'c' ], 'messages survive a kill');

$kafka->command('partitions t 3');
$kafka->produce('t', 2, 'k', 'new');
$kafka->flush;
is_deeply([ $kafka->watermarks('t', 2) ], [ 0, 1 ], 'a partition more');

$kafka->topic('d', 1);
$kafka->produce('d', 0, 'k', $_) foreach 1 .. 5;
$kafka->flush;
$kafka->command('delete_records d 0 3');
is_deeply([ $kafka->watermarks('d', 0) ], [ 3, 5 ], 'records deleted');
$kafka->command('delete_topic d');

done_testing();
