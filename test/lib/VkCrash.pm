# Crashes of a server: all of its processes are killed at once, as by a power
# cut.  Killing the postmaster alone leaves backends that go on for a while,
# and a server that cannot start because they hold its shared memory.
package VkCrash;

use strict;
use warnings;

use Exporter 'import';
use Time::HiRes qw(usleep);

our @EXPORT = qw(kill_server);

# Returns when no process of the node is left; the caller starts it again.
sub kill_server
{
	my ($node) = @_;
	my $pid = $node->{_pid};
	my @children = split(' ', qx(ps -o pid= --ppid $pid));

	$node->kill9;
	kill('KILL', @children);
	usleep(20_000) while grep { kill(0, $_) } $pid, @children;
	return;
}

1;
