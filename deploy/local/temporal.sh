# Temporal's dev server and its UI: sourced by stack.sh. The settings follow from measurements.
# shellcheck shell=bash

start_temporal() {
    if pid_of temporal >/dev/null; then return; fi
    need_free TEMPORAL_PORT TEMPORAL_UI_PORT TEMPORAL_HTTP_PORT TEMPORAL_METRICS_PORT
    mkdir -p "$STATE/temporal"
    local settings=(
        # with the defaults each workflow task waits for a tick of 50 ms, and partitions starve each other
        history.transferProcessorMaxPollRPS=5000 history.transferProcessorMaxPollHostRPS=5000 history.timerProcessorMaxPollRPS=20
        matching.numTaskqueueReadPartitions=1 matching.numTaskqueueWritePartitions=1
        # lists lag by a tenth of a second, and are read and written in batches that block no other request
        history.visibilityProcessorMaxPollRPS=10
        # the dev server reads the search attributes from its database 20 times per charge; ours exist from its start
        system.forceSearchAttributesCacheRefreshOnRead=false
        history.enableHostLevelEventsCache=true history.clientOwnershipCachingEnabled=true
        # metrics for servers that balance load among each other
        system.historyHealthSignalMetricsEnabled=false
        system.persistenceHealthSignalMetricsEnabled=false system.persistenceHealthSignalAggregationEnabled=false
    )
    launch temporal "$VENV/bin/temporal" server start-dev --ip 127.0.0.1 --port "$TEMPORAL_PORT" --ui-ip 127.0.0.1 --ui-port "$TEMPORAL_UI_PORT" \
        --http-port "$TEMPORAL_HTTP_PORT" --metrics-port "$TEMPORAL_METRICS_PORT" --log-level warn --log-format json \
        --db-filename "$STATE/temporal/temporal.db" --sqlite-pragma journal_mode=WAL --sqlite-pragma synchronous=NORMAL \
        --search-attribute MerchantId=Keyword --search-attribute ChargeId=Keyword --search-attribute EndpointId=Keyword "${settings[@]/#/--dynamic-config-value=}"
}

await_temporal() {
    ready temporal "$VENV/bin/temporal" operator namespace describe default --address "127.0.0.1:$TEMPORAL_PORT"
    trim_visibility
}

# Drops indexes of the dev server's lists: it has about 55 and writes them all twice for each workflow, nearly half of its work at full
# load. Those that its UI or our queries use remain; other queries still work, by reading the table.
trim_visibility() {
    "$VENV/bin/python" - "$STATE/temporal/temporal.db" <<'PYTHON'
import sqlite3
import sys

ASKED_BY = {"default_idx", "by_workflow_id", "by_workflow_type", "by_status", "by_keyword_01", "by_keyword_02", "by_keyword_03"}
db = sqlite3.connect(sys.argv[1], timeout=30)
indexes = "select name from sqlite_master where type = 'index' and tbl_name = 'executions_visibility' and sql is not null"
for (name,) in db.execute(indexes).fetchall():
    if name not in ASKED_BY:
        db.execute(f'drop index "{name}"')
db.commit()
PYTHON
}
