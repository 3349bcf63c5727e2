#!/usr/bin/env bash
# Runs the tests.  'test/run.sh all' is 'make test'; each suite runs by name:
#   unit regress isolation tap
# and for a developer:
#   dev-regress [name ...]   regression tests in the dev cluster, which stays up
#   one NAME                 one test of any suite, by its name
#   accept NAME ...          take the last results of these tests as expected; read the diff
# Ends with a line 'N passed, N failed' and exits non-zero when one failed.
source "$(dirname "$0")/lib/common.sh"
source "$(dirname "$0")/lib/cluster.sh"

# Counts the lines of pg_regress: "ok"/"FAILED" (15) or TAP lines (16 and later).
count_regress() { # suite output
	local passed failed
	passed=$(grep -cE '^(ok [0-9]|(test|    ) ?.* \.\.\. ok)' "$2" || true)
	failed=$(grep -cE '^(not ok [0-9]|(test|    ) ?.* \.\.\. (FAILED|failed))' "$2" || true)
	[ "$((passed + failed))" -gt 0 ] || failed=1
	tally "$1" "$passed" "$failed"
}

names() { # folder suffix
	find "$SRC_DIR/$1" -maxdepth 1 -name "*.$2" -printf '%f\n' | sed "s/\.$2\$//" | sort
}

# All regression tests need the extension; 'extension' creates it.
regress_tests() { echo extension; names test/sql sql | sed "/^extension\$/d"; }

pg_regress() { # suite program-relative-to-pgxs options... -- tests...
	local suite=$1 program=$2 out=$RUN_DIR/suite/out_$1
	shift 2
	rm -rf "$out"
	as_pg mkdir -p "$out"
	as_pg ln -s ../expected "$out/expected"
	(cd "$RUN_DIR/suite" && as_pg "$PGXS_DIR/$program" --inputdir=test --outputdir="$out" \
		--bindir="$PRIV_BIN" --dbname="contrib_$suite" "$@") | tee "$RUN_DIR/$suite.out" || true
	count_regress "$suite" "$RUN_DIR/$suite.out"
	if [ -s "$out/regression.diffs" ]; then
		cat "$out/regression.diffs"
		say "results in $out/results"
	fi
}

suite_regress() {
	local tests
	tests=${*:-$(regress_tests)}
	pg_regress regress src/test/regress/pg_regress --temp-instance="$RUN_DIR/suite/tmp_regress" \
		--temp-config="$RUN_DIR/suite/test/lib/regress.conf" --no-locale --encoding=UTF8 $tests
}

suite_dev_regress() {
	dev_start
	local tests
	tests=${*:-$(regress_tests)}
	case " $tests " in *" extension "*) ;; *) tests="extension $tests" ;; esac
	pg_regress regress src/test/regress/pg_regress --host="$DEV_SOCKET" --port="$DEV_PORT" $tests
}

suite_isolation() {
	local specs
	specs=${*:-$(names test/specs spec)}
	[ -n "$specs" ] || return 0
	pg_regress isolation src/test/isolation/pg_isolation_regress \
		--temp-instance="$RUN_DIR/suite/tmp_isolation" --load-extension=vektonn \
		--temp-config="$RUN_DIR/suite/test/lib/regress.conf" --no-locale --encoding=UTF8 $specs
}

# Fetches the real broker when one of the tests wants it.  VK_KAFKA_MISSING says
# why there is none; the tests then skip, or fail where CI is set.
real_kafka() { # tests
	local test
	export VK_KAFKA_CACHE=${VK_KAFKA_CACHE:-/var/tmp/vektonn-kafka-$(id -un)}
	VK_KAFKA_MISSING='no test wants it'
	for test in $1; do
		if grep -qs 'VkKafka->can_run_real' "$SRC_DIR/test/t/$test.pl"; then
			VK_KAFKA_MISSING=$("$SRC_DIR/test/kafka/kafka.sh" fetch 2>&1 | tail -1)
			[ -z "$VK_KAFKA_MISSING" ] || say "TESTS WITH A REAL KAFKA ARE SKIPPED: $VK_KAFKA_MISSING"
			return 0
		fi
	done
}

