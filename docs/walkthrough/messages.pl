#!/usr/bin/env perl
# Data points for docs/walkthrough.md: the messages of PostgreSQL's client
# programs in the languages they were translated to, as TF-IDF vectors.
#
#   messages.pl points sparse [LANGUAGE ...]    a JSON array of data points per line
#   messages.pl points dense  [LANGUAGE ...]
#   messages.pl query  sparse 'some words'      a query vector, as SQL reads it
#   messages.pl query  dense  'some words'
#
# A word is a dimension by its hash, one of 20000; its weight in a message is
# how often it is there times how rare it is in all of them.  The dense form is
# a random projection of that to 64 dimensions.  Needs nothing but Perl.
use strict;
use warnings;
use utf8;

my ($DIMENSION, $DENSE, $PER_LINE) = (20000, 64, 200);
my @PROGRAMS = qw(psql pg_dump initdb pg_ctl pgscripts pg_basebackup pg_rewind pg_upgrade);

# FNV-1a of a word's bytes.
sub hash_of
{
	my ($word) = @_;
	my $hash = 2166136261;
	utf8::encode($word);
	$hash = (($hash ^ ord) * 16777619) & 0xffffffff foreach split //, $word;
	return $hash;
}

# The translated messages of a .mo file: its header says where both tables lie.
sub messages_of
{
	my ($file) = @_;
	open(my $handle, '<:raw', $file) or return ();
	local $/;
	my $data = <$handle>;
	my (undef, undef, $count, undef, $table) = unpack('V5', $data);
	my @messages;
	foreach my $i (1 .. $count - 1)    # the first is the file's own header
	{
		my ($length, $offset) = unpack('VV', substr($data, $table + 8 * $i, 8));
		my $text = substr($data, $offset, $length);
		utf8::decode($text) or next;
		push @messages, (split /\0/, $text)[0];
	}
	return @messages;
}

sub documents
{
	my $root = $ENV{LOCALE_DIR} // '/usr/share/locale';
	my @documents;
	foreach my $language (qw(de es fr ja ru sv))
	{
		foreach my $program (@PROGRAMS)
		{
			my ($file) = sort glob("$root/$language/LC_MESSAGES/$program-*.mo");
			next unless $file;
			push @documents, { lang => $language, program => $program, text => $_ }
			  foreach grep { length > 20 } messages_of($file);
		}
	}
	die "no translations of PostgreSQL below $root: install a postgresql-client package\n" unless @documents;
	return @documents;
}

# Words; of scripts that write no spaces between them, pairs of characters.
sub words_of
{
	my ($text) = @_;
	return map { /^[\p{Latin}\p{Cyrillic}\d_]/ ? $_ : /(?=(..))/g } lc($text) =~ /(\w+)/g;
}

sub counts_of { my %count; $count{ hash_of($_) % $DIMENSION }++ foreach words_of($_[0]); return \%count; }

# In how many documents each dimension is.
sub rarities
{
	my @counts = @_;
	my %in;
	foreach my $count (@counts) { $in{$_}++ foreach keys %$count; }
	return { map { $_ => log(1 + @counts / $in{$_}) } keys %in };
}

sub weights
{
	my ($count, $rarity) = @_;
	my %weight = map { $_ => $count->{$_} * ($rarity->{$_} // 0) } keys %$count;
	my $norm = 0;
	$norm += $_**2 foreach values %weight;
	$norm = sqrt($norm) || 1;
	return { map { $_ => $weight{$_} / $norm } grep { $weight{$_} } keys %weight };
}

sub projected
{
	my ($weight) = @_;
	my @dense = (0) x $DENSE;
	foreach my $dimension (keys %$weight)
	{
		my $state = hash_of("d$dimension");
		foreach my $i (0 .. $DENSE - 1)
		{
			$state = ($state * 1664525 + 1013904223) & 0xffffffff;
			$dense[$i] += $state & 0x80000000 ? $weight->{$dimension} : -$weight->{$dimension};
		}
	}
	return join ',', map { sprintf '%.5g', $_ } @dense;
}

sub json_string
{
	my ($text) = @_;
	$text =~ s/([\\"])/\\$1/g;
	$text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
	return "\"$text\"";
}

sub vector_json
{
	my ($kind, $weight) = @_;
	return '[' . projected($weight) . ']' if $kind eq 'dense';
	my @at = sort { $a <=> $b } keys %$weight;
	return sprintf '{"indices": [%s], "values": [%s]}', join(',', @at), join(',', map { sprintf '%.5g', $weight->{$_} } @at);
}

sub vector_sql
{
	my ($kind, $weight) = @_;
	return '[' . projected($weight) . ']' if $kind eq 'dense';
	return sprintf '{%s}/%d', join(',', map { sprintf '%d:%.5g', $_ + 1, $weight->{$_} } sort { $a <=> $b } keys %$weight), $DIMENSION;
}

binmode STDOUT, ':encoding(UTF-8)';
my ($what, $kind, @rest) = @ARGV;
die "usage: messages.pl points|query sparse|dense [LANGUAGE ...|WORDS]\n"
  unless ($what // '') =~ /^(points|query)$/ && ($kind // '') =~ /^(sparse|dense)$/;
my @documents = documents();
my %wanted = map { $_ => 1 } $what eq 'points' && @rest ? @rest : map { $_->{lang} } @documents;
my @counts = map { counts_of($_->{text}) } @documents;
my $rarity = rarities(@counts);

if ($what eq 'query')
{
	my $words = join ' ', @rest;
	utf8::decode($words);
	print vector_sql($kind, weights(counts_of($words), $rarity)), "\n";
	exit;
}

my @line;
foreach my $i (0 .. $#documents)
{
	my $weight = weights($counts[$i], $rarity);
	my $document = $documents[$i];
	next unless %$weight && $wanted{ $document->{lang} };
	push @line, sprintf '{"attributes": {"id": %d, "lang": "%s", "program": "%s", "text": %s}, "vector": %s}',
	  $i, $document->{lang}, $document->{program}, json_string($document->{text}), vector_json($kind, $weight);
	print_points() if @line == $PER_LINE;
}
print_points() if @line;

sub print_points
{
	print '[', join(', ', splice @line), "]\n";
	return;
}
