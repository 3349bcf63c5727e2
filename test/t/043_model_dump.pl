# A dump carries data sources, indices and their rows; the copy searches as
# the original does, its streams stay stopped and say so, and start on demand.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my $kafka = VkKafka->mock(1);
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'\nmax_worker_processes = 24");
$node->start;
my $bootstrap = $kafka->bootstrap;
$node->safe_psql('postgres', 'CREATE DATABASE original');
sub sql { return $node->safe_psql($_[0], $_[1]); }
sql('original', qq{
	CREATE EXTENSION vektonn;
	CREATE SERVER k FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$bootstrap');
	SELECT vektonn.create_data_source('D', '1', 2, '{"Id": "Int64", "lang": "String"}', '{Id,lang}', server => 'k');
	SELECT vektonn.create_index('D', '1', 'D', '1', 'Cosine', id_attributes => '{Id}', split_attributes => '{lang}');
	SELECT vektonn.use_index_version('D', '1');
	SELECT vektonn.create_data_source('Plain', '1', 2, '{"id": "Int64"}', '{id}');
	SELECT vektonn.create_index('Plain', '1', 'Plain', '1', 'L2');
	SELECT vektonn.upload('Plain', '1', '[{"attributes": {"id": 1}, "vector": [1, 1]}]');
});
# Shards, one of them on a node that nobody has to reach for this.
sql('original', q{
	CREATE EXTENSION postgres_fdw;
	SELECT vektonn.create_data_source('G', '1', 2, '{"Id": "Int64", "Shop": "Guid"}', '{Id,Shop}', server => 'k', topic_shards => '{"Shop": 2}');
	SELECT vektonn.create_index('G', '1', 'G', '1', 'Cosine', id_attributes => '{Id}', shard_attributes => '{Shop}', shard_map => '[
		{"name": "away", "shardsByAttributeKey": {"Shop": {"numberOfShards": 2, "shardValues": [0]}}, "server": "away", "options": {"host": "/nowhere"}, "user_mapping": {"user": "x"}},
		{"name": "here", "shardsByAttributeKey": {"Shop": {"numberOfShards": 2, "shardValues": [1]}}}]')});
sql('original', q{SELECT vektonn.upload('D', '1', '[{"attributes": {"Id": 1, "lang": "en"}, "vector": [1, 0]}, {"attributes": {"Id": 2, "lang": "de"}, "vector": [0, 1]}]', wait => '30 s')});

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('original') ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'restored');

my $search = q{SELECT attributes, distance FROM vektonn.search('D', NULL, ARRAY['[1,0]']::vector[], 5, '{"lang": "en"}')};
is(sql('copy', $search), sql('original', $search), 'the copy searches as the original does');
is(sql('copy', 'SELECT count(*) FROM d'), 2, 'the view of the current version is there');
is(sql('copy', q{SELECT name, version, source, owner = current_user::regrole FROM vektonn.indices ORDER BY 1}),
	"D|1|streaming|t\nG|1|shards|t\nPlain|1|no stream|t", 'the definitions are there');
my $shards = q{SELECT shard, definition, server, partition, stream_name FROM vektonn.shards ORDER BY 1};
is(sql('copy', $shards), sql('original', $shards), 'the shards as well');
like(sql('copy', 'SELECT count(*) FROM g_1_here'), qr/^0$/, 'with their tables');
sql('copy', q{SELECT vektonn.resume_stream(stream_name) FROM vektonn.stream WHERE stream_name LIKE 'G 1/here.Shop-_'});
sql('original', q{SELECT vektonn.upload('G', '1', (SELECT jsonb_agg(jsonb_build_object('attributes', jsonb_build_object('Id', i, 'Shop', md5(i::text)::uuid), 'vector', '[1,1]'::jsonb)) FROM generate_series(1, 20) i))});
foreach my $database ('original', 'copy')
{
	is(sql($database, q{SELECT bool_and(vektonn.wait_for(stream_name, '180 s')) FROM vektonn.stream WHERE stream_name LIKE 'G 1/here.Shop-_'}), 't', "$database: the shard here reads its topics");
	is(sql($database, q{SELECT count(*) FROM g_1_here}), sql($database, q{SELECT count(*) FROM generate_series(1, 20) i WHERE vektonn.farm_shard(2, md5(i::text)::uuid) = 1}), "$database: and has its own");
	sql($database, q{SELECT vektonn.drop_data_source('G', '1', cascade => true)});
}
is(sql('copy', q{SELECT DISTINCT state FROM vektonn.stream_status}), 'stopped', 'the stream is stopped');
like(sql('copy', q{SELECT DISTINCT last_error FROM vektonn.stream_status}), qr/restored or copied/, 'and says why');
is(sql('copy', q{SELECT vektonn.upload('Plain', '1', '[{"attributes": {"id": 2}, "vector": [1, 2]}]')}), '(1,{})', 'a source without a topic goes on');

sql('original', q{SELECT vektonn.upload('D', '1', '[{"attributes": {"Id": 3, "lang": "en"}, "vector": [1, 1]}]', wait => '30 s')});
is(sql('copy', 'SELECT count(*) FROM d'), 2, 'nothing comes in');
sql('copy', q{SELECT vektonn.resume_stream('D 1')});
is(sql('copy', q{SELECT vektonn.wait_for('D', '1', timeout => '30 s')}), 't', 'until it is resumed');
is(sql('copy', 'SELECT count(*) FROM d'), 3, 'then it catches up');
is(sql('copy', q{SELECT vektonn.create_data_source('E', '1', 2, '{"id": "Int64"}', '{id}')}), '', 'numbers of new definitions do not clash');

# A table dropped by hand is said, and the index can be dropped.
sql('copy', 'DROP TABLE plain_1');
is(sql('copy', q{SELECT source FROM vektonn.indices WHERE name = 'Plain'}), 'table dropped', 'a dropped table is said');
like(($node->psql('copy', q{SELECT * FROM vektonn.search('Plain', '1', ARRAY['[1,0]']::vector[], 5)}))[2], qr/the table of index "Plain" version "1" does not exist/, 'in a search too');
sql('copy', q{SELECT vektonn.drop_data_source('Plain', '1', cascade => true)});

# A renamed table, and a changed definition, reach sessions that have searched before.
my $session = $node->background_psql('copy');
$session->query_safe($search);
sql('copy', 'ALTER TABLE d_1 RENAME TO renamed');
is($session->query_safe($search), sql('original', $search), 'after a rename');
sql('copy', 'CREATE SCHEMA s; ALTER TABLE renamed SET SCHEMA s; ALTER SCHEMA s RENAME TO s2');
is($session->query_safe($search), sql('original', $search), 'after changes of the schema');
sql('copy', q{SELECT vektonn.drop_index('D', '1')});
my $result = eval { $session->query($search); };
is(sql('copy', q{SELECT count(*) FROM vektonn.indices}), 0, 'after a drop');
eval { $session->quit };
$node->stop('fast');
done_testing();
