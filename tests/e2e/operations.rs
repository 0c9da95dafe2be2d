//! Manual operations of operators, each with its entry in the audit log.

use activities::operations::{
    OperationError, Operator, address, breakers, credentials, keys, merchants, review::Resolution,
};
use chrono::TimeDelta;
use orchestrator::start::clients;
use reqwest::StatusCode;
use schemas::{
    breaker::HoldKind,
    charge::ChargeStatus,
    gateway::{GatewayApi, GatewayKind, Mode},
    id::ChargeId,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store::{api_keys, audit};
use tests::{Api, Options, Stack, api::pix, eventually, simulated_gateways};
use url::Url;

async fn only(gateway: GatewayKind) -> Stack {
    Stack::with(Options {
        gateways: vec![gateway],
        ..Options::default()
    })
    .await
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn by() -> Operator {
    Operator::new("ana", "a drill").expect("an operator")
}

/// Returns the actions of the audit log, oldest first, each with its actor and reason.
async fn audited(stack: &Stack) -> Vec<String> {
    let mut db = stack.store.pool.acquire().await.expect("a connection");
    let entries = audit::list(&mut db, stack.merchant, None, 100).await;
    let entries = entries.expect("entries").into_iter().rev();
    entries
        .map(|entry| {
            assert_eq!(
                (entry.author.as_str(), entry.reason.as_str()),
                ("ana", "a drill")
            );
            entry.action.to_string()
        })
        .collect()
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, OperationError>) -> String {
    match outcome {
        Err(OperationError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rolled_with_overlap_and_revoked_at_once() {
    let stack = only(GatewayKind::Efi).await;
    let list = || async {
        let mut db = stack.store.pool.acquire().await.expect("a connection");
        let keys = api_keys::list(&mut db, stack.merchant, Mode::Test).await;
        keys.expect("keys")
    };
    let before = list().await;
    assert!(before[0].last_used_at.is_some(), "{before:?}");
    let old = before[0].id;
    let rolled = keys::roll(&stack.store, old, TimeDelta::hours(1), &by()).await;
    let rolled = rolled.expect("rolled");
    let new = Api::new(stack.api.base.clone(), rolled.secret.expose_secret());
    let path = "/v1/charges";
    for api in [&stack.api, &new] {
        api.get(path).await.expect(200);
    }
    assert_eq!(list().await[1].permission, before[0].permission);
    let why = refusal(keys::roll(&stack.store, old, TimeDelta::hours(1), &by()).await);
    assert!(why.contains("key create"), "{why}");
    stack
        .run(
            "update api_keys set expires_at = app_now() where id = $1",
            old.uuid(),
        )
        .await;
    stack.api.get(path).await.expect(401);
    keys::revoke(&stack.store, rolled.id, &by())
        .await
        .expect("revoked");
    new.get(path).await.expect(401);
    refusal(keys::revoke(&stack.store, rolled.id, &by()).await);
    assert_eq!(audited(&stack).await, ["api_key.rolled", "api_key.revoked"]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_merchant_receives_and_refunds_and_is_closed_once_nothing_is_open() {
    let stack = only(GatewayKind::Efi).await;
    let (store, merchant) = (&stack.store, stack.merchant);
    let charge = stack.api.charge(&pix()).await;
    let id = text(&charge, "id");
    refusal(merchants::close(store, merchant, &by()).await);
    merchants::suspend(store, merchant, &by())
        .await
        .expect("suspended");
    let refused = stack.api.post("/v1/charges", &pix()).await.expect(403);
    assert_eq!(refused["code"], "merchant_not_active");
    let why = refusal(merchants::close(store, merchant, &by()).await);
    assert!(why.contains("in a minute"), "{why}");
    stack
        .run(
            "update merchants set status_since = app_now() - interval '2 minutes' where id = $1",
            merchant.uuid(),
        )
        .await;
    let why = refusal(merchants::close(store, merchant, &by()).await);
    assert!(why.contains("1 open charges"), "{why}");

    stack.efi.pay(&stack.efi.only_reference().await).await;
    stack.api.until(id, "paid").await;
    stack.merchant_server.received("charge.paid", id).await;
    let refund = format!("/v1/charges/{id}/refunds");
    stack.api.post(&refund, &json!({})).await.expect(201);
    stack.api.until(id, "refunded").await;
    merchants::reactivate(store, merchant, &by())
        .await
        .expect("active");
    let second = stack.api.charge(&pix()).await;
    let cancel = format!("/v1/charges/{}/cancel", text(&second, "id"));
    stack.api.post(&cancel, &json!({})).await.expect(200);
    merchants::suspend(store, merchant, &by())
        .await
        .expect("suspended");
    stack
        .run(
            "update merchants set status_since = app_now() - interval '2 minutes' where id = $1",
            merchant.uuid(),
        )
        .await;
    let operator = by();
    let revoked = eventually("the merchant is closed", || {
        merchants::close(store, merchant, &operator)
    });
    assert_eq!(revoked.await, 1);
    stack.api.get("/v1/charges").await.expect(401);
    refusal(merchants::reactivate(store, merchant, &by()).await);
    let expected = ["suspended", "reactivated", "suspended", "closed"];
    assert_eq!(
        audited(&stack).await,
        expected.map(|operator_action| format!("merchant.{operator_action}"))
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_replaced_by_others_of_the_same_account_only() {
    let stack = only(GatewayKind::Stripe).await;
    let id = stack.connections().await[0].id;
    let clients = clients(&stack.config, &stack.store);
    let replace = |key: &'static str| {
        let (store, clients) = (&stack.store, &clients);
        async move {
            let given = json!({ "secret_key": key });
            credentials::replace(store, clients, (id, &given), &by()).await
        }
    };
    let charge = stack.api.charge(&pix()).await;
    let why = refusal(replace("sk_test_outra").await);
    assert!(why.contains("connection add"), "{why}");
    refusal(replace("sk_live_loja").await);
    for (key, named) in [
        ("sk_test_revoked", "did not accept"),
        ("pk_test_x", "secret_key"),
    ] {
        let error = replace(key).await.expect_err("refused").to_string();
        assert!(error.contains(named), "{error}");
    }
    assert_eq!(audited(&stack).await, Vec::<String>::new());
    replace("sk_test_loja").await.expect("replaced");
    // its secrets still verify its notifications
    stack.stripe.pay(&stack.stripe.only_reference().await).await;
    stack.api.until(text(&charge, "id"), "paid").await;
    assert_eq!(
        audited(&stack).await,
        ["gateway_connection.credentials_replaced"]
    );
    stack.stop().await;
}

/// Returns true if an address is served.
async fn serves(address: &Url) -> bool {
    let answer = tests::http().post(address.clone()).body("{}").send().await;
    answer.expect("an answer").status() != StatusCode::NOT_FOUND
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_address_is_rotated_while_both_secrets_prove() {
    for gateway in simulated_gateways() {
        let stack = only(gateway).await;
        let id = stack.connections().await[0].id;
        let clients = clients(&stack.config, &stack.store);
        let former = stack.address(gateway).clone();
        let charge = stack.api.charge(&pix()).await;

        let simulator = stack.simulator(gateway);
        simulator.down().await;
        let rotated = address::rotate(&stack.store, &clients, id, &by()).await;
        assert!(rotated.expect("rotated").registered.is_err(), "{gateway}");
        let newest = former
            .join(&stack.path_secret(id).await)
            .expect("an address");
        assert_ne!(newest, former);
        assert!(serves(&former).await && serves(&newest).await, "{gateway}");
        simulator.heal().await;
        stack
            .run(
                "update former_path_secrets set next_check_at = app_now() where connection_id = $1",
                id.uuid(),
            )
            .await;
        let acts = &stack.running.activities;
        acts.finish_rotations().await.expect("finished");

        let before = simulator.notifications().await.len();
        simulator.pay(&simulator.only_reference().await).await;
        stack.api.until(text(&charge, "id"), "paid").await;
        let reported = simulator.notifications().await;
        let addresses: Vec<_> = reported[before..]
            .iter()
            .map(|it| text(it, "url"))
            .collect();
        assert!(
            !addresses.is_empty() && addresses.iter().all(|url| url.starts_with(newest.as_str())),
            "{gateway}: {addresses:?}"
        );
        assert!(serves(&former).await, "{gateway}: for 14 days more");
        stack
            .run(
                "update former_path_secrets set expires_at = app_now() where connection_id = $1",
                id.uuid(),
            )
            .await;
        assert!(!serves(&former).await && serves(&newest).await, "{gateway}");
        assert_eq!(
            audited(&stack).await,
            ["gateway_connection.address_rotated"]
        );
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_held_open_sends_charges_elsewhere_until_it_is_released() {
    let stack = Stack::start().await;
    let id = stack.connections().await[0].id;
    let gateway = || async {
        let charge = stack.api.charge(&pix()).await;
        text(&charge["gateway"], "kind").to_owned()
    };
    assert_eq!(gateway().await, "efi");
    let open = (HoldKind::ForceOpen, TimeDelta::hours(1));
    let held = breakers::hold(&stack.store, (id, Some(GatewayApi::EfiPix)), open, &by()).await;
    assert_eq!(held.expect("held"), [GatewayApi::EfiPix]);
    assert_eq!(gateway().await, "stripe");
    let foreign = (id, Some(GatewayApi::Asaas));
    let why = refusal(breakers::hold(&stack.store, foreign, open, &by()).await);
    assert!(why.contains("efi_pix"), "{why}");
    let released = breakers::release(&stack.store, (id, None), &by()).await;
    assert_eq!(released.expect("released"), [GatewayApi::EfiPix]);
    assert_eq!(gateway().await, "efi");
    refusal(breakers::release(&stack.store, (id, None), &by()).await);
    assert_eq!(audited(&stack).await, ["breaker.held", "breaker.released"]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_once_more_under_the_same_id() {
    let stack = only(GatewayKind::Efi).await;
    let acts = &stack.running.activities;
    let charge = stack.api.charge(&pix()).await;
    let received = stack
        .merchant_server
        .received("charge.pending", text(&charge, "id"))
        .await;
    let event = received.id.parse().expect("an event's id");
    let times = |count: usize| {
        let (merchant_server, id) = (stack.merchant_server.clone(), received.id.clone());
        async move {
            let what = format!("the merchant receives it {count} times");
            eventually(&what, || async {
                let arrived = merchant_server.arrived();
                let received = arrived.iter().filter(|a| a.id == id).count();
                if received == count {
                    Ok(())
                } else {
                    Err(received)
                }
            })
            .await;
        }
    };
    let resent = acts.resend_event((event, None), &by()).await;
    let resent = resent.expect("resent");
    assert_eq!(resent.len(), 1);
    times(2).await;
    eventually("the second delivery is done", || async {
        let tried = acts.retry_delivery(resent[0], &by()).await.expect("tried");
        if tried == resent[0] {
            Err(tried)
        } else {
            Ok(())
        }
    })
    .await;
    times(3).await;
    let nowhere = schemas::id::EndpointId(stack.merchant.uuid());
    refusal(acts.resend_event((event, Some(nowhere)), &by()).await);
    let operator_actions = audited(&stack).await;
    assert_eq!(
        operator_actions.first().map(String::as_str),
        Some("event.resent")
    );
    assert_eq!(
        operator_actions.last().map(String::as_str),
        Some("delivery.retried")
    );
    stack.stop().await;
}

/// Creates a charge in review whose instrument is presented.
async fn in_review(stack: &Stack) -> ChargeId {
    let charge = stack.api.charge(&pix()).await;
    let id: ChargeId = text(&charge, "id").parse().expect("an id");
    let sql = "update charges set status = 'needs_review', next_check_at = null where id = $1";
    stack.run(sql, id.uuid()).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_in_review_is_confirmed_voided_or_marked_as_paid_elsewhere() {
    let stack = Stack::with(Options {
        gateways: vec![GatewayKind::Efi],
        complete: true,
        ..Options::default()
    })
    .await;
    let acts = &stack.running.activities;
    let resolve = |id, how| {
        let by = by();
        async move { acts.resolve_charge((id, how), &by).await }
    };
    let nothing_payable = || async {
        eventually("nothing can be paid any more", || async {
            let left = stack.efi.payable().await;
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    };

    let kept = in_review(&stack).await;
    let status = resolve(kept, Resolution::Keep).await.expect("resolved");
    assert_eq!(status, ChargeStatus::Pending);
    refusal(resolve(kept, Resolution::Void).await);
    stack.efi.pay(&stack.efi.only_reference().await).await;
    stack.api.until(&kept.to_string(), "paid").await;

    let voided = in_review(&stack).await;
    let status = resolve(voided, Resolution::Void).await.expect("resolved");
    assert_eq!(status, ChargeStatus::Canceled);
    stack
        .merchant_server
        .received("charge.canceled", &voided.to_string())
        .await;
    nothing_payable().await;

    let elsewhere = in_review(&stack).await;
    let payable = stack.efi.payable().await;
    stack.efi.down().await;
    let how = Resolution::PaidElsewhere;
    let status = resolve(elsewhere, how).await.expect("resolved");
    assert_eq!(status, ChargeStatus::Paid);
    let shown = stack
        .merchant_server
        .received("charge.paid", &elsewhere.to_string())
        .await;
    assert_eq!(shown.event["data"]["amount_paid"], 0);
    // the payer pays before the instrument is voided
    stack.efi.pay(text(&payable[0], "reference")).await;
    stack.efi.heal().await;
    let reported = "charge.duplicate_payment";
    stack
        .merchant_server
        .received(reported, &elsewhere.to_string())
        .await;
    nothing_payable().await;
    assert_eq!(audited(&stack).await, ["charge.resolved"; 3]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_append_only() {
    let stack = only(GatewayKind::Efi).await;
    merchants::suspend(&stack.store, stack.merchant, &by())
        .await
        .expect("suspended");
    for sql in [
        "update audit_log set reason = 'x'",
        "delete from audit_log",
        "truncate audit_log",
    ] {
        let mut db = stack.store.pool.acquire().await.expect("a connection");
        #[expect(
            clippy::disallowed_methods,
            reason = "a statement that the store does not have"
        )]
        let done = sqlx::query(sql).execute(&mut *db).await;
        let why = done.expect_err("append-only").to_string();
        assert!(why.contains("append-only"), "{why}");
    }
    stack.stop().await;
}
