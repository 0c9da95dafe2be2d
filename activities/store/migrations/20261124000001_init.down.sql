drop function ensure_partitions(integer);
drop function uuid_floor(timestamptz);
drop table idempotency_keys, outbox, delivery_attempts, deliveries, webhook_endpoints, event_sequences, events,
    foreign_notifications, stray_notifications, notification_facts, notifications, payments, attempts, charges,
    payer_gateway_ids, payers, routing_policies, breaker_transitions, circuit_breakers, gateway_credentials,
    gateway_connections, api_keys, merchants;
