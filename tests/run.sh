#!/usr/bin/env bash
# Runs all tests with services of their own: `tests/run.sh [part of a test's name] [further arguments of cargo test]`.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || export WITH_NODE=1   # for the SDKs, at the end
. deploy/local/test-services.sh postgres temporal kafka
tests/specs/fetch.sh "$TEST_SPECS"

log=$STATE/logs/tests.log out=$STATE/logs/tests.out
mkdir -p "$(dirname "$log")"
: >"$log"
export RUST_BACKTRACE=${TEST_BACKTRACE:-0}
# The logs of the whole system go to a file: a test that logs personal data or credentials must fail.
failed=0
{ cargo test --workspace --no-fail-fast -- "$@" 2>&1 >&3 | tee -a "$log" >&2; } 3>&1 | tee "$out" || failed=$?
tests/leaks.sh "$log"
# list tests that lack a document again at the end of the output, where they are noticed
grep -E '^skipped: ' "$log" | sort -u || true

# Checks with independent libraries against the simulators. They run with the whole suite only, not with a search for one test.
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
