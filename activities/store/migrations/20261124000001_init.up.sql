-- Who charges.
create table merchants (
    id uuid primary key,
    name text not null,
    status text not null default 'active' check (status in ('active', 'suspended', 'closed')),
    settings jsonb not null default '{}',
    data_key bytea not null,
    created_at timestamptz not null default now()
);

create table api_keys (
    id uuid primary key,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    hash bytea not null unique,
    hint text not null,
    label text not null,
    permission text not null check (permission in ('read', 'payments', 'configuration')),
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
create index api_keys_by_merchant on api_keys (merchant_id, mode);

-- A merchant's accounts at gateways. The keys begin with the id, so that a lookup by id needs no second index, and carry
-- merchant and mode, so that a foreign key cannot cross them.
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
    created_at timestamptz not null default now(),
    primary key (id, merchant_id, mode),
    unique (merchant_id, mode, label)
);

create table gateway_credentials (
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    version integer not null,
    sealed bytea not null,
    created_at timestamptz not null default now(),
    primary key (connection_id, version),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

create table circuit_breakers (
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    family text not null,
    state text not null default 'closed' check (state in ('closed', 'open', 'half_open')),
    openings integer not null default 0,
    opened_at timestamptz,
    open_until timestamptz,
    closed_at timestamptz,
    half_open_successes integer not null default 0,
    probe_attempt uuid,
    probe_until timestamptz,
    hold text check (hold in ('force_open', 'force_closed')),
    hold_until timestamptz,
    hold_reason text,
    sequence bigint not null default 0,
    primary key (connection_id, family),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

create table breaker_transitions (
    id bigint generated always as identity primary key,
    connection_id uuid not null,
    family text not null,
    from_state text not null,
    to_state text not null,
    why text not null,
    author text not null,
    created_at timestamptz not null default now(),
    foreign key (connection_id, family) references circuit_breakers (connection_id, family)
);
create index breaker_transitions_by_breaker on breaker_transitions (connection_id, family, id);

create table routing_policies (
    id uuid primary key,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    method text not null,
    version integer not null,
    connections uuid[] not null,
    active boolean not null,
    author text not null,
    reason text not null,
    created_at timestamptz not null default now(),
    unique (merchant_id, mode, method, version)
);
create unique index routing_policies_active on routing_policies (merchant_id, mode, method) where active;

-- Who pays: personal data is sealed under the payer's own key, and erased with it.
create table payers (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    document_hmac bytea not null,
    data_key bytea,
    created_at timestamptz not null default now(),
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

create table charges (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null check (mode in ('test', 'live')),
    payer_id uuid not null,
    payer_sealed bytea not null,
    method text not null,
    payment_method jsonb not null,
    amount bigint not null check (amount > 0),
    reference text,
    -- the reference again, where a second open charge under it is not allowed
    reference_lock text,
    description text,
    metadata jsonb not null default '{}',
    fallbacks jsonb not null default '[]',
    status text not null,
    amount_paid bigint not null default 0,
    amount_refunded bigint not null default 0,
    failure jsonb,
    event_sequence bigint not null default 0,
    -- when somebody must look again; null once nothing is expected
    look_at timestamptz,
    looks integer not null default 0,
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
create index charges_by_merchant on charges (merchant_id, mode, id);
create index charges_by_reference on charges (merchant_id, mode, reference) where reference is not null;
create unique index charges_one_open_per_reference on charges (merchant_id, mode, reference_lock)
    where reference_lock is not null and status in ('processing', 'pending', 'overdue');
create index charges_to_look_at on charges (look_at) where look_at is not null;

create table attempts (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    charge_id uuid not null,
    n integer not null,
    connection_id uuid not null,
    gateway text not null,
    family text not null,
    reason text not null,
    plan jsonb not null,
    policy_version integer not null,
    state text not null,
    -- who works on it, and until when nobody else may
    runner uuid not null,
    deadline_at timestamptz not null,
    order_sealed bytea not null,
    error_class text,
    error_code text,
    error_message text,
    gateway_charge_id text,
    next_action jsonb,
    look_at timestamptz,
    looks integer not null default 0,
    -- the last search at the gateway that was answered
    searched_at timestamptz,
    started_at timestamptz not null,
    ended_at timestamptz,
    duration_ms bigint,
    primary key (id, merchant_id, mode),
    unique (charge_id, n),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create unique index attempts_one_presented on attempts (charge_id) where state = 'presented';
create index attempts_by_connection on attempts (connection_id, family, started_at);
create index attempts_by_gateway_charge on attempts (connection_id, gateway_charge_id) where gateway_charge_id is not null;
create index attempts_to_look_at on attempts (look_at) where look_at is not null;

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
    method text not null,
    fee bigint,
    net bigint,
    paid_at timestamptz not null,
    created_at timestamptz not null default now(),
    primary key (id, merchant_id, mode),
    unique (connection_id, gateway_payment_id),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (attempt_id, merchant_id, mode) references attempts (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index payments_by_charge on payments (charge_id);
create unique index payments_by_end_to_end on payments (connection_id, end_to_end_id) where end_to_end_id is not null;

-- What gateways tell us: the raw body by id, its facts (unique, hence unpartitioned) apart.
create table notifications (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    connection_id uuid not null,
    gateway text not null,
    body_sealed bytea not null,
    unreadable text,
    received_at timestamptz not null default now(),
    primary key (id),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
) partition by range (id);
create table notifications_default partition of notifications default;

create table notification_facts (
    connection_id uuid not null,
    dedupe_key text not null,
    merchant_id uuid not null,
    mode text not null,
    notification_id uuid not null,
    charge_id uuid not null,
    attempt_id uuid not null,
    event text not null,
    -- the charge as the gateway states it; null where it must be asked
    observed jsonb,
    seen integer not null default 1,
    received_at timestamptz not null default now(),
    handled_at timestamptz,
    primary key (connection_id, dedupe_key),
    foreign key (attempt_id, merchant_id, mode) references attempts (id, merchant_id, mode)
);
create index notification_facts_by_charge on notification_facts (charge_id, received_at);
create index notification_facts_to_handle on notification_facts (received_at) where handled_at is null;

-- Notifications about references of our shape without a row, retried for a while, then listed for a person; and how many
-- were about the merchant's other business.
create table stray_notifications (
    connection_id uuid not null,
    dedupe_key text not null,
    merchant_id uuid not null,
    mode text not null,
    notification_id uuid not null,
    reference text not null,
    seen integer not null default 1,
    look_at timestamptz,
    looks integer not null default 0,
    received_at timestamptz not null default now(),
    primary key (connection_id, dedupe_key),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index stray_notifications_to_look_at on stray_notifications (look_at) where look_at is not null;

create table foreign_notifications (
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    day date not null,
    count bigint not null default 0,
    primary key (connection_id, day),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

-- What merchants may hear.
create table events (
    id uuid not null,
    merchant_id uuid not null references merchants (id),
    mode text not null,
    type text not null,
    subject_type text not null,
    subject_id uuid not null,
    sequence bigint not null,
    data jsonb not null,
    -- which transaction wrote it: a list never skips one that commits late
    xid xid8 not null default pg_current_xact_id(),
    created_at timestamptz not null default now(),
    primary key (id)
) partition by range (id);
create table events_default partition of events default;
create index events_in_order on events (merchant_id, mode, xid, id);
create index events_by_subject on events (subject_id, sequence);

-- Numbers the events of subjects that have no counter of their own.
create table event_sequences (
    subject_id uuid primary key,
    sequence bigint not null
);

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
    paused_at timestamptz,
    -- while paused: when one delivery may try it again
    probe_at timestamptz,
    created_at timestamptz not null default now(),
    deleted_at timestamptz,
    primary key (id, merchant_id, mode)
);
create index webhook_endpoints_by_merchant on webhook_endpoints (merchant_id, mode, id);

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
    look_at timestamptz,
    last_result text,
    created_at timestamptz not null default now(),
    delivered_at timestamptz,
    primary key (id),
    foreign key (endpoint_id, merchant_id, mode) references webhook_endpoints (id, merchant_id, mode)
) partition by range (id);
create table deliveries_default partition of deliveries default;
create index deliveries_by_endpoint on deliveries (endpoint_id, id);
create index deliveries_by_subject on deliveries (subject_id);
create index deliveries_to_look_at on deliveries (look_at) where look_at is not null;

create table delivery_attempts (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    delivery_id uuid not null,
    n integer not null,
    status integer,
    error text,
    duration_ms bigint not null,
    created_at timestamptz not null default now(),
    primary key (id)
) partition by range (id);
create table delivery_attempts_default partition of delivery_attempts default;
create index delivery_attempts_by_delivery on delivery_attempts (delivery_id, n);

-- What the relay has to send to Kafka. No cursor: ids do not commit in order.
create table outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    key text not null,
    message jsonb not null,
    created_at timestamptz not null default now()
);

create table idempotency_keys (
    merchant_id uuid not null references merchants (id),
    mode text not null,
    operation text not null,
    key_hash bytea not null,
    fingerprint bytea not null,
    resource_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (merchant_id, mode, operation, key_hash)
);

-- The smallest UUID version 7 of an instant: where a partition begins.
create function uuid_floor(at timestamptz) returns uuid language sql immutable strict
return (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Creates the monthly partitions from this month to `ahead` months from now. A month whose rows already went to the default
-- partition is left there.
create function ensure_partitions(ahead integer) returns void language plpgsql as $$
declare
    parent text;
    first date;
    name text;
begin
    for month in 0..ahead loop
        first := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => month))::date;
        foreach parent in array array['events', 'deliveries', 'delivery_attempts', 'notifications'] loop
            name := format('%s_%s', parent, to_char(first, 'YYYY_MM'));
            if to_regclass(name) is null then
                begin
                    execute format('create table %I partition of %I for values from (%L) to (%L)', name, parent,
                        uuid_floor(first::timestamp at time zone 'UTC'),
                        uuid_floor((first + interval '1 month')::timestamp at time zone 'UTC'));
                exception when check_violation then
                    raise notice 'rows of % are in the default partition', name;
                end;
            end if;
        end loop;
    end loop;
end $$;
