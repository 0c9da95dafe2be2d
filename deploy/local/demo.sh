#!/usr/bin/env bash
# Shows what `make up` started at work.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/local/environment.sh
. "$STATE/merchant.env"

# a Standard Webhooks library that is not ours checks the signatures
venv=$STATE/demo-venv
if [ ! -e "$venv/.ok" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0
    touch "$venv/.ok"
fi
exec "$venv/bin/python" deploy/local/demo.py --api "$api" --key "$KEY" --simulators "$simulators" --orchestrator "$BIN/orchestrator"
