#!/usr/bin/env bash
# make demo: what vektonn does, on the screen, in a private cluster.
#   demo.sh          build, start broker and cluster, run demo/*.sql and show each statement with its answer
#   demo.sh psql     a session in the cluster of the last demo
#   demo.sh stop     stop both; their files go too
# The broker is librdkafka's mock cluster; KAFKA=real takes Apache Kafka (fetched from
# Maven Central), KAFKA=HOST:PORT one that is there.
# Nothing outside the folder it names is touched.  At a terminal the cluster stays
# up for your own statements; elsewhere (or with KEEP=0) it is stopped at the end.
source "$(dirname "$0")/../test/lib/common.sh"
source "$(dirname "$0")/../test/lib/cluster.sh"
DEMO_PORT=${VK_DEMO_PORT:-54329}
if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[36m') plain=$(printf '\033[0m'); else bold='' dim='' plain=''; fi

# A broker obeys commands on its input and ends with it.  The input is a pipe that
# a process of its own holds open, so that the broker can outlive this script.
broker_start() {
	local command=("$SRC_DIR/build/mock_kafka")
	case ${KAFKA:-mock} in
	mock) build build/mock_kafka ;;
	real)
		"$SRC_DIR/test/kafka/kafka.sh" fetch
		command=("$SRC_DIR/test/kafka/kafka.sh" run "$RUN_DIR/demo_broker/data")
		;;
	*) bootstrap=$KAFKA; return ;;
	esac
	rm -rf "$RUN_DIR/demo_broker"
	mkdir -p "$RUN_DIR/demo_broker"
	mkfifo "$RUN_DIR/demo_broker/in"
	: >"$RUN_DIR/demo_broker/out"
	setsid sleep infinity >"$RUN_DIR/demo_broker/in" 9>&- &
	echo $! >"$RUN_DIR/demo_broker/pid"
	setsid "${command[@]}" <"$RUN_DIR/demo_broker/in" >"$RUN_DIR/demo_broker/out" 2>"$RUN_DIR/demo_broker/log" 9>&- &
	for _ in $(seq 300); do
		bootstrap=$(sed -n '1s/^plaintext=\([^ ]*\).*/\1/;1p' "$RUN_DIR/demo_broker/out")
		[ -z "$bootstrap" ] || return 0
		sleep 0.1
	done
	tail "$RUN_DIR/demo_broker/log" >&2
	die "the broker did not start"
}

demo_start() {
	private_install
	broker_start
	cluster_start demo "$DEMO_PORT" "shared_preload_libraries = 'vektonn'"
	export PGDATABASE=demo
}

demo_stop() {
	pg_paths
	cluster_stop demo
	# The process that holds the broker's input; with it the broker ends.
	if [ -f "$RUN_DIR/demo_broker/pid" ]; then
		kill "$(cat "$RUN_DIR/demo_broker/pid")" 2>/dev/null || true
	fi
	rm -rf "$RUN_DIR/demo" "$RUN_DIR/demo_broker"
}

# psql echoes what it reads; comments become prose, statements stand out.
show() { # file
	sed "s/@KAFKA@/$bootstrap/" "$1" | as_pg "$PRIV_BIN/psql" -X --echo-all -v ON_ERROR_STOP=1 -f - 2>&1 |
		awk -v bold="$bold" -v dim="$dim" -v plain="$plain" '
			/^\\/ { next }
			/^-- ?==/ { sub(/^-- ?=+ */, ""); print bold "== " $0 plain; next }
			/^-- / { sub(/^-- /, ""); print bold $0 plain; next }
			/^(SELECT|INSERT|CREATE|UPDATE|DELETE|EXPLAIN|BEGIN|COMMIT|SET|WITH|DROP|CALL|ALTER) / && /;$/ { print "    " dim $0 plain; next }
			{ print "    " $0 }'
}

run_demo() {
	"$SRC_DIR/test/setup.sh" build
	pg_paths
	make_run_dir
	# As a part of the tests it is under their lock.
	[ -n "${VK_RUN_ID:-}" ] || lock_run_dir
	demo_stop
	trap demo_stop EXIT
	trap 'exit 130' INT TERM
	say "building, and starting a private cluster in $RUN_DIR/demo"
	demo_start
	as_pg "$PRIV_BIN/psql" -Xqd postgres -c 'CREATE DATABASE demo'
	local part
	for part in "$SRC_DIR"/demo/*.sql; do
		echo
		show "$part" || die "the demo stops at $(basename "$part")"
	done
	echo
	if [ "${KEEP:-$([ -t 0 ] && [ -t 1 ] && echo 1 || echo 0)}" = 1 ]; then
		trap - EXIT
		say "the cluster stays up:  make demo-psql  opens a session,  make demo-stop  ends it"
	else
		say "the end; KEEP=1 make demo leaves the cluster up for a session with make demo-psql"
	fi
}

case ${1:-run} in
run) run_demo ;;
psql)
	pg_paths
	[ -f "$RUN_DIR/demo/vektonn_made" ] || die "there is no demo cluster: KEEP=1 make demo"
	cluster_start demo "$DEMO_PORT"
	export PGDATABASE=demo
	[ "$(id -un)" = "$PG_USER" ] && exec "$PRIV_BIN/psql"
	exec runuser -u "$PG_USER" -- env HOME="$RUN_DIR/home" "$PRIV_BIN/psql"
	;;
stop) demo_stop ;;
*) die "demo.sh, demo.sh psql or demo.sh stop" ;;
esac
