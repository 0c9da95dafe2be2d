-- Rows of every kind and in every state that a migration distinguishes, for the test that undoes migrations. References are valid.
insert into merchants (id, name, status, data_key) values
    ('00000000-0000-7000-8000-000000000001', 'Loja', 'active', 'key'),
    ('00000000-0000-7000-8000-000000000002', 'Fechada', 'closed', 'key');

insert into api_keys (id, merchant_id, mode, hash, hint, label, permission, revoked_at, expires_at, replaced_by, last_used_at) values
    ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'test', 'a', 'aaaa', 'new', 'payments', null, null, null, now()),
    ('00000000-0000-7000-8000-000000000012', '00000000-0000-7000-8000-000000000001', 'test', 'b', 'bbbb', 'rolled', 'payments', null,
     now() + interval '1 day', '00000000-0000-7000-8000-000000000011', null),
    ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000001', 'live', 'c', 'cccc', 'revoked', 'read', now(), null, null, null);

insert into gateway_connections (id, merchant_id, mode, gateway, label, status, fingerprint, path_secret_sealed, path_secret_hashes,
                                 replace_address, checked_at, former_address_sealed, register_at, reregistered_at,
                                 unproved, unproved_since) values
    ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000001', 'test', 'efi', 'efi', 'active', 'efi', 's', array['h'::bytea],
     true, now(), 'former', now(), now(), 3, now()),
    ('00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000001', 'test', 'stripe', 'stripe', 'archived', 'acct', 's',
     array['i'::bytea], false, null, null, null, null, 0, null);

insert into gateway_credentials (connection_id, merchant_id, mode, version, sealed)
    select id, merchant_id, mode, version, 'sealed' from gateway_connections, generate_series(1, 2) version;
insert into circuit_breakers (connection_id, merchant_id, mode, api, state, openings, opened_at, last_resort_at) values
    ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000001', 'test', 'efi_pix', 'closed', 0, null, null),
    ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000001', 'test', 'efi_cobrancas', 'open', 1, now(), now()),
    ('00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000001', 'test', 'stripe', 'half_open', 2, now(), null);
insert into breaker_transitions (connection_id, api, from_state, to_state, why, author)
    select connection_id, api, 'closed', 'open', 'five failures', 'system' from circuit_breakers;
insert into routing_policies (id, merchant_id, mode, method, version, connections, active, author, reason)
    select uuidv7(), '00000000-0000-7000-8000-000000000001', 'test', 'pix', version,
           array['00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000022']::uuid[], version = 2, 'ana', 'set up'
      from generate_series(1, 2) version;

insert into payers (id, merchant_id, mode, document_hmac, data_key, erased_at) values
    ('00000000-0000-7000-8000-000000000031', '00000000-0000-7000-8000-000000000001', 'test', 'hmac', 'key', null),
    ('00000000-0000-7000-8000-000000000032', '00000000-0000-7000-8000-000000000001', 'test', null, null, now()),
    ('00000000-0000-7000-8000-000000000033', '00000000-0000-7000-8000-000000000001', 'test', null, null, now());
insert into payer_gateway_ids (payer_id, connection_id, merchant_id, mode, external_id) values
    ('00000000-0000-7000-8000-000000000031', '00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000001', 'test', 'cus_1');

-- one charge of the erased payer, and one in each other status
insert into charges (id, merchant_id, mode, payer_id, payer_sealed, method, payment_method, amount, reference, reference_lock, status,
                     amount_paid, amount_refund_pending, amount_disputed, next_check_at, expires_at, created_at)
    select ('00000000-0000-7000-8000-0000000001' || lpad(n::text, 2, '0'))::uuid, '00000000-0000-7000-8000-000000000001', 'test',
           case when n = 1 then '00000000-0000-7000-8000-000000000032' else '00000000-0000-7000-8000-000000000031' end::uuid, 'sealed', 'pix',
           '{"type": "pix", "expires_in": 3600}', 100, 'order ' || n, 'order ' || n, status, 100, 1, 1, now(), now(), now()
      from unnest(array['paid', 'processing', 'pending', 'overdue', 'expired', 'canceled', 'failed', 'refunded', 'disputed', 'needs_review'])
           with ordinality as statuses (status, n);
