-- The secrets that prove notifications, each with the gateway's id of the registration that it belongs to. They are apart from the
-- credentials: a merchant renews those, and these are ours.
create table notification_registrations (
    id uuid primary key,
    connection_id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    -- null: stored before the gateway received it, and not confirmed
    gateway_id text,
    secret_sealed bytea not null,
    created_at timestamptz not null default app_now(),
    -- a former secret proves until then
    valid_until timestamptz,
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index notification_registrations_by_connection on notification_registrations (connection_id, id);

alter table gateway_connections
    -- when our address must be registered again; null: it need not be
    add column register_at timestamptz,
    -- when it was registered again because notifications were not proved
    add column reregistered_at timestamptz,
    -- notifications that were not proved, counted from then on
    add column unproved integer not null default 0,
    add column unproved_since timestamptz;

-- Who found it: each job ends its own findings only.
alter table connection_findings add column source text not null default 'watch';
