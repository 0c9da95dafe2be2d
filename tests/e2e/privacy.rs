//! Personal data: where it is stored, and its erasure.

use activities::operations::{OperationError, Operator, payers};
use schemas::{gateway::GatewayKind, id::PayerId};
use serde_json::{Value, json};
use store::payers::erase;
use tests::{
    Options, Stack,
    api::{PAYER_DOCUMENT, PAYER_EMAIL, boleto, pix},
    dump::Held,
    eventually, simulated_gateways,
};

/// Traces of Maria's data that each of her charges plants, in every form in which it could be stored.
const TRACES: [&str; 7] = [
    "zzyzx",
    PAYER_DOCUMENT,
    "529.982.247-25",
    PAYER_EMAIL,
    "11987654321",
    "paulista",
    "01310100",
];
const OTHER_NAME: &str = "Joaquim Xyzzy";

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

fn operator() -> Operator {
    Operator::new("ana", "the payer asked for it").expect("an operator")
}

/// Returns a Pix request of Maria with every optional payer field.
fn marias() -> Value {
    let payer = boleto()["payer"].clone();
    json!({ "amount": 12345, "payer": payer, "payment_method": { "type": "pix", "expires_in": 3600 } })
}

fn traces(held: &[Held]) -> Vec<&Held> {
    let found = held.iter().filter(|held| {
        let text = held.text.to_lowercase();
        TRACES.iter().any(|trace| text.contains(trace))
    });
    found.collect()
}

async fn payer_of(stack: &Stack, charge: &str) -> PayerId {
    let mut db = stack.store.pool.acquire().await.expect("a connection");
    let id = charge.parse().expect("a charge's id");
    let found = erase::of_charge(&mut db, id).await.expect("a row");
    found.expect("a payer")
}

/// Erases the payer as soon as all notifications are handled.
async fn erased(stack: &Stack, payer: PayerId) {
    let by = operator();
    eventually("the payer is erased", || async {
        payers::erase(&stack.store, payer, &by).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_payer_leaves_no_trace_that_any_key_could_open() {
    for gateway in simulated_gateways() {
        let stack = only(gateway).await;
        let simulator = stack.simulator(gateway);
        let charge = stack.api.charge(&marias()).await;
        let id = text(&charge, "id");
        let reference = simulator.only_reference().await;
        simulator.pay(&reference).await;
        stack.api.until(id, "paid").await;
        let mut other = pix();
        other["payer"] = json!({ "name": OTHER_NAME, "document": "11144477735", "email": "joaquim@example.com" });
        stack.api.charge(&other).await;

        let before = stack.dump().await;
        let columns: Vec<_> = traces(&before).iter().map(|it| it.column.clone()).collect();
        for column in ["charges.payer_sealed", "attempts.request_sealed"] {
            assert!(columns.iter().any(|it| it == column), "{columns:?}");
        }

        let payer = payer_of(&stack, id).await;
        erased(&stack, payer).await;
        let after = stack.dump().await;
        let left = traces(&after);
        assert!(left.is_empty(), "{gateway}: {left:?}");
        let others = after.iter().filter(|held| held.text.contains(OTHER_NAME));
        assert!(others.count() >= 2, "others' data is still there");

        erased_charges_still_work(&stack, (gateway, id)).await;
        let left = stack.dump().await;
        let left = traces(&left);
        assert!(left.is_empty(), "{gateway}: {left:?}");
        stack.stop().await;
    }
}

/// Checks that an erased charge can be shown, notified again, synced and refunded.
async fn erased_charges_still_work(stack: &Stack, (gateway, id): (GatewayKind, &str)) {
    let simulator = stack.simulator(gateway);
    let shown = stack.api.show(id).await;
    assert_eq!(
        (&shown["payer"], &shown["status"]),
        (&Value::Null, &json!("paid"))
    );
    let listed = stack.api.get("/v1/charges").await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    assert!(!stack.api.attempts(id).await.is_empty());
    for notification in simulator.notifications().await {
        simulator.resend(&notification).await;
    }
    let replayed = stack.replay().await;
    assert_eq!(replayed.unreadable, 0, "{replayed:?}");
    eventually("what was sent again is handled", || async {
        let reported = stack.api.timeline(id, "notification").await;
        if reported.iter().all(|entry| !entry["handled_at"].is_null()) {
            Ok(())
        } else {
            Err(reported)
        }
    })
    .await;
    let path = format!("/v1/charges/{id}/refunds");
    stack.api.post(&path, &json!({})).await.expect(201);
    let refunded = stack.api.until(id, "refunded").await;
    assert_eq!(refunded["amount_refunded"], 12345, "{gateway}");
    assert_eq!(refunded["payer"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_is_not_erased_while_a_charge_is_open_and_comes_back_as_another() {
    let stack = only(GatewayKind::Efi).await;
    let charge = stack.api.charge(&marias()).await;
    let id = text(&charge, "id");
    let payer = payer_of(&stack, id).await;
    let refused = payers::erase(&stack.store, payer, &operator()).await;
    let why = refused.expect_err("an open charge").to_string();
    assert!(
        why.contains(id) && why.contains("the charge is pending"),
        "{why}"
    );
    assert_eq!(stack.api.show(id).await["payer"], charge["payer"]);

    let cancel = format!("/v1/charges/{id}/cancel");
    stack.api.post(&cancel, &json!({})).await.expect(200);
    erased(&stack, payer).await;
    let again = payers::erase(&stack.store, payer, &operator()).await;
    assert!(
        matches!(again, Err(OperationError::Refused(_))),
        "{again:?}"
    );
    let back = stack.api.charge(&marias()).await;
    assert_ne!(payer_of(&stack, text(&back, "id")).await, payer);
    assert_eq!(text(&back["payer"], "document"), PAYER_DOCUMENT);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_notifications_that_matched_nothing_are_deleted_after_90_days() {
    let stack = only(GatewayKind::Efi).await;
    let charge = stack.api.charge(&marias()).await;
    stack.efi.pay(&stack.efi.only_reference().await).await;
    stack.api.until(text(&charge, "id"), "paid").await;
    let address = stack.address(GatewayKind::Efi).clone();
    let unreadable = tests::http().post(address).body("{\"pix\": 7}");
    let answer = unreadable.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    let kept = || async {
        let held = stack.dump().await;
        let ids = held.iter().filter(|it| it.column == "notifications.id");
        ids.count()
    };
    let acts = &stack.running.activities;
    let before = kept().await;
    assert!(before >= 2, "{before}");
    acts.delete_unmatched_notifications().await.expect("done");
    assert_eq!(kept().await, before);
    let id = stack.merchant.uuid();
    stack.run("update notifications set received_at = app_now() - interval '91 days' where merchant_id = $1", id).await;
    acts.delete_unmatched_notifications().await.expect("done");
    assert_eq!(kept().await, before - 1, "what matched stays");
    stack.stop().await;
}
