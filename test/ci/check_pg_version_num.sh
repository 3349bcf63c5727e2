#!/usr/bin/env bash
# One file knows versions of PostgreSQL: src/compat/pgcompat.h.
set -euo pipefail
cd "$(dirname "$0")/../.."
! grep -rnE 'PG_VERSION_NUM|PG_MAJORVERSION' src kafka_bgworker test --include='*.[ch]' --include='*.def' |
	grep -v '^src/compat/pgcompat\.h:'
