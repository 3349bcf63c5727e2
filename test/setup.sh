#!/usr/bin/env bash
# Installs the Debian packages that are missing.  Does nothing when all are
# there; asks first unless run by root or with CI set.
#   setup.sh build    what building and the quick loops need
#   setup.sh test     what 'make test' needs (default)
# PG=N chooses the major version of PostgreSQL (default: the release's own),
# PG_CONFIG one that needs no package.
set -euo pipefail

# Debian release, its PostgreSQL.
release=$(. /etc/os-release && echo "${VERSION_ID:-${VERSION_CODENAME:-sid}}")
case $release in
12) PG=${PG:-15} ;;
13) PG=${PG:-17} ;;
*) PG=${PG:-18} ;;
esac

missing() { # package ...
	local package installed
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
	for package; do
		grep -qx "installed $package" <<<"$installed" || echo "$package"
	done
}

# Says what is missing, gets the user's consent, and installs it.
install_packages() { # package ...
	local packages log as_root=()
	mapfile -t packages < <(missing "$@")
	[ ${#packages[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null ||
			{ echo "error: run as root: apt-get install ${packages[*]}" >&2; exit 1; }
		as_root=(sudo)
		[ -n "${CI:-}" ] || ask "${packages[*]}"
	fi
	# Debian starts a cluster for a newly installed server; we want its programs only.
	if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		"${as_root[@]}" mkdir -p /etc/postgresql-common
		echo "create_main_cluster = false" |
			"${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
	fi
	echo "installing: ${packages[*]}"
	log=$(mktemp)
	if ! { "${as_root[@]}" apt-get update -q &&
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
			"${packages[@]}"; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		echo "error: could not install ${packages[*]}" >&2
		exit 1
	fi
	rm -f "$log"
}

ask() { # list of packages
	local answer
	printf 'These packages are missing: %s\nInstall them with sudo apt-get? [y/N] ' "$1"
	read -r answer || answer=no
	case $answer in y | Y | yes) ;; *) echo "error: nothing installed" >&2; exit 1 ;; esac
}

packages=(build-essential libopenblas-dev librdkafka-dev libyaml-dev libipc-run-perl procps)
if [ -z "${PG_CONFIG:-}" ]; then
	packages+=("postgresql-$PG" "postgresql-server-dev-$PG")
fi
if [ "${1:-test}" = test ]; then
	packages+=(python3-psycopg python3-psycopg2 python3-asyncpg python3-numpy python3-scipy python3-h5py valgrind)
	# Only one release has the tool that 'make format' uses.
	[ "$release" != 12 ] || packages+=(pg-bsd-indent)
	# The real Kafka of the tests; any Java from 17 on and any Maven will do.
	command -v java >/dev/null || packages+=(default-jre-headless)
	command -v mvn >/dev/null || packages+=(maven)
fi
install_packages "${packages[@]}"

# The server's headers bring the clang they were built with; fuzzing needs its runtime.
if [ "${1:-test}" = test ]; then
	clang=$(ls /usr/bin/clang-[0-9]* 2>/dev/null | sed -n 's,.*/clang-\([0-9]*\)$,\1,p' | sort -n | tail -1)
	[ -z "$clang" ] || install_packages "libclang-rt-$clang-dev"
fi
