# Exact is exact: random types, metrics, splits and dimensions; inserts,
# updates, deletes, rollbacks, VACUUM, concurrent sessions, kill -9 with
# recovery, a streaming standby.  After each step answers are compared with a
# sequential scan in the same snapshot, and check_index proves the invariants.
#
# VK_SEED sets the random seed (default: the fixed one), VK_CASES the number of
# indexes tried, VK_TYPES a pattern the type must match.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use VkCrash;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = $ENV{VK_SEED} // 20261120;
my $cases = $ENV{VK_CASES} // 5;
my $only = $ENV{VK_TYPES} // '.';
srand($seed);
diag("seed $seed, $cases cases");

sub pick { return $_[ int(rand(@_)) ]; }

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<CONF);
autovacuum = off
fsync = off
shared_buffers = 32MB
checkpoint_timeout = 1h
wal_keep_size = 4GB
wal_consistency_checking = 'generic'
vektonn.sparse_log_limit = 8kB
CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION vektonn');
$primary->safe_psql('postgres', slurp_file("$ENV{VK_SRC_DIR}/test/lib/am_property.sql"));
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my %op = (l2 => '<->', ip => '<#>', cosine => '<=>', l1 => '<+>', jaccard => '<%>');
my @types = $primary->safe_psql('postgres',
	q{SELECT DISTINCT format_type(opcintype, NULL) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	WHERE amname = 'vektonn' AND opcname LIKE '%vec%l2_ops' ORDER BY 1}) =~ /(\S+)/g;
@types = grep { /$only/ } @types;

# Runs statements with a seed of their own, so that a run can be repeated.
sub run_sql
{
	my ($sql) = @_;
	return $primary->safe_psql('postgres', sprintf('SELECT setseed(%.6f);', rand()) . $sql);
}

sub same
{
	my ($node, $case, $what) = @_;
	my $sql = sprintf("SELECT setseed(%.6f); SELECT am_compare_some('%s', '%s', %d, '%s', 6);",
		rand(), $case->{table}, $case->{op}, $case->{dim}, $case->{type});
	my $result = $node->safe_psql('postgres', $sql);
	$result =~ s/^\s+//;
	is($result, '', "$case->{name}: same answers $what");
	return;
}

sub insert_sql
{
	my ($case, $n) = @_;
	my $sparse = $case->{type} eq 'sparsevec' ? 'true' : 'false';
	return "INSERT INTO $case->{table} (a, b, v) SELECT "
	  . "CASE WHEN random() < 0.1 THEN NULL ELSE (random() * 4)::int END, "
	  . "(ARRAY['x', 'y', 'z'])[1 + (random() * 2)::int], "
	  . "am_vector($case->{dim}, $sparse)::$case->{type} FROM generate_series(1, $n);";
}

sub new_case
{
	my ($number) = @_;
	my $type = pick(@types);
	my %case = (table => "t$number", type => $type,
		metric => pick(grep { $_ ne 'jaccard' || $type eq 'sparsevec' } sort keys %op),
		dim => pick(1, 3, 17, 40, 80, 80, 300, 900, 2500));
	my $splits = pick('', ', a', ', a, b');
	$case{op} = $op{ $case{metric} };
	$case{big} = $case{dim} > 500 ? 30 : $case{dim} == 80 ? 800 : 300;
	$case{name} = "$case{type}($case{dim}) $case{metric}$splits";
	run_sql("CREATE TABLE $case{table} (id serial PRIMARY KEY, a int, b text, v $case{type}($case{dim}));");
	my $create = "CREATE INDEX i$number ON $case{table} USING vektonn (v $case{type}_$case{metric}_ops$splits);";
	my $rows = insert_sql(\%case, $case{big} * pick(0, 1, 3));
	run_sql(pick(0, 1) ? "$rows $create" : "$create $rows");
	return \%case;
}

# A session that writes in small transactions until the server dies.
sub start_writer
{
	my ($case) = @_;
	my $n = int($case->{big} / 20) + 1;
	my $script = sprintf('SELECT setseed(%.6f);', rand()) . ("BEGIN;" . insert_sql($case, $n)
		  . "UPDATE $case->{table} SET a = (random() * 4)::int WHERE random() < 0.02; COMMIT;"
		  . "DELETE FROM $case->{table} WHERE random() < 0.02; VACUUM $case->{table};") x 50;
	my ($out, $err) = ('', '');
	# from a file: what is piped waits until finish() pumps it, into a session that is gone by then
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script';
	PostgreSQL::Test::Utils::append_to_file($file, $script);
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $primary->connstr('postgres'), '-f', $file ],
		'<', '/dev/null', '>', \$out, '2>', \$err);
}

