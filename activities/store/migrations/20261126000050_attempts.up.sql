alter table attempts
    -- until when another worker leaves an open or abandoned attempt alone; renewed while a call runs
    add column lease_expires_at timestamptz,
    -- when the call that creates the charge was answered, or failed: the breaker counts from here
    add column answered_at timestamptz,
    -- an answer came after another worker had taken the attempt over: the gateway may hold more than one object
    add column late_answer boolean not null default false,
    -- the decision to void what exists under the reference is taken: it is never adopted
    add column voiding boolean not null default false,
    -- how many times something payable was voided under the reference
    add column voids integer not null default 0,
    -- the gateway definitely rejected to create anything under the reference
    add column rejected_at timestamptz,
    -- when the merchant was alerted that its outcome cannot be established
    add column alerted_at timestamptz;
update attempts set lease_expires_at = deadline_at, answered_at = ended_at;
alter table attempts alter column lease_expires_at set not null;
alter table attempts alter column lease_expires_at set default 'epoch';

-- Hints that the gateway does not confirm are given up after a number of checks.
alter table notification_facts add column checks integer not null default 0;

-- A receipt that the gateway took back; the same payment may arrive again.
alter table payments add column reversed_at timestamptz;
alter table payments drop constraint payments_connection_id_gateway_payment_id_key;
create unique index payments_by_gateway_id on payments (connection_id, gateway_payment_id) where reversed_at is null;
drop index payments_by_end_to_end;
create unique index payments_by_end_to_end on payments (connection_id, end_to_end_id)
    where end_to_end_id is not null and reversed_at is null;

-- While every breaker is open, attempts of last resort go out at a bounded rate.
alter table circuit_breakers add column last_resort_at timestamptz;
