# A network between a client and a broker that can be cut: a process that passes
# TCP connections on, and resets all of them when told to.
#
#   my $proxy = VkProxy->new('127.0.0.1:9093', '127.0.0.1:9092');   # listens at the first, leads to the second
#   $proxy->cut;

package VkProxy;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);

use constant CHUNK => 262_144;

sub new
{
	my ($class, $at, $to) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => $at, Listen => 64, ReuseAddr => 1) or die "proxy at $at: $!";
	pipe(my $commands, my $in) or die $!;
	pipe(my $out, my $answers) or die $!;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		close $in;
		close $out;
		$SIG{PIPE} = 'IGNORE';
		_pass($listener, $to, $commands, $answers);
		require POSIX;
		POSIX::_exit(0);
	}
	close $commands;
	close $answers;
	$in->autoflush(1);
	return bless { pid => $pid, in => $in, out => $out }, $class;
}

# Until the commands end.
sub _pass
{
	my ($listener, $to, $commands, $answers) = @_;
	my $select = IO::Select->new($listener, $commands);
	my %peer;
	my $drop = sub {
		my ($socket) = @_;
		foreach my $end (grep { defined } $socket, delete $peer{$socket})
		{
			delete $peer{$end};
			$select->remove($end);
			# Without lingering a close is a reset.
			setsockopt($end, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
			close $end;
		}
	};
	while (1)
	{
		foreach my $ready ($select->can_read)
		{
			if ($ready == $listener)
			{
				my $client = $listener->accept or next;
				my $server = IO::Socket::INET->new(PeerAddr => $to);
				if (!$server) { close $client; next; }
				@peer{ $client, $server } = ($server, $client);
				$select->add($client, $server);
			}
			elsif ($ready == $commands)
			{
				return unless sysread($commands, my $command, 1);
				foreach my $socket (grep { $_ != $listener && $_ != $commands } $select->handles) { $drop->($socket) if $peer{$socket}; }
				syswrite $answers, '.';
				last;
			}
			elsif ($peer{$ready})
			{
				my $at = 0;
				my $data;
				if (!sysread($ready, $data, CHUNK)) { $drop->($ready); next; }
				while ($at < length $data)
				{
					my $written = syswrite($peer{$ready}, $data, length($data) - $at, $at);
					if (!$written) { $drop->($ready); last; }
					$at += $written;
				}
			}
		}
	}
	return;
}

# Every connection there is ends; new ones are passed on.
sub cut
{
	my ($self) = @_;
	syswrite $self->{in}, 'c';
	sysread $self->{out}, my $answer, 1;
	return;
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid};
	close $self->{in};
	local $?;
	waitpid delete $self->{pid}, 0;
	return;
}

sub DESTROY { $_[0]->stop; return; }

1;
