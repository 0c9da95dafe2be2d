#!/usr/bin/env bash
# Kills each part of its own stack under load, then checks the counts: `tests/chaos/run.sh [--short] [arguments of tests/chaos/main.rs]`.
# Its ports are those of `make up` plus 20000. Its state is in .test/chaos.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" = --short ]; then
    shift
    set -- --calm-s 2 --down-s 1 --away-s 10 "$@"
fi
export STATE=${CHAOS_STATE:-$PWD/.test/chaos} TOOLS=${TOOLS:-$PWD/.run/tools}
. deploy/local/ports.sh 20000
# shorter schedules; the defaults take minutes
export ORCHESTRATOR_SWEEP_EVERY_S=2 ORCHESTRATOR_SWEEP_GRACE_S=4 ORCHESTRATOR_DELIVERY_DELAYS_S=0,1,2,4,8,8,8,8,8,8
export ORCHESTRATOR_LOG=${ORCHESTRATOR_LOG:-info}

trap 'deploy/local/stack.sh stop >/dev/null' EXIT
deploy/local/stack.sh start
cargo build --quiet -p orchestrator -p simulators -p tests --bins
. deploy/local/environment.sh

# each run has a database, task queues and topics of its own, so that rows of an earlier run are not counted
name=chaos_$(date +%s)
"$POSTGRES_BIN/psql" -X -q "$ORCHESTRATOR_DATABASE_URL" -c "create database $name"
export ORCHESTRATOR_DATABASE_URL=${ORCHESTRATOR_DATABASE_URL%/*}/$name
export ORCHESTRATOR_TASK_QUEUE_PREFIX=${name}_ ORCHESTRATOR_KAFKA_TOPIC_PREFIX=$name.
"$BIN/orchestrator" migrate 2>>"$STATE/logs/migrate.log"
start_simulators
for role in api worker relay; do
    : >"$STATE/logs/$role.log"
    start_role "$role"
done
deploy/local/stack.sh wait-http api "$api/readyz" 60
create_merchant 2>>"$STATE/logs/migrate.log"
. "$STATE/merchant.env"

"$BIN/chaos" --api "$api" --key "$KEY" --simulators "$simulators" --database "$ORCHESTRATOR_DATABASE_URL" \
    --kafka "$ORCHESTRATOR_KAFKA_BROKERS" --topic-prefix "$ORCHESTRATOR_KAFKA_TOPIC_PREFIX" \
    --temporal "http://127.0.0.1:$TEMPORAL_HTTP_PORT" --orchestrator "$BIN/orchestrator" "$@"
tests/leaks.sh "$STATE"/logs/{api,worker,relay}.log
