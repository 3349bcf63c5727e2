# What TAP tests of streams share: a server with the library preloaded, a
# broker, and waiting for states.
#
#   my ($node, $kafka) = VkStream::start(mock => 1);     # or real => 1
#   VkStream::wait_state($node, 'name', 'running');

package VkStream;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

sub start
{
	my (%how) = @_;
	my $kafka = $how{kafka} // VkKafka->mock($how{brokers});
	my $node = PostgreSQL::Test::Cluster->new($how{name} // 'main');
	$node->init(%{ $how{init} // {} });
	$node->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'vektonn'
max_worker_processes = 32
@{[ $how{conf} // '' ]}
EOC
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
	create_server($node, 'postgres', $kafka);
	return ($node, $kafka);
}

sub create_server
{
	my ($node, $database, $kafka) = @_;
	my $address = $kafka->bootstrap;
	$node->safe_psql($database,
		"CREATE SERVER k FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$address', fetch_wait_max_ms '50')");
	return;
}

sub state_of
{
	my ($node, $stream) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(DISTINCT state, ',') FROM vektonn.stream_status WHERE stream_name = '$stream'");
}

sub wait_state
{
	my ($node, $stream, $state) = @_;
	my $query = "SELECT count(*) > 0 AND bool_and(state = '$state') FROM vektonn.stream_status WHERE stream_name = '$stream'";
	return 1 if $node->poll_query_until('postgres', $query);
	diag($node->safe_psql('postgres', 'SELECT * FROM vektonn.stream_status'));
	return 0;
}

sub caught_up
{
	my ($node, $stream, $name) = @_;
	my $answer = $node->safe_psql('postgres', "SELECT vektonn.wait_for('$stream', '180 s')");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer, 't', $name // 'caught up');
	diag($node->safe_psql('postgres', 'SELECT * FROM vektonn.stream_status')) if $answer ne 't';
	return;
}

sub no_crash
{
	my ($node) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	unlike(slurp_file($node->logfile), qr/PANIC|was terminated by signal/, 'nothing crashed');
	return;
}

1;
