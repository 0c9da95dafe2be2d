# To be sourced before environment.sh: `. ports.sh OFFSET` moves every port of a stack, so that several stacks can run. Offsets in use:
# none (`make up`), 20000 (chaos), 22000 (bench); the services of the tests have separate ports (test-services.sh).
# shellcheck shell=bash

# First port that the system assigns to outgoing connections: one of them may occupy it before a service does.
EPHEMERAL=32768

move() {
    local name=$1
    printf -v "$name" '%s' "${!name:-$(($2 + offset))}"
    if [ "${!name}" -ge $EPHEMERAL ]; then
        echo "$name is ${!name}: a port from $EPHEMERAL on may be taken by any outgoing connection; choose a lower one" >&2
        exit 1
    fi
    # shellcheck disable=SC2163
    export "$name"
}
offset=$1
move API_PORT 8080
move WORKER_PORT 8081
move RELAY_PORT 8082
move METRICS_PORT 8084
move SIM_PORT 4100
move POSTGRES_PORT 5433
move TEMPORAL_PORT 7233
move TEMPORAL_HISTORY_PORT 7234
move TEMPORAL_MATCHING_PORT 7235
move TEMPORAL_WORKER_PORT 7239
move TEMPORAL_HTTP_PORT 7243
move TEMPORAL_UI_PORT 8233
move TEMPORAL_METRICS_PORT 9797
move KAFKA_PORT 9092
move KAFKA_CONTROLLER_PORT 9093
