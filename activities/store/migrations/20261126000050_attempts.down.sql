alter table circuit_breakers drop column last_resort_at;
-- the former version knows no receipts that were taken back; their ids must not stand in the way of the same payment
update payments set gateway_payment_id = gateway_payment_id || '#' || id, end_to_end_id = null where reversed_at is not null;
drop index payments_by_gateway_id;
drop index payments_by_end_to_end;
create unique index payments_by_end_to_end on payments (connection_id, end_to_end_id) where end_to_end_id is not null;
alter table payments add constraint payments_connection_id_gateway_payment_id_key unique (connection_id, gateway_payment_id);
alter table payments drop column reversed_at;
alter table notification_facts drop column checks;
alter table attempts
    drop column alerted_at, drop column rejected_at, drop column voids, drop column voiding, drop column late_answer, drop column answered_at,
    drop column lease_expires_at;
