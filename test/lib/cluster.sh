# A private cluster in $RUN_DIR that stays up between runs, for developers'
# quick loops.  Source after common.sh.

DEV_DIR=$RUN_DIR/dev
DEV_SOCKET=$RUN_DIR/sock
DEV_PORT=${VK_DEV_PORT:-54321}

dev_env() { export PGHOST=$DEV_SOCKET PGPORT=$DEV_PORT PGDATABASE=postgres PGUSER=$PG_USER; }

dev_running() { as_pg "$PRIV_BIN/pg_ctl" -D "$DEV_DIR" status >/dev/null 2>&1; }

# Starts the cluster, or restarts it so that a newly built library is loaded.
dev_start() {
	mkdir -p "$DEV_SOCKET"
	[ "$(id -un)" = "$PG_USER" ] || chown "$PG_USER" "$DEV_SOCKET"
	if [ ! -f "$DEV_DIR/PG_VERSION" ]; then
		mkdir -p "$DEV_DIR"
		[ "$(id -un)" = "$PG_USER" ] || chown "$PG_USER" "$DEV_DIR"
		as_pg "$PRIV_BIN/initdb" -D "$DEV_DIR" -A trust -N --no-locale -E UTF8 -U "$PG_USER" >/dev/null
		as_pg tee -a "$DEV_DIR/postgresql.conf" >/dev/null <<-EOF
			listen_addresses = ''
			unix_socket_directories = '$DEV_SOCKET'
			port = $DEV_PORT
			fsync = off
			shared_buffers = 256MB
			max_wal_size = 4GB
		EOF
	fi
	! dev_running || as_pg "$PRIV_BIN/pg_ctl" -D "$DEV_DIR" -m fast -w stop >/dev/null
	as_pg "$PRIV_BIN/pg_ctl" -D "$DEV_DIR" -l "$RUN_DIR/home/dev.log" -w start >/dev/null ||
		{ tail -20 "$RUN_DIR/home/dev.log" >&2; die "the dev cluster did not start"; }
	dev_env
}

dev_stop() { ! dev_running || as_pg "$PRIV_BIN/pg_ctl" -D "$DEV_DIR" -m fast -w stop >/dev/null; }
