# A build of an index that takes long, in the background, and what one that ends
# early must not leave behind.  Shared memory is counted as files in pg_dynshmem:
# the server needs dynamic_shared_memory_type = mmap and min_dynamic_shared_memory = 0.
package VkBuild;

use strict;
use warnings;

use Exporter 'import';
use File::Find;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;
use VkWait;

our @EXPORT = qw(segments other_segments temporary_files relation_files start_slow_build check_nothing_left);

sub segments
{
	my ($node) = @_;
	return grep { /^mmap\.\d/ } slurp_dir($node->data_dir . '/pg_dynshmem');
}

# How many there are beside those given: the server has some of its own, and may
# make more of them for its statistics, of 1 MB, 2 MB and so on.
sub other_segments
{
	my ($node, @given) = @_;
	my %given = map { $_ => 1 } @given;
	my @sizes = map { -s $node->data_dir . "/pg_dynshmem/$_" // 0 } grep { !$given{$_} } segments($node);

	return scalar(grep { $_ < 1024 * 1024 || ($_ & ($_ - 1)) != 0 } @sizes);
}

# Files of sorts, and of rows on their way from one process to another.
sub temporary_files
{
	my ($node) = @_;
	my $files = 0;

	find({ wanted => sub { $files++ if -f $_ }, no_chdir => 1 }, grep { -d } $node->data_dir . '/base/pgsql_tmp');
	return $files;
}

# Files of relations; those dropped go at a checkpoint.
sub relation_files
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CHECKPOINT');
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database WHERE datname = 'postgres')) f WHERE f ~ '^[0-9]+\$'");
}

# Starts building the index t_slow with settings on a table with columns, and
# returns when a row of pg_stat_progress_create_index meets the condition.  What
# psql says as it ends goes to $$err.
sub start_slow_build
{
	my ($node, $settings, $table, $condition, $err) = @_;
	my $handle = start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', $settings, '-c',
			"CREATE INDEX t_slow ON $table WITH (algorithm = hnsw, m = 100, ef_construction = 1000)" ],
		'>', '/dev/null', '2>', $err);
	until_true('the build is under way',
		sub { return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_progress_create_index WHERE $condition") > 0 });
	return $handle;
}

# Of that build nothing is left: there are as many files as before it, and no segments but those.
sub check_nothing_left
{
	my ($node, $name, $files, @segments) = @_;
	until_true("$name: no worker left",
		sub { return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'") == 0 });
	until_true("$name: no shared memory, no temporary file left",
		sub { return other_segments($node, @segments) == 0 && temporary_files($node) == 0 });
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 't_slow'"), 0, "$name: no index");
	is(relation_files($node), $files, "$name: no file");
	return;
}

1;
