-- The schema of the first release, one section per noun. Tenant rows carry `merchant_id` and `mode`, and both are part of their
-- foreign keys, so that a key cannot cross a merchant or a mode.
--
-- `next_check_at` is the time of a row's own next check. It is null in a final row, and in a row that another row's check covers: a
-- presented attempt (its charge), a parked delivery (its endpoint). Unhandled observations and outbox messages have no such column: they
-- are due from the start.

-- == the clock ==

-- The only clock of the product. In tests the setting `orchestrator.clock_offset_ms` moves it; nothing else sets it. It is declared
-- stable, although it reads the wall clock, so that a comparison with it can use an index.
create function app_now() returns timestamptz language plpgsql stable parallel safe as $$
begin
    return clock_timestamp() + coalesce(nullif(current_setting('orchestrator.clock_offset_ms', true), ''), '0')::bigint * interval '1 millisecond';
end $$;

-- == merchants and API keys ==

create table merchants (
    id uuid primary key,
    name text not null,
    status text not null default 'active' check (status in ('active', 'suspended', 'closed')),
    -- time when the status was set: a merchant is closed only after the requests that read it as active have ended
    status_since timestamptz not null default app_now(),
    settings jsonb not null default '{}',
    data_key bytea not null,
    created_at timestamptz not null default app_now()
);

create table api_keys (
    id uuid primary key,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    hash bytea not null unique,
    hint text not null,
    label text not null,
    permission text not null check (permission in ('read', 'payments', 'configuration')),
    created_at timestamptz not null default app_now(),
    -- end of a rolled key's validity, which overlaps with that of its replacement
    expires_at timestamptz,
    replaced_by uuid references api_keys (id),
    revoked_at timestamptz,
    -- with a precision of one hour
    last_used_at timestamptz
);
create index api_keys_by_merchant on api_keys (merchant_id, mode);

-- == gateway connections ==

-- A merchant's accounts at gateways. Primary keys begin with the id, so that a lookup by id needs no second index.
create table gateway_connections (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    gateway text not null,
    label text not null,
    status text not null default 'active' check (status in ('active', 'draining', 'archived')),
    fingerprint text not null,
    path_secret_sealed bytea not null,
    path_secret_hashes bytea[] not null,
    -- the merchant agreed that our address replaces that of a third party at the gateway
    replace_address boolean not null default false,
    -- the address that ours replaced, restored when the connection is archived; it may hold a secret
    former_address_sealed bytea,
    -- time when our address must be registered again; null: registration is not needed
    register_at timestamptz,
    -- time of the last registration that was caused by notifications that failed verification
    reregistered_at timestamptz,
    -- notifications that failed verification since `unproved_since`
    unproved integer not null default 0,
    unproved_since timestamptz,
    checked_at timestamptz,
    created_at timestamptz not null default app_now(),
    primary key (id, merchant_id, mode),
    unique (merchant_id, mode, label)
);

