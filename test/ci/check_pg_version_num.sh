#!/usr/bin/env bash
# One file knows versions of PostgreSQL: src/compat/pgcompat.h.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0
# Versions, and names that only some versions have, for which there is a shim.
for pattern in 'PG_VERSION_NUM|PG_MAJORVERSION' '\b(pg_attribute_noreturn|vacuum_delay_point|ReadBuffer\([^)]*P_NEW)\b'; do
	if grep -rnE "$pattern" src kafka_bgworker test --include='*.[ch]' --include='*.def' |
		grep -v '^src/compat/pgcompat\.h:'; then
		echo "only src/compat/pgcompat.h may say this; use its shim"
		status=1
	fi
done
exit $status
