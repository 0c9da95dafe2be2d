alter table merchants drop column status_since;
