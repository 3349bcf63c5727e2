#!/usr/bin/env bash
# make demo: what vektonn does, on the screen, in a private cluster.
#   demo.sh          build, start the cluster, run demo/*.sql and show each statement with its answer
#   demo.sh psql     a session in the cluster of the last demo
#   demo.sh stop     stop it; its files go too
# Nothing outside the folder it names is touched.  At a terminal the cluster stays
# up for your own statements; elsewhere (or with KEEP=0) it is stopped at the end.
source "$(dirname "$0")/../test/lib/common.sh"
source "$(dirname "$0")/../test/lib/cluster.sh"
DEMO_PORT=${VK_DEMO_PORT:-54329}
if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[36m') plain=$(printf '\033[0m'); else bold='' dim='' plain=''; fi

demo_start() {
	private_install
	cluster_start demo "$DEMO_PORT" "shared_preload_libraries = 'vektonn'"
	export PGDATABASE=demo
}

demo_stop() {
	pg_paths
	cluster_stop demo
	rm -rf "$RUN_DIR/demo"
}

# psql echoes what it reads; comments become prose, statements stand out.
show() { # file
	as_pg "$PRIV_BIN/psql" -X --echo-all --no-psqlrc -v ON_ERROR_STOP=1 -f - 2>&1 <"$1" |
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
	lock_run_dir
	demo_stop
	say "building, and starting a private cluster in $RUN_DIR/demo"
	demo_start
	as_pg "$PRIV_BIN/psql" -Xqd postgres -c 'CREATE DATABASE demo'
	if [ "${KEEP:-$([ -t 0 ] && [ -t 1 ] && echo 1 || echo 0)}" = 0 ]; then trap demo_stop EXIT; fi
	trap 'demo_stop; exit 130' INT TERM
	local part
	for part in "$SRC_DIR"/demo/*.sql; do
		echo
		show "$part"
	done
	echo
	if cluster_running demo && [ -z "$(trap -p EXIT)" ]; then
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
