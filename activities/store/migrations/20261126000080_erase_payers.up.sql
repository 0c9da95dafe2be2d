-- Erasing a payer destroys its key and its digest; what was sealed under the key stays unreadable.
alter table payers
    alter column document_hmac drop not null,
    add column erased_at timestamptz;
-- Emptied with the payer: rows of former versions are sealed under the merchant's key.
alter table attempts alter column order_sealed drop not null;
create index charges_by_payer on charges (payer_id, id);

-- A raw body is sealed under a key of its own, which is wrapped by the keys of all payers that the body is about, one inside the
-- other; without payers, by the merchant's. No key: sealed under the merchant's key by a former version.
alter table notifications
    add column key_sealed bytea,
    add column payer_ids uuid[] not null default '{}';
create index notifications_unmatched on notifications (received_at) where payer_ids = '{}';
