# Shared by the scripts in test/: where things are, and how to run as a user
# PostgreSQL accepts.  Source it; it needs bash.
#
# Everything a test writes goes to $RUN_DIR, outside the source tree: a private
# copy of the PostgreSQL programs ($PG_ROOT) into which the extension is
# installed, clusters, sockets, results.  A PostgreSQL of the user's is read,
# never written.

set -euo pipefail

SRC_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}
RUN_DIR=${VK_RUN_DIR:-${TMPDIR:-/tmp}/vektonn-$(id -un)-$(printf %s "$SRC_DIR" | cksum | cut -d' ' -f1)}
PG_ROOT=$RUN_DIR/root

say() { printf '%s\n' "== $*"; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

# Creates RUN_DIR, refusing one that somebody else owns.
make_run_dir() {
	mkdir -p "$RUN_DIR"
	[ -O "$RUN_DIR" ] || die "$RUN_DIR belongs to another user; set VK_RUN_DIR"
	chmod 755 "$RUN_DIR"
}

# PostgreSQL refuses to run as root: then its programs run as postgres.
PG_USER=$(id -un)
[ "$(id -u)" -ne 0 ] || PG_USER=postgres
as_pg() {
	if [ "$(id -un)" = "$PG_USER" ]; then "$@"; else
		runuser -u "$PG_USER" -- env HOME="$RUN_DIR/home" "$@"; fi
}

pg_paths() {
	command -v "$PG_CONFIG" >/dev/null || die "no $PG_CONFIG: run test/setup.sh, or set PG_CONFIG"
	PG_BIN=$($PG_CONFIG --bindir)
	PG_LIB=$($PG_CONFIG --pkglibdir)
	PG_SHARE=$($PG_CONFIG --sharedir)
	PGXS_DIR=$(dirname "$(dirname "$($PG_CONFIG --pgxs)")")/..
	PG_MAJOR=$($PG_CONFIG --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	PRIV_BIN=$PG_ROOT$PG_BIN
}

# Builds the extension and installs it into a private copy of PostgreSQL:
# the programs find their library and share directories relative to
# themselves, so a copied tree works wherever it lies.
private_install() {
	pg_paths
	make_run_dir
	if [ ! -x "$PRIV_BIN/postgres" ] || [ "$PG_BIN/postgres" -nt "$PRIV_BIN/postgres" ]; then
		rm -rf "$PG_ROOT"
		for dir in "$PG_BIN" "$PG_LIB" "$PG_SHARE"; do
			mkdir -p "$PG_ROOT$dir"
			cp -a "$dir/." "$PG_ROOT$dir/"
		done
	fi
	make -s -C "$SRC_DIR" PG_CONFIG="$PG_CONFIG" -j"$(nproc)" all
	make -s -C "$SRC_DIR" PG_CONFIG="$PG_CONFIG" DESTDIR="$PG_ROOT" install >/dev/null
	copy_tests
}

# The user PostgreSQL runs as may be unable to read the source tree, and
# pg_regress writes beside its expected files: tests run from a copy.
copy_tests() {
	mkdir -p "$RUN_DIR/suite" "$RUN_DIR/home"
	rm -rf "$RUN_DIR/suite/test" "$RUN_DIR/suite/expected"
	cp -a "$SRC_DIR/test" "$SRC_DIR/expected" "$RUN_DIR/suite/"
	[ "$(id -un)" = "$PG_USER" ] || chown -R "$PG_USER" "$RUN_DIR/suite" "$RUN_DIR/home"
}

# One line per suite: name, passed, failed, skipped.
tally() { printf '%s %d %d %d\n' "$1" "$2" "$3" "${4:-0}" >>"$RUN_DIR/tally"; }
