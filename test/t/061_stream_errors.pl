# Messages that cannot be applied: dead letters, each for its own reason, the
# rest applied; retry and purge; the stream that stops; errors that pass and
# errors of the configuration.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use VkStream;

my ($node, $kafka) = VkStream::start();
sub sql { return $node->safe_psql('postgres', $_[0]); }

$kafka->topic('t', 1);
sql(q{
CREATE TABLE t (id bigint PRIMARY KEY, name varchar(10), n int CHECK (n >= 0), f real, b bool, u uuid, at timestamptz,
	j jsonb, tags text[], v vector(2), note text DEFAULT 'mine');
});

sub put { my ($key, $value) = @_; $kafka->produce('t', 0, $key, $value); return; }

my %bad = (
	0 => [ '{"id": 1}', '{"id": 1', '22P02', qr/not JSON/ ],
	2 => [ '{"id": 3}', '{"id": 4}', '22000', qr/differs between the key and the value/ ],
	3 => [ '{}', '{"name": "x"}', '22004', qr/key column "id" is missing/ ],
	5 => [ '{"id": 5}', '{"id": 5, "v": [1]}', '22000', qr/1 dimensions, not 2/ ],
	6 => [ '{"id": 6}', '{"id": 6, "v": [1, 1e39]}', '22003', qr/number 1e39 is out of range/ ],
	7 => [ '{"id": 7}', '{"id": 7, "n": -1}', '23514', qr/check constraint/ ],
	9 => [ '{"id": 9}', '{"id": 9, "n": "1"}', '42804', qr/column "n" does not take a string/ ],
	10 => [ '{"id": 10}', '{"id": 10, "n": 1.5}', '22003', qr/does not take the number 1.5/ ],
	11 => [ '{"id": 11}', '{"id": 11, "u": "nope"}', '22P02', qr/not a uuid/ ],
	12 => [ '{"id": 12}', '{"id": 12, "at": "yesterdayish"}', '22007', qr/invalid input syntax/ ],
	13 => [ '{"id": 13}', "{\"id\": 13, \"tags\": [\"\xff\"]}", '22021', qr/not valid UTF-8/ ],
	14 => [ '{"id": 14}', '{"id": 14, "name": "longer than ten"}', '22001', qr/too long/ ],
	15 => [ undef, undef, '22004', qr/neither key nor value/ ],
	16 => [ '{"id": 16}', '[1,2]', '22P02', qr/object expected/ ],
	17 => [ '{"id": 99999999999999999999}', '{}', '22003', qr/does not take the number/ ],
	18 => [ '{"id": 18}', '{"id": 18, "name": "\u0000"}', '22P02', qr/u0000/ ],
	19 => [ '{"id": 19}', '', '22P02', qr/object expected/ ],
);
my %good = (
	1 => [ '{"id": 2}', '{"id": 2, "name": "two", "n": 2, "f": 1e-3, "b": true, "u": "39B146EC-9803-4b7e-aa35-f3550ac0e5ed",'
		  . ' "at": "2021-07-31T13:52:59Z", "j": {"a": [1, null]}, "tags": ["x", null, "\u00e4\ud83d\ude00"], "v": [0.1, -2], "unknown": {"a": [{}]}}' ],
	4 => [ undef, '{"id": 44, "name": "no key"}' ],
	8 => [ '{"id": 8}', '{"id": 8, "n": 8}' ],
	20 => [ '{"id": 20}', '{"id": 20, "note": "theirs"}' ],
);
foreach my $offset (0 .. 20)
{
	put(@{ $bad{$offset} // $good{$offset} }[ 0, 1 ]);
}
$kafka->flush;
sql(q{SELECT vektonn.create_stream('t', 't', 'k', 't')});
VkStream::caught_up($node, 't');

is(sql('SELECT * FROM t WHERE id = 2'),
	'2|two|2|0.001|t|39b146ec-9803-4b7e-aa35-f3550ac0e5ed|' . sql(q{SELECT timestamptz '2021-07-31 13:52:59+00'}) . "|{\"a\": [1, null]}|{x,NULL,\xc3\xa4\xf0\x9f\x98\x80}|[0.1,-2]|mine",
	'every type of column');
is(sql('SELECT array_agg(id ORDER BY id) FROM t'), '{2,8,20,44}', 'all that could be applied');
is(sql('SELECT note FROM t WHERE id = 20'), 'theirs', 'a column with a default takes a value that is there');
is(sql(q{SELECT array_agg("offset" ORDER BY "offset") FROM vektonn.dead_letters}),
	'{' . join(',', sort { $a <=> $b } keys %bad) . '}', 'the others are dead letters');
foreach my $offset (sort { $a <=> $b } keys %bad)
{
	my ($state, $error, $key, $value) = split /\|/, sql(qq{
		SELECT sqlstate, error, coalesce(encode(key, 'hex'), 'null'), coalesce(encode(value, 'hex'), 'null')
		FROM vektonn.dead_letters WHERE stream_name = 't' AND partition = 0 AND "offset" = $offset AND attempts = 1});
	my ($want_key, $want_value) = map { defined $_ ? unpack('H*', $_) : 'null' } @{ $bad{$offset} }[ 0, 1 ];
	is("$state $key $value", "$bad{$offset}[2] $want_key $want_value", "dead letter $offset");
	like($error, $bad{$offset}[3], 'its error');
}
ok($node->poll_query_until('postgres', q{SELECT state = 'running' AND dead_letters = 17 AND lag = 0 FROM vektonn.stream_status}), 'the stream goes on');

# an update leaves a column with a default alone when the message does not have it
put('{"id": 20}', '{"id": 20, "n": 5}');
$kafka->flush;
VkStream::caught_up($node, 't');
is(sql('SELECT n, name IS NULL, note FROM t WHERE id = 20'), '5|t|theirs', 'missing: null; with a default: kept');

# many bad rows among many good ones, found by bisection
foreach my $id (1000 .. 2999)
{
	put("{\"id\": $id}", "{\"id\": $id, \"n\": " . ($id % 100 == 7 ? -1 : 1) . '}');
}
$kafka->flush;
VkStream::caught_up($node, 't');
is(sql('SELECT count(*) FROM t WHERE id >= 1000'), '1980', 'the good ones of a batch');
is(sql(q{SELECT count(*) FROM vektonn.dead_letters WHERE sqlstate = '23514'}), '21', 'and only the bad ones set aside');

# what went before a bad message of the same key stays
put('{"id": 50}', '{"id": 50, "n": 1}');
put('{"id": 50}', '{"id": 50, "n": -1}');
$kafka->flush;
VkStream::caught_up($node, 't');
is(sql('SELECT n FROM t WHERE id = 50'), '1', 'a bad message does not take the one before it along');

# retry: those that can be applied now go away, unless a later message of their key was applied
put('{"id": 1007}', '{"id": 1007, "n": 77}');
$kafka->flush;
VkStream::caught_up($node, 't');
sql('ALTER TABLE t DROP CONSTRAINT t_n_check');
is(sql(q{BEGIN; SELECT vektonn.retry_dead_letters('t'); ROLLBACK}), '38', 'a retry that is rolled back');
is(sql(q{SELECT vektonn.retry_dead_letters('t')}), '38', 'a retry');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 16 FROM vektonn.dead_letters}), 'those that succeed go away');
is(sql('SELECT n FROM t WHERE id = 1107'), '-1', 'applied');
is(sql('SELECT n FROM t WHERE id = 1007'), '77', 'a superseded one does not undo what came later');
is(sql('SELECT DISTINCT attempts FROM vektonn.dead_letters'), '2', 'attempts are counted');
is(sql(q{SELECT vektonn.purge_dead_letters('t', partition => 0, "offset" => 0)}), '1', 'one is purged');
is(sql(q{SELECT vektonn.purge_dead_letters('t')}), '15', 'all are purged');
is(sql('SELECT count(*) FROM vektonn.dead_letters'), '0', 'none is left');

