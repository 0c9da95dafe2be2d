//! The gateway without a server: a new merchant sells in test mode before it has an account anywhere.

use activities::connection::{self, NewConnection};
use orchestrator::start::clients;
use schemas::{
    gateway::{GatewayKind, Mode},
    id::MerchantId,
};
use serde_json::{Value, json};
use tests::{
    Options, Stack,
    api::{boleto, card, pix},
    eventually,
};

/// Starts a stack whose merchant was created as `orchestrator merchant create` does.
async fn stack_of_a_new_merchant() -> Stack {
    let stack = Stack::with(Options {
        gateways: Vec::new(),
        ..Options::default()
    })
    .await;
    let clients = clients(&stack.config, &stack.store);
    let added = connection::add_defaults(&stack.store, &clients, stack.merchant).await;
    added.expect("a default connection");
    stack
}

async fn connect(stack: &Stack, gateway: GatewayKind, mode: Mode, credentials: Value) {
    let new = new(stack.merchant, gateway, mode, credentials);
    let clients = clients(&stack.config, &stack.store);
    let added = connection::add(&stack.store, &clients, &new).await;
    added.expect("a connection");
}

fn new(
    merchant: MerchantId,
    gateway: GatewayKind,
    mode: Mode,
    credentials: Value,
) -> NewConnection {
    NewConnection {
        merchant,
        mode,
        gateway,
        label: format!("own {gateway}"),
        credentials,
        replace_address: false,
    }
}

/// Pays a charge as its payer, at the URL of its instrument.
async fn pay(charge: &Value) {
    let action = &charge["next_action"];
    let shown = ["qr_code_url", "pdf_url", "url"].map(|field| action[field].as_str());
    let url = shown.into_iter().flatten().next().expect("a URL");
    let (address, form) = url.split_once('?').expect("a query");
    let answer = tests::http()
        .post(address)
        .body(form.to_owned())
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

fn of(amount: i64) -> Value {
    let mut body = pix();
    body["amount"] = amount.into();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_merchant_sells_by_every_method_without_any_account() {
    let stack = stack_of_a_new_merchant().await;
    for method in [pix(), boleto(), card()] {
        let charge = stack.api.charge(&method).await;
        let id = charge["id"].as_str().expect("an id");
        assert_eq!(charge["status"], "pending", "{charge}");
        assert_eq!(charge["gateway"]["kind"], "dummy", "{charge}");
        pay(&charge).await;
        let paid = stack.api.until(id, "paid").await;
        assert_eq!(paid["amount_paid"], charge["amount"], "{paid}");
        stack.merchant_server.received("charge.paid", id).await;
        // a second payment of the same code is none
        pay(&charge).await;
        let path = format!("/v1/charges/{id}/refunds");
        let refund = stack.api.post(&path, &json!({ "amount": 100 })).await;
        assert_eq!(refund.status, 201, "{}", refund.body);
        eventually("the refund has succeeded", || async {
            let charge = stack.api.show(id).await;
            if charge["amount_refunded"] == 100 {
                Ok(())
            } else {
                Err(charge)
            }
        })
        .await;
        assert_eq!(
            stack.api.show(id).await["amount_paid"],
            charge["amount"],
            "paid once"
        );
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_charge_of_the_default_cannot_be_paid() {
    let stack = stack_of_a_new_merchant().await;
    let charge = stack.api.charge(&pix()).await;
    let id = charge["id"].as_str().expect("an id");
    let path = format!("/v1/charges/{id}/cancel");
    stack.api.post(&path, &json!({})).await;
    stack.api.until(id, "canceled").await;
    pay(&charge).await;
    eventually("the payment was processed", || async {
        let waiting = "select count(*) from notification_tokens where fetched_at is null";
        match stack.count_sql(waiting).await {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    assert_eq!(stack.api.show(id).await["status"], "canceled");
    assert_eq!(stack.count_sql("select count(*) from payments").await, 0);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_selects_the_outcome() {
    let stack = stack_of_a_new_merchant().await;
    for (amount, status) in [
        (90_001, "paid"),
        (90_002, "failed"),
        (90_003, "failed"),
        (90_004, "pending"),
        (90_005, "pending"),
        (90_006, "pending"),
        (90_007, "pending"),
    ] {
        let charge = stack.api.charge(&of(amount)).await;
        let id = charge["id"].as_str().expect("an id");
        stack.api.until(id, status).await;
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_takes_the_place_of_the_default_and_an_explicit_connection_stays() {
    let stack = stack_of_a_new_merchant().await;
    stack
        .connect_again(GatewayKind::Efi)
        .await
        .expect("connected");
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["gateway"]["kind"], "efi", "{charge}");
    let routes =
        "select count(*) from routing_policies where active and cardinality(connections) = 1";
    assert_eq!(
        stack.count_sql(routes).await,
        3,
        "the default is in no route"
    );

    let own = json!({ "account": "own" });
    connect(&stack, GatewayKind::Dummy, Mode::Test, own).await;
    stack.efi.down().await;
    let charge = stack.api.charge(&pix()).await;
    assert_eq!(charge["gateway"]["kind"], "dummy", "{charge}");
    stack.efi.heal().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_in_live_mode() {
    let stack = stack_of_a_new_merchant().await;
    let new = new(
        stack.merchant,
        GatewayKind::Dummy,
        Mode::Live,
        json!({ "account": "own" }),
    );
    let clients = clients(&stack.config, &stack.store);
    let added = connection::add(&stack.store, &clients, &new).await;
    let refused = added.expect_err("refused").to_string();
    assert!(refused.contains("test mode only"), "{refused}");
    stack.stop().await;
}
