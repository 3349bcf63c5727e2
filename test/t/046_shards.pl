# Shards on other nodes: a coordinator and two nodes on one broker.  Each shard
# reads the topic itself and keeps its own points; the answers are those of an
# index without shards, whatever is uploaded, moves between shards or fails,
# and while nodes go and come back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkCrash;
use VkKafka;

my $kafka = VkKafka->mock(1);
my $bootstrap = $kafka->bootstrap;

sub start_node
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'\nmax_worker_processes = 24\nlog_statement = 'all'");
	$node->start;
	return $node;
}

my $main = start_node('main');
my %node = map { $_ => start_node($_) } 'a', 'b';
sub sql { return $main->safe_psql('postgres', $_[0]); }

sub sql_error
{
	my (undef, undef, $err) = $main->psql('postgres', $_[0]);
	return $err;
}

$main->safe_psql('postgres', qq{
	CREATE EXTENSION vektonn;
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER k FOREIGN DATA WRAPPER vektonn_kafka OPTIONS (bootstrap_servers '$bootstrap', fetch_wait_max_ms '50');
});
my %options = map { $_ => sprintf '{"host": "%s", "port": "%d", "dbname": "postgres"}', $node{$_}->host, $node{$_}->port } keys %node;

# Points of one id have several keys, and Kafka keeps order within a partition: so there is one.
$kafka->topic("Vektonn.$_-1", 1) foreach 'json', 'vektonn';

# A source of each format, and an index of each kind of shards, beside one without.
my %map = (
	Hash => qq([{"server": "a", "options": $options{a}, "user_mapping": {}}, {"server": "b", "options": $options{b}, "user_mapping": {}}, {}]),
	List => qq([{"name": "low", "values": [0, 1, 2], "server": "a"}, {"values": [3], "server": "b"}, {"name": "rest", "default": true}]));
foreach my $format ('json', 'vektonn')
{
	sql(qq{SELECT vektonn.create_data_source('$format', '1', 2, '{"id": "Int64", "shop": "Int64", "lang": "String", "n": "Int64"}', '{id,shop,lang}', server => 'k', format => '$format')});
	sql(qq{SELECT vektonn.create_index('Whole $format', '1', '$format', '1', 'FaissIndex.L2', id_attributes => '{id}', split_attributes => '{lang,shop}', table_name => 'whole_$format')});
}
foreach my $kind ('Hash', 'List', 'Farm')
{
	# This one as an existing deployment's configuration has it.
	sql($kind eq 'Farm' ? q{SELECT vektonn.import_config('config/indices/Farm/1.yaml', $$
dataSourceId: { name: vektonn, version: 1 }
indexAlgorithm: { type: FaissIndex.L2 }
idAttributes: ["id"]
splitAttributes: ["lang", "shop"]
shardsById:
  ShardA:
    shardsByAttributeKey: { shop: { numberOfShards: 6, shardValues: [0, 2, 4] } }
  ShardB:
    shardsByAttributeKey: { shop: { numberOfShards: 2, shardValues: [1] } }
$$, shard_servers => '{"ShardA": {"server": "a"}, "ShardB": {"server": "b"}}')} : qq{SELECT vektonn.create_index('$kind', '1', 'json', '1', 'FaissIndex.L2', id_attributes => '{id}', split_attributes => '{lang,shop}',
		table_name => '\L$kind\E', shard_attributes => '{shop}', shard_map => '$map{$kind}')});
	foreach my $shard (split /\n/, sql(qq{SELECT server || '/' || shard FROM vektonn.shard_commands('$kind', '1')}))
	{
		my ($server, $name) = split m{/}, $shard;
		$node{$server}->safe_psql('postgres', sql(qq{SELECT commands FROM vektonn.shard_commands('$kind', '1') WHERE shard = '$name'}));
	}
}
is(sql(q{SELECT string_agg(format('%s %s %s', index_name, shard, coalesce(server, 'here')), ', ' ORDER BY index_name, shard) FROM vektonn.shards}),
	'Farm ShardA a, Farm ShardB b, Hash shard0 a, Hash shard1 b, Hash shard2 here, List low a, List rest here, List shard1 b', 'the shards');

# Random writes, deletions and moves of 60 ids between ten shops; a model of a few lines.
my (%model, $n, %key);
srand(20261120);

