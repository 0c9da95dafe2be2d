delete from breaker_transitions where family = 'efi_cobrancas';
delete from circuit_breakers where family = 'efi_cobrancas';
drop table connection_findings;
alter table gateway_connections drop column replace_address, drop column caught_up_at, drop column watched_at;
drop table notification_tokens;
delete from stray_notifications where notification_id is null;
alter table stray_notifications alter column notification_id set not null;
delete from notification_facts where notification_id is null;
alter table notification_facts alter column notification_id set not null;
drop table disputes;
drop table refunds;
alter table payments
    alter column fee drop not null, alter column net drop not null,
    drop column fee_is_estimated, drop column installments, drop column settles_on, drop column settled_on;
alter table charges drop column amount_refund_pending, drop column amount_disputed;