# What may happen to an index.
my %steps = (
	insert => sub {
		my ($case) = @_;
		run_sql(insert_sql($case, int(rand($case->{big}))));
	},
	update => sub {
		my ($case) = @_;
		run_sql("UPDATE $case->{table} SET v = (SELECT v FROM $case->{table} ORDER BY random() LIMIT 1), "
			  . "a = (random() * 4)::int WHERE random() < 0.1;");
	},
	delete => sub {
		my ($case) = @_;
		run_sql("DELETE FROM $case->{table} WHERE " . pick('random() < 0.3', 'a = 2', 'true', "b = 'x'") . ';');
	},
	rollback => sub {
		my ($case) = @_;
		run_sql('BEGIN;' . insert_sql($case, int(rand($case->{big}))) . 'ROLLBACK;');
	},
	vacuum => sub {
		my ($case) = @_;
		run_sql("VACUUM $case->{table};");
	},
	reindex => sub {
		my ($case) = @_;
		my $number = substr($case->{table}, 1);
		run_sql("REINDEX INDEX " . pick('', 'CONCURRENTLY ') . "i$number;");
	},
	crash => sub {
		my ($case) = @_;
		my @writers = map { start_writer($case) } 1 .. pick(0, 1, 2);
		usleep(int(rand(600_000))) if @writers;
		kill_server($primary);
		$_->finish for @writers;
		$primary->start;
	},
	concurrent => \&concurrent);

# Two writers, a vacuumer and a reader at once.
sub concurrent
{
	my ($case) = @_;
	my (@handles, @errors);
	my $n = int($case->{big} / 6) + 1;
	my $writer = join('', map { insert_sql($case, $n)
		  . "DELETE FROM $case->{table} WHERE id % 7 = $_;"
		  . "UPDATE $case->{table} SET v = v, a = a WHERE id % 11 = $_;" } 0 .. 3);
	my $reader = "BEGIN ISOLATION LEVEL REPEATABLE READ;"
	  . "SELECT am_compare_some('$case->{table}', '$case->{op}', $case->{dim}, '$case->{type}', 3); COMMIT;";
	my $vacuum = "VACUUM $case->{table};";
	for my $script ($writer, $writer, $vacuum x 8, $reader x 6)
	{
		my ($out, $err) = ('', '');
		# from a file: what is piped waits until finish() pumps it, one after the other
		my $file = PostgreSQL::Test::Utils::tempdir() . '/script';
		PostgreSQL::Test::Utils::append_to_file($file, sprintf('SELECT setseed(%.6f);', rand()) . $script);
		push @errors, [ \$out, \$err ];
		push @handles, IPC::Run::start(
			[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $primary->connstr('postgres'), '-f', $file ],
			'<', '/dev/null', '>', \$out, '2>', \$err);
	}
	$_->finish for @handles;
	for my $output (@errors)
	{
		my ($out, $err) = (${ $output->[0] }, ${ $output->[1] });
		# concurrent updates of one row may deadlock or wait, never fail otherwise
		$err = '' if $err =~ /deadlock detected/;
		$out =~ s/^\s+//;
		is("$out$err", '', "$case->{name}: no fault of a concurrent session");
	}
	return;
}

for my $number (1 .. $cases)
{
	my $case = new_case($number);
	same($primary, $case, 'after creation');
	for my $round (1 .. 8)
	{
		my $name = pick(sort keys %steps);
		$steps{$name}->($case);
		same($primary, $case, "after $name");
		my $checked = $primary->safe_psql('postgres', "SELECT vektonn.check_index('i$number') >= "
			  . "(SELECT count(*) FROM $case->{table})");
		is($checked, 't', "$case->{name}: check_index after $name");
	}
	$primary->wait_for_catchup($standby);
	same($standby, $case, 'on the standby');
}

# What the standby got by WAL is what the primary has, and it can take over.
$standby->promote;
is($standby->safe_psql('postgres', "SELECT vektonn.check_index('i1') >= (SELECT count(*) FROM t1)"),
	't', 'check_index on the promoted standby');

done_testing();
