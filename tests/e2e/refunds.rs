//! Refunds, made once and never above the paid amount; and disputes, which are not refunds.

use schemas::{gateway::GatewayKind, payment_method::PaymentMethodKind};
use serde_json::{Value, json};
use tests::{
    Options, Simulator, Stack,
    api::{boleto, card, pix},
    eventually, simulated_gateways,
};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

struct Paid {
    stack: Stack,
    charge: String,
    simulator: Simulator,
    reference: String,
}

/// Creates a charge that is paid on that gateway.
async fn paid(gateway: GatewayKind, body: &Value) -> Paid {
    let stack = Stack::with(Options {
        gateways: vec![gateway],
        complete: true,
        ..Options::default()
    })
    .await;
    let charge = stack.api.charge(body).await;
    let method: PaymentMethodKind = text(&body["payment_method"], "type")
        .parse()
        .expect("a method");
    let simulator = stack.simulator_of(gateway, method).clone();
    let reference = simulator.only_reference().await;
    simulator.pay(&reference).await;
    let charge = text(&charge, "id").to_owned();
    stack.api.until(&charge, "paid").await;
    Paid {
        stack,
        charge,
        simulator,
        reference,
    }
}

impl Paid {
    async fn refund(&self, body: Value) -> tests::api::Answer {
        let path = format!("/v1/charges/{}/refunds", self.charge);
        self.stack.api.post(&path, &body).await
    }

