drop table gateway_objects, audit_log, sweep_marks, idempotency_keys, outbox, delivery_attempts, deliveries, webhook_endpoints, event_sequences,
    event_positions, events, foreign_notifications, notification_tokens, unmatched_notifications, observations, notifications, disputes,
    refunds, payments, attempts, charges, payer_gateway_ids, payers, routing_policies, breaker_transitions, circuit_breakers,
    connection_alerts, connection_feeds, notification_registrations, former_path_secrets, gateway_credentials, gateway_connections,
    api_keys, merchants;
drop function audit_log_is_append_only;
drop function replace_gateway_messages;
drop function uuid_floor;
drop function app_now;
