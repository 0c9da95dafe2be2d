alter table webhook_endpoints drop column failure_alerted_at, drop column delivery_failed_at;
