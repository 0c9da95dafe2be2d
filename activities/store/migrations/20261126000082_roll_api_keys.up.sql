-- A key that was rolled proves until `expires_at`, beside the one that replaces it.
alter table api_keys
    add column expires_at timestamptz,
    add column replaced_by uuid references api_keys (id),
    -- to the hour
    add column last_used_at timestamptz;
