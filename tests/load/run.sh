#!/usr/bin/env bash
# Measures a release build on a stack of its own: `tests/load/run.sh [arguments of tests/load/main.rs]`.
# Its ports are those of `make up` plus 22000, its state is .test/load, its results are tests/load/results.json and .md.
# `tests/load/run.sh recovery [rows]` measures the recovery from an outage of Temporal instead, into tests/load/recovery.json.
# PROFILE_FOLDER=debug tries the program itself, whose figures then say nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
export STATE=${LOAD_STATE:-$PWD/.test/load} TOOLS=${TOOLS:-$PWD/.run/tools}
. deploy/local/ports.sh 22000
export PROFILE_FOLDER=${PROFILE_FOLDER:-release} ORCHESTRATOR_LOG=${ORCHESTRATOR_LOG:-warn}

trap 'deploy/local/stack.sh stop >/dev/null' EXIT
deploy/local/stack.sh start
echo "building (the first time takes some minutes)"
case $PROFILE_FOLDER in release) profile=release ;; *) profile=dev ;; esac
cargo build --quiet --profile "$profile" -p orchestrator -p simulators -p tests --bins
. deploy/local/environment.sh

# each run begins with empty tables and queues
name=load_$(date +%s)
"$POSTGRES_BIN/psql" -X -q "$ORCHESTRATOR_DATABASE_URL" -c "create database $name"
export ORCHESTRATOR_DATABASE_URL=${ORCHESTRATOR_DATABASE_URL%/*}/$name
export ORCHESTRATOR_TASK_QUEUE_PREFIX=${name}_ ORCHESTRATOR_KAFKA_TOPIC_PREFIX=$name.
"$BIN/orchestrator" migrate
start_simulators
for role in api worker relay; do
    : >"$STATE/logs/$role.log"
    start_role "$role"
done
deploy/local/stack.sh wait-http api "$api/readyz" 60
deploy/local/stack.sh wait-http worker "http://127.0.0.1:$WORKER_PORT/readyz" 60
others=()
if [ "${1:-}" = recovery ]; then
    # Efí has one address for notifications: the other merchants are at Stripe
    for _ in 1 2 3; do
        other=$("$BIN/orchestrator" merchant create "Outra loja")
        others+=("$("$BIN/orchestrator" key create --merchant "$other" --permission configuration --label load)")
        credentials stripe | "$BIN/orchestrator" connection add --merchant "$other" --gateway stripe --credentials - >/dev/null
    done
    set -- --recovery "${2:-1500}" --seconds 30 --others "$(IFS=,; echo "${others[*]}")"
fi
create_merchant
. "$STATE/merchant.env"

echo "before: $(uptime)"
"$BIN/load" --api "$api" --key "$KEY" --simulators "$simulators" --database "$ORCHESTRATOR_DATABASE_URL" --pids "$STATE/pids" "$@"
echo "after: $(uptime)"
