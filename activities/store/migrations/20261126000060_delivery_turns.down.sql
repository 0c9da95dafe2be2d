-- the former version knows no parked deliveries: its sweep starts them
update deliveries set look_at = app_now() where state = 'pending' and look_at is null;
create index deliveries_by_endpoint on deliveries (endpoint_id, id);
drop index deliveries_parked, deliveries_pending;
alter table deliveries drop column has_turn;
update webhook_endpoints set probe_at = coalesce(next_check_at, app_now()) where status = 'paused';
drop index webhook_endpoints_to_check;
alter table webhook_endpoints
    drop column rate_per_s, drop column slots, drop column answer_ms, drop column next_turn_at, drop column draining,
    drop column drained_at, drop column probed, drop column next_check_at;
