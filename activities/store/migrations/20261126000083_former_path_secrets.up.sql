-- Secrets of notification addresses that were replaced: they prove until the gateway has the new address, and 14 days after.
create table former_path_secrets (
    connection_id uuid not null,
    hash bytea not null,
    merchant_id uuid not null,
    mode text not null,
    secret_sealed bytea not null,
    replaced_at timestamptz not null default app_now(),
    -- null until the gateway has the new address
    expires_at timestamptz,
    -- while it has not: when the new address is registered again; then, when this row is deleted
    next_check_at timestamptz not null,
    checks integer not null default 0,
    primary key (connection_id, hash),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index former_path_secrets_to_check on former_path_secrets (next_check_at);
