create index charges_by_reference on charges (merchant_id, mode, reference) where reference is not null;
drop index charges_by_reference_in_order;
drop index charges_by_status;