create table gateway_credentials (
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    version integer not null,
    sealed bytea not null,
    created_at timestamptz not null default app_now(),
    primary key (connection_id, version),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

-- Secrets of notification addresses that were replaced: valid until the gateway has the new address, and 14 days after.
create table former_path_secrets (
    connection_id uuid not null,
    hash bytea not null,
    merchant_id uuid not null,
    mode text not null,
    secret_sealed bytea not null,
    replaced_at timestamptz not null default app_now(),
    -- null until the gateway has the new address
    expires_at timestamptz,
    -- until the gateway has the new address: time when it is registered again; afterwards: time when this row is deleted
    next_check_at timestamptz not null,
    checks integer not null default 0,
    primary key (connection_id, hash),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index former_path_secrets_to_check on former_path_secrets (next_check_at);

-- The secrets that verify notifications, each with the gateway's id of its registration. They are separate from the credentials,
-- which the merchant renews.
create table notification_registrations (
    id uuid primary key,
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    -- null: stored before the gateway received it, and not confirmed
    gateway_id text,
    secret_sealed bytea not null,
    created_at timestamptz not null default app_now(),
    -- end of a former secret's validity
    valid_until timestamptz,
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index notification_registrations_by_connection on notification_registrations (connection_id, id);

-- Polling of gateways' lists: one watermark per list, so that one that fails or is long delays no other.
create table connection_feeds (
    connection_id uuid not null,
    feed text not null,
    merchant_id uuid not null,
    mode text not null,
    -- the gateway API that lists it
    api text not null,
    -- the watermark
    polled_until timestamptz not null,
    -- position where an interrupted run continues
    cursor text,
    tried_at timestamptz,
    -- null once an archived connection can list nothing more
    next_check_at timestamptz,
    failures integer not null default 0,
    failing boolean not null generated always as (failures > 0) stored,
    last_error text,
    primary key (connection_id, feed),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index connection_feeds_to_check on connection_feeds (api, failing, next_check_at) where next_check_at is not null;

-- Open alerts, each reported to the merchant once.
create table connection_alerts (
    connection_id uuid not null,
    code text not null,
    merchant_id uuid not null,
    mode text not null,
    -- the job that raised it: each job ends its own alerts only
    source text not null check (source in ('check', 'notification', 'polling')),
    message text not null,
    raised_at timestamptz not null default app_now(),
    primary key (connection_id, code),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

-- == circuit breakers and routing ==

create table circuit_breakers (
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    api text not null,
    state text not null default 'closed' check (state in ('closed', 'open', 'half_open')),
    openings integer not null default 0,
    opened_at timestamptz,
    open_until timestamptz,
    closed_at timestamptz,
    half_open_successes integer not null default 0,
    probe_attempt uuid,
    probe_until timestamptz,
    -- while every breaker is open, attempts of last resort are sent at a bounded rate
    last_resort_at timestamptz,
    hold text check (hold in ('force_open', 'force_closed')),
    hold_until timestamptz,
    hold_reason text,
    sequence bigint not null default 0,
    primary key (connection_id, api),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

create table breaker_transitions (
    id bigint generated always as identity primary key,
    connection_id uuid not null,
    api text not null,
    from_state text not null check (from_state in ('closed', 'open', 'half_open')),
    to_state text not null check (to_state in ('closed', 'open', 'half_open')),
    why text not null,
    author text not null,
    created_at timestamptz not null default app_now(),
    foreign key (connection_id, api) references circuit_breakers (connection_id, api)
);
create index breaker_transitions_by_breaker on breaker_transitions (connection_id, api, id);

create table routing_policies (
    id uuid primary key,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    method text not null check (method in ('pix', 'boleto', 'card')),
    version integer not null,
    connections uuid[] not null,
    active boolean not null,
    author text not null,
    reason text not null,
    created_at timestamptz not null default app_now(),
    unique (merchant_id, mode, method, version)
);
create unique index routing_policies_active on routing_policies (merchant_id, mode, method) where active;

-- == payers ==

-- Returns a failure of a charge or refund with `message` instead of the gateways' own messages, which may repeat the payer's data.
create function replace_gateway_messages(failure jsonb, message text) returns jsonb language sql immutable strict as $$
    select case
        when jsonb_typeof(failure) <> 'object' then failure
        when failure ? 'kind' then failure || jsonb_build_object('message', message)
        else failure
            || case when failure -> 'gateway' ? 'kind' then
                   jsonb_build_object('gateway', (failure -> 'gateway') || jsonb_build_object('message', message))
               else '{}' end
            || case when jsonb_typeof(failure -> 'reasons') = 'array' then
                   jsonb_build_object('reasons', (
                       select coalesce(jsonb_agg(reason || jsonb_build_object('message', message) order by n), '[]')
                         from jsonb_array_elements(failure -> 'reasons') with ordinality as reasons (reason, n)))
               else '{}' end
    end
$$;

-- Personal data is sealed under the payer's own key. Erasing a payer destroys the key and the digest of the document, and clears what is
-- not sealed.
create table payers (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    document_hmac bytea,
    data_key bytea,
    created_at timestamptz not null default app_now(),
    erased_at timestamptz,
    primary key (id, merchant_id, mode),
    unique (merchant_id, mode, document_hmac)
);

create table payer_gateway_ids (
    payer_id uuid not null,
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    external_id text not null,
    primary key (payer_id, connection_id),
    foreign key (payer_id, merchant_id, mode) references payers (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

-- == charges ==

create table charges (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    payer_id uuid not null,
    payer_sealed bytea not null,
    method text not null check (method in ('pix', 'boleto', 'card')),
    payment_method jsonb not null,
    amount bigint not null check (amount > 0),
    reference text,
    -- copy of the reference, if a second open charge with it is not allowed
    reference_lock text,
    description text,
    metadata jsonb not null default '{}',
    fallbacks jsonb not null default '[]',
    status text not null check (status in (
        'processing', 'pending', 'overdue', 'paid', 'expired', 'canceled', 'failed', 'refunded', 'disputed', 'needs_review'
    )),
    -- sums over payments, refunds and disputes: the charge's row lock bounds them
    amount_paid bigint not null default 0,
    amount_refunded bigint not null default 0,
    amount_refund_pending bigint not null default 0,
    amount_disputed bigint not null default 0,
    failure jsonb,
    event_sequence bigint not null default 0,
    -- null: nothing more is expected
    next_check_at timestamptz,
    checks integer not null default 0,
    expires_at timestamptz not null,
    cancel_requested_at timestamptz,
    created_at timestamptz not null,
    paid_at timestamptz,
    expired_at timestamptz,
    canceled_at timestamptz,
    failed_at timestamptz,
    primary key (id, merchant_id, mode),
    foreign key (payer_id, merchant_id, mode) references payers (id, merchant_id, mode)
);
-- one index per filter of the list: a rare value must not read a merchant's whole history
create index charges_by_merchant on charges (merchant_id, mode, id);
create index charges_by_status on charges (merchant_id, mode, status, id);
create index charges_by_reference_in_order on charges (merchant_id, mode, reference, id) where reference is not null;
create unique index charges_one_open_per_reference on charges (merchant_id, mode, reference_lock)
    where reference_lock is not null and status in ('processing', 'pending', 'overdue');
create index charges_by_payer on charges (payer_id, id);
create index charges_to_check on charges (next_check_at) where next_check_at is not null;

-- == attempts ==

create table attempts (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    charge_id uuid not null,
    n integer not null,
    connection_id uuid not null,
    gateway text not null,
    api text not null,
    reason text not null check (reason in ('primary', 'fallback', 'probe', 'last_resort')),
    plan jsonb not null,
    policy_version integer not null,
    state text not null check (state in (
        'open', 'presented', 'rejected', 'declined', 'not_created', 'abandoned', 'voided', 'absent', 'paid'
    )),
    -- the worker that holds the attempt, and the time until which other workers do not touch it; renewed while a call runs. Without an
    -- owner nothing was sent
    lease_owner uuid,
    lease_expires_at timestamptz not null,
    -- time by which the first call to the gateway has certainly ended
    deadline_at timestamptz not null,
    -- null once the payer is erased
    request_sealed bytea,
    error_class text check (error_class in ('not_created', 'unknown', 'rejected', 'declined', 'denied', 'throttled')),
    error_code text,
    error_message text,
    gateway_charge_id text,
    next_action jsonb,
    -- null: nothing more is expected
    next_check_at timestamptz,
    checks integer not null default 0,
    -- time of the last search that the gateway answered
    searched_at timestamptz,
    -- an answer arrived after another worker took the attempt over: the gateway may hold more than one object
    late_answer boolean not null default false,
    -- the object under the reference is being voided and is never adopted
    voiding boolean not null default false,
    -- number of times that a payable instrument was voided under the reference
    voids integer not null default 0,
    -- time when the gateway definitely rejected to create anything under the reference
    rejected_at timestamptz,
    -- time when the merchant was alerted that the outcome cannot be established
    alerted_at timestamptz,
    started_at timestamptz not null,
    -- time when the creating call was answered or failed: the breaker counts from here
    answered_at timestamptz,
    ended_at timestamptz,
    duration_ms bigint,
    primary key (id, merchant_id, mode),
    unique (charge_id, n),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create unique index attempts_one_presented on attempts (charge_id) where state = 'presented';
create index attempts_by_connection on attempts (connection_id, api, started_at);
create index attempts_by_gateway_charge on attempts (connection_id, gateway_charge_id) where gateway_charge_id is not null;
create index attempts_to_check on attempts (next_check_at) where next_check_at is not null;

-- == payments ==

create table payments (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    charge_id uuid not null,
    attempt_id uuid not null,
    connection_id uuid not null,
    gateway text not null,
    gateway_payment_id text not null,
    end_to_end_id text,
    amount bigint not null check (amount > 0),
    method text not null check (method in ('pix', 'boleto', 'card')),
    fee bigint not null,
    fee_is_estimated boolean not null default false,
    net bigint not null,
    installments integer,
    paid_at timestamptz not null,
    settles_on date,
    settled_on date,
    -- time when the gateway reversed the payment; the same payment may arrive again
    reversed_at timestamptz,
    created_at timestamptz not null default app_now(),
    primary key (id, merchant_id, mode),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (attempt_id, merchant_id, mode) references attempts (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index payments_by_charge on payments (charge_id);
create index payments_by_connection on payments (connection_id, paid_at);
create unique index payments_by_gateway_id on payments (connection_id, gateway_payment_id) where reversed_at is null;
create unique index payments_by_end_to_end on payments (connection_id, end_to_end_id)
    where end_to_end_id is not null and reversed_at is null;

-- == refunds ==

create table refunds (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    charge_id uuid not null,
    payment_id uuid not null,
    connection_id uuid not null,
    gateway text not null,
    status text not null check (status in ('pending', 'succeeded', 'failed', 'needs_review')),
    origin text not null check (origin in ('merchant', 'gateway')),
    amount bigint not null check (amount > 0),
    reason text,
    metadata jsonb not null default '{}',
    failure jsonb,
    -- the request to the gateway, written before the first byte is sent; null if the gateway reported the refund
    gateway_request jsonb,
    gateway_refund_id text,
    -- the worker that holds the refund, and the end of its lease
    lease_owner uuid,
    lease_expires_at timestamptz,
    sent_at timestamptz,
    event_sequence bigint not null default 0,
    -- null: nothing more is expected
    next_check_at timestamptz,
    checks integer not null default 0,
    created_at timestamptz not null default app_now(),
    succeeded_at timestamptz,
    failed_at timestamptz,
    primary key (id, merchant_id, mode),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (payment_id, merchant_id, mode) references payments (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create unique index refunds_by_gateway_id on refunds (payment_id, gateway_refund_id) where gateway_refund_id is not null;
create index refunds_by_charge on refunds (charge_id);
create index refunds_by_merchant on refunds (merchant_id, mode, id);
create index refunds_to_check on refunds (next_check_at) where next_check_at is not null;

-- == disputes ==

create table disputes (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    charge_id uuid not null,
    payment_id uuid not null,
    connection_id uuid not null,
    gateway text not null,
    gateway_dispute_id text not null,
    kind text not null check (kind in ('med', 'chargeback', 'other')),
    status text not null check (status in ('needs_response', 'under_review', 'won', 'lost')),
    amount bigint not null check (amount > 0),
    reason text,
    respond_by timestamptz,
    event_sequence bigint not null default 0,
    created_at timestamptz not null default app_now(),
    closed_at timestamptz,
    primary key (id, merchant_id, mode),
    unique (connection_id, gateway_dispute_id),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (payment_id, merchant_id, mode) references payments (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index disputes_by_charge on disputes (charge_id);
create index disputes_by_merchant on disputes (merchant_id, mode, id);

-- == notifications and observations ==

-- Raw bodies. Each is sealed under a key of its own, which is wrapped by the keys of all payers that the body is about, one inside
-- the other; without payers, by the merchant's.
create table notifications (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    connection_id uuid not null,
    gateway text not null,
    body_sealed bytea not null,
    key_sealed bytea not null,
    payer_ids uuid[] not null default '{}',
    unreadable text,
    received_at timestamptz not null default app_now(),
    primary key (id),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
) partition by range (id);
create table notifications_default partition of notifications default;
create index notifications_unmatched on notifications (received_at) where payer_ids = '{}';

-- Facts read from notifications and lists. Not partitioned, because they are unique.
create table observations (
    connection_id uuid not null,
    dedupe_key text not null,
    merchant_id uuid not null,
    mode text not null,
    -- null: read from a list
    notification_id uuid,
    charge_id uuid not null,
    attempt_id uuid not null,
    event text not null,
    -- the charge as the gateway states it; null: a hint, the gateway must be read
    observed jsonb,
    received_count integer not null default 1,
    -- number of times that the gateway was read and did not confirm it
    checks integer not null default 0,
    -- time of the fact as the gateway states it: an observation older than the last applied one is not applied
    stated_at timestamptz,
    received_at timestamptz not null default app_now(),
    handled_at timestamptz,
    primary key (connection_id, dedupe_key),
    foreign key (attempt_id, merchant_id, mode) references attempts (id, merchant_id, mode)
);
create index observations_by_charge on observations (charge_id, received_at);
create index observations_to_handle on observations (received_at) where handled_at is null;

-- Facts with a reference of our format that matches no row: matched again for some time, then left to an operator.
create table unmatched_notifications (
    connection_id uuid not null,
    dedupe_key text not null,
    merchant_id uuid not null,
    mode text not null,
    -- null: read from a list
    notification_id uuid,
    reference text not null,
    received_count integer not null default 1,
    next_check_at timestamptz,
    checks integer not null default 0,
    received_at timestamptz not null default app_now(),
    primary key (connection_id, dedupe_key),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index unmatched_notifications_to_check on unmatched_notifications (next_check_at) where next_check_at is not null;

-- Notifications that carry only a token, which the gateway resolves on request and repeats until then.
create table notification_tokens (
    connection_id uuid not null,
    token text not null,
    merchant_id uuid not null,
    mode text not null,
    received_count integer not null default 1,
    next_check_at timestamptz,
    checks integer not null default 0,
    fetched_at timestamptz,
    primary key (connection_id, token),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index notification_tokens_to_check on notification_tokens (next_check_at) where next_check_at is not null;

-- Facts about the merchant's other business: counted, not stored.
create table foreign_notifications (
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    day date not null,
    count bigint not null default 0,
    primary key (connection_id, day),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

-- == events ==

create table events (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null,
    type text not null,
    subject_type text not null check (subject_type in ('charge', 'refund', 'dispute', 'gateway_connection', 'webhook_endpoint')),
    subject_id uuid not null,
    sequence bigint not null,
    data jsonb not null,
    -- the order of a merchant's events, numbered after the commit: a list never skips an event that commits late, waits for no open
    -- transaction, and is the same in another database cluster
    position bigint,
    created_at timestamptz not null default app_now(),
    primary key (id)
) partition by range (id);
create table events_default partition of events default;
create index events_by_position on events (merchant_id, mode, position);
create index events_by_type_and_position on events (merchant_id, mode, type, position);
create index events_by_subject on events (subject_id, sequence);
create index events_without_position on events (merchant_id, mode, created_at, sequence, id) where position is null;

create table event_positions (
    merchant_id uuid not null references merchants (id),
    mode text not null,
    last_position bigint not null,
    primary key (merchant_id, mode)
);

-- Numbers the events of subjects whose own row has no counter.
create table event_sequences (
    subject_id uuid primary key,
    sequence bigint not null
);

-- == webhook endpoints and deliveries ==

create table webhook_endpoints (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    url text not null,
    events text[] not null,
    description text,
    status text not null default 'active' check (status in ('active', 'paused', 'deleted')),
    api_version text not null,
    secret_sealed bytea not null,
    failures integer not null default 0,
    failing_since timestamptz,
    slow_until timestamptz,
    rate_per_s integer not null default 100 check (rate_per_s > 0),
    -- maximum number of POSTs in flight
    slots integer not null default 16 check (slots > 0),
    -- smoothed time until it answers; written only when it changes by a factor of two
    answer_ms integer,
    -- turns are assigned until this time
    next_turn_at timestamptz,
    -- parked deliveries are being assigned their turns; new ones are parked behind them
    draining boolean not null default false,
    drained_at timestamptz,
    paused_at timestamptz,
    -- the delivery that last probed the paused endpoint
    probed uuid,
    -- time of the endpoint's own next check: to probe, drain or empty it
    next_check_at timestamptz,
    -- time when a delivery was last given up, and time of the merchant's last alert about it
    delivery_failed_at timestamptz,
    failure_alerted_at timestamptz,
    created_at timestamptz not null default app_now(),
    deleted_at timestamptz,
    primary key (id, merchant_id, mode),
    check (status <> 'paused' or next_check_at is not null)
);
create index webhook_endpoints_by_merchant on webhook_endpoints (merchant_id, mode, id);
create index webhook_endpoints_to_check on webhook_endpoints (next_check_at) where next_check_at is not null;

create table deliveries (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    event_id uuid not null,
    event_type text not null,
    subject_id uuid not null,
    endpoint_id uuid not null,
    state text not null default 'pending' check (state in ('pending', 'delivered', 'failed', 'discarded')),
    attempts integer not null default 0,
    -- time of the next attempt; null in a pending delivery: parked, and only its endpoint unparks it
    next_check_at timestamptz,
    -- `next_check_at` is a turn at the endpoint
    has_turn boolean not null default false,
    last_result text,
    created_at timestamptz not null default app_now(),
    delivered_at timestamptz,
    primary key (id),
    foreign key (endpoint_id, merchant_id, mode) references webhook_endpoints (id, merchant_id, mode)
) partition by range (id);
create table deliveries_default partition of deliveries default;
create index deliveries_by_subject on deliveries (subject_id);
create index deliveries_pending on deliveries (endpoint_id, id) where state = 'pending';
create index deliveries_parked on deliveries (endpoint_id, id) where state = 'pending' and next_check_at is null;
create index deliveries_to_check on deliveries (next_check_at) where next_check_at is not null;

create table delivery_attempts (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    delivery_id uuid not null,
    n integer not null,
    status integer,
    error text,
    duration_ms bigint not null,
    created_at timestamptz not null default app_now(),
    primary key (id)
) partition by range (id);
create table delivery_attempts_default partition of delivery_attempts default;
create index delivery_attempts_by_delivery on delivery_attempts (delivery_id, n);

-- == outbox ==

-- Messages that the relay sends to Kafka and then deletes. There is no cursor, because ids do not commit in order.
create table outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    key text not null,
    message jsonb not null,
    created_at timestamptz not null default app_now()
);

-- == idempotency, sweep, audit ==

create table idempotency_keys (
    merchant_id uuid not null references merchants (id),
    mode text not null,
    operation text not null,
    key_hash bytea not null,
    fingerprint bytea not null,
    resource_id uuid not null,
    created_at timestamptz not null default app_now(),
    primary key (merchant_id, mode, operation, key_hash)
);

-- Rows that the sweep found overdue, until their due time changes: number of tries, the last result, and the time of the next try.
create table sweep_marks (
    kind text not null check (kind in (
        'charge', 'observation', 'attempt', 'refund', 'delivery', 'endpoint', 'token', 'unmatched'
    )),
    key text not null,
    merchant_id uuid not null,
    -- due time of the row: if the row is now due at another time, it has moved, and its mark is void
    due_at timestamptz not null,
    tries integer not null,
    next_check_at timestamptz not null,
    reason text not null,
    primary key (kind, key)
);

-- Manual actions: actor, time, action, reason. Rows are added and never changed.
create table audit_log (
    id uuid primary key,
    merchant_id uuid not null references merchants (id),
    mode text check (mode in ('test', 'live')),
    action text not null,
    -- the prefixed id of the object of the action
    subject text not null,
    author text not null,
    reason text not null,
    details jsonb not null default '{}',
    created_at timestamptz not null default app_now()
);
create index audit_log_by_merchant on audit_log (merchant_id, id);
create index audit_log_by_subject on audit_log (subject, id);

create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only';
end $$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only();

-- Objects of gateways that have no server of their own (test mode only). They hold no personal data.
create table gateway_objects (
    key text primary key,
    object jsonb not null,
    created_at timestamptz not null default app_now(),
    updated_at timestamptz not null default app_now()
);

-- == partitions ==

-- Returns the smallest UUID version 7 of an instant, which is a partition's lower bound. `store::partitions` creates the partitions.
create function uuid_floor(at timestamptz) returns uuid language sql immutable strict
return (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
