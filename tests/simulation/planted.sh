#!/usr/bin/env bash
# Plants each fault of `planted/`, one at a time, and counts the runs until the simulation finds it: `planted.sh [name]`. The working tree
# must have no changes in activities/, which is restored afterwards.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/local/test-services.sh postgres
[ -z "$(git status --porcelain -- activities)" ] || { echo "commit or stash changes of activities/ first"; exit 1; }
for patch in tests/simulation/planted/${1:-*}.patch; do
    git apply "$patch"
    cargo build --quiet -p tests --bin simulation && cp "${CARGO_TARGET_DIR:-target}/debug/simulation" "${TMPDIR:-/tmp}/planted"
    git apply --reverse "$patch"
    printf '%s: ' "$(basename "$patch" .patch)"
    "${TMPDIR:-/tmp}/planted" --seeds "${SEEDS:-1..2000}" --first ${ARGS:-} | grep -E '^seed|invariant|runs,' | tr '\n' ' ' || true
    echo
done
