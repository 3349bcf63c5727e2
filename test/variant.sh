#!/usr/bin/env bash
# Runs the tests on a build that sees more than an ordinary one:
#   variant.sh asan       the extension and the unit tests with address and
#                         undefined-behaviour sanitizers, in the server of 'assert'
#   variant.sh assert     on a PostgreSQL with assertions, which checks its memory
#                         contexts and the rules of its functions
#   variant.sh valgrind   the same server under valgrind: reads of memory nobody
#                         wrote, and accesses beyond what palloc gave
# Further arguments name tests of the suites to run (default: those of the variant).
# Works on a copy of the source; the developer's build and dev cluster stay.
source "$(dirname "$0")/lib/common.sh"

variant=${1:?asan, assert or valgrind}
shift
major=${PG:-15}
run_dir=$RUN_DIR/$variant
reports=$run_dir/reports
make_run_dir
mkdir -p "$run_dir"
rm -rf "$reports"
mkdir -m 1777 "$reports"
export VK_COPT="" VK_SERVER_WRAPPER="" VK_SUITE_TIMEOUT=${VK_SUITE_TIMEOUT:-3600}

case $variant in
asan)
	PG_CONFIG=$("$SRC_DIR/test/lib/pg_source.sh" "$major")
	export VK_SUITES=${VK_SUITES:-unit regress isolation}
	export VK_COPT="-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=alignment"
	# Not the leak checker: PostgreSQL frees memory by ending the process.
	export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0
	export UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1
	VK_SERVER_WRAPPER="export LD_PRELOAD='$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)'
export ASAN_OPTIONS=$ASAN_OPTIONS:log_path=$reports/asan UBSAN_OPTIONS=$UBSAN_OPTIONS:log_path=$reports/ubsan
run="
	;;
assert)
	PG_CONFIG=$("$SRC_DIR/test/lib/pg_source.sh" "$major")
	export VK_SUITES=${VK_SUITES:-unit regress isolation tap}
	;;
valgrind)
	command -v valgrind >/dev/null || die "valgrind is missing: apt-get install valgrind"
	PG_CONFIG=$("$SRC_DIR/test/lib/pg_source.sh" "$major")
	export VK_SUITES=${VK_SUITES:-regress}
	VK_SERVER_WRAPPER="run='valgrind --quiet --leak-check=no --num-callers=24 --error-exitcode=0 --trace-children=no
		--suppressions=$(dirname "$PG_CONFIG")/../../valgrind.supp --log-file=$reports/valgrind.%p'"
	;;
*) die "no variant is called $variant" ;;
esac
export PG_CONFIG VK_SERVER_WRAPPER

copy_source "$run_dir/source"
# Reports of the sanitizers count even where the test did not notice.
status=0
if [ $# -gt 0 ]; then
	VK_RUN_DIR=$run_dir "$run_dir/source/test/run.sh" "$@" || status=$?
else
	VK_RUN_DIR=$run_dir "$run_dir/source/test/run.sh" all || status=$?
fi
find "$reports" -type f -size +0 | while read -r report; do
	echo "report: $report"
	head -n 60 "$report"
done | head -n 400
if find "$reports" -type f -size +0 | grep -q .; then
	echo "there are reports of $variant in $reports"
	exit 1
fi
exit $status