    async fn until_refund(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} becomes {status}"), || async {
            let refund = self
                .stack
                .api
                .get(&format!("/v1/refunds/{id}"))
                .await
                .expect(200);
            if refund["status"] == status {
                Ok(refund)
            } else {
                Err(refund)
            }
        })
        .await
    }

    /// Returns the amount that the gateway has refunded.
    async fn at_gateway(&self) -> i64 {
        let charges = self.simulator.charges().await;
        charges
            .iter()
            .filter_map(|charge| charge["refunded"].as_i64())
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_refunded_in_part_then_whole_on_every_gateway() {
    let cases = simulated_gateways()
        .into_iter()
        .flat_map(|gateway| [(gateway, pix()), (gateway, card())]);
    for (gateway, body) in cases {
        let paid = paid(gateway, &body).await;
        let part = paid.refund(json!({ "amount": 2_345 })).await.expect(201);
        paid.until_refund(text(&part, "id"), "succeeded").await;
        let charge = paid.stack.api.show(&paid.charge).await;
        assert_eq!(charge["status"], "paid", "{gateway}");
        assert_eq!(
            (&charge["amount_refunded"], &charge["amount_refundable"]),
            (&json!(2_345), &json!(10_000)),
            "{gateway}"
        );
        let rest = paid.refund(json!({})).await.expect(201);
        assert_eq!(rest["amount"], 10_000);
        paid.until_refund(text(&rest, "id"), "succeeded").await;
        paid.stack.api.until(&paid.charge, "refunded").await;
        paid.stack
            .merchant_server
            .received("refund.succeeded", text(&rest, "id"))
            .await;
        paid.stack
            .merchant_server
            .received("charge.refunded", &paid.charge)
            .await;
        assert_eq!(paid.at_gateway().await, 12_345, "{gateway}");
        let again = paid.refund(json!({})).await.expect(409);
        assert_eq!(again["code"], "charge_not_refundable");
        paid.stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refunds_never_exceed_the_paid_amount() {
    let paid = paid(GatewayKind::Efi, &pix()).await;
    let asked = (0..5).map(|_| paid.refund(json!({ "amount": 5_000 })));
    let answers = futures::future::join_all(asked).await;
    let taken = answers.iter().filter(|a| a.status == 201).count();
    assert_eq!(taken, 2, "{answers:?}");
    for refused in answers.iter().filter(|a| a.status != 201) {
        assert_eq!(refused.body["code"], "refund_too_large", "{refused:?}");
        assert_eq!(refused.body["param"], "amount");
    }
    eventually("both are refunded", || async {
        let given = paid.at_gateway().await;
        if given == 10_000 { Ok(()) } else { Err(given) }
    })
    .await;
    paid.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_refund_asked_twice_is_given_once() {
    let paid = paid(GatewayKind::Stripe, &pix()).await;
    let path = format!("/v1/charges/{}/refunds", paid.charge);
    let body = json!({ "amount": 1_000 });
    let send = || {
        paid.stack
            .api
            .send(reqwest::Method::POST, &path, Some("troca-1"), Some(&body))
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(second.headers["idempotent-replayed"], "true");
    let (first, second) = (first.expect(201), second.expect(201));
    assert_eq!(first["id"], second["id"]);
    paid.until_refund(text(&first, "id"), "succeeded").await;
    assert_eq!(paid.at_gateway().await, 1_000);
    let other = json!({ "amount": 2_000 });
    let reused = paid
        .stack
        .api
        .send(reqwest::Method::POST, &path, Some("troca-1"), Some(&other));
    assert_eq!(reused.await.expect(422)["code"], "idempotency_key_reused");
    paid.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_was_lost_is_made_once() {
    let lost = |method: &str, path: &str| json!({ "kind": "reset_after", "method": method, "path": path, "times": 1 });
    for (gateway, fault) in [
        (GatewayKind::Efi, lost("PUT", "/v2/pix")),
        (GatewayKind::Stripe, lost("POST", "/v1/refunds")),
        (GatewayKind::Asaas, lost("POST", "/v3/payments/")),
    ] {
        let paid = paid(gateway, &pix()).await;
        paid.simulator.fault(fault).await;
        let refund = paid.refund(json!({ "amount": 4_000 })).await.expect(201);
        paid.until_refund(text(&refund, "id"), "succeeded").await;
        assert_eq!(paid.at_gateway().await, 4_000, "{gateway}");
        let charge = paid.stack.api.show(&paid.charge).await;
        assert_eq!(charge["amount_refunded"], 4_000, "{gateway}");
        paid.stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_cannot_refund_is_reported_before_any_call() {
    for gateway in simulated_gateways() {
        let paid = paid(gateway, &boleto()).await;
        let before = paid.simulator.requests().await.len();
        let refused = paid.refund(json!({})).await.expect(422);
        assert_eq!(
            refused["code"], "refund_not_supported",
            "{gateway}: {refused}"
        );
        let asked: Vec<_> = paid.simulator.requests().await.split_off(before);
        let sent = |request: &Value| {
            request["method"] != "GET" && text(request, "path").contains("refund")
        };
        assert!(!asked.iter().any(sent), "{gateway}: {asked:?}");
        assert_eq!(
            paid.stack.api.show(&paid.charge).await["amount_refundable"],
            12_345
        );
        paid.stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_made_at_the_gateway_is_recorded_as_such() {
    for gateway in simulated_gateways() {
        let paid = paid(gateway, &pix()).await;
        let some = json!({ "amount": 3_000 });
        paid.simulator.act(&paid.reference, "refund", &some).await;
        let refund = eventually("the refund is recorded", || async {
            let list = paid
                .stack
                .api
                .get(&format!("/v1/charges/{}/refunds", paid.charge))
                .await
                .expect(200);
            match list["data"][0].clone() {
                Value::Null => Err(()),
                refund => Ok(refund),
            }
        })
        .await;
        assert_eq!(refund["origin"], "gateway", "{gateway}");
        paid.until_refund(text(&refund, "id"), "succeeded").await;
        let left = paid.refund(json!({})).await.expect(201);
        assert_eq!(
            left["amount"], 9_345,
            "{gateway}: no more than what is left"
        );
        paid.stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_at_last_gives_its_amount_free() {
    let paid = paid(GatewayKind::Efi, &pix()).await;
    paid.simulator
        .set(json!({ "refund_end": "NAO_REALIZADO" }))
        .await;
    let refund = paid.refund(json!({ "amount": 5_000 })).await.expect(201);
    let failed = paid.until_refund(text(&refund, "id"), "failed").await;
    assert!(failed["failure"]["message"].is_string(), "{failed}");
    paid.stack
        .merchant_server
        .received("refund.failed", text(&refund, "id"))
        .await;
    let charge = paid.stack.api.show(&paid.charge).await;
    assert_eq!(charge["amount_refundable"], 12_345, "{charge}");
    assert_eq!(charge["status"], "paid");
    paid.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_its_own_state_and_is_never_refunded_on_top() {
    let cases = [
        (GatewayKind::Efi, pix(), true),
        (GatewayKind::Stripe, card(), true),
        (GatewayKind::Asaas, card(), true),
        (GatewayKind::Efi, card(), false),
    ];
    for (gateway, body, may_be_won) in cases {
        let paid = paid(gateway, &body).await;
        paid.simulator
            .act(&paid.reference, "dispute", &json!({}))
            .await;
        let charge = paid.stack.api.until(&paid.charge, "disputed").await;
        assert_eq!(charge["amount_refunded"], 0, "{gateway}");
        assert_eq!(charge["amount_disputed"], 12_345, "{gateway}: {charge}");
        paid.stack
            .merchant_server
            .received("charge.disputed", &paid.charge)
            .await;
        let refused = paid.refund(json!({})).await.expect(409);
        assert_eq!(refused["code"], "charge_not_refundable", "{gateway}");
        let list = format!("/v1/disputes?charge={}", paid.charge);
        let dispute = paid.stack.api.get(&list).await.expect(200)["data"][0].clone();
        assert_eq!(dispute["amount"], 12_345, "{gateway}: {dispute}");
        if may_be_won {
            let won = json!({ "won": true });
            paid.simulator
                .act(&paid.reference, "close_dispute", &won)
                .await;
            paid.stack
                .merchant_server
                .received("dispute.won", text(&dispute, "id"))
                .await;
            let charge = paid.stack.api.until(&paid.charge, "paid").await;
            assert_eq!(charge["amount_refundable"], 12_345, "{gateway}");
            let events = format!("charge={}&type=charge.paid", paid.charge);
            let reported = paid.stack.api.events(&events, 1).await;
            assert_eq!(reported.len(), 1, "the merchant ships once");
        }
        paid.stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_no_one_reported_us_of_stops_a_refund() {
    let paid = paid(GatewayKind::Stripe, &card()).await;
    let silently = json!({ "notify": false });
    paid.simulator
        .act(&paid.reference, "dispute", &silently)
        .await;
    let refund = paid.refund(json!({})).await;
    // the catch-up may have found the dispute first; else the check before sending finds it
    if refund.status == 201 {
        let failed = paid.until_refund(text(&refund.body, "id"), "failed").await;
        assert_eq!(failed["failure"]["code"], "disputed", "{failed}");
    } else {
        assert_eq!(refund.body["code"], "charge_not_refundable");
    }
    assert_eq!(paid.at_gateway().await, 0);
    paid.stack.stop().await;
}

/// Number of simultaneous requests: more than the process has database connections. Each needs the charge's lock.
const MORE_THAN_CONNECTIONS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn many_refunds_at_once_wait_for_each_other_and_for_nothing_else() {
    let paid = paid(GatewayKind::Efi, &pix()).await;
    let some = json!({ "amount": 100 });
    let asked = (0..MORE_THAN_CONNECTIONS).map(|_| paid.refund(some.clone()));
    for refund in futures::future::join_all(asked).await {
        refund.expect(201);
    }
    let refunded = 100 * MORE_THAN_CONNECTIONS;
    eventually("all of them succeed", || async {
        let charge = paid.stack.api.show(&paid.charge).await;
        if charge["amount_refunded"] == refunded {
            Ok(())
        } else {
            Err(charge["amount_refunded"].clone())
        }
    })
    .await;
    paid.stack.stop().await;
}
