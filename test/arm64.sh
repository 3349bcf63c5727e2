#!/usr/bin/env bash
# 'make test-arm64': the unit tests of the kernels, NEON among them, and of the graph,
# cross-compiled for arm64 and run under qemu.  Needs gcc-aarch64-linux-gnu,
# libc6-dev-arm64-cross and qemu-user.  The kernels take types and constants
# from PostgreSQL's headers, which are the same on both architectures, and
# of its libraries only what test/unit/palloc.c has.
source "$(dirname "$0")/lib/common.sh"
cc=aarch64-linux-gnu-gcc
for program in $cc qemu-aarch64; do
	command -v $program >/dev/null ||
		die "no $program: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
done
cd "$SRC_DIR"
out=build/arm64
mkdir -p "$out"
passed=0 failed=0
for test in kernel_dense kernel_sparse kernel_int8 metric graph; do
	links=$(sed -n 's/.*LINKS: *//p' "test/unit/${test}_test.c" | sed 's/\.o\b/.c/g')
	if $cc -static -std=gnu11 -O3 -ffp-contract=off -fno-fast-math -fno-math-errno -D_GNU_SOURCE \
		-Dpg_fprintf=fprintf -Dpg_printf=printf -Dpg_qsort=qsort -Isrc -Itest/unit -isystem "$($PG_CONFIG --includedir-server)" \
		-o "$out/${test}_test" "test/unit/${test}_test.c" $links \
		test/unit/stubs.c test/unit/palloc.c -lm &&
		qemu-aarch64 "$out/${test}_test"; then
		passed=$((passed + 1)); else failed=$((failed + 1)); echo "${test}_test failed on arm64"; fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