# an error that passes: the same batch again, nothing is lost, nothing is set aside
sql(q{
CREATE TABLE mood (bad bool); INSERT INTO mood VALUES (true);
CREATE FUNCTION moody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT bad FROM public.mood) THEN RAISE 'not now' USING ERRCODE = '40001'; END IF;
	RETURN new;
END $$;
CREATE TRIGGER moody BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION moody();
});
put('{"id": 60}', '{"id": 60}');
$kafka->flush;
ok(VkStream::wait_state($node, 't', 'retrying'), 'retrying');
ok($node->poll_query_until('postgres', q{SELECT last_error = 'not now' FROM vektonn.stream_status}), 'the reason is shown');
# what wakes the worker meanwhile does not make it forget the batch
sql('CREATE TABLE other (a int); DROP TABLE other');
my $tried = sql('SELECT last_error_at FROM vektonn.stream_status');
ok($node->poll_query_until('postgres', "SELECT last_error_at > '$tried' FROM vektonn.stream_status"), 'it is tried again');
sql('UPDATE mood SET bad = false');
VkStream::caught_up($node, 't', 'it carries on by itself');
is(sql('SELECT count(*) FROM t WHERE id = 60'), '1', 'and nothing is lost');
is(sql('SELECT count(*) FROM vektonn.dead_letters'), '0', 'or set aside');

