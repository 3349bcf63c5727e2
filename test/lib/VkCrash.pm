# Crashes of a server: all of its processes are killed at once, as by a power
# cut.  Killing the postmaster alone leaves backends that go on for a while,
# and a server that cannot start because they hold its shared memory.
package VkCrash;

use strict;
use warnings;

use Exporter 'import';
use VkWait;

our @EXPORT = qw(kill_server);

# Returns when no process of the node is left; the caller starts it again.  The
# postmaster is stopped first, so that it starts no process after the list of
# its children was taken.
sub kill_server
{
	my ($node) = @_;
	my $pid = $node->{_pid};

	kill('STOP', $pid);
	wait_for_processes(sub { state_of($pid) =~ /[TtZX]/ });
	my @children = split(' ', qx(ps -o pid= --ppid $pid));
	$node->kill9;
	kill('KILL', @children);
	wait_for_processes(sub { not grep { state_of($_) ne 'X' } $pid, @children });
	return;
}

sub wait_for_processes
{
	my ($test) = @_;
	wait_until($test) or die 'a process is still there after three minutes';
	return;
}

# The state of a process as in ps(1); X for one that is gone.
sub state_of
{
	my ($pid) = @_;

	open(my $stat, '<', "/proc/$pid/stat") or return 'X';
	my $line = <$stat> // '';
	return $line =~ /\)\s+(\w)/ ? $1 : 'X';
}

1;
