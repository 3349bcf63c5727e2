# Private clusters in $RUN_DIR: the dev cluster, which stays up between runs for
# developers' quick loops, and others by name.  Source after common.sh.

DEV_DIR=$RUN_DIR/dev
DEV_SOCKET=$RUN_DIR/sock
DEV_PORT=${VK_DEV_PORT:-54321}

cluster_running() { as_pg "$PRIV_BIN/pg_ctl" -D "$RUN_DIR/$1" status >/dev/null 2>&1; } # name

# Makes and starts the cluster unless that is done, and points libpq to it.
# Its socket is in $RUN_DIR/sock; the port tells the clusters apart.
cluster_start() { # name port [line of postgresql.conf ...]
	local dir=$RUN_DIR/$1 port=$2
	mkdir -p "$DEV_SOCKET"
	[ "$(id -un)" = "$PG_USER" ] || chown "$PG_USER" "$DEV_SOCKET"
	if [ ! -f "$dir/vektonn_made" ]; then
		rm -rf "$dir"
		mkdir -p "$dir"
		[ "$(id -un)" = "$PG_USER" ] || chown "$PG_USER" "$dir"
		as_pg "$PRIV_BIN/initdb" -D "$dir" -A trust -N --no-locale -E UTF8 -U "$PG_USER" >/dev/null
		printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$DEV_SOCKET'" "port = $port" \
			"fsync = off" "shared_buffers = 256MB" "max_wal_size = 4GB" "${@:3}" |
			as_pg tee -a "$dir/postgresql.conf" >/dev/null
		as_pg touch "$dir/vektonn_made"
	fi
	cluster_running "$1" ||
		as_pg "$PRIV_BIN/pg_ctl" -D "$dir" -l "$RUN_DIR/home/$1.log" -w start >/dev/null 9>&- ||
		{ tail -20 "$RUN_DIR/home/$1.log" >&2; die "the cluster $1 did not start"; }
	export PGHOST=$DEV_SOCKET PGPORT=$port PGDATABASE=postgres PGUSER=$PG_USER
}

cluster_stop() { # name
	! cluster_running "$1" || as_pg "$PRIV_BIN/pg_ctl" -D "$RUN_DIR/$1" -m fast -w stop >/dev/null
}

# Nothing is preloaded in the dev cluster and every session loads the library
# itself, so a newly built one needs no restart.
dev_env() { export PGHOST=$DEV_SOCKET PGPORT=$DEV_PORT PGDATABASE=postgres PGUSER=$PG_USER; }
dev_running() { cluster_running dev; }
dev_start() { (unset VK_RUN_ID; cluster_start dev "$DEV_PORT" "autovacuum = off"); dev_env; }
dev_stop() { cluster_stop dev; }
