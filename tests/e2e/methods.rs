//! Boletos, card links and Pix with a due date, at each gateway.

use schemas::{
    boleto_line::BoletoLine, br_code::BrCode, calendar, gateway::GatewayKind,
    payment_method::PaymentMethodKind,
};
use serde_json::{Value, json};
use tests::{
    Options, Stack,
    api::{boleto, card, due_pix},
    simulated_gateways,
};

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

/// Checks that a bank or a browser can use the instrument.
fn check_instrument(shown: &Value) {
    match text(shown, "type") {
        "pix" => drop(BrCode::parse(text(shown, "copy_paste")).expect("a BR Code")),
        "boleto" => {
            let line = BoletoLine::from_line(text(shown, "line")).expect("a line");
            assert_eq!(line.barcode(), text(shown, "barcode"));
            assert_eq!(line.amount(), 12345);
        }
        "redirect" => assert!(text(shown, "url").starts_with("http"), "{shown}"),
        other => panic!("there is no way to pay by {other}: {shown}"),
    }
}

async fn presented_paid_and_reported(gateway: GatewayKind, body: &Value) {
    let stack = only(gateway).await;
    let charge = stack.api.charge(body).await;
    let id = text(&charge, "id");
    assert_eq!(charge["status"], "pending", "{gateway}: {charge}");
    assert_eq!(charge["gateway"]["kind"], gateway.as_ref());
    check_instrument(&charge["next_action"]);
    let method: PaymentMethodKind = text(&body["payment_method"], "type")
        .parse()
        .expect("a method");
    let simulator = stack.simulator_of(gateway, method);
    simulator.pay(&simulator.only_reference().await).await;
    let paid = stack.api.until(id, "paid").await;
    assert_eq!(paid["amount_paid"], 12345, "{gateway}: {paid}");
    assert_eq!(paid["amount_mismatch"], Value::Null, "{gateway}");
    let payment = &paid["payments"][0];
    assert_eq!(payment["method"], method.as_ref(), "{gateway}: {payment}");
    let (fee, net) = (payment["fee"].as_i64(), payment["net"].as_i64());
    assert_eq!(
        fee.zip(net).map(|(fee, net)| fee + net),
        Some(12345),
        "{payment}"
    );
    assert!(
        fee > Some(0),
        "{gateway} {method} costs something: {payment}"
    );
    stack.merchant_server.received("charge.paid", id).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boleto_is_presented_paid_and_reported_on_every_gateway() {
    for gateway in simulated_gateways() {
        presented_paid_and_reported(gateway, &boleto()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_link_is_presented_paid_and_reported_on_every_gateway() {
    for gateway in simulated_gateways() {
        presented_paid_and_reported(gateway, &card()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pix_with_a_due_date_is_presented_paid_and_reported() {
    for gateway in [GatewayKind::Efi, GatewayKind::Asaas] {
        presented_paid_and_reported(gateway, &due_pix()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boleto_goes_to_a_gateway_that_can_take_it_as_it_is() {
    let stack = Stack::with(Options {
        gateways: vec![GatewayKind::Stripe, GatewayKind::Asaas],
        ..Options::default()
    })
    .await;
    let mut body = boleto();
    body["payment_method"]["fine_bps"] = json!(200);
    let charge = stack.api.charge(&body).await;
    assert_eq!(charge["gateway"]["kind"], "asaas", "{charge}");
    assert_eq!(charge["fallbacks"][0]["gateway"], "stripe");
    assert_eq!(
        charge["fallbacks"][0]["unmet"][0]["field"], "payment_method.fine_bps",
        "{charge}"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boleto_past_its_due_day_is_overdue_and_still_paid() {
    let stack = only(GatewayKind::Asaas).await;
    let mut body = boleto();
    body["payment_method"]["days_after_due"] = json!(30);
    let charge = stack.api.charge(&body).await;
    let id = text(&charge, "id");
    let simulator = stack.simulator_of(GatewayKind::Asaas, PaymentMethodKind::Boleto);
    let reference = simulator.only_reference().await;
    simulator.act(&reference, "overdue", &json!({})).await;
    stack.api.until(id, "overdue").await;
    stack.merchant_server.received("charge.overdue", id).await;
    simulator.pay(&reference).await;
    stack.api.until(id, "paid").await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paying_less_or_more_than_was_asked_is_flagged() {
    let stack = only(GatewayKind::Efi).await;
    for (amount, flag) in [(12_000, "underpaid"), (13_000, "overpaid")] {
        let charge = stack.api.charge(&due_pix()).await;
        let id = text(&charge, "id");
        let payable = stack.efi.payable().await.remove(0);
        stack
            .efi
            .act(
                text(&payable, "reference"),
                "pay",
                &json!({ "amount": amount }),
            )
            .await;
        let paid = stack.api.until(id, "paid").await;
        assert_eq!(paid["amount_paid"], amount);
        assert_eq!(paid["amount_mismatch"], flag, "{paid}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_link_fails_with_the_reason() {
    let stack = only(GatewayKind::Efi).await;
    let charge = stack.api.charge(&card()).await;
    let id = text(&charge, "id");
    let simulator = stack.simulator_of(GatewayKind::Efi, PaymentMethodKind::Card);
    simulator
        .act(&simulator.only_reference().await, "fail", &json!({}))
        .await;
    let failed = stack.api.until(id, "failed").await;
    assert_eq!(failed["failure"]["code"], "declined", "{failed}");
    stack.merchant_server.received("charge.failed", id).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_discounts_that_cannot_be_are_named_and_nothing_is_stored() {
    let stack = Stack::start().await;
    let mut past = boleto();
    past["payment_method"]["due_date"] = json!("2020-01-02");
    let refused = stack.api.post("/v1/charges", &past).await.expect(422);
    assert_eq!(refused["param"], "payment_method.due_date", "{refused}");
    let mut discounted = boleto();
    discounted["payment_method"]["discount"] =
        json!({ "amount": 12345, "until": text(&discounted["payment_method"], "due_date") });
    let refused = stack.api.post("/v1/charges", &discounted).await.expect(422);
    assert_eq!(
        refused["param"], "payment_method.discount.amount",
        "{refused}"
    );
    let listed = stack.api.get("/v1/charges").await.expect(200);
    assert_eq!(listed["data"], json!([]));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boleto_of_unknown_outcome_is_waited_for_before_another_gateway_is_tried() {
    let stack = Stack::with(Options {
        gateways: vec![GatewayKind::Asaas, GatewayKind::Efi],
        ..Options::default()
    })
    .await;
    // it is created, its answer is lost, and it becomes visible only later
    let lost = json!({ "kind": "malformed", "method": "POST", "path": "/v3/payments", "times": 1 });
    stack.asaas.fault(lost).await;
    let blind = json!({ "kind": "status", "status": 503, "method": "GET", "path": "/v3/payments", "skip": 1, "times": 3 });
    stack.asaas.fault(blind).await;
    let charge = stack.api.charge(&boleto()).await;
    let id = text(&charge, "id");
    let shown = stack.api.until(id, "pending").await;
    assert_eq!(shown["gateway"]["kind"], "asaas", "{shown}");
    assert_eq!(stack.api.attempts(id).await.len(), 1);
    let other = stack.simulator_of(GatewayKind::Efi, PaymentMethodKind::Boleto);
    assert!(
        other.charges().await.is_empty(),
        "nothing was created elsewhere"
    );
    stack.stop().await;
}

#[test]
fn the_tests_boletos_are_due_on_a_business_day() {
    let body = boleto();
    let due: chrono::NaiveDate = text(&body["payment_method"], "due_date")
        .parse()
        .expect("a day");
    assert!(calendar::is_business_day(due));
}
