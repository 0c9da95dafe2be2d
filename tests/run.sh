#!/usr/bin/env bash
# Tests everything, with services of its own: `tests/run.sh [part of a test's name] [cargo test's further arguments]`.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || export WITH_NODE=1   # for the SDKs, at the end
. deploy/local/test-services.sh postgres temporal kafka
tests/specs/fetch.sh "$TEST_SPECS"

log=$STATE/logs/tests.log out=$STATE/logs/tests.out
mkdir -p "$(dirname "$log")"
: >"$log"
export RUST_BACKTRACE=${TEST_BACKTRACE:-0}
# What the whole system logs while it is tested goes to a file: no test may pass that writes personal data or credentials there.
failed=0
{ cargo test --workspace --no-fail-fast -- "$@" 2>&1 >&3 | tee -a "$log" >&2; } 3>&1 | tee "$out" || failed=$?
tests/leaks.sh "$log"
# tests that need a document which is not here: by name, also at the end, where it is read
grep -E '^skipped: ' "$log" | sort -u || true

# Libraries that are not ours, against the simulators: part of the whole only, not of a search for one test.
if [ $# -eq 0 ]; then
    export SIMULATORS=${CARGO_TARGET_DIR:-target}/debug/simulators
    [ -x "$SIMULATORS" ] || cargo build --quiet -p simulators
    tests/sdks/run.sh || failed=$?
fi
if [ "$failed" -ne 0 ]; then
    printf '\n== what failed\n'
    grep -E '^test .* FAILED$' "$out" || true
    grep -E -A 5 "^thread '.*panicked at " "$out" || true
fi
exit $failed