-- one attempt of each charge; the request of one is erased
insert into attempts (id, merchant_id, mode, charge_id, n, connection_id, gateway, api, reason, plan, policy_version, state, lease_owner,
                      deadline_at, request_sealed, gateway_charge_id, next_action, started_at, lease_expires_at, answered_at, late_answer,
                      voiding, voids, rejected_at, alerted_at)
    select uuidv7(), merchant_id, mode, id, 1, '00000000-0000-7000-8000-000000000021', 'efi', 'efi_pix', 'primary', '{}', 1, 'paid', uuidv7(),
           now(), case when payer_id <> '00000000-0000-7000-8000-000000000032' then 'sealed'::bytea end, 'txid ' || id, null, now(), now(), now(),
           true, true, 1, now(), now()
      from charges;
-- paid, reversed, and paid again with the same id
insert into payments (id, merchant_id, mode, charge_id, attempt_id, connection_id, gateway, gateway_payment_id, end_to_end_id, amount, method,
                      fee, net, paid_at, fee_is_estimated, installments, settles_on, settled_on, reversed_at)
    select uuidv7(), merchant_id, mode, charge_id, id, connection_id, gateway, 'pay ' || charge_id, 'E' || charge_id, 100, 'pix', 1, 99, now(),
           false, 1, current_date, current_date, reversed_at
      from attempts, unnest(array[now(), null]) reversed_at;
insert into refunds (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, status, origin, amount, next_check_at)
    select uuidv7(), merchant_id, mode, charge_id, id, connection_id, gateway, status, 'merchant', 1, now()
      from payments, unnest(array['pending', 'succeeded', 'failed', 'needs_review']) status;
insert into disputes (id, merchant_id, mode, charge_id, payment_id, connection_id, gateway, gateway_dispute_id, kind, status, amount)
    select uuidv7(), merchant_id, mode, charge_id, id, connection_id, gateway, 'dp ' || id || status, 'med', status, 1
      from payments, unnest(array['needs_response', 'under_review', 'won', 'lost']) status;

-- a body without payers that is unreadable, one that was matched late, and a body under a payer's key
insert into notifications (id, merchant_id, mode, connection_id, gateway, body_sealed, unreadable, key_sealed, payer_ids) values
    ('00000000-0000-7000-8000-000000000041', '00000000-0000-7000-8000-000000000001', 'test', '00000000-0000-7000-8000-000000000021', 'efi', 'body', 'why', 'key', '{}'),
    ('00000000-0000-7000-8000-000000000042', '00000000-0000-7000-8000-000000000001', 'test', '00000000-0000-7000-8000-000000000021', 'efi', 'body', null, 'key', '{}'),
    ('00000000-0000-7000-8000-000000000043', '00000000-0000-7000-8000-000000000001', 'test', '00000000-0000-7000-8000-000000000021', 'efi', 'body', null, 'key',
     array['00000000-0000-7000-8000-000000000031']::uuid[]);
-- from a body, from a body that is deleted with its key, and from a list
insert into observations (connection_id, dedupe_key, merchant_id, mode, notification_id, charge_id, attempt_id, event, observed,
                                handled_at, stated_at, checks)
    select connection_id, 'observation ' || id || coalesce(body, 'listed'), merchant_id, mode, body::uuid, charge_id, id, 'paid', '{}', now(), now(), 1
      from attempts, unnest(array['00000000-0000-7000-8000-000000000042', '00000000-0000-7000-8000-000000000043', null]) body;
insert into unmatched_notifications (connection_id, dedupe_key, merchant_id, mode, notification_id, reference, next_check_at)
    select id, 'unmatched ' || coalesce(body, 'listed'), merchant_id, mode, body::uuid, 'at1', now()
      from gateway_connections, unnest(array['00000000-0000-7000-8000-000000000041', null]) body;
