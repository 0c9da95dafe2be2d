-- A former version reads bodies under the merchant's key only: the others are deleted. Gateways' lists tell their facts again.
delete from notifications where key_sealed is not null;
drop index notifications_unmatched;
alter table notifications drop column payer_ids, drop column key_sealed;
drop index charges_by_payer;
-- Orders of erased payers cannot be read, nor can those under payers' keys by a former version.
update attempts set order_sealed = '' where order_sealed is null;
alter table attempts alter column order_sealed set not null;
update payers set document_hmac = uuid_send(id) where document_hmac is null;
alter table payers drop column erased_at, alter column document_hmac set not null;
