# The quick start, word for word as the documentation has it, on a real Kafka
# through SASL over TLS; the topic is made compacted, the broker's death in
# between costs nothing, and upstream's format goes through as well.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my ($can, $why) = VkKafka->can_run_real;
plan skip_all => $why unless $can;

my $kafka = VkKafka->real(PostgreSQL::Test::Utils::tempdir());
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'\nmax_worker_processes = 24");
$node->start;
my ($address, $ca) = ($kafka->address('sasl_tls'), $kafka->address('ca'));
$node->safe_psql('postgres', qq{
	CREATE EXTENSION vektonn;
	CREATE SERVER kafka_main FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$address',
		security_protocol 'sasl_ssl', sasl_mechanism 'SCRAM-SHA-512', ssl_ca_location '$ca');
	CREATE USER MAPPING FOR PUBLIC SERVER kafka_main OPTIONS (sasl_username 'vektonn', sasl_password 'vektonn-secret');
});
sub sql { return $node->safe_psql('postgres', $_[0]); }

# As README.md prints it, but for the server, which is the one above.
my @statements = slurp_file("$ENV{VK_SUITE_DIR}/README.md") =~ /```sql\n(.*?)```/sg;
is(scalar(@statements), 2, 'README.md has a quick start without Kafka and one with it');
like($node->safe_psql('postgres', $statements[0] =~ s/CREATE EXTENSION vektonn;//r), qr/^1\|0\.5\n2\|5\.5$/m, 'without Kafka');
my $out = sql($statements[1] =~ s/CREATE SERVER.*?;//sr);
like($out, qr/^1\|1\|1\|\{"id": 1, "payload": "first"\}\|$/m, 'with Kafka, through the function');
like($out, qr/^1\|first\|1$/m, 'and through the table');

$kafka->broker('kill');
my ($ret, undef, $err) = $node->psql('postgres', q{SELECT vektonn.produce('kafka_main', 'Vektonn.QuickStart_Source-1_0', '{a}', '{b}', '2 s')});
ok($ret != 0, 'no upload while the broker is dead');
$kafka->broker('start');
is(sql(q{SELECT count FROM vektonn.upload('QuickStart.Source', '1.0', '[{"attributes": {"id": 4, "payload": "after"}, "vector": [0, 2]}]', wait => '180 s')}),
	1, 'the next upload goes through');
is(sql(q{SELECT attributes ->> 'payload' FROM vektonn.search('QuickStart.Index', '1.0', ARRAY['[0,2]']::vector[], 1)}), 'after', 'and arrives');

sql(q{SELECT vektonn.create_data_source('Wire', '1.0', 2, '{"id": "Int64", "payload": "String"}', '{id}', server => 'kafka_main', format => 'vektonn')});
sql(q{SELECT vektonn.create_index('Wire', '1.0', 'Wire', '1.0', 'FaissIndex.L2')});
# As upstream's own producer writes it.
$kafka->produce('Vektonn.Wire-1_0', 0, pack('H*', '0a022001'),
	pack('H*', '0a080a026964120220010a1d0a077061796c6f616412120a10666972737420646174612070' . '6f696e74' . '110000000000000000' . '11000000000000f03f'));
$kafka->flush;
is(sql(q{SELECT vektonn.wait_for('Wire', '1.0', timeout => '180 s')}), 't', 'a message of upstream\'s is applied');
is(sql('SELECT id, payload, vector FROM wire_1_0'), '1|first data point|[0,1]', 'as it was meant');
# A shard here, and one on another node; that is another database of this server, for a node knows no difference.
$node->safe_psql('postgres', 'CREATE DATABASE node');
my ($host, $port) = ($node->host, $node->port);
sql(qq{CREATE EXTENSION postgres_fdw;
	SELECT vektonn.create_index('Wire', '2.0', 'Wire', '1.0', 'FaissIndex.L2', shard_attributes => '{id}',
		shard_map => '[{"server": "n", "options": {"host": "$host", "port": "$port", "dbname": "node"}, "user_mapping": {}}, {}]')});
my $commands = sql(q{SELECT commands FROM vektonn.shard_commands('Wire', '2.0')});
unlike($commands, qr/vektonn-secret/, 'what a node is told holds no secret');
# What the commands would make first, with its secret.
$node->safe_psql('node', $1) if $commands =~ /^(.*?)SELECT/s;
$node->safe_psql('node', q{CREATE USER MAPPING FOR PUBLIC SERVER kafka_main OPTIONS (sasl_username 'vektonn', sasl_password 'vektonn-secret')});
$node->safe_psql('node', $commands);
is(sql(q{SELECT count FROM vektonn.upload('Wire', '1.0', (SELECT jsonb_agg(jsonb_build_object('attributes', jsonb_build_object('id', i, 'payload', 'p' || i),
	'vector', jsonb_build_array(i, 0))) FROM generate_series(2, 100) i), wait => '180 s')}), 99, 'uploaded, and waited for the other node as well');
is(sql(q{SELECT count(*) FROM wire_2_0}) . ' ' . ($node->safe_psql('node', 'SELECT count(*) FROM wire_2_0') + sql('SELECT count(*) FROM wire_2_0_shard1')), '100 100', 'each point is on one of them');
is(sql(q{SELECT bool_and(a.attributes = b.attributes AND a.distance = b.distance) FROM vektonn.search('Wire', '1.0', ARRAY['[40.3,1]']::vector[], 20) a
	FULL JOIN vektonn.search('Wire', '2.0', ARRAY['[40.3,1]']::vector[], 20) b USING (rank)}), 't', 'and the answers are the same');
unlike(slurp_file($node->logfile), qr/vektonn-secret.*LOG|ERROR.*vektonn-secret/, 'no secret in the log of the workers');
$node->stop('fast');
done_testing();
