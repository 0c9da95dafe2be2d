//! Isolation of inbound failures: one entry, one list, one connection or one secret that fails does not affect the others.

use schemas::{Instant, gateway::GatewayKind};
use serde_json::{Value, json};
use store::{
    notification_tokens,
    notifications::{self, Notice, NotificationSource, ReadNotices},
    observations,
};
use tests::{
    Options, Stack,
    api::{boleto, pix},
    eventually,
};

async fn only(gateways: &[GatewayKind]) -> Stack {
    Stack::with(Options {
        gateways: gateways.to_vec(),
        ..Options::default()
    })
    .await
}

fn id(charge: &Value) -> &str {
    charge["id"].as_str().expect("an id")
}

/// Waits for alerts. The list of events shows them once all older transactions have committed.
async fn until_alerts(stack: &Stack, code: &str, count: usize) {
    eventually(&format!("{count} alerts of {code} are listed"), || async {
        let path = "/v1/events?type=gateway_connection.action_required";
        let events = stack.api.get(path).await.expect(200);
        let events = events["data"].as_array().cloned().unwrap_or_default();
        let of = |event: &&Value| event["data"]["reason"]["code"] == code;
        let found = events.iter().filter(of).count();
        if found == count { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_connections_that_cannot_be_opened_delay_no_other() {
    let stack = only(&[GatewayKind::Efi]).await;
    // these connections are older than the live one, and their credentials are sealed for another row
    stack
        .run_sql(
            "with dead as (
                 insert into gateway_connections (id, merchant_id, mode, gateway, label, fingerprint, path_secret_sealed,
                                                  path_secret_hashes, created_at)
                 select gen_random_uuid(), merchant_id, mode, gateway, 'dead ' || n, 'dead ' || n, path_secret_sealed, '{}',
                        created_at - interval '1 day'
                   from gateway_connections, generate_series(1, 201) n returning id, merchant_id, mode)
             insert into gateway_credentials (connection_id, merchant_id, mode, version, sealed)
             select dead.id, dead.merchant_id, dead.mode, 1, sealed from dead, gateway_credentials",
        )
        .await;
    let charge = stack.api.charge(&pix()).await;
    stack
        .efi
        .pay_silently(&stack.efi.only_reference().await)
        .await;
    stack.poll_connections().await;
    stack.api.until(id(&charge), "paid").await;
    let of_dead =
        "select count(*) from connection_feeds f join gateway_connections c on c.id = f.connection_id
                    where c.label like 'dead%' and failures = 1 and next_check_at > app_now()";
    let left =
        "select count(*) from connection_feeds f join gateway_connections c on c.id = f.connection_id
                 where c.label like 'dead%' and failures = 0";
    // the live connections' lane ends with its round, in which each dead one was tried once
    assert_eq!(stack.count_sql(left).await, 0);
    assert!(stack.count_sql(of_dead).await > 0);
    // nor do checks of their setup end the round
    stack.check_connections().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_boletos_than_are_read_at_once_hide_no_payment() {
    let stack = only(&[GatewayKind::Efi]).await;
    let charge = stack.api.charge(&boleto()).await;
    let reference = stack.efi_cobrancas.only_reference().await;
    let volume = json!({ "count": 5_001 });
    stack.efi_cobrancas.act(&reference, "copy", &volume).await;
    stack.efi_cobrancas.pay_silently(&reference).await;
    stack.poll_connections().await;
    stack.api.until(id(&charge), "paid").await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_are_read_at_once_hide_no_payment() {
    let stack = only(&[GatewayKind::Stripe]).await;
    let charge = stack.api.charge(&pix()).await;
    let reference = stack.stripe.only_reference().await;
    stack.poll_connections().await;
    let volume = json!({ "count": 10_001 });
    stack.stripe.act(&reference, "copy", &volume).await;
    stack.stripe.pay_silently(&reference).await;
    stack.poll_connections().await;
    stack.api.until(id(&charge), "paid").await;
    let behind = "select count(*) from connection_feeds where polled_until < app_now() - interval '5 minutes'";
    assert_eq!(stack.count_sql(behind).await, 0, "all is read to its end");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_payments_than_a_turn_of_asaas_reads_hide_none() {
    let stack = only(&[GatewayKind::Asaas]).await;
    let charge = stack.api.charge(&pix()).await;
    let reference = stack.asaas.only_reference().await;
    stack.asaas.pay_silently(&reference).await;
    let volume = json!({ "count": 2_100 });
    stack.asaas.act(&reference, "copy", &volume).await;
    stack.poll_connections().await;
    stack.api.until(id(&charge), "paid").await;
    let behind = "select count(*) from connection_feeds where cursor is not null";
    assert_eq!(stack.count_sql(behind).await, 0, "all is read to its end");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_of_efi_that_fails_hides_nothing_of_the_other_and_is_reported_once() {
    let stack = only(&[GatewayKind::Efi]).await;
    let charge = stack.api.charge(&pix()).await;
    stack
        .efi
        .pay_silently(&stack.efi.only_reference().await)
        .await;
    let fault = json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v1/charges" });
    stack.efi_cobrancas.fault(fault).await;
    stack.poll_connections().await;
    stack.api.until(id(&charge), "paid").await;
    until_alerts(&stack, "polling_behind", 0).await;
    for _ in 0..2 {
        stack
            .run_sql("update connection_feeds set polled_until = app_now() - interval '3 hours', next_check_at = app_now() where failing")
            .await;
        let done = stack.running.activities.poll_connections().await;
        done.expect("the store answers");
    }
    // one alert for boletos, one for cards
    until_alerts(&stack, "polling_behind", 2).await;
    stack.efi_cobrancas.heal().await;
    stack
        .run_sql("update connection_feeds set next_check_at = app_now()")
        .await;
    stack.poll_connections().await;
    let failing = "select count(*) from connection_feeds where failing";
    assert_eq!(stack.count_sql(failing).await, 0);
    let findings = "select count(*) from connection_alerts where source = 'polling'";
    assert_eq!(
        stack.count_sql(findings).await,
        0,
        "what is over is forgotten"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_that_nothing_proves_are_reported_and_our_address_registered_again() {
    for gateway in [GatewayKind::Asaas, GatewayKind::Stripe] {
        let stack = only(&[gateway]).await;
        let current = "select count(*) from notification_registrations where valid_until is null and gateway_id is not null";
        let all = "select count(*) from notification_registrations";
        assert_eq!(
            (stack.count_sql(current).await, stack.count_sql(all).await),
            (1, 1)
        );
        // another system has replaced the token: the stored one no longer verifies anything
        stack
            .run_sql("update notification_registrations set gateway_id = 'another'")
            .await;
        for n in 0..6 {
            let body = json!({ "id": format!("evt_{n}") });
            let sent = tests::http()
                .post(stack.address(gateway).clone())
                .json(&body);
            let answer = sent.send().await.expect("an answer");
            assert_eq!(answer.status(), 401, "{gateway}");
        }
        eventually("our address is registered again", || async {
            let known = (stack.count_sql(current).await, stack.count_sql(all).await);
            if known == (1, 2) { Ok(()) } else { Err(known) }
        })
        .await;
        until_alerts(&stack, "notifications_unproved", 1).await;
        let charge = stack.api.charge(&pix()).await;
        let simulator = stack.simulator(gateway);
        simulator.pay(&simulator.only_reference().await).await;
        stack.api.until(id(&charge), "paid").await;
        // the requested registration is done, and the check finds nothing to repair
        let wishes = "select count(*) from gateway_connections where register_at is not null";
        assert_eq!(stack.count_sql(wishes).await, 0);
        stack.check_connections().await;
        assert_eq!(stack.count_sql(all).await, 2);
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_lost_between_gateway_and_commit_is_replaced() {
    for gateway in [GatewayKind::Asaas, GatewayKind::Stripe] {
        let stack = only(&[gateway]).await;
        let lost = match gateway {
            // stored before Asaas received it: the process crashed before the id was known
            GatewayKind::Asaas => "update notification_registrations set gateway_id = null",
            // Stripe's secret came with the answer and is lost
            _ => "delete from notification_registrations",
        };
        stack.run_sql(lost).await;
        stack.check_connections().await;
        let stored = "select count(*) from notification_registrations where gateway_id is not null";
        assert_eq!(stack.count_sql(stored).await, 1, "{gateway}");
        let charge = stack.api.charge(&pix()).await;
        let simulator = stack.simulator(gateway);
        simulator.pay(&simulator.only_reference().await).await;
        stack.api.until(id(&charge), "paid").await;
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_beside_payments_is_foreign_and_hides_none_of_them() {
    let stack = only(&[GatewayKind::Efi]).await;
    let (first, second) = (
        stack.api.charge(&pix()).await,
        stack.api.charge(&pix()).await,
    );
    let payout = json!({ "endToEndId": "E090893562021030PIf25a7868", "chave": "k", "tipo": "SOLICITACAO",
        "status": "NAO_REALIZADO", "valor": "0.01", "horario": null, "gnExtras": { "idEnvio": "1", "erro": { "codigo": "AC03" } } });
    let mut entries = vec![payout, json!({ "endToEndId": null })];
    for charge in stack.efi.charges().await {
        let reference = charge["reference"].as_str().expect("a reference");
        stack.efi.pay_silently(reference).await;
        entries.push(
            json!({ "endToEndId": format!("E{reference}"), "txid": reference, "valor": "123.45" }),
        );
    }
    let address = format!("{}/pix", stack.address(GatewayKind::Efi));
    for _ in 0..2 {
        let sent = tests::http()
            .post(&address)
            .json(&json!({ "pix": entries }));
        assert_eq!(sent.send().await.expect("an answer").status(), 200);
    }
    stack.api.until(id(&first), "paid").await;
    stack.api.until(id(&second), "paid").await;
    // one alert per kind of entry, and the payout is counted
    until_alerts(&stack, "unreadable_notification", 1).await;
    let foreign = "select coalesce(sum(count), 0)::bigint from foreign_notifications";
    assert_eq!(stack.count_sql(foreign).await, 2);
    let kept = "select count(*) from notifications where unreadable like 'efi_pix_entry%'";
    assert_eq!(stack.count_sql(kept).await, 2);
    stack.stop().await;
}

/// Returns a proof stated at that time. `is_payable` means that the charge is still pending.
fn proof_of(key: &str, at: i64, is_payable: bool, reference: &str) -> Notice {
    Notice {
        dedupe_key: key.to_owned(),
        event: key.to_owned(),
        reference: Some(reference.to_owned()),
        gateway_charge: None,
        gateway_payment: None,
        observed: Some(json!({})),
        stated_at: Instant::from_timestamp(at, 0),
        is_payable,
        matters: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_repeated_or_old_makes_us_ask_and_is_not_applied() {
    let stack = only(&[GatewayKind::Efi]).await;
    let charge = stack.api.charge(&pix()).await;
    let reference = stack.efi.only_reference().await;
    let from = stack.connections().await.remove(0);
    let mut tx = stack.store.begin().await.expect("a transaction");
    // returns true if there is news, and the open observations as pairs: key, and true for a proof
    let mut receive = async |key: &str, at, is_payable| {
        let read = ReadNotices {
            notices: vec![proof_of(key, at, is_payable, &reference)],
            unreadable: None,
        };
        let source = NotificationSource::Received(b"{}");
        let stored = notifications::ingest(&mut tx, &stack.store, &from, source, &read).await;
        let is_news = !stored.expect("stored").charges.is_empty();
        let charge = id(&charge).parse().expect("an id");
        let open = observations::unhandled(&mut tx, charge)
            .await
            .expect("observations");
        for observation in &open {
            let closed = observations::handled(&mut tx, observation)
                .await
                .expect("closed");
            assert!(closed);
        }
        let open = open
            .into_iter()
            .map(|observation| (observation.dedupe_key, observation.observed.is_some()));
        (is_news, open.collect::<Vec<_>>())
    };
    let proof = |key: &str| (true, vec![(key.to_owned(), true)]);
    let hint = |key: &str| (true, vec![(key.to_owned(), false)]);
    let nothing = (false, Vec::new());
    assert_eq!(receive("made", 10, true).await, proof("made"));
    assert_eq!(receive("canceled", 20, false).await, proof("canceled"));
    // repeated: the gateway is read; a repeat of a payable state is no news
    assert_eq!(receive("canceled", 20, false).await, hint("canceled"));
    assert_eq!(receive("made", 10, true).await, nothing);
    // older than the last applied proof
    assert_eq!(
        receive("canceled before", 15, false).await,
        hint("canceled before")
    );
    assert_eq!(receive("changed before", 15, true).await, nothing);
    assert_eq!(
        receive("canceled again", 20, false).await,
        proof("canceled again")
    );
    drop(tx);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tokens_of_one_connection_delay_no_other_ones() {
    let stack = only(&[GatewayKind::Efi, GatewayKind::Stripe]).await;
    let connections = stack.connections().await;
    let mut tx = stack.store.begin().await.expect("a transaction");
    for n in 0..60 {
        let reported =
            notification_tokens::receive(&mut tx, &connections[0], &format!("t{n}")).await;
        reported.expect("received");
    }
    let reported = notification_tokens::receive(&mut tx, &connections[1], "late").await;
    reported.expect("received");
    let lease = chrono::TimeDelta::minutes(1);
    let claimed = notification_tokens::claim(&mut tx, None, (50, lease)).await;
    let claimed = claimed.expect("claimed");
    assert_eq!(claimed.len(), 50);
    assert!(claimed.iter().any(|token| token.token == "late"));
    let rest = notification_tokens::claim(&mut tx, None, (50, lease)).await;
    assert_eq!(rest.expect("claimed").len(), 11);
    drop(tx);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_fails_ends_no_read_and_is_tried_again() {
    let stack = only(&[GatewayKind::Asaas]).await;
    let charge = stack.api.charge(&pix()).await;
    let reference = stack.asaas.only_reference().await;
    stack.asaas.pay_silently(&reference).await;
    // the second claim of a list fails, while the first list is read
    for sql in [
        "create sequence claims",
        "create function fail_second_claim() returns trigger language plpgsql as $$
         begin
             if nextval('claims') = 2 then raise exception 'this claim fails'; end if;
             return new;
         end $$",
        "create trigger fail_second_claim before update of tried_at on connection_feeds
             for each row execute function fail_second_claim()",
    ] {
        stack.run_sql(sql).await;
    }
    stack
        .run_sql("update connection_feeds set next_check_at = app_now()")
        .await;
    let done = stack.running.activities.poll_connections().await;
    done.expect("a claim succeeded afterwards");
    let failed = "select count(*) from claims where last_value > 2";
    assert_eq!(stack.count_sql(failed).await, 1);
    let leased = "select count(*) from connection_feeds where next_check_at > app_now() + interval '2 minutes'";
    assert_eq!(stack.count_sql(leased).await, 0, "each list was read");
    stack.api.until(id(&charge), "paid").await;
    stack.stop().await;
}
