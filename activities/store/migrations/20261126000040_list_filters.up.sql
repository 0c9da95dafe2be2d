-- An index for each filter of a list: a rare value must not read a merchant's whole history.
create index charges_by_status on charges (merchant_id, mode, status, id);
create index charges_by_reference_in_order on charges (merchant_id, mode, reference, id) where reference is not null;
drop index charges_by_reference;
