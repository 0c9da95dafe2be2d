#!/usr/bin/env bash
# Starts services, builds, migrates, starts simulators and orchestrator, creates a merchant, runs the demo, and prints the addresses.
set -euo pipefail
cd "$(dirname "$0")/../.."

deploy/local/stack.sh start
echo "building (the first time takes a few minutes)"
cargo build --quiet -p orchestrator -p simulators
. deploy/local/environment.sh

"$BIN/orchestrator" migrate
simulators_before=$(head -1 "$STATE/pids/simulators" 2>/dev/null || true)
start_simulators
start_role dev orchestrator
deploy/local/stack.sh wait-http orchestrator "$api/readyz" 60
if [ "$simulators_before" != "$(head -1 "$STATE/pids/simulators")" ] || [ ! -s "$STATE/merchant.env" ]; then
    create_merchant
fi
deploy/local/demo.sh

. "$STATE/merchant.env"
cat <<X

API           $api
Temporal UI   http://127.0.0.1:${TEMPORAL_UI_PORT:-8233}
Kafka         $ORCHESTRATOR_KAFKA_BROKERS   ($BIN/orchestrator events tail --from-beginning)
PostgreSQL    $ORCHESTRATOR_DATABASE_URL
Simulators    $simulators
Test API key  $KEY

Try:
curl -s $api/v1/charges -H 'Authorization: Bearer $KEY' -H 'Idempotency-Key: pedido-1' -H 'Content-Type: application/json' -d '{
  "amount": 12345, "payer": {"name": "Maria da Silva", "document": "529.982.247-25", "email": "maria@example.com"},
  "payment_method": {"type": "pix"}}'
X