insert into foreign_notifications (connection_id, merchant_id, mode, day, count) select id, merchant_id, mode, current_date, 7 from gateway_connections;
insert into notification_tokens (connection_id, token, merchant_id, mode, next_check_at) select id, 'token', merchant_id, mode, now() from gateway_connections;
insert into notification_registrations (id, connection_id, merchant_id, mode, gateway_id, secret_sealed, valid_until)
    select uuidv7(), id, merchant_id, mode, nullif(label, 'efi'), 'secret', now() from gateway_connections;
insert into connection_alerts (connection_id, code, merchant_id, mode, message, source)
    select id, 'code ' || source, merchant_id, mode, 'message', source
      from gateway_connections, unnest(array['check', 'notification', 'polling']) source;
insert into connection_feeds (connection_id, feed, merchant_id, mode, api, polled_until, cursor, next_check_at, failures)
    select id, gateway || n, merchant_id, mode, case gateway when 'efi' then 'efi_pix' else gateway end, now() - n * interval '1 hour', 'cursor', now(), n
      from gateway_connections, generate_series(0, 2) n;
insert into former_path_secrets (connection_id, hash, merchant_id, mode, secret_sealed, expires_at, next_check_at)
    select id, ('former ' || n)::bytea, merchant_id, mode, 'secret', case when n = 1 then now() end, now()
      from gateway_connections, generate_series(1, 2) n;

insert into idempotency_keys (merchant_id, mode, operation, key_hash, fingerprint, resource_id)
    select merchant_id, mode, 'charges.create', uuid_send(id), 'print', id from charges;
insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data, position)
    select uuidv7(), merchant_id, mode, 'charge.' || replace(status, 'processing', 'pending'), 'charge', id, 1, '{}', case when status <> 'paid' then row_number() over (order by id) end
      from charges;
insert into event_sequences (subject_id, sequence) select id, 1 from gateway_connections;
insert into event_positions (merchant_id, mode, last_position) values ('00000000-0000-7000-8000-000000000001', 'test', 10);
insert into outbox (topic, key, message) select 'charge.events.v1', id::text, '{}' from charges;

insert into webhook_endpoints (id, merchant_id, mode, url, events, status, api_version, secret_sealed, paused_at, answer_ms,
                               next_turn_at, draining, drained_at, probed, next_check_at, delivery_failed_at, failure_alerted_at) values
    ('00000000-0000-7000-8000-000000000051', '00000000-0000-7000-8000-000000000001', 'test', 'https://a.example.com/', '{}', 'active', 'v', 's', null, 20,
     now(), true, now(), null, now(), null, null),
    ('00000000-0000-7000-8000-000000000052', '00000000-0000-7000-8000-000000000001', 'test', 'https://b.example.com/', '{charge.paid}', 'paused', 'v', 's', now(),
     null, null, false, null, uuidv7(), now(), now(), now()),
    ('00000000-0000-7000-8000-000000000053', '00000000-0000-7000-8000-000000000001', 'test', 'https://c.example.com/', '{}', 'deleted', 'v', 's', null, null, null,
     false, null, null, null, null, null);
-- parked, with a turn, and in every final state
insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, state, next_check_at, has_turn)
    select uuidv7(), e.merchant_id, e.mode, e.id, e.type, e.subject_id, w.id, s.state, s.next_check_at, s.next_check_at is not null
      from events e, webhook_endpoints w,
           (values ('pending', null), ('pending', now()), ('delivered', null), ('failed', null), ('discarded', null)) as s (state, next_check_at);
insert into delivery_attempts (id, merchant_id, mode, delivery_id, n, status, duration_ms)
    select uuidv7(), merchant_id, mode, id, 1, 500, 7 from deliveries;
insert into sweep_marks (kind, key, merchant_id, due_at, tries, next_check_at, reason)
    select 'charge', id::text, merchant_id, now(), 2, now(), 'woken' from charges;
insert into audit_log (id, merchant_id, mode, action, subject, author, reason)
    values (uuidv7(), '00000000-0000-7000-8000-000000000001', 'test', 'payer.erased', 'pa_1', 'ana', 'requested');
insert into gateway_objects (key, object) values ('gc_1/charge/at01', '{"status": "open"}');
