# Temporal and its UI: sourced by stack.sh. $TEMPORAL selects the server: `dev` (the CLI's dev server on SQLite, the default) or `postgres`
# (the official server on the stack's PostgreSQL, built from deploy/temporal). The settings follow from measurements.
# shellcheck shell=bash

start_temporal() {
    if pid_of temporal >/dev/null; then
        [ "$(cat "$STATE/temporal/profile" 2>/dev/null || echo dev)" = "$TEMPORAL" ] ||
            die "Temporal runs with another server: stop this stack first (make down), or leave TEMPORAL as it was"
        return
    fi
    need_free TEMPORAL_PORT TEMPORAL_UI_PORT TEMPORAL_HTTP_PORT TEMPORAL_METRICS_PORT
    mkdir -p "$STATE/temporal"
    "start_temporal_$TEMPORAL"
    echo "$TEMPORAL" >"$STATE/temporal/profile"
}

await_temporal() { "await_temporal_$TEMPORAL"; }

start_temporal_dev() {
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

await_temporal_dev() {
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

# The server's and the lists' databases are $TEMPORAL_DATABASE and ${TEMPORAL_DATABASE}_visibility, beside ours.
start_temporal_postgres() {
    need_free TEMPORAL_HISTORY_PORT TEMPORAL_MATCHING_PORT TEMPORAL_WORKER_PORT
    start_postgres
    await_postgres
    temporal_schema "$TEMPORAL_DATABASE" temporal
    temporal_schema "${TEMPORAL_DATABASE}_visibility" visibility
    psql_ -d "${TEMPORAL_DATABASE}_visibility" -q -v ON_ERROR_STOP=1 -f "$TEMPORAL_SOURCE/trim.sql" >>"$STATE/logs/temporal-schema.log" 2>&1 ||
        die "dropping Temporal's unused indexes failed; the log is $STATE/logs/temporal-schema.log"
    export TEMPORAL_DATABASE TEMPORAL_PORT TEMPORAL_UI_PORT TEMPORAL_HTTP_PORT TEMPORAL_METRICS_PORT
    export TEMPORAL_HISTORY_PORT TEMPORAL_MATCHING_PORT TEMPORAL_WORKER_PORT
    export TEMPORAL_POSTGRES=127.0.0.1:$POSTGRES_PORT TEMPORAL_POSTGRES_USER=orchestrator TEMPORAL_POSTGRES_PASSWORD=
    export TEMPORAL_DYNAMIC_CONFIGURATION=$TEMPORAL_SOURCE/dynamic.yaml
    launch temporal "$TOOLS/temporal-server" start "$TEMPORAL_SOURCE/server.yaml"
}

# `orchestrator migrate` creates the namespace.
await_temporal_postgres() {
    ready temporal "$VENV/bin/temporal" operator cluster health --address "127.0.0.1:$TEMPORAL_PORT"
}

# temporal_schema DATABASE KIND: creates the database and brings its schema up to date.
temporal_schema() {
    local database=$1 kind=$2
    local tool=("$TOOLS/temporal-server" sql --plugin postgres12_pgx --endpoint 127.0.0.1 --port "$POSTGRES_PORT" --user orchestrator --database "$database")
    {
        [ "$(psql_ -d postgres -Atc "select 1 from pg_database where datname = '$database'")" = 1 ] ||
            psql_ -d postgres -qc "create database $database"
        [ -n "$(psql_ -d "$database" -Atc "select to_regclass('schema_version')")" ] || "${tool[@]}" setup-schema --version 0.0
        "${tool[@]}" update-schema --schema-name "postgresql/v12/$kind"
    } >>"$STATE/logs/temporal-schema.log" 2>&1 || die "setting up Temporal's database $database failed; the log is $STATE/logs/temporal-schema.log"
}
