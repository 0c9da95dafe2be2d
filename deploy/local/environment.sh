# To be sourced: configuration of the processes of `make up`. Every variable can be set beforehand.
# shellcheck shell=bash
export STATE=${STATE:-$PWD/.run}
mkdir -p "$STATE"
: "${API_PORT:=8080}" "${WORKER_PORT:=8081}" "${RELAY_PORT:=8082}" "${METRICS_PORT:=8084}"
# the control API of the simulators; each simulator has a port after it
: "${SIM_PORT:=4100}"
export API_PORT WORKER_PORT RELAY_PORT METRICS_PORT
export SIM_PORT
eval "$(deploy/local/stack.sh env)"

if [ ! -s "$STATE/master.key" ]; then
    (umask 077 && head -c 32 /dev/urandom | base64 >"$STATE/master.key")
fi
ORCHESTRATOR_MASTER_KEY=$(cat "$STATE/master.key")
export ORCHESTRATOR_MASTER_KEY
export ORCHESTRATOR_API_PORT=$API_PORT ORCHESTRATOR_WORKER_PORT=$WORKER_PORT ORCHESTRATOR_RELAY_PORT=$RELAY_PORT ORCHESTRATOR_METRICS_PORT=$METRICS_PORT
export ORCHESTRATOR_NOTIFICATIONS_URL=http://127.0.0.1:$API_PORT ORCHESTRATOR_DOCS_URL=http://127.0.0.1:$API_PORT/docs
export ORCHESTRATOR_ALLOW_PRIVATE_WEBHOOKS=true
export ORCHESTRATOR_TEST_EFI_CA_FILE=$STATE/simulators/ca.pem

BIN=$PWD/target/${PROFILE_FOLDER:-debug}
api=http://127.0.0.1:$API_PORT
simulators=http://127.0.0.1:$SIM_PORT
# ORCHESTRATOR_TEST_<API>_URL of every simulated API
[ ! -x "$BIN/simulators" ] || eval "$("$BIN/simulators" --port "$SIM_PORT" env)"

# start_role ROLE [NAME]: starts a role of the orchestrator; its ports must be free.
start_role() {
    local needs
    case $1 in
    api) needs="API_PORT METRICS_PORT" ;;
    worker) needs=WORKER_PORT ;;
    relay) needs=RELAY_PORT ;;
    dev) needs="API_PORT WORKER_PORT RELAY_PORT METRICS_PORT" ;;
    esac
    NEEDS=$needs deploy/local/stack.sh run "${2:-$1}" "$BIN/orchestrator" "$1"
}

start_simulators() {
    eval "$("$BIN/simulators" --port "$SIM_PORT" env)"
    NEEDS=SIM_PORT deploy/local/stack.sh run simulators "$BIN/simulators" --certificates "$STATE/simulators" --port "$SIM_PORT"
    deploy/local/stack.sh wait-http simulators "$simulators/_sim/health" 30
}

# Creates a merchant on the simulators, with a key and a connection to each gateway, and writes $STATE/merchant.env. A new one is needed
# after each restart of the simulators: they store nothing, so that the registered notification addresses are lost.
create_merchant() {
    local merchant key gateway
    merchant=$("$BIN/orchestrator" merchant create "Loja de demonstração")
    echo '{"breaker":{"consecutive_failures":3,"open_s":3,"half_open_successes":2}}' |
        "$BIN/orchestrator" merchant settings "$merchant" --set -
    key=$("$BIN/orchestrator" key create --merchant "$merchant" --permission configuration --label local)
    for gateway in $("$BIN/simulators" gateways); do
        credentials "$gateway" | "$BIN/orchestrator" connection add --merchant "$merchant" --gateway "$gateway" --credentials - >/dev/null
    done
    printf 'MERCHANT=%s\nKEY=%s\n' "$merchant" "$key" >"$STATE/merchant.env"
}

# credentials GATEWAY [ACCOUNT]: prints credentials that the simulators accept for an account, `loja` by default.
credentials() {
    "$BIN/simulators" --certificates "$STATE/simulators" credentials "$1" "${2:-loja}"
}
