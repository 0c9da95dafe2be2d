#!/usr/bin/env bash
# Runs the gateways' official SDKs against the simulators: `tests/sdks/run.sh [part of a check's path]`.
# A check is GATEWAY/node/check.mjs or GATEWAY/python/check.py beside this file. It exits with 0 on success. Its environment contains
# CONTROL_URL, one URL for each of the simulators' ports (STRIPE_URL, ASAAS_URL, EFI_URL, EFI_TLS_URL, …) and CERTIFICATES (the folder of
# Efí's).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
state=$root/.test/sdks
mkdir -p "$state"
cd "$root"
for tool in node npm python3 curl; do
    command -v "$tool" >/dev/null || { echo "missing: $tool. On Debian or Ubuntu: sudo apt-get install -y nodejs npm python3-venv curl" >&2; exit 1; }
done

# SDKS_PORT is the control API's; the simulators have the ports after it.
port=${SDKS_PORT:-27400}
# Command that starts the simulators; SIMULATORS may name a binary that is already built.
read -ra simulate <<<"${SIMULATORS:-cargo run -q -p simulators --}"
if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    echo "a process listens on port $port already; set SDKS_PORT" >&2
    exit 1
fi
arguments=(--certificates "$state/certificates" --port "$port")
export CONTROL_URL=http://127.0.0.1:$port
urls=$("${simulate[@]}" --port "$port" env)
eval "$(sed 's/ORCHESTRATOR_TEST_//; s/EFI_PIX_URL/EFI_TLS_URL/' <<<"$urls")"
# Efí's API Pix over plain HTTP has the port after all others
export EFI_URL=http://127.0.0.1:$((port + 1 + $(wc -l <<<"$urls")))
export CERTIFICATES=$state/certificates

"${simulate[@]}" "${arguments[@]}" 2>"$state/simulators.log" &
simulators=$!
trap 'kill "$simulators" 2>/dev/null && wait "$simulators" 2>/dev/null || true' EXIT
healthy() { curl -sf --noproxy '*' "$CONTROL_URL/_sim/health" >/dev/null; }
tries=600 # of 0.2 s
until healthy; do
    kill -0 "$simulators" 2>/dev/null && ((tries-- > 0)) || { cat "$state/simulators.log" >&2; exit 1; }
    sleep 0.2
done

node() { # the check, in a copy beside its packages
    local folder=$1 home=$2
    cp "$folder"/package.json "$folder"/package-lock.json "$folder"/*.mjs "$home"
    (cd "$home" && npm ci --silent --no-audit --no-fund && command node check.mjs)
}

python() {
    local folder=$1 home=$2
    [[ -x $home/venv/bin/python ]] || python3 -m venv "$home/venv"
    "$home/venv/bin/pip" install -q --disable-pip-version-check -r "$folder/requirements.txt"
    "$home/venv/bin/python" "$folder/check.py"
}

failed=0
ran=0
for check in "$here"/*/node/check.mjs "$here"/*/python/check.py; do
    folder=$(dirname "$check")
    name=${folder#"$here"/}
    [[ -f $check && $name == *"${1:-}"* ]] || continue
    mkdir -p "$state/$name"
    ran=$((ran + 1))
    if "$(basename "$folder")" "$folder" "$state/$name"; then
        echo "$name: ok"
    else
        echo "$name: failed" >&2
        failed=1
    fi
done
[[ $ran -gt 0 ]] || { echo "no such check" >&2; exit 1; }
exit "$failed"
