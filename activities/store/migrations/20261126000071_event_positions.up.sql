-- The order of a merchant's events: numbers given after the commit, so that a list never skips an event that commits late, waits for
-- no open transaction, and is the same in another database cluster.
create table event_positions (
    merchant_id uuid not null references merchants (id),
    mode text not null,
    last_position bigint not null,
    primary key (merchant_id, mode)
);
alter table events add column position bigint;
create index events_by_position on events (merchant_id, mode, position);
create index events_by_type_and_position on events (merchant_id, mode, type, position);
create index events_without_position on events (merchant_id, mode, created_at, sequence, id) where position is null;
-- The column `xid` stays for the version before this one, which lists by it.
drop index events_in_order;
