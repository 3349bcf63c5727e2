# A Kafka broker for TAP tests: librdkafka's mock cluster in a helper program,
# or a real Apache Kafka.  Both answer the same commands.
#
#   my $kafka = VkKafka->mock;             # VkKafka->mock(3): three brokers
#   my $kafka = VkKafka->real;             # see can_run_real; ->address('sasl_tls'), ->address('ca')
#   $kafka->broker('kill');                # real only: kill, stop, start
#   my $kafka = VkKafka->at($bootstrap);   # commands to a cluster that is there
#   $kafka->topic('t', 2);
#   $kafka->produce('t', 0, '{"id":1}', '{"id":1,"vector":[0,1]}');   # undef: null
#   $kafka->flush;
#   $kafka->bootstrap;                     # for CREATE SERVER
#   $kafka->command('down');               # any command of test/mock/mock_kafka.c
#
# The helper ends with this object or with the test program, whatever kills it.

package VkKafka;

use strict;
use warnings;

use IPC::Open2;

sub mock
{
	my ($class, $brokers) = @_;
	return _start($class, $brokers // 1);
}

sub at
{
	my ($class, $bootstrap) = @_;
	return _start($class, $bootstrap);
}

# Whether a real broker can be had; test/run.sh fetches it.  A test that needs
# one and cannot have it calls skip_all with the reason this returns second.
sub can_run_real
{
	my $reason = $ENV{VK_KAFKA_MISSING} // 'run this through test/run.sh';
	return (1, '') if $reason eq '';
	die "CI must not skip the real broker: $reason" if $ENV{CI};
	return (0, "NO REAL KAFKA: $reason");
}

# Starts Apache Kafka with all its listeners; data and logs go to $directory.
sub real
{
	my ($class, $directory) = @_;
	my ($out, $in);
	my $pid = open2($out, $in, "$ENV{VK_SUITE_DIR}/test/kafka/kafka.sh", 'run', $directory);
	my $line = readline $out // die "the real broker did not start; see $directory/broker.log";
	my %address = map { split /=/, $_, 2 } split ' ', $line;
	my $self = _start($class, $address{plaintext});
	$self->{broker} = { pid => $pid, in => $in, out => $out, address => \%address };
	return $self;
}

sub address { my ($self, $name) = @_; return $self->{broker}{address}{$name}; }

sub broker
{
	my ($self, $command) = @_;
	print { $self->{broker}{in} } "$command\n";
	my $answer = readline $self->{broker}{out} // '';
	die "broker $command: $answer\n" unless $answer eq "ok\n";
	return;
}

sub _start
{
	my ($class, $argument) = @_;
	my $program = $ENV{VK_MOCK_KAFKA} // die "VK_MOCK_KAFKA is not set: run this through test/run.sh";
	my $self = bless {}, $class;
	$self->{pid} = open2($self->{out}, $self->{in}, $program, $argument);
	$self->{bootstrap} = readline $self->{out} // die "$program did not start";
	chomp $self->{bootstrap};
	return $self;
}

sub bootstrap { return $_[0]->{bootstrap}; }

# Runs one command; returns its answer's lines without the final "ok", dies on an error.
sub command
{
	my ($self, $command) = @_;
	my @lines;
	print { $self->{in} } "$command\n";
	while (defined(my $line = readline $self->{out}))
	{
		chomp $line;
		return @lines if $line eq 'ok';
		die "$command: $line\n" if $line =~ /^error: /;
		push @lines, $line;
	}
	die "$command: the broker program ended\n";
}

sub topic
{
	my ($self, $name, $partitions, @config) = @_;
	$self->command(join ' ', 'topic', $name, $partitions // 1, @config);
	return;
}

sub _bytes
{
	my ($bytes) = @_;
	return '-' unless defined $bytes;
	return $bytes eq '' ? '=' : unpack('H*', $bytes);
}

# Key and value are byte strings; undef is null.  partition -1: by the key.
sub produce
{
	my ($self, $topic, $partition, $key, $value, $timestamp) = @_;
	$self->command(join ' ', 'produce', $topic, $partition, _bytes($key), _bytes($value),
		$timestamp // 0);
	return;
}

sub flush { $_[0]->command('flush'); return; }

# (low, high) of a partition.
sub watermarks
{
	my ($self, $topic, $partition) = @_;
	my ($line) = $self->command("watermarks $topic $partition");
	return split / /, $line;
}

# What a partition holds from an offset on, at most $limit messages:
# a list of [offset, key, value], undef for null.
sub consume
{
	my ($self, $topic, $partition, $offset, $limit) = @_;
	my @messages;
	foreach my $line ($self->command("consume $topic $partition $offset " . ($limit // 1000000)))
	{
		my ($at, @hex) = split / /, $line;
		push @messages,
		  [ $at, map { $_ eq '-' ? undef : $_ eq '=' ? '' : pack('H*', $_) } @hex ];
	}
	return @messages;
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid};
	close $self->{in};
	close $self->{out};
	local $?;
	waitpid delete $self->{pid}, 0;
	if (my $broker = delete $self->{broker})
	{
		close $broker->{in};
		close $broker->{out};
		waitpid $broker->{pid}, 0;
	}
	return;
}

sub DESTROY { $_[0]->stop; return; }

1;
