# A stream makes rows of messages: what is produced is in the table, updated
# and deleted, and goes on where it was after a restart of the server.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use VkKafka;

my $kafka = VkKafka->mock;
$kafka->topic('books', 2);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'vektonn'\n");
$node->start;

$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$node->safe_psql(
	'postgres', qq{
CREATE SERVER k FOREIGN DATA WRAPPER vektonn_kafka
	OPTIONS (bootstrap_servers '@{[ $kafka->bootstrap ]}', fetch_wait_max_ms '50');
CREATE TABLE books (id bigint PRIMARY KEY, title text NOT NULL, price real, vec vector(3));
});

foreach my $id (1 .. 100)
{
	$kafka->produce('books', $id % 2, qq({"id": $id}), qq({"id": $id, "title": "book $id", "price": $id.5, "vec": [$id, 0.25, -1e-3]}));
}
$kafka->flush;
$node->safe_psql('postgres', q{SELECT vektonn.create_stream('books', 'books', 'k', 'books')});
is($node->safe_psql('postgres', q{SELECT vektonn.wait_for('books', '180 s')}), 't', 'caught up');
is($node->safe_psql('postgres', 'SELECT count(*), sum(id), min(title), max(price) FROM books'),
	'100|5050|book 1|100.5', 'a row for each message');
is($node->safe_psql('postgres', 'SELECT vec FROM books WHERE id = 7'), '[7,0.25,-0.001]', 'the vector');

# updates and deletions
$kafka->produce('books', 1, '{"id": 1}', '{"id": 1, "title": "new", "price": null, "vec": [1,2,3]}');
$kafka->produce('books', 0, '{"id": 2}', undef);
$kafka->produce('books', 1, '{"id": 1000001}', undef);
$kafka->flush;
is($node->safe_psql('postgres', q{SELECT vektonn.wait_for('books', '180 s')}), 't', 'caught up again');
is($node->safe_psql('postgres', 'SELECT title, price IS NULL, vec FROM books WHERE id = 1'), 'new|t|[1,2,3]', 'updated');
is($node->safe_psql('postgres', 'SELECT count(*) FROM books'), '99', 'deleted');

$node->poll_query_until('postgres', q{SELECT bool_and(state = 'running') FROM vektonn.stream_status});
my $status = $node->safe_psql('postgres', q{
SELECT stream_name, topic, partition, state, pid IS NOT NULL, next_offset, high_watermark, lag, lag_seconds,
	upserted, deleted, dead_letters, rate >= 0, last_error FROM vektonn.stream_status ORDER BY partition});
is($status, "books|books|0|running|t|51|51|0|0|50|1|0|t|\nbooks|books|1|running|t|52|52|0|0|51|0|0|t|", 'status');

# a restart goes on where it was
$node->restart;
$kafka->produce('books', 0, '{"id": 500}', '{"id": 500, "title": "late", "vec": [0,0,0]}');
$kafka->flush;
is($node->safe_psql('postgres', q{SELECT vektonn.wait_for('books', '180 s')}), 't', 'caught up after a restart');
is($node->safe_psql('postgres', 'SELECT count(*) FROM books'), '100', 'the new row is there');
is($node->safe_psql('postgres', 'SELECT sum(upserted) + sum(deleted) FROM vektonn.stream_status'), '103', 'nothing was applied twice');

$node->safe_psql('postgres', q{SELECT vektonn.drop_stream('books')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'vektonn stream worker'}),
	'the worker ends with its stream');
is($node->safe_psql('postgres', 'SELECT count(*) FROM books'), '100', 'and the table stays');

$node->stop('fast');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|server process .* was terminated/, 'nothing crashed');
done_testing();