# an error of the configuration: the stream waits for somebody, and no message becomes a dead letter
sql('DROP TRIGGER moody ON t; ALTER TABLE t RENAME n TO m');
put('{"id": 61}', '{"id": 61, "n": 61}');
$kafka->flush;
ok(VkStream::wait_state($node, 't', 'failed'), 'failed');
like(sql('SELECT last_error FROM vektonn.stream_status'), qr/column "n"/, 'the reason is shown');
sql('ALTER TABLE t RENAME m TO n');
is(VkStream::state_of($node, 't'), 'failed', 'it does not start by itself');
sql(q{SELECT vektonn.resume_stream('t')});
VkStream::caught_up($node, 't', 'resumed');
is(sql('SELECT n FROM t WHERE id = 61'), '61', 'nothing is lost');
is(sql('SELECT count(*) FROM vektonn.dead_letters'), '0', 'or set aside');

# a stream that stops at a bad message applies all before it
sql(q{SELECT vektonn.alter_stream('t', on_error => 'stop')});
put('{"id": 70}', '{"id": 70}');
put('{"id": 71}', 'bad');
put('{"id": 72}', '{"id": 72}');
$kafka->flush;
ok(VkStream::wait_state($node, 't', 'failed'), 'stopped');
like(sql('SELECT last_error FROM vektonn.stream_status'), qr/^stopped at partition 0 offset \d+: message is not JSON/, 'where and why');
is(sql('SELECT array_agg(id) FROM t WHERE id BETWEEN 70 AND 72'), '{70}', 'what comes before is applied, nothing after');
sql(q{SELECT vektonn.resume_stream('t')});
ok(VkStream::wait_state($node, 't', 'failed'), 'it stops there again');
sql(q{SELECT vektonn.alter_stream('t', on_error => 'dead_letter')});
VkStream::caught_up($node, 't', 'goes on when that is chosen');
is(sql('SELECT array_agg(id ORDER BY id) FROM t WHERE id BETWEEN 70 AND 72'), '{70,72}', 'the rest is applied');
is(sql('SELECT count(*) FROM vektonn.dead_letters'), '1', 'and the bad one set aside');

# several changes of a key in one batch: the last counts; a tombstone between
put('{"id": 80}', '{"id": 80, "n": 1}');
put('{"id": 80}', undef);
put('{"id": 80}', '{"id": 80, "n": 3}');
put('{"id": 81}', '{"id": 81, "n": 1}');
put('{"id": 81}', undef);
$kafka->flush;
VkStream::caught_up($node, 't');
is(sql('SELECT id, n FROM t WHERE id IN (80, 81)'), '80|3', 'the last message of a key counts');

VkStream::no_crash($node);
done_testing();
