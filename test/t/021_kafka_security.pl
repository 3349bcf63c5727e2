# Producing and peeking through every listener of a real broker: SASL with PLAIN
# and SCRAM, TLS, both; wrong credentials and wrong certificates are clear
# errors at once; no secret appears in an error or in the server log.
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
$node->append_conf('postgresql.conf', "log_min_messages = debug1\nlog_statement = none\nlog_min_error_statement = panic");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION vektonn');
my $ca = $kafka->address('ca');

sub server
{
	my ($name, $address, $options, $mapping) = @_;
	$node->safe_psql('postgres', sprintf(q{CREATE SERVER %s FOREIGN DATA WRAPPER vektonn_kafka
		OPTIONS (bootstrap_servers '%s'%s); %s},
		$name, $kafka->address($address), $options,
		$mapping ? "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS ($mapping);" : ''));
	return;
}

sub try_produce
{
	my ($server, $timeout) = @_;
	$timeout //= '120 s';
	my ($ret, $out, $err) = $node->psql('postgres',
		"SELECT vektonn.produce('$server', 't', '{k}', '{$server}', '$timeout') IS NOT NULL");
	return $ret == 0 ? $out : $err;
}

my $good = q{sasl_username 'vektonn', sasl_password 'vektonn-secret'};
my $bad = q{sasl_username 'vektonn', sasl_password 'a-wrong-secret'};
server('plain', 'plaintext', '');
server('sasl_plain', 'sasl', q{, security_protocol 'sasl_plaintext', sasl_mechanism 'PLAIN'}, $good);
server('sasl_scram', 'sasl', q{, security_protocol 'sasl_plaintext', sasl_mechanism 'SCRAM-SHA-512'}, $good);
server('tls', 'tls', qq{, security_protocol 'ssl', ssl_ca_location '$ca'});
server('tls_pem', 'tls', sprintf(q{, security_protocol 'ssl', ssl_ca_pem '%s'}, slurp_file($ca)));
server('sasl_tls', 'sasl_tls', qq{, security_protocol 'sasl_ssl', sasl_mechanism 'SCRAM-SHA-512', ssl_ca_location '$ca'}, $good);

is($node->safe_psql('postgres', q{SELECT vektonn.ensure_topic('sasl_tls', 't', 2), vektonn.ensure_topic('plain', 't', 2)}),
	't|f', 'a topic is created once');
is(try_produce($_), 't', "produce through $_") foreach qw(plain sasl_plain sasl_scram tls tls_pem sasl_tls);
is($node->safe_psql('postgres', q{SELECT string_agg(convert_from(value, 'UTF8'), ' ' ORDER BY "offset")
	FROM vektonn.peek('sasl_tls', 't')}), 'plain sasl_plain sasl_scram tls tls_pem sasl_tls', 'and peek through TLS');

# What goes wrong, at once and without a word of the secret.
server('wrong_plain', 'sasl', q{, security_protocol 'sasl_plaintext', sasl_mechanism 'PLAIN'}, $bad);
server('wrong_scram', 'sasl_tls', qq{, security_protocol 'sasl_ssl', sasl_mechanism 'SCRAM-SHA-512', ssl_ca_location '$ca'}, $bad);
server('no_user', 'sasl', q{, security_protocol 'sasl_plaintext', sasl_mechanism 'PLAIN'});
server('no_mechanism', 'sasl', q{, security_protocol 'sasl_plaintext'}, $good);
server('no_ca', 'tls', q{, security_protocol 'ssl'});
server('bad_pem', 'tls', q{, security_protocol 'ssl', ssl_ca_pem 'a-wrong-secret'});
foreach my $server (qw(wrong_plain wrong_scram))
{
	# What the timeout would say is another error.
	like(try_produce($server), qr/refused the credentials/, "$server is refused");
}
like(try_produce('no_user'), qr/no credentials for server "no_user".*user mapping/s, 'no credentials');
like(try_produce('no_mechanism'), qr/has no option "sasl_mechanism"/, 'no mechanism');
like(try_produce('no_ca', '10 s'), qr/did not answer in time.*certificate/si, 'an unknown certificate authority');
like(try_produce('bad_pem'), qr/could not create a client/, 'no certificate at all');
like((($node->psql('postgres', q{SELECT vektonn.produce('plain', 'missing', '{k}', '{v}')}))[2]),
	qr/topic "missing" does not exist/, 'a missing topic is said at once');
unlike(slurp_file($node->logfile), qr/secret/, 'no secret in the server log');

$node->stop;
done_testing();
