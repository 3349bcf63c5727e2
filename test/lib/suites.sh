# The suites of test/run.sh.  Each function suite_X [name ...] runs its tests,
# shows what failed, and leaves one or more lines in the tally.  Source after
# common.sh and cluster.sh.

names() { # folder suffix
	[ ! -d "$SRC_DIR/$1" ] || find "$SRC_DIR/$1" -maxdepth 1 -name "*.$2" -printf '%f\n' | sed "s/\.$2\$//" | sort
}

# All regression tests need the extension; 'extension' creates it.
regress_tests() { echo extension; names test/sql sql | sed "/^extension\$/d"; }
driver_tests() { names test/drivers '*' | grep -v '^README' || true; }

# A suite is part of 'all' as soon as its folder holds a test.
suite_has_tests() {
	case $1 in
	gates | build | regress | demo | bench) true ;;
	kernels) grep -q '"vektonn.kernel"' "$SRC_DIR/src/guc.c" && [ -n "$(other_kernels)" ] ;;
	unit) names test/unit c | grep -q '_test$' ;;
	isolation) [ -n "$(names test/specs spec)" ] ;;
	tap) [ -n "$(names test/t pl)" ] ;;
	drivers) [ -n "$(driver_tests)" ] ;;
	fuzz) [ -n "$(names test/fuzz c)" ] ;;
	esac
}

