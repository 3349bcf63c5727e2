# Writes SQL for several types, operators and so on from one text:
#
#	--@ for TYPE, WORDS
#	--@   vector, of real
#	--@   halfvec, of half-precision numbers
#	--@ do
#	COMMENT ON TYPE @extschema@.{TYPE} IS 'a dense vector {WORDS}';
#	--@ done
#
# repeats what stands between do and done for each line of values.  Loops may
# be nested.  The last value of a line may hold commas.

function fail(text) {
	print FILENAME ": " text >"/dev/stderr"
	failed = 1
	exit 1
}

# Splits at commas into at most most parts; trims them.
function parts_of(text, parts, most,    n, at) {
	for (n = 1; n < most && (at = index(text, ",")) > 0; n++) {
		parts[n] = trim(substr(text, 1, at - 1))
		text = substr(text, at + 1)
	}
	parts[n] = trim(text)
	return n
}

function trim(text) {
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	return text
}

function with_value(line, name, value,    at, done) {
	name = "{" name "}"
	done = ""
	while ((at = index(line, name)) > 0) {
		done = done substr(line, 1, at - 1) value
		line = substr(line, at + length(name))
	}
	return done line
}

# Writes the lines first..last with the names replaced that loops around them bind.
function expand(first, last, bound, names, values,    i, j, row, end, n, m, b, parts, heads) {
	for (i = first; i <= last; i++) {
		if (text[i] !~ /^--@ for /) {
			row = text[i]
			for (j = bound; j >= 1; j--)
				row = with_value(row, names[j], values[j])
			print row
			continue
		}
		n = parts_of(substr(text[i], 9), heads, 99)
		for (j = 1; j <= n; j++)
			names[bound + j] = heads[j]
		for (b = i + 1; b <= last && text[b] !~ /^--@ do$/; b++)
			if (text[b] !~ /^--@   /)
				fail("no value line: " text[b])
		end = closing(b, last)
		for (row = i + 1; row < b; row++) {
			m = parts_of(substr(text[row], 7), parts, n)
			if (m != n)
				fail("not " n " values: " text[row])
			for (j = 1; j <= n; j++)
				values[bound + j] = parts[j]
			expand(b + 1, end - 1, bound + n, names, values)
		}
		i = end
	}
}

function closing(first, last,    i, depth) {
	for (i = first; i <= last; i++) {
		depth += text[i] ~ /^--@ do$/
		depth -= text[i] ~ /^--@ done$/
		if (depth == 0)
			return i
	}
	fail("a loop is not closed")
}

{ text[NR] = $0 }
END { if (!failed) expand(1, NR, 0, names, values) }