sub write_points
{
	my ($batches) = @_;
	foreach my $batch (1 .. $batches)
	{
		my @points;
		foreach (1 .. 1 + int rand 30)
		{
			my ($id, $shop, $lang) = (int(rand 60), int(rand 10), (qw(en de fr))[ int rand 3 ]);
			$n++;
			if (rand() < 0.25)
			{
				($shop, $lang) = @{ $key{$id} } if $key{$id} && rand() < 0.7;
				push @points, qq({"attributes": {"id": $id, "shop": $shop, "lang": "$lang", "n": 0}, "isDeleted": true});
				delete $model{$id} if exists $model{$id} && $model{$id} =~ /^$shop $lang /;
			}
			else
			{
				push @points, sprintf '{"attributes": {"id": %d, "shop": %d, "lang": "%s", "n": %d}, "vector": [%.6f, %.6f]}', $id, $shop, $lang, $n, rand, rand;
				$model{$id} = "$shop $lang $n";
				$key{$id} = [ $shop, $lang ];
			}
		}
		sql(sprintf q{SELECT vektonn.upload(s, '1', '[%s]') FROM unnest('{json,vektonn}'::text[]) s}, join ',', @points);
	}
	return;
}

sub same_everywhere
{
	my ($when) = @_;
	my $expected = join ', ', map { "$_ $model{$_}" } sort { $a <=> $b } keys %model;
	foreach my $kind ('Whole json', 'Hash', 'List', 'Farm')
	{
		my $table = { 'Whole json' => 'whole_json', Farm => 'farm_1' }->{$kind} // lc $kind;
		is(sql(qq{SELECT vektonn.wait_for('$kind', '1', timeout => '180 s')}), 't', "$when: $kind has all");
		is(sql(qq{SELECT string_agg(format('%s %s %s %s', id, shop, lang, n), ', ' ORDER BY id, shop) FROM $table}), $expected, "$when: $kind: no orphan, nothing lost");
		next if $kind eq 'Whole json';
		is(sql(qq{
			SELECT count(*) > 100, bool_and(s.distance = w.distance AND s.attributes = w.attributes AND s.vector = w.vector)
			FROM (VALUES (1, NULL::jsonb), (7, NULL), (100, NULL), (5, '{"lang": "de"}'), (5, '{"shop": 3}'), (9, '{"lang": "en", "shop": 7}')) q (k, filter),
				LATERAL (SELECT * FROM vektonn.search('$kind', '1', ARRAY['[0.5,0.5]', '[0,1]', '[0.2,0.9]']::vector[], q.k, q.filter, true)) s
				FULL JOIN LATERAL (SELECT * FROM vektonn.search('Whole json', '1', ARRAY['[0.5,0.5]', '[0,1]', '[0.2,0.9]']::vector[], q.k, q.filter, true)) w USING (query_number, rank)}),
			't|t', "$when: $kind answers as an index without shards");
	}
	return;
}

write_points(40);
same_everywhere('first');
foreach my $server ('a', 'b')
{
	is($node{$server}->safe_psql('postgres', q{SELECT count(*) > 0 FROM hash}), 't', "node $server has some itself");
	is($node{$server}->safe_psql('postgres', q{SELECT count(*) > 0 FROM vektonn.search('Hash', '1', ARRAY['[0,0]']::vector[], 5)}), 't', "and is searched there");
}
is($node{a}->safe_psql('postgres', q{SELECT bool_and(shop IN (0, 1, 2)) FROM list}), 't', 'by value');
is($node{a}->safe_psql('postgres', q{SELECT bool_and(vektonn.farm_hash(shop) % 6 IN (0, 2, 4)) FROM farm_1}), 't', 'by hash');
is($node{a}->safe_psql('postgres', q{SELECT count(DISTINCT next_offset) FROM vektonn.stream_status WHERE topic = 'Vektonn.json-1'}), '1', 'with offsets of its own');

