-- A former version knows no end of a key: those that have one are revoked at once.
update api_keys set revoked_at = app_now() where expires_at is not null and revoked_at is null;
alter table api_keys drop column last_used_at, drop column replaced_by, drop column expires_at;
