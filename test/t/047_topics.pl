# A data source of several topics, as an existing deployment spreads it over them: uploads go to the
# topic of each point, indices and shards read all of them, from a configuration's files.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkStream;

my ($node, $kafka) = VkStream::start();
sub sql { return $node->safe_psql('postgres', $_[0]); }

# Two attributes decide the topic; a key that both topics and shards go by is the harder one.
sql(q{SELECT vektonn.import_config('data-sources/Samples.Products/0.1.yaml', $$
vectorDimension: 2
attributeValueTypes: { Id: Int64, Shop.Id: Guid, Category: Bool, Payload: String }
permanentAttributes: ["Id", "Shop.Id", "Category"]
shardersByAttributeKey:
  Shop.Id: { numberOfShards: 3 }
  Category: { numberOfShards: 2 }
$$, server => 'k')});
my @topics = sort map { my $c = $_; map { "Vektonn.Samples_Products-0_1.Category-$c.Shop_Id-$_" } 0 .. 2 } 0 .. 1;
is(sql(q{SELECT topic_shards FROM vektonn.data_sources}), '{"Shop.Id": 3, "Category": 2}', 'the topics are part of the definition');

my $index = q{
dataSourceId: { name: Samples.Products, version: 0.1 }
indexAlgorithm: { type: FaissIndex.L2 }
idAttributes: ["Id"]
splitAttributes: ["Category"]
};
sql(qq{SELECT vektonn.import_config('indices/Whole/1.yaml', \$\$$index\$\$)});
sql(qq{SELECT vektonn.import_config('indices/Shards/1.yaml', \$\$$index
shardsById:
  ShardA:
    shardsByAttributeKey: { Shop.Id: { numberOfShards: 2, shardValues: [0] } }
    dataSourceShardsToConsume:
    - shardingCoordinatesByAttributeKey: { Category: 0, Shop.Id: ~ }
  ShardB:
    shardsByAttributeKey: { Shop.Id: { numberOfShards: 2, shardValues: [1] } }
    dataSourceShardsToConsume:
    - shardingCoordinatesByAttributeKey: { Category: 0 }
  ShardC:
    dataSourceShardsToConsume:
    - shardingCoordinatesByAttributeKey: { Category: 1, Shop.Id: 0 }
    - shardingCoordinatesByAttributeKey: { Category: 1, Shop.Id: 1 }
    - shardingCoordinatesByAttributeKey: { Category: 1, Shop.Id: 2 }
\$\$)});
is(sql('SELECT count(*), count(DISTINCT topic) FROM vektonn.stream'), '24|6', 'a stream per topic and table');

# Points whose id has one shop and category for ever: there is no order between topics.
sub points
{
	my ($from, $to, $deleted) = @_;
	return sql(qq{SELECT u.count FROM vektonn.upload('Samples.Products', '0.1', (SELECT jsonb_agg(jsonb_build_object('attributes',
		jsonb_build_object('Id', i, 'Shop.Id', md5((i % 20)::text)::uuid, 'Category', i % 3 = 0, 'Payload', 'p' || i)) || CASE WHEN $deleted THEN '{"isDeleted": true}'
		ELSE jsonb_build_object('vector', jsonb_build_array(i, i * i)) END) FROM generate_series($from, $to) i), wait => '180 s') u});
}

sub same
{
	my ($when, $ids) = @_;
	foreach my $table ('whole_1', 'shards_1')
	{
		is(sql(qq{SELECT count(*) || ' ' || sum("Id") FROM $table}), sql("SELECT count(*) || ' ' || sum(i) FROM ($ids) x (i)"), "$when: $table");
	}
	is(sql(q{SELECT count(*) > 10 AND bool_and(s.distance = w.distance AND s.attributes = w.attributes) FROM (VALUES (NULL::jsonb), ('{"Category": true}')) f (filter),
		LATERAL (SELECT * FROM vektonn.search('Shards', '1', ARRAY['[50,2400]', '[0,0]']::vector[], 10, filter)) s
		FULL JOIN LATERAL (SELECT * FROM vektonn.search('Whole', '1', ARRAY['[50,2400]', '[0,0]']::vector[], 10, filter)) w USING (query_number, rank)}), 't', "$when: the same answers");
	return;
}
is(points(1, 100, 'false'), 100, 'uploaded');
same('at once', 'SELECT generate_series(1, 100)');
is(join(',', sort { $a cmp $b } split /\n/, sql('SELECT topic FROM vektonn.stream_status WHERE next_offset > 0 GROUP BY 1')), join(',', @topics), 'every topic has some');
is(points(31, 60, 'true'), 30, 'deleted');
same('after deletions', 'SELECT i FROM generate_series(1, 100) i WHERE i NOT BETWEEN 31 AND 60');
sql(q{SELECT vektonn.upload_on_commit('Samples.Products', '0.1', (SELECT jsonb_agg(jsonb_build_object('attributes', jsonb_build_object('Id', i, 'Shop.Id', md5((i % 20)::text)::uuid,
	'Category', i % 3 = 0, 'Payload', ''), 'vector', jsonb_build_array(i, 0))) FROM generate_series(101, 130) i))});
$node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM vektonn.outbox)') or die;
is(sql(qq{SELECT bool_and(vektonn.wait_for(i, '1', timeout => '180 s')) FROM unnest('{Whole,Shards}'::text[]) i}), 't', 'waited for');
same('through the outbox', 'SELECT i FROM generate_series(1, 130) i WHERE i NOT BETWEEN 31 AND 60');
$node->restart;
is(points(200, 250, 'false'), 51, 'uploaded after a restart');
same('after a restart', 'SELECT i FROM generate_series(1, 250) i WHERE i NOT BETWEEN 31 AND 60 AND i NOT BETWEEN 131 AND 199');

# Each point lies in the topic upstream's hash says: read back from the topics.
my $wrong = 0;
foreach my $topic (@topics)
{
	my ($category, $shop) = $topic =~ /Category-(\d)\.Shop_Id-(\d)$/;
	foreach my $message ($kafka->consume($topic, 0, 0))
	{
		# key: Category, Id, Shop.Id in the binary format; a Guid is 12 10 and 16 bytes
		my ($true) = $message->[1] =~ /^\x0a\x02\x18(.)/s;
		my ($guid) = $message->[1] =~ /\x12\x10(.{16})$/s;
		$wrong++ if ord $true != $category || sql(sprintf q{SELECT vektonn.farm_shard(3, '%s'::uuid)}, unpack 'H*', $guid) != $shop;
		last if $message->[0] > 5;
	}
}
is($wrong, 0, 'each in its topic');
sql(q{SELECT vektonn.alter_index('Shards', '1', new_version => '2')});
is(sql(q{SELECT count(*) FROM vektonn.stream WHERE stream_name LIKE 'Shards 2/Shard_.Category-_.Shop_Id-_'}), 18, 'renamed');
is(sql(q{SELECT vektonn.wait_for('Shards', '2', timeout => '180 s')}), 't', 'and go on');
sql(q{SELECT vektonn.drop_data_source('Samples.Products', '0.1', cascade => true)});
is(sql('SELECT count(*) FROM vektonn.stream'), 0, 'nothing is left');
VkStream::no_crash($node);
$node->stop('fast');
done_testing();
