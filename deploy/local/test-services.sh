# To be sourced: starts the services of the tests (or only the named ones), beside those of `make up`, and exports their addresses.
# shellcheck shell=bash
export STATE=${TEST_STATE:-$PWD/.test} TOOLS=${TOOLS:-$PWD/.run/tools}
export TEMPORAL_PORT=${TEST_TEMPORAL_PORT:-17233} TEMPORAL_UI_PORT=${TEST_TEMPORAL_UI_PORT:-18233}
export TEMPORAL_HTTP_PORT=${TEST_TEMPORAL_HTTP_PORT:-17243} TEMPORAL_METRICS_PORT=${TEST_TEMPORAL_METRICS_PORT:-19797}
export TEMPORAL_HISTORY_PORT=${TEST_TEMPORAL_HISTORY_PORT:-17234} TEMPORAL_MATCHING_PORT=${TEST_TEMPORAL_MATCHING_PORT:-17235}
export TEMPORAL_WORKER_PORT=${TEST_TEMPORAL_WORKER_PORT:-17239}
export POSTGRES_PORT=${TEST_POSTGRES_PORT:-15433} POSTGRES_FSYNC=off
# nothing that a test writes outlives the machine
export POSTGRES_OPTIONS=${POSTGRES_OPTIONS:-"-c full_page_writes=off -c synchronous_commit=off -c jit=off -c max_wal_size=4GB"}
export KAFKA_PORT=${TEST_KAFKA_PORT:-19092} KAFKA_CONTROLLER_PORT=${TEST_KAFKA_CONTROLLER_PORT:-19093}
# third parties' documents that the tests read if they are present: tests/specs/README.md
export TEST_SPECS=${TEST_SPECS:-$TOOLS/specs}

deploy/local/stack.sh start "$@"
eval "$(deploy/local/stack.sh env)"
# a fixed key: it wraps no data that outlives a test
export ORCHESTRATOR_MASTER_KEY=dGVzdHMgb25seTogMzIgYnl0ZXMgb2YgYSBrZXkuLi4=
export ORCHESTRATOR_LOG=${ORCHESTRATOR_LOG:-warn,activities=info,api=info,workflows=info,store=info}
