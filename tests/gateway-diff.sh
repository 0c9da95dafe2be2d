#!/usr/bin/env bash
# Proves that one folder is enough for a gateway: counts the files and lines outside of folders called `dummy` that mention the gateway
# `dummy`. Generated files and documents do not count.
set -euo pipefail
cd "$(dirname "$0")/.."
max_files=4 max_lines=10

found=$(git grep -inw dummy -- ':!*/dummy/*' ':!schemas/json' ':!sdks' ':!openapi' ':!docs' ':!*.md' ':!tests/gateway-diff.sh' || true)
files=$(cut -d: -f1 <<<"$found" | sort -u | grep -c . || true)
lines=$(grep -c . <<<"$found" || true)
echo "the gateway dummy is mentioned in $files files outside of its folders, on $lines lines (at most $max_files and $max_lines)"
[ "$files" -le $max_files ] && [ "$lines" -le $max_lines ] || { echo "$found" >&2; exit 1; }