# Runs one program that either speaks TAP or only has an exit code.  Its output
# goes to the log, and to the screen when it failed.
run_counted() { # suite name log command...
	local suite=$1 name=$2 log=$3 started=$SECONDS status=0 passed failed skipped plan
	shift 3
	"$@" >"$log" 2>&1 </dev/null || status=$?
	passed=$(grep -cE '^ok\b' "$log" || true)
	failed=$(grep -cE '^not ok\b' "$log" || true)
	skipped=$(grep -ciE '^(ok\b.*# *skip|1\.\.0 *# *skip)' "$log" || true)
	plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$log" | head -1)
	if [ -z "$plan" ] && [ $((passed + failed)) -eq 0 ]; then
		[ $status -eq 0 ] && passed=1 || failed=1
	else
		[ "${plan:-x}" = $((passed + failed)) ] && [ $status -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
		if [ "${plan:-x}" != 0 ]; then passed=$((passed - skipped)); fi
	fi
	tally "$suite" "$passed" "$failed" "$skipped"
	printf '%-40s %s (%d s)\n' "$name" \
		"$([ "$failed" -eq 0 ] && echo "$passed ok" || echo "$failed FAILED, exit code $status")" $((SECONDS - started))
	[ "$skipped" -eq 0 ] || grep -iE '# *skip' "$log" | sed "s/^/SKIPPED: $name: /"
	[ "$failed" -eq 0 ] || {
		grep -vE '^ok\b' "$log" | tail -n 80; echo "log: $log"
		failure "$suite $name: exit code $status, $passed ok, $failed failed" "$log"
	}
}

suite_gates() {
	local gate
	for gate in ${*:-$(names test/ci sh | grep '^check_')}; do
		run_counted gates "$gate" "$LOG_DIR/$gate.log" "$SRC_DIR/test/ci/$gate.sh"
	done
}

# The tree is built in copies: objects of the developer's build stay.
suite_build() {
	local compiler
	for compiler in ${*:-$(make_var CC) $(make_var CLANG)}; do
		run_counted build "$(basename "$compiler")" "$LOG_DIR/build-$(basename "$compiler").log" \
			build_copy "$RUN_DIR/build-$(basename "$compiler")" "CC=$compiler" COPT=-Werror
	done
	run_counted build without-modules "$LOG_DIR/build-without.log" build_without
}

# Without the companion modules vektonn.so is all there is, and the script names no other.
build_without() {
	build_copy "$RUN_DIR/build-without" COPT=-Werror WITHOUT_KAFKA=1 WITHOUT_BLAS=1 WITHOUT_YAML=1 || return
	find "$RUN_DIR/build-without" -name 'vektonn_*.so' | grep . && return 1
	! grep -n 'libdir/vektonn_' "$RUN_DIR"/build-without/sql/vektonn--*.sql
}

suite_unit() {
	local test
	for test in ${*:-$(names test/unit c | grep '_test$')}; do
		run_counted unit "$test" "$LOG_DIR/$test.log" run_unit "$test"
	done
}
run_unit() { build "build/unit/$1" && "$SRC_DIR/build/unit/$1"; }

# Counts the lines of pg_regress: "test x ... ok" (15) or TAP (16 and later).
count_regress() { # suite output
	local passed failed
	passed=$(grep -cE '^(ok [0-9]+ |(test| +) .* \.\.\. ok )' "$2" || true)
	failed=$(grep -cE '^(not ok [0-9]+ |(test| +) .* \.\.\. (FAILED|failed))' "$2" || true)
	[ "$((passed + failed))" -gt 0 ] || failed=1
	tally "$1" "$passed" "$failed"
}

pg_regress() { # suite program-relative-to-pgxs options... tests...
	local suite=$1 program=$2 out=$SUITE_DIR/out_$1 status=0
	shift 2
	rm -rf "$out"
	as_pg mkdir -p "$out"
	as_pg ln -s ../expected "$out/expected"
	(cd "$SUITE_DIR" && as_pg "$PGXS_DIR/$program" --inputdir=test --outputdir="$out" \
		--bindir="$PRIV_BIN" --dbname="contrib_$suite" "$@" 2>&1) | tee "$LOG_DIR/$suite.log" || status=$?
	count_regress "${suite%%_*}" "$LOG_DIR/$suite.log"
	if [ -s "$out/regression.diffs" ]; then
		failure "$suite: $(grep -E '^not ok|\.\.\. (FAILED|failed)' "$LOG_DIR/$suite.log" | tr -s ' \n' ' ')" /dev/null
		head -n 400 "$out/regression.diffs"
		echo "whole diff: $out/regression.diffs"
	elif [ $status -ne 0 ]; then
		# The server did not start, or was gone.
		tail -n 40 "$out"/log/*.log 2>/dev/null || true
		grep -qE '^(not ok|.*\.\.\. (FAILED|failed))' "$LOG_DIR/$suite.log" || tally "${suite%%_*}" 0 1
	fi
}

# A cluster of its own for one suite, with settings added to those of the tests.
temp_instance() { # suite [line ...]
	local conf=$SUITE_DIR/$1.conf
	{ cat "$SRC_DIR/test/lib/regress.conf"; printf '%s\n' "${@:2}"; } | as_pg tee "$conf" >/dev/null
	printf '%s ' "--temp-instance=$SUITE_DIR/tmp_$1" "--temp-config=$conf" --no-locale --encoding=UTF8
}

suite_regress() {
	pg_regress regress src/test/regress/pg_regress $(temp_instance regress) ${*:-$(regress_tests)}
}

suite_kernels() {
	local kernel
	for kernel in ${*:-$(other_kernels)}; do
		say "regress with the kernels $kernel"
		pg_regress "kernels_$kernel" src/test/regress/pg_regress \
			$(temp_instance "kernels_$kernel" "vektonn.kernel = '$kernel'") $(regress_tests)
	done
}

# The kernels this CPU has, but for the best, under which everything else runs.
other_kernels() {
	case $(uname -m) in
	x86_64)
		local flags
		flags=" $(grep -m1 '^flags' /proc/cpuinfo | cut -d: -f2) "
		[[ $flags != *" avx2 "* ]] || echo portable
		[[ $flags != *" avx512f "* || $flags != *" avx512bw "* ]] || echo avx2
		;;
	aarch64) echo portable ;;
	esac
}

suite_dev_regress() {
	dev_start
	local tests
	tests=$(echo ${*:-$(regress_tests)})
	case " $tests " in *" extension "*) ;; *) tests="extension $tests" ;; esac
	pg_regress dev src/test/regress/pg_regress --host="$DEV_SOCKET" --port="$DEV_PORT" $tests
}

suite_isolation() {
	pg_regress isolation src/test/isolation/pg_isolation_regress --load-extension=vektonn \
		$(temp_instance isolation) ${*:-$(names test/specs spec)}
}

# Fetches the real broker when one of the tests wants it.  VK_KAFKA_MISSING says
# why there is none; the tests then skip, or fail where CI is set.
real_kafka() { # tests
	local test
	export VK_KAFKA_CACHE=${VK_KAFKA_CACHE:-/var/tmp/vektonn-kafka-$(id -un)}
	export VK_KAFKA_MISSING='no test wants it'
	for test; do
		if grep -qs 'VkKafka->can_run_real' "$SRC_DIR/test/t/$test.pl"; then
			VK_KAFKA_MISSING=$("$SRC_DIR/test/kafka/kafka.sh" fetch 2>&1 | tail -1)
			[ -z "$VK_KAFKA_MISSING" ] || say "TESTS WITH A REAL KAFKA ARE SKIPPED: $VK_KAFKA_MISSING"
			return 0
		fi
	done
}

# Two files at a time: much of what they do is waiting.
suite_tap() {
	local files
	files=${*:-$(names test/t pl)}
	export -f run_counted run_tap as_pg tally failure
	export SRC_DIR RUN_DIR SUITE_DIR LOG_DIR TALLY FAILURES PG_USER PRIV_BIN PGXS_DIR PG_CONFIG
	build build/mock_kafka
	install -m 755 "$SRC_DIR/build/mock_kafka" "$SUITE_DIR/mock_kafka"
	real_kafka $files
	as_pg rm -rf "$SUITE_DIR/tap"
	as_pg mkdir -p "$SUITE_DIR/tap"
	printf '%s\n' $files | xargs -P "${VK_JOBS:-2}" -I{} bash -c 'run_counted tap {} "$LOG_DIR/{}.log" run_tap {}'
}
run_tap() {
	cd "$SUITE_DIR"
	as_pg env PATH="$PRIV_BIN:$PATH" PG_REGRESS="$PGXS_DIR/src/test/regress/pg_regress" \
		LANG=C.UTF-8 PERL5LIB="$SUITE_DIR/test/lib:$PGXS_DIR/src/test/perl" TESTDIR="$SUITE_DIR/tap" \
		TESTDATADIR="$SUITE_DIR/tap" TESTLOGDIR="$SUITE_DIR/tap/log" PGPORT=65432 \
		CI="${CI:-}" VK_SRC_DIR="$SRC_DIR" VK_SUITE_DIR="$SUITE_DIR" VK_MOCK_KAFKA="$SUITE_DIR/mock_kafka" \
		perl "test/t/$1.pl"
}

# A driver test is a program that finds its server in PGHOST and so on.
suite_drivers() {
	local test
	rm -rf "$RUN_DIR/drivers"
	cluster_start drivers 54322
	for test in ${*:-$(driver_tests)}; do
		test=$(basename "$SRC_DIR/test/drivers/${test%.*}".*)
		run_counted drivers "$test" "$LOG_DIR/driver-$test.log" \
			as_pg "$SUITE_DIR/test/drivers/$test"
	done
	cluster_stop drivers
}

# What the README tells a newcomer to type works to the end.
suite_demo() {
	run_counted demo demo "$LOG_DIR/demo.log" env KEEP=0 "$SRC_DIR/demo/demo.sh"
}

# The benchmark on tiny data: every figure is there, and what is exact is right.
suite_bench() {
	run_counted bench datasets_test "$LOG_DIR/bench-datasets.log" /usr/bin/python3 "$SRC_DIR/bench/datasets_test.py"
	run_counted bench smoke "$LOG_DIR/bench-smoke.log" "$SRC_DIR/bench/smoke"
}

suite_fuzz() {
	local target
	for target in ${*:-$(names test/fuzz c)}; do
		run_counted fuzz "$target" "$LOG_DIR/fuzz-$target.log" run_fuzz "$target"
	done
}
# New inputs go to a corpus that the next run starts with, beside the seeds in the tree.
# The sanitizer's list of freed memory is kept short, else it fills the memory limit.
run_fuzz() {
	mkdir -p "$RUN_DIR/corpus/$1"
	build "build/fuzz/$1" && ASAN_OPTIONS=quarantine_size_mb=16 "$SRC_DIR/build/fuzz/$1" -max_total_time="${FUZZ_SECONDS:-15}" \
		-artifact_prefix="$RUN_DIR/corpus/" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		"$RUN_DIR/corpus/$1" "$SRC_DIR/test/fuzz/seeds/$1"
}
