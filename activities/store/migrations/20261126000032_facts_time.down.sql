alter table notification_facts drop column stated_at;
