#!/usr/bin/env bash
# Runs the tests.  'test/run.sh all' is 'make test'; a suite runs by its name,
# all of it or the tests named after it:
#   gates      rules about the source (test/ci)
#   build      every module with gcc and with clang, warnings are errors
#   unit       C code without a server (test/unit)
#   regress    SQL behaviour (test/sql, expected)
#   kernels    regress once more under each other set of distance kernels the CPU has
#   isolation  concurrency (test/specs, expected)
#   tap        crash, standby, Kafka, dump and whatever needs whole servers (test/t)
#   drivers    client libraries (test/drivers)
#   demo       make demo runs to its end
#   bench      the benchmark on tiny data (bench/smoke)
#   fuzz       the readers of the types under libFuzzer for FUZZ_SECONDS (test/fuzz)
# and for a developer:
#   dev-regress [name ...]   regression tests in the dev cluster, which stays up
#   one NAME                 one test of any suite, by its name
#   accept NAME ...          take the last results of these tests as expected; read the diff
#   dev-stop                 stop the dev cluster
# Ends with a line 'N passed, N failed' and exits non-zero when one failed, when
# a suite broke off or ran nothing, or when something was skipped with CI set.
source "$(dirname "$0")/lib/common.sh"
source "$(dirname "$0")/lib/cluster.sh"
source "$(dirname "$0")/lib/suites.sh"

ALL_SUITES=${VK_SUITES:-gates build unit regress kernels isolation tap drivers demo bench fuzz}
SUITE_TIMEOUT=${VK_SUITE_TIMEOUT:-1200}

accept() {
	local name found
	for name in "$@"; do
		found=$(ls -t "$SUITE_DIR"/out_*/results/"$name.out" 2>/dev/null | head -1)
		[ -n "$found" ] || die "there is no result of a test called $name"
		cp "$found" "$SRC_DIR/expected/"
	done
}

run_one() {
	local name=${1:?which test? make check-one T=name}
	if [ -f "$SRC_DIR/test/sql/$name.sql" ]; then suite_dev_regress "$name"
	elif [ -f "$SRC_DIR/test/specs/$name.spec" ]; then suite_isolation "$name"
	elif [ -f "$SRC_DIR/test/t/$name.pl" ]; then suite_tap "$name"
	elif [ -f "$SRC_DIR/test/unit/$name.c" ]; then suite_unit "$name"
	elif compgen -G "$SRC_DIR/test/drivers/$name.*" >/dev/null; then suite_drivers "$name"
	elif compgen -G "$SRC_DIR/test/ci/$name.sh" >/dev/null; then suite_gates "$name"
	else die "no test is called $name"; fi
}

# Each suite is a process of its own: when it breaks off, hangs, or leaves a
# server behind, that is a failure of this suite and the next one still runs.
run_all() {
	local suite started status
	for suite in $ALL_SUITES; do
		suite_has_tests "$suite" || continue
		say "$suite"
		started=$SECONDS status=0
		timeout --foreground -k 10 "$SUITE_TIMEOUT" "$0" --inner "$suite" || status=$?
		if [ $status -ne 0 ] || ! grep -q "^$suite " "$TALLY"; then
			[ $status -ne 124 ] || echo "suite $suite ran longer than $SUITE_TIMEOUT s"
			echo "suite $suite broke off (exit code $status)"
			failure "suite $suite broke off (exit code $status)" /dev/null
			tally "$suite" 0 1
		fi
		kill_leftovers || { failure "suite $suite left processes behind" /dev/null; tally "$suite" 0 1; }
		echo "$suite took $((SECONDS - started)) s"
	done
}

# Prints the totals as the last line; fails when a test failed or none ran.
report() {
	cat "$FAILURES"
	awk -v ci="${CI:-}" '
		!($1 in seen) { order[++n] = $1; seen[$1] = 1 }
		{ passed[$1] += $2; failed[$1] += $3; skipped[$1] += $4 }
		END {
			for (i = 1; i <= n; i++) {
				s = order[i]
				if (passed[s] + failed[s] + skipped[s] == 0) { failed[s] = 1; print "suite " s " ran no test" }
				if (ci != "" && skipped[s] > 0) { failed[s] += skipped[s]; print "suite " s " skipped tests, which CI does not accept" }
				printf "%-10s %5d passed, %d failed%s\n", s, passed[s], failed[s], skipped[s] ? ", " skipped[s] " SKIPPED" : ""
				p += passed[s]; f += failed[s]
			}
			printf "%d passed, %d failed\n", p, f
			exit f > 0 || p == 0
		}' "$TALLY"
}

[ $# -gt 0 ] || set -- all
suite=$1
shift
case $suite in
accept) accept "$@"; exit ;;
dev-stop) pg_paths; dev_stop; exit ;;
--inner) pg_paths; "suite_$1"; exit ;;
all) need=test ;;
gates | build | unit | regress | kernels | isolation | tap | drivers | demo | bench | fuzz | dev-regress | one) need=build ;;
*) die "no suite is called $suite" ;;
esac

"$SRC_DIR/test/setup.sh" "$need"
pg_paths
make_run_dir
lock_run_dir
start_run
case $suite in unit | gates) ;; *) private_install ;; esac
case $suite in
all) run_all ;;
one) run_one "$@" ;;
*) "suite_${suite/-/_}" "$@" ;;
esac
report