suite_tap() {
	local files out=$RUN_DIR/tap.out
	files=${*:-$(names test/t pl)}
	[ -n "$files" ] || return 0
	make -s -C "$SRC_DIR" build/mock_kafka
	install -m 755 "$SRC_DIR/build/mock_kafka" "$RUN_DIR/suite/mock_kafka"
	real_kafka "$files"
	as_pg mkdir -p "$RUN_DIR/suite/tap"
	(cd "$RUN_DIR/suite" && as_pg env PATH="$PRIV_BIN:$PATH" PG_REGRESS="$PGXS_DIR/src/test/regress/pg_regress" \
		PERL5LIB="$RUN_DIR/suite/test/lib:$PGXS_DIR/src/test/perl" TESTDIR="$RUN_DIR/suite/tap" \
		TESTDATADIR="$RUN_DIR/suite/tap" TESTLOGDIR="$RUN_DIR/suite/tap/log" PGPORT=65432 \
		CI="${CI:-}" VK_SRC_DIR="$SRC_DIR" VK_MOCK_KAFKA="$RUN_DIR/suite/mock_kafka" \
		VK_KAFKA_CACHE="$VK_KAFKA_CACHE" VK_KAFKA_MISSING="$VK_KAFKA_MISSING" VK_SUITE_DIR="$RUN_DIR/suite" \
		prove --timer $(printf 'test/t/%s.pl ' $files)) | tee "$out" || true
	local passed failed skipped
	passed=$(grep -cE '\.\. .*ok( |$)' "$out" || true)
	skipped=$(grep -cE '\.\. .*skipped: ' "$out" || true)
	failed=$(($(wc -w <<<"$files") - passed - skipped))
	tally tap "$passed" "$failed" "$skipped"
}

suite_unit() {
	local test programs passed=0 failed=0
	programs=${*:-$(names test/unit c | grep '_test$' || true)}
	[ -n "$programs" ] || return 0
	for test in $programs; do
		if make -s -C "$SRC_DIR" PG_CONFIG="$PG_CONFIG" "build/unit/$test" &&
			"$SRC_DIR/build/unit/$test"; then passed=$((passed + 1)); else
			failed=$((failed + 1)); echo "unit test $test failed"; fi
	done
	tally unit "$passed" "$failed"
}

accept() {
	local name
	for name in "$@"; do
		cp "$RUN_DIR"/suite/out_*/results/"$name.out" "$SRC_DIR/expected/"
	done
}

run_one() {
	local name=$1
	if [ -f "$SRC_DIR/test/sql/$name.sql" ]; then suite_dev_regress "$name"
	elif [ -f "$SRC_DIR/test/specs/$name.spec" ]; then suite_isolation "$name"
	elif [ -f "$SRC_DIR/test/t/$name.pl" ]; then suite_tap "$name"
	elif [ -f "$SRC_DIR/test/unit/$name.c" ]; then suite_unit "$name"
	else die "no test is called $name"; fi
}

# Prints the totals as the last line; fails when a test failed or none ran.
report() {
	awk '{ printf "%-12s %4d passed, %d failed, %d skipped\n", $1, $2, $3, $4; p += $2; f += $3 }
		END { printf "%d passed, %d failed\n", p, f; exit f > 0 || p == 0 }' "$RUN_DIR/tally"
}

[ $# -gt 0 ] || set -- all
suite=$1
shift
if [ "$suite" = accept ]; then accept "$@"; exit; fi
"$SRC_DIR/test/setup.sh"
private_install
: >"$RUN_DIR/tally"
case $suite in
all) for each in unit regress isolation tap; do say "$each"; "suite_$each"; done ;;
dev-regress) suite_dev_regress "$@" ;;
unit | regress | isolation | tap) "suite_$suite" "$@" ;;
one) run_one "$@" ;;
*) die "no suite is called $suite" ;;
esac
report
