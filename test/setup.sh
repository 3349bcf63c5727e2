#!/usr/bin/env bash
# Installs the Debian packages that building and testing need.  Does nothing
# when they are there; asks first unless run by root or with CI set.
set -euo pipefail

PG=${PG:-15}
packages=(
	build-essential
	"postgresql-$PG" "postgresql-server-dev-$PG"
	libopenblas-dev
	librdkafka-dev
	libipc-run-perl
	pg-bsd-indent
)

# The real Kafka of the tests; any Java from 17 on and any Maven will do.
command -v java >/dev/null || packages+=(default-jre-headless)
command -v mvn >/dev/null || packages+=(maven)

missing=()
for package in "${packages[@]}"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
	if [ -z "${CI:-}" ]; then
		printf 'These packages are missing: %s\nInstall them with sudo apt-get? [y/N] ' "${missing[*]}"
		read -r answer
		case $answer in y | Y | yes) ;; *) echo "nothing installed" >&2; exit 1 ;; esac
	fi
fi

# Debian starts a cluster for a newly installed server; we want its programs only.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	$sudo mkdir -p /etc/postgresql-common
	echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
$sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
