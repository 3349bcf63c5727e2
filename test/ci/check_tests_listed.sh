#!/usr/bin/env bash
# Every test has what it is compared with, and nothing lies about that no test uses.
set -euo pipefail
cd "$(dirname "$0")/../.."
shopt -s nullglob
status=0
complain() { echo "$*"; status=1; }

for file in test/sql/*.sql test/specs/*.spec; do
	name=$(basename "${file%.*}")
	[ -f "expected/$name.out" ] || complain "$file: there is no expected/$name.out"
done
for file in expected/*.out; do
	# X_1.out is another accepted result of X.
	name=$(basename "$file" .out)
	[ -f "test/sql/$name.sql" ] || [ -f "test/specs/$name.spec" ] ||
		[ -f "test/sql/${name%_[0-9]}.sql" ] || [ -f "test/specs/${name%_[0-9]}.spec" ] ||
		complain "$file: no test has this result"
	! grep -nE '^server closed the connection|^connection to server was lost' "$file" ||
		complain "$file: a crash is not an expected result"
done
# Both kinds write their results side by side.
for file in test/specs/*.spec; do
	case $(basename "$file") in iso_*) ;; *) complain "$file: the name of an isolation test starts with iso_" ;; esac
done
for file in test/t/*; do
	case $(basename "$file") in
	[0-9][0-9][0-9]_*.pl) grep -q 'done_testing\|tests *=>' "$file" || complain "$file: no done_testing()" ;;
	*) complain "$file: a TAP test is called NNN_name.pl" ;;
	esac
done
for file in test/unit/*.c; do
	case $(basename "$file") in
	*_test.c) ;;
	*) grep -qrE "${file%.c}\.[co]" test/unit test/arm64.sh Makefile || complain "$file: neither a *_test.c nor linked by one" ;;
	esac
done
exit $status
