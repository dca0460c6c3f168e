#!/usr/bin/env bash
# Copies what is new in a folder into another one, which may be a mounted bucket (no renaming, no locks, no times):
#   cloud/keep.sh ~/data/run /bucket/run
# The copy can be gone on with whenever this was cut off: the files that name the newest checkpoint are read before all
# others and written after them. Unfinished files, whose names are hidden, stay behind.
set -euo pipefail

from="$1" to="$2"
[ -d "$from" ] || exit 0
mkdir -p "$to"
to="$(cd "$to" && pwd)"
states="$(mktemp -d)"
trap 'rm -r "$states"' EXIT

cd "$from"
find . -name checkpoint -type f -exec cp --parents -t "$states" {} +
find . -name '.?*' -prune -o -type f ! -name checkpoint -exec cp -u --parents -t "$to" {} +
cp -r "$states/." "$to"
