create index events_in_order on events (merchant_id, mode, xid, id);
drop index events_without_position;
drop index events_by_type_and_position;
drop index events_by_position;
alter table events drop column position;
drop table event_positions;
