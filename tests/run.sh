#!/usr/bin/env bash
# Tests everything, with services of its own: `tests/run.sh [part of a test's name] [cargo test's further arguments]`.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/local/test-services.sh postgres temporal kafka

log=$STATE/logs/tests.log
mkdir -p "$(dirname "$log")"
: >"$log"
# What the whole system logs while it is tested goes to a file: no test may pass that writes personal data or credentials there.
cargo test --workspace --no-fail-fast -- "$@" 2> >(tee -a "$log" >&2)

if grep -nE 'Zzyzx|52998224725|quiteria\.|Client_Secret_|sk_test_loja|aact_hmlg_loja|whsec_' "$log" | head -5 | grep .; then
    echo "the log holds personal data or credentials (above)" >&2
    exit 1
fi
