#!/usr/bin/env bash
# An #include may only point along the arrows between folders.  See README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

# folder: folders whose headers it may include, beside its own and compat
declare -A may=(
	[src]="*"
	[src/compat]=""
	[src/util]=""
	[src/types]="util"
	[src/distance]="types util"
	[src/am]="distance types util"
	[src/am/flat]="am distance types util"
	[src/am/sparse]="am distance types util"
	[src/am/graph]="am distance types util"
	[src/batch]="am blas distance types util"
	[src/blas]=""
	[src/yaml]=""
	[src/inspect]="am am/flat am/sparse am/graph types util"
	[src/catalog]="types util"
	[src/shard]="catalog types util"
	[src/model]="catalog distance types util"
	[kafka_bgworker]="catalog types util"
)
# Folders of which outsiders include one header alone.
declare -A public=([types]=types.h [distance]=distance.h)
# librdkafka stays behind these files: nothing else calls it.
rdkafka_files='^kafka_bgworker/([a-z]+_)*(consumer|producer|options|admin|peek|log_ring|client)(_[a-z]+)*\.[ch]$'

status=0
complain() { echo "$1: $2"; status=1; }

while IFS=: read -r file line include; do
	folder=$(dirname "$file")
	where=$file:$line
	if [[ $include =~ \<(librdkafka/)?rdkafka ]]; then
		[[ $file =~ $rdkafka_files ]] || complain "$where" "includes rdkafka.h, which only a consumer, producer or options file may"
		continue
	fi
	[[ $include =~ \"(.*)\" ]] || continue
	header=${BASH_REMATCH[1]}
	if [ -z "${may[$folder]+x}" ]; then
		complain "$where" "folder $folder is not in the table of check_layers.sh"
		continue
	fi
	# Ours when it is there; everything else is PostgreSQL's.
	if [ -f "src/$header" ]; then target=$(dirname "$header")
	elif [ -f "$header" ] && [[ $header == */* ]]; then target=$(dirname "$header")
	else continue; fi
	[ "$target" != . ] || target=src
	if [ "$target" = "${folder#src/}" ] || [ "$target" = compat ] || [ "${may[$folder]}" = "*" ]; then continue; fi
	case " ${may[$folder]} " in
	*" $target "*) ;;
	*) complain "$where" "$folder may not include $header"; continue ;;
	esac
	only=${public[$target]:-}
	if [ -n "$only" ] && [ "$(basename "$header")" != "$only" ]; then
		complain "$where" "$header is private to src/$target, outsiders include $only"
	fi
done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' -r src kafka_bgworker --include='*.[ch]')
exit $status