# How a search is planned.
my $plan = sql(q{SET plan_cache_mode = force_generic_plan; PREPARE q (vector) AS SELECT id FROM hash ORDER BY vector <-> $1 LIMIT 5; EXPLAIN (VERBOSE, COSTS OFF) EXECUTE q ('[0,0]')});
like($plan, qr/Merge Append.*Remote SQL: SELECT [^\n]*ORDER BY \(vector OPERATOR\(public\.<->\)/s, 'nodes order by distance');
unlike($plan, qr/^ *->  Sort$|^ *Sort$/m, 'and nothing is sorted here');

# vektonn.search asks each partition for its k rows; the pieces of its statement are such that PostgreSQL waits for all at once.
my ($list, $columns, $order, $partitions) = split /\|/, sql(q{SELECT select_list, columns, order_by, array_to_string(partition_names, ' ') FROM vektonn._search_definition('Hash', '1')}) =~ s/\|\|/<or>/gr;
my $arms = join ' UNION ALL ', map { qq{(SELECT $columns, $order AS " " FROM $_ t ORDER BY $order LIMIT 3)} } split / /, $partitions;
$plan = sql(qq{SET plan_cache_mode = force_generic_plan; PREPARE q (vector) AS SELECT $list, NULL FROM ($arms) t ORDER BY t." " + 0::float8 LIMIT 3; EXPLAIN (VERBOSE, COSTS OFF) EXECUTE q ('[0,0]')});
like($plan, qr/(Async Foreign Scan on [^\n]*\n[^\n]*\n *Remote SQL: [^\n]* ORDER BY [^\n]* LIMIT 3::bigint.*){2}/s, 'all nodes work at once, each for k rows');

# What nodes are asked, as their logs have it.
sub asked
{
	my ($filter) = @_;
	my %from = map { $_ => -s $node{$_}->logfile } keys %node;
	sql(qq{SELECT * FROM vektonn.search('Hash', '1', ARRAY['[0,0]']::vector[], 3, '$filter')});
	return join ' ', map { my $log = slurp_file($node{$_}->logfile, $from{$_}); "$_:" . ($log =~ /DECLARE .*? LIMIT 3/s ? 'limit' : $log =~ /DECLARE/ ? 'all' : 'not') } sort keys %node;
}
is(asked('{"lang": "de"}'), 'a:limit b:limit', 'each node for its nearest three');
my ($of_a) = split /\n/, sql('SELECT shop FROM generate_series(0::bigint, 9) shop WHERE vektonn.hash_shard(3, shop) = 0');
is(asked(qq({"shop": $of_a})), 'a:all b:not', 'one node only where the filter says which');

# By somebody who may read the whole, and by nobody else.
sql(q{CREATE ROLE reader LOGIN; CREATE USER MAPPING FOR reader SERVER a OPTIONS (user 'postgres', password_required 'false');
	CREATE USER MAPPING FOR reader SERVER b OPTIONS (user 'postgres', password_required 'false')});
my $search = q{SELECT count(*), min(distance) FROM vektonn.search('Hash', '1', ARRAY['[0,0]']::vector[], 7)};
my (undef, undef, $log) = $main->psql('postgres', $search, extra_params => [ '-U', 'reader' ]);
like($log, qr/permission denied for table hash/, 'a search needs SELECT on the table');
sql('GRANT SELECT ON hash TO reader');
is($main->safe_psql('postgres', $search, extra_params => [ '-U', 'reader' ]), sql($search), 'and no more');
sql('ALTER TABLE hash ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON hash USING (n % 2 = 0)');
is($main->safe_psql('postgres', q{SELECT bool_and((attributes ->> 'n')::int % 2 = 0), count(*) > 3 FROM vektonn.search('Hash', '1', ARRAY['[0,0]']::vector[], 7)}, extra_params => [ '-U', 'reader' ]), 't|t', 'its policies hold');
sql('GRANT SELECT ON hash_shard0, hash_shard1, hash_shard2 TO reader');
is($main->safe_psql('postgres', q{SELECT bool_and((attributes ->> 'n')::int % 2 = 0), count(*) > 3 FROM vektonn.search('Hash', '1', ARRAY['[0,0]']::vector[], 7)}, extra_params => [ '-U', 'reader' ]), 't|t', 'also for who may read the shards themselves');
sql('ALTER TABLE hash DISABLE ROW LEVEL SECURITY; DROP OWNED BY reader; DROP ROLE reader');

# One point by hand: it moves from shard to shard and leaves nothing behind.
foreach my $shop (0 .. 9)
{
	sql(qq{SELECT vektonn.upload('json', '1', '[{"attributes": {"id": 1000, "shop": $shop, "lang": "en", "n": $shop}, "vector": [9, 9]}]', wait => '180 s')});
	is(sql(q{SELECT string_agg(DISTINCT shop::text, ',') || ' ' || count(*) FROM (SELECT shop FROM hash WHERE id = 1000 UNION ALL SELECT shop FROM list WHERE id = 1000) s}), "$shop 2", "id 1000 in shop $shop alone");
}
sql(q{SELECT vektonn.delete('json', '1', '[{"id": 1000, "shop": 9, "lang": "en"}]', wait => '180 s')});

# What cannot be read is a dead letter of one shard, and takes the point from none.
my ($id) = sort { $a <=> $b } keys %model;
foreach my $shop (0 .. 9)
{
	$kafka->produce('Vektonn.json-1', 0, qq({"id": $id, "lang": "en", "shop": $shop}), qq({"id": $id, "lang": "en", "shop": $shop, "n": 1, "vector": [1]}));
}
$kafka->flush;
same_everywhere('with messages that cannot be read');
is(sql(q{SELECT sum(dead_letters) FROM vektonn.shard_status('Hash', '1')}), 10, 'each is a dead letter once');

# A node that is away.
kill_server($node{b});
like(sql_error(q{SELECT * FROM vektonn.search('Hash', '1', ARRAY['[0,0]']::vector[], 3)}), qr/could not connect to server "b"/, 'a search says which node is away');
like(sql(q{SELECT string_agg(format('%s %s', shard, CASE WHEN state = 'unreachable' THEN state || ': ' || last_error ELSE 'answers' END), ', ' ORDER BY shard) FROM vektonn.shard_status('List', '1')}),
	qr/^low answers, rest answers, shard1 unreachable: could not connect to server "b"/, 'the status says so too');
is(sql(q{SELECT count(*) > 0 FROM generate_series(0, 2) shop, vektonn.search('List', '1', ARRAY['[0,0]']::vector[], 3, jsonb_build_object('shop', shop))}),
	't', 'a filter that needs other shards only is answered');
my $even = sql(q{SELECT min(shop) FROM generate_series(0, 9) shop WHERE vektonn.farm_hash(shop::bigint) % 2 = 0});
is(sql(qq{SELECT count(*) >= 0 FROM vektonn.search('Farm', '1', ARRAY['[0,0]']::vector[], 3, '{"shop": $even}')}), 't', 'by an expression as well');
foreach my $kind ('Hash', 'List', 'Farm')
{
	my $table = $kind eq 'Farm' ? 'farm_1' : lc $kind;
	my (undef, $out, $err) = $main->psql('postgres', qq{SET vektonn.partial_results = on;
		SELECT count(*) FROM vektonn.search('$kind', '1', ARRAY['[0,0]', '[1,1]']::vector[], 1000);
		SELECT count(*) FROM vektonn.search('$kind', '1', ARRAY['[0,0]']::vector[], 1000, (SELECT jsonb_build_object('shop', min(shop)) FROM generate_series(0::bigint, 9) shop
			WHERE CASE '$kind' WHEN 'Hash' THEN vektonn.hash_shard(3, shop) = 1 WHEN 'List' THEN shop = 3 ELSE vektonn.farm_shard(2, shop) = 1 END))});
	is((split /\n/, $out)[1], 0, "$kind: partial results: nothing of the shard that is away");
	my $rest = join ' UNION ALL ', map { "SELECT id FROM $_" } split /\n/, sql(qq{SELECT partition FROM vektonn.shards WHERE index_name = '$kind' AND server IS DISTINCT FROM 'b'});
	is((split /\n/, $out)[0], 2 * sql("SELECT count(*) FROM ($rest) r"), 'all of the others');
	is(() = $err =~ /WARNING:  answer without shard public\.${table}_shard(?:1|b): could not connect to server "b"/g, 2, 'with a warning each time');
}
write_points(10);
is(sql(q{SELECT vektonn.wait_for('Whole json', '1', timeout => '180 s')}), 't', 'others go on');
$node{b}->start;
same_everywhere('after it has come back');
kill_server($main);
$main->start;
same_everywhere('after the coordinator has');

# Reading the topic again from its beginning leads to the same.
sql(q{SELECT vektonn.rebuild_stream('Hash 1/shard2')});
$node{$_}->safe_psql('postgres', q{SELECT vektonn.rebuild_stream('Hash 1'), vektonn.rebuild_stream('List 1'), vektonn.rebuild_stream('Farm 1')}) foreach keys %node;
same_everywhere('replayed');

# Renaming, and the end.
sql(q{SELECT vektonn.alter_index('Hash', '1', new_version => '2')});
is(sql(q{SELECT stream_name FROM vektonn.shards WHERE stream_name LIKE 'Hash%'}), 'Hash 2/shard2', 'the stream here follows');
is(sql(q{SELECT vektonn.wait_for('Hash', '2', timeout => '180 s')}), 't', 'and goes on');
sql(q{SELECT vektonn.drop_data_source(name, version, cascade => true) FROM vektonn.data_sources});
is(sql(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')}), 0, 'nothing is left on the coordinator');
is(sql(q{SELECT count(*) FROM vektonn.stream}), 0, 'and no stream');
$_->stop('fast') foreach $main, values %node;
done_testing();
