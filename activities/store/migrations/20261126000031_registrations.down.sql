delete from connection_findings where source <> 'watch';
alter table connection_findings drop column source;
alter table gateway_connections
    drop column register_at,
    drop column reregistered_at,
    drop column unproved,
    drop column unproved_since;
drop table notification_registrations;
