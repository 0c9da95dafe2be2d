#!/usr/bin/env bash
# Rewrites the generated files: .sqlx from the migrations and queries, schemas/json from the types.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/local/test-services.sh postgres

database=generate_$$
psql() { "$POSTGRES_BIN/psql" -X -q -v ON_ERROR_STOP=1 "$@"; }
psql "$ORCHESTRATOR_DATABASE_URL" -c "create database $database"
url=${ORCHESTRATOR_DATABASE_URL%/*}/$database
trap 'psql "$ORCHESTRATOR_DATABASE_URL" -c "drop database $database"' EXIT
for migration in activities/store/migrations/*.up.sql; do psql "$url" -f "$migration"; done

rm -rf .sqlx && mkdir .sqlx
touch activities/store/src/lib.rs   # the macros write .sqlx while they are compiled
SQLX_OFFLINE_DIR=$PWD/.sqlx DATABASE_URL=$url cargo check --quiet -p store
cargo run --quiet -p openapi
