-- When the gateway says that the fact happened, where it says so: an older fact than the last applied one is not applied.
alter table notification_facts add column stated_at timestamptz;
