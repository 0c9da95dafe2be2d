-- What people did by hand: who, when, what, why. Rows are added and never changed.
create table audit_log (
    id uuid primary key,
    merchant_id uuid not null references merchants (id),
    mode text check (mode in ('test', 'live')),
    action text not null,
    -- the id of what it was done to, with its prefix
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
