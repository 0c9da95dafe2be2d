# Temporal's dev server and its UI: sourced by stack.sh. The settings are those that measurements asked for.
# shellcheck shell=bash

start_temporal() {
    if pid_of temporal >/dev/null; then return; fi
    need_free TEMPORAL_PORT TEMPORAL_UI_PORT TEMPORAL_HTTP_PORT TEMPORAL_METRICS_PORT
    mkdir -p "$STATE/temporal"
    local settings=() setting
    # untouched, each workflow task waits for a tick of 50 ms, and partitions starve each other
    for setting in history.transferProcessorMaxPollRPS=5000 history.transferProcessorMaxPollHostRPS=5000 \
        history.timerProcessorMaxPollRPS=5000 history.timerProcessorMaxPollHostRPS=5000 \
        history.visibilityProcessorMaxPollRPS=5000 history.visibilityProcessorMaxPollHostRPS=5000 \
        matching.numTaskqueueReadPartitions=1 matching.numTaskqueueWritePartitions=1; do
        settings+=(--dynamic-config-value "$setting")
    done
    launch temporal "$VENV/bin/temporal" server start-dev --ip 127.0.0.1 --port "$TEMPORAL_PORT" --ui-ip 127.0.0.1 --ui-port "$TEMPORAL_UI_PORT" \
        --http-port "$TEMPORAL_HTTP_PORT" --metrics-port "$TEMPORAL_METRICS_PORT" --log-level warn --log-format json \
        --db-filename "$STATE/temporal/temporal.db" --sqlite-pragma journal_mode=WAL --sqlite-pragma synchronous=NORMAL \
        --search-attribute MerchantId=Keyword --search-attribute ChargeId=Keyword --search-attribute EndpointId=Keyword "${settings[@]}"
}

await_temporal() {
    ready temporal "$VENV/bin/temporal" operator namespace describe default --address "127.0.0.1:$TEMPORAL_PORT"
}
