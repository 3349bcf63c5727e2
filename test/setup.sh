#!/usr/bin/env bash
# Installs the Debian packages that are missing.  Does nothing when all are
# there; asks first unless run by root or with CI set.
#   setup.sh build    what building and the quick loops need
#   setup.sh test     what 'make test' needs (default)
# PG=N chooses the major version of PostgreSQL, PG_CONFIG one that needs no package.
set -euo pipefail

PG=${PG:-$(sed -n 's/^VERSION_ID="\?\([0-9]*\).*/\1/p' /etc/os-release | sed 's/^12$/15/; s/^13$/17/')}
packages=(build-essential libopenblas-dev librdkafka-dev libipc-run-perl procps)
if [ -z "${PG_CONFIG:-}" ]; then
	packages+=("postgresql-$PG" "postgresql-server-dev-$PG")
fi
if [ "${1:-test}" = test ]; then
	packages+=(pg-bsd-indent libclang-rt-14-dev python3-psycopg python3-psycopg2)
	# The real Kafka of the tests; any Java from 17 on and any Maven will do.
	command -v java >/dev/null || packages+=(default-jre-headless)
	command -v mvn >/dev/null || packages+=(maven)
fi

mapfile -t missing < <(comm -23 <(printf '%s\n' "${packages[@]}" | sort) \
	<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
		sed -n 's/^installed //p' | sort))
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null ||
		{ echo "error: run as root: apt-get install ${missing[*]}" >&2; exit 1; }
	as_root=(sudo)
	if [ -z "${CI:-}" ]; then
		printf 'These packages are missing: %s\nInstall them with sudo apt-get? [y/N] ' "${missing[*]}"
		read -r answer || answer=no
		case $answer in y | Y | yes) ;; *) echo "error: nothing installed" >&2; exit 1 ;; esac
	fi
fi

# Debian starts a cluster for a newly installed server; we want its programs only.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	"${as_root[@]}" mkdir -p /etc/postgresql-common
	echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
echo "installing: ${missing[*]}"
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update -q &&
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		"${missing[@]}"; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "error: could not install ${missing[*]}" >&2
	exit 1
fi
rm -f "$log"
