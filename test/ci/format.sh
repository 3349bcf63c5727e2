#!/usr/bin/env bash
# C files in PostgreSQL's own layout, by PostgreSQL's own tool and options.
#   format.sh [file ...]           rewrites the files (all C files without arguments)
#   format.sh --check [file ...]   shows what it would change; fails when that is anything
set -euo pipefail
cd "$(dirname "$0")/../.."

check=no
if [ "${1:-}" = --check ]; then check=yes; shift; fi
if [ $# -eq 0 ]; then
	# bench/kernels.c makes its functions by macros, which the tool cannot parse.
	mapfile -t files < <(find src kafka_bgworker test bench -name '*.[ch]' ! -path bench/kernels.c | sort)
	set -- "${files[@]}"
fi
command -v pg_bsd_indent >/dev/null || { echo "pg_bsd_indent is missing: install pg-bsd-indent" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tool must be told which names are types: ours and PostgreSQL's are found
# by their definitions; some words are rather known as names of variables.
typedefs_of() { # folder ...
	find "$@" -name '*.[ch]' -exec cat {} + | sed -nE '
		s/^\}[[:space:]]*(pg_attribute[a-z_]*(\([^)]*\))?[[:space:]]*)?([A-Za-z_][A-Za-z_0-9]*);.*/\3/p
		s/^typedef[[:space:]].*\(\*?[[:space:]]*([A-Za-z_][A-Za-z_0-9]*)\)[[:space:]]*\(.*/\1/p
		s/^typedef[[:space:]].*[[:space:]]([A-Za-z_][A-Za-z_0-9]*)[[:space:]]+__attribute__.*/\1/p
		s/^typedef[[:space:]][^()]*[[:space:]*]([A-Za-z_][A-Za-z_0-9]*)(\[.*\])?;.*/\1/p'
}
{
	typedefs_of src kafka_bgworker test $(ls -d bench 2>/dev/null)
	typedefs_of "$("${PG_CONFIG:-pg_config}" --includedir-server)"
	printf "%s\n" PGconn PGresult
	[ ! -d /usr/include/librdkafka ] || typedefs_of /usr/include/librdkafka
	printf '%s\n' bool FILE va_list size_t ssize_t off_t pid_t time_t pthread_t intptr_t uintptr_t \
		{u,}int{8,16,32,64}_t socklen_t sigset_t sig_atomic_t sigjmp_buf jmp_buf \
		__m{128,256,512}{,i,d} __mmask{8,16,32,64}
} | sort -u | grep -vxE 'date|digit|interval|iterator|other|pointer|reference|string|timestamp|type|wrap|list|value|index|text|word|key|node|point' \
	>"$work/typedefs"

# The options are those of PostgreSQL's pgindent, and so is what the tool needs
# to be kept from (comments fenced with dashes, hexadecimal floats) and put right after it (a space
# before the star of a return type).
indent_file() { # in out
	sed -E 's,/\* +---,/*---X_X,; s/\b0x1p([0-9]+f?)/X_HEX_P\1/g; s/\b0x1p-([0-9]+f?)/X_HEX_M\1/g' "$1" >"$work/indent.c"
	pg_bsd_indent "$work/indent.c" "$2" -U"$work/typedefs" \
		-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l79 -lp -lpl -nip -npro -sac -tpg -ts4
	sed -Ei 's/X_HEX_P/0x1p/g; s/X_HEX_M/0x1p-/g; s,/\*---X_X,/* ---,; s,\*/(/\*.*\*/)$,*/\t\1,; s,^([A-Za-z_][^[:space:]]*)[[:space:]]+\*$,\1 *,' "$2"
}

status=0
for file; do
	if ! indent_file "$file" "$work/out.c" >"$work/log" 2>&1 || [ -s "$work/log" ]; then
		echo "$file: pg_bsd_indent stops:"
		cat "$work/log"
		status=1
	elif cmp -s "$file" "$work/out.c"; then
		:
	elif [ $check = yes ]; then
		diff -u --label "$file" --label "$file (formatted)" "$file" "$work/out.c" || status=1
	else
		cat "$work/out.c" >"$file"
		echo "formatted $file"
	fi
done
exit $status
