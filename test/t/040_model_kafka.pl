# The model on a broker: the quick start as README has it, read your writes,
# topics created where they are missing, both message formats, several
# versions of an index, identity across batches.
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
$node->safe_psql('postgres', qq{
	CREATE EXTENSION vektonn;
	CREATE SERVER kafka_main FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$bootstrap');
	CREATE ROLE owner LOGIN;
	GRANT USAGE ON FOREIGN SERVER kafka_main TO owner;
	GRANT CREATE ON SCHEMA public TO owner;
	CREATE ROLE reader LOGIN;
});

sub sql { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', $_[1] // 'owner' ]); }

sub sql_error
{
	my (undef, undef, $err) = $node->psql('postgres', $_[0], extra_params => [ '-U', $_[1] // 'owner' ]);
	return $err;
}

foreach my $format ('json', 'vektonn')
{
	my $source = "QuickStart.$format";
	sql(qq{SELECT vektonn.create_data_source('$source', '1.0', vector_dimension => 2,
			attribute_types => '{"id": "Int64", "payload": "String"}', permanent_attributes => '{id}',
			server => 'kafka_main', format => '$format')});
	sql(qq{SELECT vektonn.create_index('$source', '1.0', data_source_name => '$source', data_source_version => '1.0',
			algorithm => 'FaissIndex.L2', id_attributes => '{id}')});
	is(sql(qq{SELECT count FROM vektonn.upload('$source', '1.0', '[
			{"attributes": {"id": 1, "payload": "first"}, "vector": [0, 1]},
			{"attributes": {"id": 2, "payload": "second"}, "vector": [1, 0]},
			{"attributes": {"id": 3, "payload": "third"}, "vector": [-0.5, 0]}]', wait => '180 s')}), 3, "$format: uploaded");
	is(sql(qq{SELECT rank, distance, attributes ->> 'payload' FROM vektonn.search('$source', '1.0', ARRAY['[0,2]']::vector[], k => 2)}),
		"1|1|first\n2|4.25|third", "$format: found at once, having waited");
	is(sql(qq{SELECT count FROM vektonn.delete('$source', '1.0', '[{"id": 1}, {"id": 2}, {"id": 3}]', wait => '180 s')}), 3, "$format: deleted");
	is(sql(qq{SELECT count(*) FROM vektonn.search('$source', '1.0', ARRAY['[0,0]']::vector[], k => 1)}), 0, "$format: and gone");
	sql(qq{SELECT vektonn.upload('$source', '1.0', '[{"attributes": {"id": 4, "payload": "привет"}, "vector": [5, 5]}]')});
	is(sql(qq{SELECT vektonn.wait_for('$source', '1.0', timeout => '180 s')}), 't', "$format: waited for");
	is(sql(qq{SELECT attributes ->> 'payload' FROM vektonn.search('$source', '1.0', ARRAY['[0,0]']::vector[], k => 1)}), 'привет', "$format: non-ASCII");
}
is(sql(q{SELECT count(*) FROM vektonn.peek('kafka_main', 'Vektonn.QuickStart_json-1_0', count => 1)
	WHERE convert_from(key, 'UTF8') = '{"id": 4}'}), 1, 'the topic has the name and the key of upstream');

is(sql(q{SELECT vektonn.wait_for('QuickStart.json 1.0', '180 s')}), 't', 'a stream by its name, with literals');

# A second version beside the first catches up from the topic by itself.
sql(q{SELECT vektonn.create_index('QuickStart.json', '2.0', 'QuickStart.json', '1.0', algorithm => 'Cosine')});
is(sql(q{SELECT vektonn.wait_for('QuickStart.json', '2.0', timeout => '180 s')}), 't', 'the new version catches up');
is(sql(q{SELECT count(*) FROM quickstart_json_2_0}), 1, 'and has what the first has');
sql(q{SELECT vektonn.use_index_version('QuickStart.json', '2.0')});
is(sql(q{SELECT round(distance::numeric, 6) FROM vektonn.search('QuickStart.json', NULL, ARRAY['[1,1]']::vector[], 1)}), '0.000000', 'readers go over');
sql(q{SELECT vektonn.drop_index('QuickStart.json', '1.0')});
is(sql(q{SELECT count(*) FROM vektonn.stream_status WHERE stream_name = 'QuickStart.json 1.0'}), 0, 'the old version and its stream are gone');

# Identity: whatever the batches, the same result as a model of a few lines.
# Points of one id have several keys, and Kafka keeps order within a partition: so there is one.
$kafka->topic('Vektonn.Id-1', 1);
sql(q{SELECT vektonn.create_data_source('Id', '1', 1, '{"id": "Int64", "lang": "String", "n": "Int64"}', '{id,lang}', server => 'kafka_main')});
sql(q{SELECT vektonn.create_index('Id', '1', 'Id', '1', 'L2', id_attributes => '{id}', split_attributes => '{lang}')});
sql(q{SELECT vektonn.create_index('IdShards', '1', 'Id', '1', 'L2', id_attributes => '{id}', shard_attributes => '{lang}', shards => 2)});
my (%model, $n);
srand(20261120);
foreach my $batch (1 .. 30)
{
	my @points;
	foreach (1 .. 1 + int rand 20)
	{
		my ($id, $lang) = (int(rand 8), (qw(en de fr))[ int rand 3 ]);
		$n++;
		if (rand() < 0.3)
		{
			push @points, qq({"attributes": {"id": $id, "lang": "$lang", "n": 0}, "isDeleted": true});
			delete $model{$id} if exists $model{$id} && $model{$id} =~ /^$lang /;
		}
		else
		{
			push @points, qq({"attributes": {"id": $id, "lang": "$lang", "n": $n}, "vector": [$n]});
			$model{$id} = "$lang $n";
		}
	}
	sql(sprintf q{SELECT vektonn.upload('Id', '1', '[%s]')}, join ',', @points);
}
is(sql(q{SELECT vektonn.wait_for('Id', '1', timeout => '180 s')}), 't', 'all applied');
is(sql(q{SELECT string_agg(format('%s %s %s', id, lang, n), ', ' ORDER BY id) FROM id_1}),
	join(', ', map { "$_ $model{$_}" } sort keys %model), 'the last write of each id, and no orphan');
is(sql(q{SELECT count(*) FROM vektonn.search('Id', '1', ARRAY['[0]']::vector[], 100)}), scalar(keys %model), 'the same through the index');
is(sql(q{SELECT vektonn.wait_for('IdShards', '1', timeout => '180 s')}), 't', 'all applied to the shards');
is(sql(q{SELECT string_agg(format('%s %s %s', id, lang, n), ', ' ORDER BY id) FROM idshards_1}),
	join(', ', map { "$_ $model{$_}" } sort keys %model), 'the same over shards, whatever moved between them');
sql(q{SELECT vektonn.rebuild_stream('Id 1')});
is(sql(q{SELECT vektonn.wait_for('Id', '1', timeout => '180 s')}), 't', 'replayed');
is(sql(q{SELECT string_agg(format('%s %s %s', id, lang, n), ', ' ORDER BY id) FROM id_1}),
	join(', ', map { "$_ $model{$_}" } sort keys %model), 'with the same result');

# Who may what.
like(sql_error(q{SELECT vektonn.upload('Id', '1', '[{"attributes": {"id": 1, "lang": "en", "n": 1}, "vector": [1]}]')}, 'reader'),
	qr/permission denied for foreign server/, 'uploads need USAGE on the server');
like(sql_error(q{SELECT * FROM vektonn.search('Id', '1', ARRAY['[0]']::vector[], 1)}, 'reader'),
	qr/permission denied for table id_1/, 'searches need SELECT on the table');
like(sql_error(q{SELECT vektonn.create_data_source('R', '1', 1, '{"id": "Int64"}', '{id}', server => 'kafka_main')}, 'reader'),
	qr/permission denied for foreign server/, 'data sources need USAGE on the server');
like(sql_error(q{SELECT vektonn.drop_index('Id', '1')}, 'reader'), qr/must be owner of index "Id"/, 'dropping needs the owner');
like(sql_error(q{SELECT vektonn.drop_data_source('Id', '1')}, 'reader'), qr/must be owner of data source/, 'of the data source too');
like(sql_error(q{SELECT vektonn.create_index('R', '1', 'Id', '1', 'L2')}, 'reader'), qr/must be owner of data source/, 'and to make an index');
is(sql(q{WITH d AS (DELETE FROM vektonn.index_def RETURNING 1) SELECT count(*) FROM d}, 'reader'), 0, 'no way around');
sql(q{GRANT SELECT ON id_1 TO reader});
is(sql(q{SELECT count(*) FROM vektonn.search('Id', '1', ARRAY['[0]']::vector[], 100)}, 'reader'), scalar(keys %model), 'SELECT is enough to search');

# A broker that is away: the definition stands, the upload says what is wrong.
$kafka->command('down');
like(sql_error(q{SELECT vektonn.create_data_source('Away', '1', 1, '{"id": "Int64"}', '{id}', server => 'kafka_main')}),
	qr/WARNING.*did not answer in time.*first upload/s, 'a warning');
$kafka->command('up');
is(sql(q{SELECT count FROM vektonn.upload('Away', '1', '[{"attributes": {"id": 1}, "vector": [1]}]')}), 1, 'the first upload makes the topic');

sql(q{SELECT vektonn.drop_data_source(name, version, cascade => true) FROM vektonn.data_sources});
is(sql(q{SELECT count(*) FROM vektonn.stream_status}), 0, 'all streams gone');
is(sql(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'}), 0, 'and all tables');
$node->stop('fast');
done_testing();
