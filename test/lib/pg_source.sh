#!/usr/bin/env bash
# Builds PostgreSQL from source with assertions, memory context checking and
# valgrind's marks on palloc'd memory, for 'make test-assert' and 'make valgrind'.
#   pg_source.sh MAJOR      prints the path of its pg_config, after building it if need be
# Kept in $VK_PG_SOURCE_CACHE, outside the source tree.  The source is Debian's;
# another tree can be given as VK_PG_SOURCE=/path (for versions Debian has not).
set -euo pipefail
major=${1:-15}
cache=${VK_PG_SOURCE_CACHE:-${XDG_CACHE_HOME:-/var/tmp}/vektonn-pg-source-$(id -un)}/$major
prefix=$cache/install
log=$cache/build.log

if [ ! -e "$cache/complete" ]; then
	case $major in 15) release=bookworm ;; 17) release=trixie ;; *) release=sid ;; esac
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial" "$cache/src"
	chmod 755 "$cache"
	{
		echo "PostgreSQL $major with assertions: building it in $cache, once" >&2
		if [ -z "${VK_PG_SOURCE:-}" ]; then
			# An apt of its own, so that the user's lists and sources stay as they are.
			echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $release main" \
				>"$cache/apt/sources.list"
			apt=(apt-get -q -o "Dir::Etc::SourceList=$cache/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
				-o "Dir::State::Lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt/cache" -o APT::Sandbox::User=)
			"${apt[@]}" update
			(cd "$cache/src" && "${apt[@]}" source --download-only "postgresql-$major")
			mkdir -p "$cache/tree"
			tar -xf "$cache/src"/*.orig.tar.* --strip-components=1 -C "$cache/tree"
			VK_PG_SOURCE=$cache/tree
		fi
		mkdir -p "$cache/build"
		cd "$cache/build"
		"$VK_PG_SOURCE/configure" --prefix="$prefix" --enable-cassert --enable-debug --enable-tap-tests \
			--without-readline --without-zlib --without-icu \
			CFLAGS='-O1 -g -fno-omit-frame-pointer' \
			CPPFLAGS="$([ ! -e /usr/include/valgrind/memcheck.h ] || echo -DUSE_VALGRIND)" ||
			"$VK_PG_SOURCE/configure" --prefix="$prefix" --enable-cassert --enable-debug --enable-tap-tests \
				--without-readline --without-zlib CFLAGS='-O1 -g -fno-omit-frame-pointer'
		make -s -j"$(nproc)" install
		for module in postgres_fdw pageinspect amcheck pgstattuple; do make -s -C "contrib/$module" install; done
		cp "$VK_PG_SOURCE/src/tools/valgrind.supp" "$cache/valgrind.supp"
		cd / && rm -rf "$cache/build" "$cache/apt"
		touch "$cache/complete"
	} >"$log" 2>&1 || { tail -n 20 "$log" >&2; echo "error: could not build PostgreSQL $major: $log" >&2; exit 1; }
fi
echo "$prefix/bin/pg_config"
