#!/usr/bin/env bash
# Fails when 'make format' would change a file, and shows what.
release=$(. /etc/os-release && echo "${ID:-}${VERSION_ID:-}")
if ! command -v pg_bsd_indent >/dev/null && [ "$release" != debian12 ]; then
	echo "format NOT checked: this system has no pg_bsd_indent; Debian 12, where CI runs, has it"
	exit 0
fi
exec "$(dirname "$0")/format.sh" --check
