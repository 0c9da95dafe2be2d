-- Rows that the sweep found overdue, until they move: how often it tried, what came of it, and when it comes back to them.
create table sweep_marks (
    kind text not null,
    key text not null,
    merchant_id uuid not null,
    -- when the row was due; a row that is due at another time has moved, and its mark means nothing
    due_at timestamptz not null,
    checks integer not null,
    next_check_at timestamptz not null,
    reason text not null,
    primary key (kind, key)
);

-- Partitions are created by `store::partitions`. The sweep of the version before this one still calls the function.
create or replace function ensure_partitions(ahead integer) returns void language sql as '';
