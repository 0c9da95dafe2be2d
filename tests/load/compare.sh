#!/usr/bin/env bash
# Compares this tree with another commit: `tests/load/compare.sh COMMIT [ROUNDS]`, three rounds by default.
# Both are built in release. In each round each build runs the scenarios of tests/load/compare.rs, driven by this tree's load generator, on
# services of this tree; the other build does not run meanwhile. Prints the medians and their ratios, and writes
# tests/load/compare-dev.md, with TEMPORAL=postgres compare-postgres.md.
# A round takes about 5 minutes. The machine should be otherwise idle. SECONDS_PER_RUN=5 PROFILE_FOLDER=debug tests the script itself.
# COMPARE_PREBUILT=1 uses the programs in .test/compare/bin.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$PWD commit=$(git rev-parse --verify "$1^{commit}") rounds=${2:-3}
out=$PWD/.test/compare
export TOOLS=${TOOLS:-$PWD/.run/tools} PROFILE_FOLDER=${PROFILE_FOLDER:-release} ORCHESTRATOR_LOG=${ORCHESTRATOR_LOG:-warn}
export POSTGRES_OPTIONS="-c shared_preload_libraries=pg_stat_statements"
. deploy/local/ports.sh 22000
# for builds whose simulators have a variable each; their defaults are the ports of `make up`
export SIM_EFI_TLS_PORT=$((SIM_PORT + 1)) SIM_EFI_COBRANCAS_PORT=$((SIM_PORT + 2)) SIM_STRIPE_PORT=$((SIM_PORT + 3))
export SIM_ASAAS_PORT=$((SIM_PORT + 4)) SIM_EFI_PORT=$((SIM_PORT + 5))
stack=$root/deploy/local/stack.sh profile=${TEMPORAL:-dev}
mkdir -p "$out/bin"

# build SIDE TREE BINARY...: builds with this tree's target folder, so that third-party crates are compiled once.
build() {
    local side=$1 tree=$2 name
    local -a selected=()
    shift 2
    for name in "$@"; do selected+=(--bin "$name"); done
    local cargo_profile=release
    [ "$PROFILE_FOLDER" = release ] || cargo_profile=dev
    (cd "$tree" && CARGO_TARGET_DIR=$root/target cargo build --quiet --profile "$cargo_profile" --workspace "${selected[@]}")
    mkdir -p "$out/bin/$side"
    for name in "$@"; do cp "$root/target/$PROFILE_FOLDER/$name" "$out/bin/$side/"; done
}

# measure SIDE TREE ROUND
measure() (
    side=$1 tree=$2 round=$3
    export STATE=$out/$side
    trap '"$stack" stop >/dev/null' EXIT
    "$stack" start >/dev/null
    cd "$tree"
    . deploy/local/environment.sh
    BIN=$out/bin/$side
    name=load_$(date +%s)
    "$POSTGRES_BIN/psql" -X -q "$ORCHESTRATOR_DATABASE_URL" -c "create database $name"
    export ORCHESTRATOR_DATABASE_URL=${ORCHESTRATOR_DATABASE_URL%/*}/$name
    export ORCHESTRATOR_TASK_QUEUE_PREFIX=${name}_ ORCHESTRATOR_KAFKA_TOPIC_PREFIX=$name.
    "$BIN/orchestrator" migrate >/dev/null
    start_simulators
    for role in api worker relay; do "$stack" run "$role" "$BIN/orchestrator" "$role"; done
    "$stack" wait-http api "$api/readyz" 60
    "$stack" wait-http worker "http://127.0.0.1:$WORKER_PORT/readyz" 60
    create_merchant >/dev/null
    . "$STATE/merchant.env"
    printf '\n== round %s, %s (%s)\n' "$round" "$side" "$(uptime | sed 's/.*load/load/')"
    "$out/bin/new/load" --api "$api" --key "$KEY" --simulators "$simulators" --database "$ORCHESTRATOR_DATABASE_URL" --pids "$STATE/pids" \
        --seconds "${SECONDS_PER_RUN:-15}" --compare "$out/$profile-$side-$round.json"
)

if [ -e "$out/tree/.git" ]; then
    git -C "$out/tree" checkout --quiet --detach "$commit"
else
    git worktree add --quiet --detach "$out/tree" "$commit"
fi
if [ -z "${COMPARE_PREBUILT:-}" ]; then
    echo "building both (the first time takes some minutes)"
    build old "$out/tree" orchestrator simulators
    build new "$root" orchestrator simulators load
fi
rm -f "$out/$profile"-*.json
for round in $(seq "$rounds"); do
    # the order alternates, so that a drift of the machine favors neither
    if [ $((round % 2)) = 1 ]; then order="old new"; else order="new old"; fi
    for side in $order; do
        case $side in old) tree=$out/tree ;; *) tree=$root ;; esac
        measure "$side" "$tree" "$round"
    done
done
python3 tests/load/compare.py "$out" "$profile" "$(git describe --always "$commit")" "$(git describe --always --dirty)" | tee "tests/load/compare-$profile.md"
