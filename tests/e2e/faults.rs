//! Promises under ordinary faults: checks the state of every row and of the gateway's books afterwards.

use futures::future::join_all;
use schemas::gateway::GatewayKind::{self, Asaas, Efi};
use serde_json::{Value, json};
use tests::{Options, Stack, api::pix, eventually};

use super::charges::the_payable;

async fn with(gateways: &[GatewayKind]) -> Stack {
    Stack::with(Options {
        gateways: gateways.to_vec(),
        ..Options::default()
    })
    .await
}

fn id(charge: &Value) -> &str {
    charge["id"].as_str().expect("an id")
}

fn order(reference: &str) -> Value {
    let mut body = pix();
    body["reference"] = json!(reference);
    body
}

/// Waits until nothing is payable at that gateway.
async fn until_nothing_is_payable(stack: &Stack, gateway: GatewayKind) {
    eventually("nothing is payable", || async {
        let payable = stack.simulator(gateway).payable().await;
        if payable.is_empty() {
            Ok(())
        } else {
            Err(payable)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_instrument_is_presented_and_its_cancel_ends() {
    let stack = with(&[Efi]).await;
    let lost = json!({ "kind": "reset_after", "method": "PUT", "path": "/v2/cob", "times": 1 });
    stack.efi.fault(lost).await;
    let blind =
        json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v2/cob", "times": 4 });
    stack.efi.fault(blind).await;
    let charge = stack.api.charge(&pix()).await;
    let shown = stack.api.until(id(&charge), "pending").await;
    assert_eq!(shown["unresolved_attempt"], false, "{shown}");
    stack.api.until_attempts(id(&charge), &["presented"]).await;
    the_payable(&stack).await;
    let path = format!("/v1/charges/{}/cancel", id(&charge));
    let canceled = stack.api.post(&path, &json!({})).await.expect(200);
    assert_eq!(canceled["status"], "canceled");
    stack.api.until_attempts(id(&charge), &["voided"]).await;
    until_nothing_is_payable(&stack, Efi).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_that_lose_the_race_for_a_probe_are_presented_nevertheless() {
    let stack = with(&[Efi]).await;
    stack
        .set_breaker(json!({ "consecutive_failures": 1, "open_s": 1 }))
        .await;
    let down =
        json!({ "kind": "status", "status": 503, "method": "PUT", "path": "/v2/cob", "times": 1 });
    stack.efi.fault(down).await;
    let first = stack.api.charge(&pix()).await;
    let body = pix();
    let all = join_all((0..20).map(|_| stack.api.charge(&body))).await;
    for charge in all.iter().chain([&first]) {
        assert_ne!(charge["status"], "failed", "{charge}");
        stack.api.until(id(charge), "pending").await;
    }
    assert_eq!(stack.efi.payable().await.len(), 21);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_by_one_gateway_moves_on_to_the_next() {
    let stack = with(&[Efi, Asaas]).await;
    let no =
        json!({ "kind": "status", "status": 400, "method": "PUT", "path": "/v2/cob", "times": 1 });
    stack.efi.fault(no).await;
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["status"], "pending", "{charge}");
    assert_eq!(charge["gateway"]["kind"], "asaas");
    stack
        .api
        .until_attempts(id(&charge), &["rejected", "presented"])
        .await;
    assert!(stack.efi.charges().await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_fails_only_when_every_gateway_rejected_it_and_names_each_reason() {
    let stack = with(&[Efi, Asaas]).await;
    let no = json!({ "kind": "status", "status": 400, "method": "PUT", "path": "/v2/cob" });
    stack.efi.fault(no).await;
    let no = json!({ "kind": "status", "status": 400, "method": "POST", "path": "/v3/payments" });
    stack.asaas.fault(no).await;
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["status"], "failed", "{charge}");
    assert_eq!(charge["failure"]["code"], "rejected_by_gateway");
    assert_eq!(charge["failure"]["retryable"], false);
    let kinds: Vec<&Value> = charge["failure"]["reasons"]
        .as_array()
        .expect("reasons")
        .iter()
        .map(|reason| &reason["kind"])
        .collect();
    assert_eq!(kinds, ["efi", "asaas"], "{charge}");
    stack
        .api
        .until_attempts(id(&charge), &["rejected", "rejected"])
        .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_unknown_outcome_is_canceled_and_ordered_again() {
    let stack = with(&[Asaas]).await;
    let lost =
        json!({ "kind": "reset_before", "method": "POST", "path": "/v3/payments", "times": 1 });
    stack.asaas.fault(lost).await;
    let charge = stack.api.charge(&order("pedido-11")).await;
    assert_eq!(charge["status"], "processing", "{charge}");
    assert_eq!(charge["unresolved_attempt"], true, "{charge}");
    let path = format!("/v1/charges/{}/cancel", id(&charge));
    let canceled = stack.api.post(&path, &json!({})).await.expect(200);
    assert_eq!(canceled["status"], "canceled", "{canceled}");
    let again = stack.api.charge(&order("pedido-11")).await;
    assert_eq!(again["status"], "pending", "{again}");
    assert_ne!(again["id"], charge["id"]);
    assert_eq!(stack.asaas.payable().await.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_hint_does_not_hold_up_a_cancel() {
    let stack = with(&[Efi]).await;
    let charge = stack.api.charge(&pix()).await;
    let said = json!({ "pix": [{
        "endToEndId": "E12345678202611241200abcdefghijk", "txid": stack.efi.only_reference().await, "valor": "123.45",
        "chave": "71cdf9ba-c695-4e3c-b010-abb521a3f1be", "horario": "2026-11-24T12:00:00.000Z",
    }] });
    let address = stack.address(Efi).as_str();
    stack.efi.forge(address, &said).await;
    let path = format!("/v1/charges/{}/cancel", id(&charge));
    let canceled = stack.api.post(&path, &json!({})).await.expect(200);
    assert_eq!(canceled["status"], "canceled", "{canceled}");
    until_nothing_is_payable(&stack, Efi).await;
    stack.stop().await;
}

/// API key of the tests' account.
const ASAAS_KEY: &str = "$aact_hmlg_loja";

/// Performs through Asaas's API an action that a user takes in its dashboard.
async fn at_asaas(stack: &Stack, action: &str, body: &Value) {
    let reference = stack.asaas.only_reference().await;
    let client = tests::http();
    let base = stack.gateway_url(Asaas);
    let list = base
        .join(&format!("/v3/payments?externalReference={reference}"))
        .expect("a path");
    let found: Value = client
        .get(list)
        .header("access_token", ASAAS_KEY)
        .header("user-agent", "dashboard")
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let payment = found["data"][0]["id"].as_str().expect("a payment");
    let path = base
        .join(&format!("/v3/payments/{payment}/{action}"))
        .expect("a path");
    let request = if action.is_empty() {
        client.delete(
            base.join(&format!("/v3/payments/{payment}"))
                .expect("a path"),
        )
    } else {
        client.post(path).json(body)
    };
    let answer = request
        .header("access_token", ASAAS_KEY)
        .header("user-agent", "dashboard")
        .send()
        .await
        .expect("an answer");
    assert!(
        answer.status().is_success(),
        "{action}: {}",
        answer.status()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_restored_in_the_panel_is_voided_again() {
    let stack = with(&[Asaas]).await;
    let charge = stack.api.charge(&order("pedido-6")).await;
    at_asaas(&stack, "", &json!({})).await;
    stack.api.until(id(&charge), "canceled").await;
    at_asaas(&stack, "restore", &json!({})).await;
    eventually("it is voided a second time", || async {
        let payable = stack.asaas.payable().await;
        let attempts = stack.api.attempts(id(&charge)).await;
        if payable.is_empty() && attempts[0]["state"] == "voided" {
            Ok(())
        } else {
            Err((payable, attempts))
        }
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cash_receipt_that_is_undone_is_taken_back_and_a_later_payment_counts() {
    let stack = with(&[Asaas]).await;
    let charge = stack.api.charge(&pix()).await;
    let cash = json!({ "paymentDate": "2026-11-26", "value": 123.45 });
    at_asaas(&stack, "receiveInCash", &cash).await;
    stack.api.until(id(&charge), "paid").await;
    at_asaas(&stack, "undoReceivedInCash", &json!({})).await;
    let open = stack.api.until(id(&charge), "pending").await;
    assert_eq!(open["amount_paid"], 0, "{open}");
    assert_eq!(open["payments"][0]["status"], "reversed", "{open}");
    stack
        .merchant_server
        .received("charge.payment_reversed", id(&charge))
        .await;
    stack.api.until_attempts(id(&charge), &["presented"]).await;
    stack.asaas.pay(&stack.asaas.only_reference().await).await;
    let paid = stack.api.until(id(&charge), "paid").await;
    assert_eq!(paid["amount_paid"], 12345, "{paid}");
    assert_eq!(paid["payments"].as_array().map(Vec::len), Some(2), "{paid}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_beside_another_order_of_the_same_reference_names_both() {
    let stack = with(&[Efi]).await;
    let first = stack.api.charge(&order("pedido-9")).await;
    let reference = stack.efi.only_reference().await;
    stack.cancel_in_our_rows_alone(id(&first)).await;
    let second = stack.api.charge(&order("pedido-9")).await;
    assert_ne!(second["id"], first["id"]);
    stack.efi.pay(&reference).await;
    let arrived = stack
        .merchant_server
        .received("charge.duplicate_payment", id(&first))
        .await;
    assert_eq!(arrived.event["data"]["duplicate_of"], second["id"]);
    let paid = stack.api.show(id(&first)).await;
    assert_eq!(paid["status"], "paid", "{paid}");
    stack.stop().await;
}
