-- Money given back and claimed back. The charge's row holds the sums, so that its lock bounds them.
alter table charges
    add column amount_refund_pending bigint not null default 0,
    add column amount_disputed bigint not null default 0;

alter table payments
    add column fee_is_estimated boolean not null default false,
    add column installments integer,
    add column settles_on date,
    add column settled_on date;
update payments set fee = coalesce(fee, 0), net = coalesce(net, amount - coalesce(fee, 0)), fee_is_estimated = fee is null;
alter table payments alter column fee set not null, alter column net set not null;

create table refunds (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    charge_id uuid not null,
    payment_id uuid not null,
    connection_id uuid not null,
    gateway text not null,
    status text not null check (status in ('pending', 'succeeded', 'failed', 'needs_review')),
    origin text not null check (origin in ('merchant', 'gateway')),
    amount bigint not null check (amount > 0),
    reason text,
    metadata jsonb not null default '{}',
    failure jsonb,
    -- what is asked of the gateway, written before the first byte is sent; none where the gateway told us of it
    gateway_order jsonb,
    gateway_refund_id text,
    -- who works on it, and until when nobody else may
    runner uuid,
    deadline_at timestamptz,
    sent_at timestamptz,
    event_sequence bigint not null default 0,
    look_at timestamptz,
    looks integer not null default 0,
    created_at timestamptz not null default now(),
    succeeded_at timestamptz,
    failed_at timestamptz,
    primary key (id, merchant_id, mode),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (payment_id, merchant_id, mode) references payments (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create unique index refunds_by_gateway_id on refunds (payment_id, gateway_refund_id) where gateway_refund_id is not null;
create index refunds_by_charge on refunds (charge_id);
create index refunds_by_merchant on refunds (merchant_id, mode, id);
create index refunds_to_look_at on refunds (look_at) where look_at is not null;

create table disputes (
    id uuid not null,
    merchant_id uuid not null,
    mode text not null,
    charge_id uuid not null,
    payment_id uuid not null,
    connection_id uuid not null,
    gateway text not null,
    gateway_dispute_id text not null,
    kind text not null check (kind in ('med', 'chargeback', 'other')),
    status text not null check (status in ('needs_response', 'under_review', 'won', 'lost')),
    amount bigint not null check (amount > 0),
    reason text,
    respond_by timestamptz,
    event_sequence bigint not null default 0,
    created_at timestamptz not null default now(),
    closed_at timestamptz,
    primary key (id, merchant_id, mode),
    unique (connection_id, gateway_dispute_id),
    foreign key (charge_id, merchant_id, mode) references charges (id, merchant_id, mode),
    foreign key (payment_id, merchant_id, mode) references payments (id, merchant_id, mode),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index disputes_by_charge on disputes (charge_id);
create index disputes_by_merchant on disputes (merchant_id, mode, id);

-- A fact may come from a list that we read ourselves, without a body that somebody sent.
alter table notification_facts alter column notification_id drop not null;
alter table stray_notifications alter column notification_id drop not null;

-- Notifications that are a token and nothing else: the gateway tells what they stand for when asked, and repeats them until then.
create table notification_tokens (
    connection_id uuid not null,
    token text not null,
    merchant_id uuid not null,
    mode text not null,
    seen integer not null default 1,
    look_at timestamptz,
    looks integer not null default 0,
    fetched_at timestamptz,
    primary key (connection_id, token),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);
create index notification_tokens_to_look_at on notification_tokens (look_at) where look_at is not null;

alter table gateway_connections
    -- the merchant agreed that a stranger's address at the gateway is replaced by ours
    add column replace_address boolean not null default false,
    -- until when the gateway's lists have been read
    add column caught_up_at timestamptz,
    add column watched_at timestamptz;

-- What a look after a connection found, so that it is told once and not at every look.
create table connection_findings (
    connection_id uuid not null,
    code text not null,
    merchant_id uuid not null,
    mode text not null,
    message text not null,
    found_at timestamptz not null default now(),
    primary key (connection_id, code),
    foreign key (connection_id, merchant_id, mode) references gateway_connections (id, merchant_id, mode)
);

-- New kinds of API family for connections that were there before.
insert into circuit_breakers (connection_id, merchant_id, mode, family)
select id, merchant_id, mode, 'efi_cobrancas' from gateway_connections where gateway = 'efi'
on conflict do nothing;
