# The tests' own broker: what is produced comes back byte for byte, faults
# work, and the helper program ends with the test.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my $kafka = VkKafka->mock(2);
like($kafka->bootstrap, qr/^127\.0\.0\.1:\d+/, 'a loopback address');

$kafka->topic('t', 2);
my $bytes = join '', map { chr } 0 .. 255;
$kafka->produce('t', 1, $bytes, "a\nb");
$kafka->produce('t', 1, 'k', undef);
$kafka->produce('t', 1, undef, '');
$kafka->flush;
is_deeply([ $kafka->watermarks('t', 1) ], [ 0, 3 ], 'watermarks');
is_deeply(
	[ $kafka->consume('t', 1, 0) ],
	[ [ 0, $bytes, "a\nb" ], [ 1, 'k', undef ], [ 2, undef, '' ] ],
	'keys and values come back');

$kafka->command('down');
ok(!eval { $kafka->command('watermarks t 1 1000'); 1 }, 'no answer while the brokers are down');
$kafka->command('up');
is_deeply([ $kafka->watermarks('t', 1) ], [ 0, 3 ], 'and one when they are up again');
ok(!eval { $kafka->command('no_such'); 1 }, 'an unknown command is an error');

my $pid = $kafka->{pid};
$kafka->stop;
ok(!kill(0, $pid), 'the helper has ended');

done_testing();
