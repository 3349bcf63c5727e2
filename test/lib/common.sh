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
SUITE_DIR=$RUN_DIR/suite
LOG_DIR=$RUN_DIR/log
TALLY=$RUN_DIR/tally
FAILURES=$RUN_DIR/failures

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

# One run at a time in a tree: they share $RUN_DIR.
lock_run_dir() {
	exec 9>"$RUN_DIR/lock"
	flock -n 9 || { say "another run in this tree is under way; waiting for it"; flock 9; }
}

# Every process of a run inherits VK_RUN_ID, so that the run finds what it has
# left behind, on Ctrl-C as well, and ends nothing else.
start_run() {
	export VK_RUN_ID=vektonn-run-$$-$(date +%s)
	mkdir -p "$LOG_DIR" "$SUITE_DIR" "$RUN_DIR/home"
	: >"$TALLY"
	: >"$FAILURES"
	trap 'trap "" INT TERM; kill_leftovers || true' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# Servers and brokers of this run that are still there, as process ids.
leftovers() {
	local dir
	for dir in /proc/[0-9]*; do
		[[ $(readlink "$dir/exe" 2>/dev/null) == "$RUN_DIR"/* ]] &&
			grep -qzx "VK_RUN_ID=$VK_RUN_ID" "$dir/environ" 2>/dev/null && echo "${dir#/proc/}"
	done || true
}

# Fails when there were some.
kill_leftovers() {
	local pids
	pids=$(leftovers)
	[ -n "$pids" ] || return 0
	ps -o pid,args -p "$(echo $pids | tr ' ' ,)" | cut -c1-150 || true
	# An immediate shutdown, for a postmaster; it takes its children along.
	kill -QUIT $pids 2>/dev/null || true
	sleep 2
	pids=$(leftovers)
	[ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
	return 1
}

# -Werror with the compiler of the reference system; others may know more warnings.
case $(${CC:-gcc} -dumpversion 2>/dev/null) in 12*) VK_COPT=${VK_COPT--Werror} ;; *) VK_COPT=${VK_COPT-} ;; esac

build() { make -s -C "$SRC_DIR" PG_CONFIG="$PG_CONFIG" COPT="$VK_COPT" -j"$(nproc)" "$@"; }
make_var() { make -s --no-print-directory -C "$SRC_DIR" PG_CONFIG="$PG_CONFIG" "print-$1"; }

# Copies the source without what was built from it; what did not change keeps
# its time, so that building in the copy is quick the second time.
copy_source() { # folder
	mkdir -p "$1"
	(cd "$SRC_DIR" && if [ -e .git ]; then
		git -c safe.directory='*' ls-files -z --cached --others --exclude-standard
	else
		find . -type f ! -path './build/*' ! -name '*.o' ! -name '*.d' ! -name '*.so' ! -name '.vk_*' \
			! -path './sql/vektonn--*' -print0
	fi | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done >"$1/.files" &&
		tar -c --no-recursion --null -T "$1/.files") | tar -x -C "$1"
	# A file that is gone here goes there too.
	(cd "$1" && find . -type f \( -name '*.c' -o -name '*.h' -o -name '*.sql' -o -name '*.out' \) \
		! -path './build/*' ! -path './sql/vektonn--*' -printf '%P\0' |
		while IFS= read -r -d '' file; do [ -e "$SRC_DIR/$file" ] || rm -f "$file"; done)
}

build_copy() { # folder [make arguments]
	copy_source "$1" &&
	make -s -C "$1" PG_CONFIG="$PG_CONFIG" -j"$(nproc)" "${@:2}" all
}

# Builds the extension and installs it into a private copy of PostgreSQL:
# the programs find their library and share directories relative to
# themselves, so a copied tree works wherever it lies.
private_install() {
	if [ ! -e "$PG_ROOT/complete" ] || [ "$PG_BIN/postgres" -nt "$PG_ROOT/complete" ]; then
		! dev_running || dev_stop
		rm -rf "$PG_ROOT"
		for dir in "$PG_BIN" "$PG_LIB" "$PG_SHARE"; do
			mkdir -p "$PG_ROOT$dir"
			cp -a "$dir/." "$PG_ROOT$dir/"
		done
		# A vektonn of the user's is not what is tested.
		rm -f "$PG_ROOT$PG_LIB"/vektonn* "$PG_ROOT$PG_SHARE"/extension/vektonn*
		[ -z "${VK_SERVER_WRAPPER:-}" ] || wrap_server
		touch "$PG_ROOT/complete"
	fi
	build all
	build DESTDIR="$PG_ROOT" install >/dev/null
	copy_tests
}

# Puts a script in the place of the server, that sets up what watches it.  The
# work of initdb stays unwatched: it is slow, and does not concern us.
wrap_server() {
	mv "$PRIV_BIN/postgres" "$PRIV_BIN/postgres.bin"
	cat >"$PRIV_BIN/postgres" <<-EOF
		#!/bin/bash
		case " \$* " in *" --boot "* | *" --single "* | *" -V "* | *" --check "*) exec "\$0.bin" "\$@" ;; esac
		$VK_SERVER_WRAPPER
		exec \$run "\$0.bin" "\$@"
	EOF
	chmod 755 "$PRIV_BIN/postgres"
}

# The user PostgreSQL runs as may be unable to read the source tree, and
# pg_regress writes beside its expected files: tests run from a copy.
copy_tests() {
	mkdir -p "$SUITE_DIR" "$RUN_DIR/home"
	rm -rf "$SUITE_DIR/test" "$SUITE_DIR/expected" "$SUITE_DIR/docs"
	cp -a "$SRC_DIR/test" "$SRC_DIR/expected" "$SRC_DIR/docs" "$SRC_DIR/README.md" "$SUITE_DIR/"
	[ "$(id -un)" = "$PG_USER" ] || {
		chown -R "$PG_USER" "$SUITE_DIR/test" "$SUITE_DIR/expected" "$SUITE_DIR/docs" "$RUN_DIR/home"
		chown "$PG_USER" "$SUITE_DIR"
	}
}

# What failed is told again beside the totals, where it is looked for: the
# program, its failed checks, and what it said about them or said last.
failure() { # headline log
	{
		echo "FAILED: $1"
		grep -nE -A12 '^not ok\b' "$2" | head -n 40 | sed 's/^/    /' || true
		grep -qE '^not ok\b' "$2" || tail -n 15 "$2" | sed 's/^/    /'
	} >>"$FAILURES"
}

# One line per suite or part of it: name, passed, failed, skipped.
tally() { printf '%s %d %d %d\n' "$1" "$2" "$3" "${4:-0}" >>"$TALLY"; }
