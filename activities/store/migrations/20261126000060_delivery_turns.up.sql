-- Turns at an endpoint: when the next delivery that finds no slot is posted, and what its spacing follows from.
alter table webhook_endpoints
    add column rate_per_s integer not null default 100 check (rate_per_s > 0),
    add column slots integer not null default 16 check (slots > 0),
    -- smoothed time until the endpoint answers; written only when it changes by a factor of two
    add column answer_ms integer,
    -- turns are given until here
    add column next_turn_at timestamptz,
    -- parked deliveries are being given their turns; new ones are parked behind them
    add column draining boolean not null default false,
    add column drained_at timestamptz,
    -- the delivery that probed the paused endpoint last
    add column probed uuid,
    -- when the endpoint itself must be checked: to probe it, to drain it, to discard what waits for it. Replaces `probe_at`.
    add column next_check_at timestamptz;
update webhook_endpoints set next_check_at = coalesce(probe_at, app_now()) where status = 'paused';
create index webhook_endpoints_to_check on webhook_endpoints (next_check_at) where next_check_at is not null;

-- `look_at` of a pending delivery is its next attempt; null: parked, which only its endpoint ends
alter table deliveries add column has_turn boolean not null default false;
create index deliveries_pending on deliveries (endpoint_id, id) where state = 'pending';
create index deliveries_parked on deliveries (endpoint_id, id) where state = 'pending' and look_at is null;
drop index deliveries_by_endpoint;
