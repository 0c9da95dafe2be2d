-- When a delivery to the endpoint was last given up, and when the merchant was last alerted of that.
alter table webhook_endpoints
    add column delivery_failed_at timestamptz,
    add column failure_alerted_at timestamptz;
