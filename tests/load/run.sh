#!/usr/bin/env bash
# Measures a release build on a stack of its own: `tests/load/run.sh [arguments of tests/load/main.rs]`.
# Its ports are those of `make up` plus 22000. Its state is in .test/load, its results in tests/load/results.json and .md.
#
#   run.sh                      charges, lives, deliveries, counts of statements                results.json, .md
#   run.sh recovery [rows]      the recovery from an outage of Temporal                      recovery.json
#   run.sh hanging [pairs]      sales, events and payments while one gateway hangs           hanging.json, .md
#   run.sh deliveries [pairs]   healthy endpoints beside a dead one and a slow one           deliveries.json, .md
#
# TEMPORAL=postgres measures with Temporal's official server on PostgreSQL, beside the dev server's figures.
# Each accepts further arguments of tests/load/main.rs after its own. PROFILE_FOLDER=debug tests the program itself; its figures are
# meaningless. LOAD_PREBUILT=1 uses the programs that are there.
set -euo pipefail
cd "$(dirname "$0")/../.."
export STATE=${LOAD_STATE:-$PWD/.test/load} TOOLS=${TOOLS:-$PWD/.run/tools}
. deploy/local/ports.sh 22000
export PROFILE_FOLDER=${PROFILE_FOLDER:-release} ORCHESTRATOR_LOG=${ORCHESTRATOR_LOG:-warn}
mode=${1:-} count=${2:-}
case $mode in
recovery) default=1500 ;;
hanging) default=2 ;;
deliveries) default=3 ;;
*) mode= ;;
esac
if [ -n "$mode" ]; then
    case $count in '' | -*) count=$default && shift 1 ;; *) shift 2 ;; esac
fi

export POSTGRES_OPTIONS="-c track_commit_timestamp=on -c shared_preload_libraries=pg_stat_statements ${POSTGRES_OPTIONS:-}"
trap 'deploy/local/stack.sh stop >/dev/null' EXIT
deploy/local/stack.sh start
case $PROFILE_FOLDER in release) profile=release ;; *) profile=dev ;; esac
[ -n "${LOAD_PREBUILT:-}" ] || echo "building (the first time takes some minutes)"
[ -n "${LOAD_PREBUILT:-}" ] || cargo build --quiet --profile "$profile" -p orchestrator -p simulators -p tests --bin orchestrator --bin simulators --bin load
. deploy/local/environment.sh

# each run starts with empty tables and queues
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

# merchant ACCOUNT GATEWAY...: creates another merchant with accounts of its own and prints its key.
merchant() {
    local account=$1 id gateway
    shift
    id=$("$BIN/orchestrator" merchant create "Loja $account")
    "$BIN/orchestrator" key create --merchant "$id" --permission configuration --label load
    for gateway in "$@"; do
        credentials "$gateway" "$account" |
            "$BIN/orchestrator" connection add --merchant "$id" --gateway "$gateway" --credentials - >/dev/null
    done
}
joined() { (IFS=, && echo "$*"); }
others=() touched=() stuck=()
case $mode in
recovery)
    for n in 1 2 3; do others+=("$(merchant "outra$n" stripe)"); done
    set -- --recovery "$count" --seconds 30 --others "$(joined "${others[@]}")" "$@"
    ;;
hanging)
    # twenty merchants with the first, whose route begins with Efí: ten never use Stripe, eight begin with it, two have no other gateway
    for n in 1 2 3 4; do others+=("$(merchant "efi$n" efi)"); done
    for n in 1 2 3 4 5; do others+=("$(merchant "asaas$n" asaas)"); done
    for n in 1 2 3 4; do touched+=("$(merchant "asaas2$n" stripe asaas)" "$(merchant "efi2$n" stripe efi)"); done
    for n in 1 2; do stuck+=("$(merchant "stripe$n" stripe)"); done
    set -- --hanging "$count" --seconds 60 --others "$(joined "${others[@]}")" --touched "$(joined "${touched[@]}")" \
        --stuck "$(joined "${stuck[@]}")" --metrics "api=http://127.0.0.1:$METRICS_PORT/metrics,worker=http://127.0.0.1:$WORKER_PORT/metrics" "$@"
    ;;
deliveries) set -- --deliveries "$count" --seconds 45 --temporal "http://127.0.0.1:$TEMPORAL_PORT" "$@" ;;
esac
create_merchant
measured="$(git describe --always --dirty 2>/dev/null || echo 'without a commit'), $(date -u +%F)"
. "$STATE/merchant.env"

echo "before: $(uptime)"
"$BIN/load" --api "$api" --key "$KEY" --simulators "$simulators" --database "$ORCHESTRATOR_DATABASE_URL" --pids "$STATE/pids" \
    --profile "${TEMPORAL:-dev}" --measured "$measured" --temporal-metrics "http://127.0.0.1:$TEMPORAL_METRICS_PORT/metrics" "$@"
echo "after: $(uptime)"
