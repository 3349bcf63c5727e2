#!/usr/bin/env bash
# Small rules about files: nothing unfinished, nothing huge, nothing unreadable.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0
complain() { echo "$*"; status=1; }
files() { find . -path ./.git -prune -o -path ./build -prune -o -type f \( "$@" \) -print | sed 's,^\./,,' | sort; }

mapfile -t sources < <(files -name '*.[ch]' -o -name '*.sql' -o -name '*.sh' -o -name '*.pl' -o -name '*.pm' \
	-o -name '*.spec' -o -name '*.py' -o -name '*.md' -o -name Makefile -o -name '*.mk' | grep -v '^test/ci/\|^sql/vektonn--')

! grep -nE '\b(TODO|FIXME)\b' "${sources[@]}" || complain "finish it, or say as XXX what the limit is and what follows from it"
! grep -nE '^(<<<<<<<|>>>>>>>) ' "${sources[@]}" || complain "a merge conflict was committed"
! grep -nP '[ \t]+$' $(files -name '*.[ch]' -o -name '*.sh' -o -name '*.mk' -o -name Makefile) || complain "blanks at the end of a line"

for file in README.md CHANGELOG.md LICENSE vektonn.control test/ci/README.md; do
	[ -s $file ] || complain "$file is missing"
done
version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" vektonn.control)
grep -qF "$version" CHANGELOG.md || complain "CHANGELOG.md says nothing about $version"
# The version is written once: what else names it drifts.
! grep -nE "['\"]${version//./\\.}['\"]" $(files -name '*.[ch]' -o -name '*.sql' | grep -v '^sql/') Makefile vektonn.mk ||
	complain "the version is written in vektonn.control alone"

# Every subsystem says what it is for.
for folder in $(files -path './src/*/*.c' | cut -d/ -f1,2 | sort -u | grep -v '^src/util$') kafka_bgworker; do
	[ -f "$folder/README.md" ] || complain "$folder has no README.md"
done
# Links between pages lead somewhere.
while IFS=: read -r page link; do
	target=$(dirname "$page")/${link%%#*}
	[[ $link =~ ^(https?:|#) ]] || [ -e "$target" ] || complain "$page: nothing is at $link"
done < <(grep -oE '\]\([^) ]+\)' /dev/null $(files -name '*.md') | sed 's/](\(.*\))$/\1/')
for gate in test/ci/*.sh; do
	grep -q "$(basename "$gate")" test/ci/README.md || complain "test/ci/README.md does not explain $gate"
	[ -x "$gate" ] || complain "$gate is not executable"
done
while read -r lines file; do
	[ "$file" = total ] || [ "$lines" -le 1200 ] || complain "$file has $lines lines: split it by topic"
done < <(files -name '*.[ch]' | xargs wc -l)
exit $status
