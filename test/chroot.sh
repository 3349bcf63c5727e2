#!/usr/bin/env bash
# make test-pg PG=17: the tests on another version of PostgreSQL, in a minimal
# Debian of the release that has it.
#   chroot.sh PG [command ...]      the command instead of 'make test', in the source tree
#   AS=user chroot.sh PG ...        as an ordinary user, after root installed the packages
# The Debian tree is made once, with debootstrap, and kept in $VK_CHROOTS; delete
# it to start from scratch.  Needs root.  Mounts and processes live in name
# spaces of their own, so nothing of them is left when the command ends.
set -euo pipefail

PG=${1:?which version of PostgreSQL? 15, 17 or 18}
shift
SRC_DIR=$(cd "$(dirname "$0")/.." && pwd)
source "$SRC_DIR/test/lib/common.sh"

case $PG in
15) release=bookworm ;;
17) release=trixie ;;
18) release=sid ;;
*) die "no release of Debian has PostgreSQL $PG: 15, 17 and 18 can be had" ;;
esac
[ "$(id -u)" -eq 0 ] || die "a Debian tree is made and entered by root: sudo make test-pg PG=$PG"
command -v debootstrap >/dev/null || { apt-get update -q && apt-get install -y -q debootstrap; } >/dev/null

chroots=${VK_CHROOTS:-${XDG_CACHE_HOME:-/var/tmp}/vektonn-debian}
root=$chroots/$release
if [ ! -e "$root/vektonn_made" ]; then
	say "making a Debian $release tree in $root"
	mkdir -p "$chroots"
	rm -rf "$root"
	debootstrap --variant=minbase "$release" "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$chroots/$release.log" 2>&1 ||
		{ tail "$chroots/$release.log"; die "debootstrap failed: $chroots/$release.log"; }
	# A mirror that stands still is as good as any.
	echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99vektonn"
	chroot "$root" sh -c 'apt-get update -q && apt-get install -y -q --no-install-recommends make' >>"$chroots/$release.log" 2>&1 ||
		die "apt-get failed: $chroots/$release.log"
	touch "$root/vektonn_made"
fi

# One run at a time: they share the tree.
exec 8>"$root.lock"
flock -n 8 || { say "another run in $root is under way; waiting for it"; flock 8; }

# One copy for each source folder: objects of another would pass for new.
tree=/usr/src/vektonn-$(printf %s "$SRC_DIR" | cksum | cut -d" " -f1)
copy_source "$root$tree"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
[ $# -gt 0 ] || set -- make test

# Real Kafka comes from the host's cache when that has it.
cache=${VK_KAFKA_CACHE:-/var/tmp/vektonn-kafka-$(id -un)}
mkdir -p "$root/var/tmp/vektonn-kafka" "$cache"
export ROOT=$root TREE=$tree CACHE=$cache AS=${AS:-root}
say "PostgreSQL $PG on Debian $release, as $AS: $*"
unshare --mount --pid --fork --kill-child --propagation private bash -c '
	set -e
	mount -t proc proc "$ROOT/proc"
	mount --rbind /dev "$ROOT/dev"
	mount -t tmpfs tmpfs "$ROOT/dev/shm"
	mount -t tmpfs tmpfs "$ROOT/run"
	mount --bind "$CACHE" "$ROOT/var/tmp/vektonn-kafka"
	if [ "$AS" != root ]; then
		chroot "$ROOT" sh -c "id $AS >/dev/null 2>&1 || useradd -m $AS; CI=1 $TREE/test/setup.sh test; chown -R $AS $TREE"
	fi
	# Not exec: bash as the first process of the name space reaps what servers leave to it.
	chroot "$ROOT" runuser -u "$AS" -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME="$(chroot "$ROOT" getent passwd "$AS" | cut -d: -f6)" LC_ALL=C.UTF-8 ${CI:+CI=$CI} \
		${http_proxy:+http_proxy=$http_proxy} ${https_proxy:+https_proxy=$https_proxy} ${FUZZ_SECONDS:+FUZZ_SECONDS=$FUZZ_SECONDS} \
		VK_KAFKA_CACHE=/var/tmp/vektonn-kafka ${VK_SUITES:+VK_SUITES="$VK_SUITES"} \
		sh -c "cd $TREE && exec \"\$@\"" sh "$@"
	exit $?' bash "$@"
