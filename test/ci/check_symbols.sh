#!/usr/bin/env bash
# vektonn.so links neither librdkafka nor OpenBLAS: both start threads, and the
# postmaster and every backend load it.  No symbol of theirs is used either.
set -euo pipefail
cd "$(dirname "$0")/../.."
make -s PG_CONFIG="${PG_CONFIG:-pg_config}" all >/dev/null
status=0
complain() { echo "$*"; status=1; }

for needed in $(objdump -p vektonn.so | awk '$1 == "NEEDED" { print $2 }'); do
	case $needed in
	libm.so* | libc.so* | libgcc_s.so* | ld-linux*) ;;
	*) complain "vektonn.so links $needed" ;;
	esac
done
! nm -D --undefined-only vektonn.so | grep -E ' (rd_kafka_|cblas_|openblas_|[sd]gemm_|pthread_create)' ||
	complain "vektonn.so uses these symbols"
# The modules share one name space once they are loaded.
for module in kafka_bgworker/vektonn_*.so src/*/vektonn_*.so; do
	[ -f $module ] || continue
	shared=$(comm -12 <(nm -D --defined-only vektonn.so | awk '{ print $3 }' | sort) \
		<(nm -D --defined-only $module | awk '{ print $3 }' | sort) | grep -vE '^(Pg_magic_func|_PG_init|_PG_fini)$' || true)
	[ -z "$shared" ] || complain "vektonn.so and $module both define:" $shared
done
exit $status
