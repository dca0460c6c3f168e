#!/usr/bin/env bash
# Copies what is new in a folder into another one, which may be a mounted bucket (no renaming, no locks, no times):
#   cloud/keep.sh ~/data/run /bucket/run
# The copy can be gone on with whenever this was cut off: the files that name the newest checkpoint are read before all
# others and written after them. Unfinished files, whose names are hidden or end in _temp, stay behind, as does what a
# run deletes meanwhile (its old checkpoints).
set -euo pipefail

from="$1" to="$2"
[ -d "$from" ] || exit 0
mkdir -p "$to"
to="$(cd "$to" && pwd)"
states="$(mktemp -d)"
trap 'rm -r "$states"' EXIT
cd "$from"

# copy FOLDER [OPTION...]: the files whose names are read, unless they are gone by now
copy() {
  local file said
  while IFS= read -r -d '' file; do
    said="$(cp --parents "${@:2}" "$file" "$1" 2>&1)" || [ ! -e "$file" ] || { echo "$said" >&2; return 1; }
  done
}

unfinished=(-name '.?*' -o -name '*_temp')
find . \( "${unfinished[@]}" \) -prune -o -name checkpoint -type f -print0 | copy "$states"
find . \( "${unfinished[@]}" \) -prune -o ! -name checkpoint -type f -print0 | copy "$to" -u
cp -r "$states/." "$to"
