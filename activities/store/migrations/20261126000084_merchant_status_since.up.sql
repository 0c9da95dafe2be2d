-- Since when the merchant has its status: one is closed only after the requests that saw it active have ended.
alter table merchants add column status_since timestamptz not null default app_now();
