# Polling for what comes true in the end, however slow the machine.
package VkWait;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(wait_until until_true);

# False if it is not true after three minutes.
sub wait_until
{
	my ($test) = @_;
	for (1 .. 9000)
	{
		return 1 if $test->();
		usleep(20_000);
	}
	return 0;
}

# The same as a check of its own.
sub until_true
{
	my ($what, $test) = @_;
	return ok(wait_until($test), $what);
}

1;
