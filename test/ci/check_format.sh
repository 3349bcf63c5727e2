#!/usr/bin/env bash
# Fails when 'make format' would change a file, and shows what.
exec "$(dirname "$0")/format.sh" --check
