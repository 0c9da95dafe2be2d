-- How far each list of each connection is read: a row per list, so that one that fails or is long delays no other.
create table catch_up_feeds (
    connection_id uuid not null,
    feed text not null,
    merchant_id uuid not null,
    mode text not null,
    -- the part of the gateway's API that lists it
    api text not null,
    -- the watermark: until when it is read
    caught_up_at timestamptz not null,
    -- where a run that was stopped goes on
    cursor text,
    tried_at timestamptz,
    -- null once an archived connection can bring nothing more
    next_check_at timestamptz,
    failures integer not null default 0,
    failing boolean not null generated always as (failures > 0) stored,
    last_error text,
    primary key (connection_id, feed),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index catch_up_feeds_due on catch_up_feeds (api, failing, next_check_at) where next_check_at is not null;
-- The last payment of an archived connection.
create index payments_by_connection on payments (connection_id, paid_at);
