# The sample gateway of docs/gateway answers as Vektonn's HTTP API does.
use strict;
use warnings;

use HTTP::Tiny;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($python) = grep { -x && system("$_ -c 'import psycopg' 2>/dev/null || $_ -c 'import psycopg2' 2>/dev/null") == 0 }
  ('/usr/bin/python3', '/usr/local/bin/python3');
plan skip_all => 'no python3 with psycopg or psycopg2' unless $python;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION vektonn;
	SELECT vektonn.create_data_source('QuickStart.Source', '1.0', 2, '{"id": "Int64", "payload": "String"}', '{id}');
	SELECT vektonn.create_index('QuickStart.Index', '1.0', 'QuickStart.Source', '1.0', 'FaissIndex.L2');
});
my $pid = open(my $gateway, '-|', $python, "$ENV{VK_SUITE_DIR}/docs/gateway/gateway.py", 0, $node->connstr('postgres')) or die;
my ($url) = readline($gateway) =~ m{(http://\S+)} or die 'the gateway did not start';

sub post
{
	my ($path, $body) = @_;
	my $answer = HTTP::Tiny->new(timeout => 20)->post("$url/api/v1/$path", { content => $body });
	return "$answer->{status} $answer->{content}";
}

is(post('upload/QuickStart.Source/1.0', '[{"attributes": [{"key": "id", "value": {"int64": 1}}, {"key": "payload", "value": {"string": "first"}}],
	"vector": {"isSparse": false, "coordinates": [0, 1]}}]'), '200 ', 'upload');
is(post('search/QuickStart.Index/1.0', '{"k": 2, "queryVectors": [{"isSparse": false, "coordinates": [0, 2]}]}'),
	'200 [{"queryVector": {"isSparse": false, "coordinates": [0, 2]}, "nearestDataPoints": [{"distance": 1, "attributes": [{"key": "id", "value": {"int64": 1}}, {"key": "payload", "value": {"string": "first"}}]}]}]',
	'search');
is(post('search/QuickStart.Index/1.0', '{"k": -1, "queryVectors": []}'),
	'400 {"errorMessages": ["K must be positive", "At least one query vector is required"]}', 'every message');
is(post('search/None/1.0', '{}'), '404 {"errorMessages": ["Index IndexId { Name = None, Version = 1.0 } does not exist"]}', 'unknown index');
is(post('upload/None/1.0', '[]'), '404 {"errorMessages": ["Data source DataSourceId { Name = None, Version = 1.0 } does not exist"]}', 'unknown data source');
is(post('upload/QuickStart.Source/1.0', '[{"attributes": [{"key": "id", "value": {"int64": 1}}, {"key": "payload", "value": {"string": "x"}}], "isDeleted": false}]'),
	'400 {"errorMessages": ["IsDeleted is inconsistent with Vector"]}', 'neither deleted nor a vector');
like(post('upload/QuickStart.Source/1.0', '[{'), qr/^400 /, 'not JSON');
like(post('nothing', ''), qr/^404 /, 'no such path');

# Vektonn's own client, where somebody has it: its pinned dependencies are too old for today's Python.
if (my $client = $ENV{VK_CLIENT_PYTHON})
{
	$node->safe_psql('postgres', q{
		SELECT vektonn.create_data_source('Client', '1.0', 2, '{"id": "Int64", "payload": "String"}', '{id}');
		SELECT vektonn.create_index('Client', '1.0', 'Client', '1.0', 'FaissIndex.L2');
	});
	my @lines = split /\n/, qx($client $ENV{VK_SUITE_DIR}/test/lib/vektonn_client.py $url);
	is($?, 0, 'the client ends well');
	foreach my $line (@lines)
	{
		ok($1 eq 'ok', "client: $2") if $line =~ /^(ok|not ok) \d+ - (.*)/;
	}
}

kill 'TERM', $pid;
close $gateway;
$node->stop;
done_testing();
