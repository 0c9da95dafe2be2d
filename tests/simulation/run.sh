#!/usr/bin/env bash
# Runs the seeded simulation: `tests/simulation/run.sh --seeds FROM..TO`; one seed with `--trace` shows what happened.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/local/test-services.sh postgres
exec cargo run --quiet -p tests --bin simulation -- "$@"
