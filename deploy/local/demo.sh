#!/usr/bin/env bash
# Demonstrates the stack that `make up` started.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/local/environment.sh
. "$STATE/merchant.env"

# a third party's Standard Webhooks library verifies the signatures
venv=$STATE/demo-venv
if [ ! -e "$venv/.ok" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0
    touch "$venv/.ok"
fi
exec "$venv/bin/python" deploy/local/demo.py --api "$api" --key "$KEY" --simulators "$simulators" --orchestrator "$BIN/orchestrator"
