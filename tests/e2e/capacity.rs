//! Capacity: a call that waits for a gateway uses none of it, and a hanging gateway delays no other work.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::join_all;
use schemas::gateway::GatewayKind;
use serde_json::{Value, json};
use tests::{Api, Options, Stack, api::Answer, api::pix};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

/// Returns a fault that delays every answer beyond all timeouts.
fn hangs() -> Value {
    json!({ "kind": "delay", "delay_ms": 60_000, "method": "POST" })
}

fn only(gateway: GatewayKind) -> Options {
    Options {
        gateways: vec![gateway],
        ..Options::default()
    }
}

fn statuses(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status.as_u16()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_simultaneous_sales_at_a_slow_gateway_are_all_taken() {
    let stack = Stack::with(Options {
        // a debug build on a busy machine completes only a few charges a second
        answer_within_s: 35,
        ..only(GatewayKind::Efi)
    })
    .await;
    stack.efi.set(json!({ "latency_ms": 800 })).await;
    let body = pix();
    let sales = join_all((0..200).map(|_| stack.api.post("/v1/charges", &body))).await;
    assert_eq!(statuses(&sales), BTreeMap::from([(201, 200)]));
    for sale in &sales {
        let id = sale.body["id"].as_str().expect("an id");
        stack.api.until(id, "pending").await;
    }
    assert_eq!(stack.efi.payable().await.len(), 200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_merchants_slow_gateway_sheds_no_other() {
    let stack = Stack::with(Options {
        max_waiting_callers: 16,
        ..only(GatewayKind::Asaas)
    })
    .await;
    let other = stack.another_merchant(&[GatewayKind::Stripe]).await;
    stack.asaas.fault(hangs()).await;
    let mut busy = JoinSet::new();
    for _ in 0..40 {
        let api = stack.api.clone();
        busy.spawn(async move { api.post("/v1/charges", &pix()).await });
    }
    // an eighth of the share is reserved for other merchants
    let mut answers = Vec::new();
    while answers.len() < 40 - 14 {
        answers.push(
            busy.join_next()
                .await
                .expect("an answer")
                .expect("no panic"),
        );
    }
    for refused in &answers {
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.body["code"], "overloaded", "{}", refused.body);
    }
    for _ in 0..5 {
        assert_eq!(other.charge(&pix()).await["status"], "pending");
    }
    let waited = busy.join_all().await;
    assert_eq!(statuses(&waited), BTreeMap::from([(201, 14)]));
    let list = stack.api.get("/v1/charges?limit=100").await.expect(200);
    let stored = list["data"].as_array().map(Vec::len);
    assert_eq!(stored, Some(14), "nothing is stored of a refused one");
    stack.asaas.heal().await;
    stack.stop().await;
}

/// Creates `n` charges, one per `each`. Returns each answer and its duration.
async fn sell(apis: &[Api], each: Duration, n: u32) -> Vec<(Answer, Duration)> {
    let (start, mut sales) = (tokio::time::Instant::now(), JoinSet::new());
    for at in 0..n {
        tokio::time::sleep_until(start + each * at).await;
        let index = usize::try_from(at).expect("a few") % apis.len();
        let api = apis[index].clone();
        sales.spawn(async move {
            let due = Instant::now();
            let answer = api.post("/v1/charges", &pix()).await;
            (answer, due.elapsed())
        });
    }
    sales.join_all().await
}

fn median(sales: &[(Answer, Duration)]) -> Duration {
    let mut took: Vec<_> = sales.iter().map(|(_, took)| *took).collect();
    took.sort();
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_gateway_delays_no_sale_at_another() {
    let stack = Stack::with(only(GatewayKind::Stripe)).await;
    let (mut healthy, mut hanging) = (vec![stack.api.clone()], Vec::new());
    for _ in 0..3 {
        healthy.push(stack.another_merchant(&[GatewayKind::Stripe]).await);
        hanging.push(stack.another_merchant(&[GatewayKind::Asaas]).await);
    }
    let each = Duration::from_millis(300);
    let before = sell(&healthy, each, 12).await;
    stack.asaas.fault(hangs()).await;
    let mut hang = TaskTracker::new().spawn(async move { sell(&hanging, each, 24).await });
    let meanwhile = sell(&healthy, each, 24).await;
    let hung = loop {
        // readiness needs a database connection at once
        let ready = stack.api.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        tokio::select! {
            hung = &mut hang => break hung.expect("no panic"),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    };
    for (answer, _) in meanwhile.iter().chain(&hung) {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let (calm, loaded) = (median(&before), median(&meanwhile));
    assert!(
        loaded < calm * 3 + Duration::from_secs(1),
        "{calm:?} became {loaded:?}"
    );
    let mut body = pix();
    body["description"] = Value::from("paid meanwhile");
    let mine = stack.api.charge(&body).await;
    let id = mine["id"].as_str().expect("an id");
    stack.api.until(id, "pending").await;
    let payable = stack.stripe.payable_about("paid meanwhile").await;
    let reference = payable[0]["reference"].as_str().expect("a reference");
    stack.stripe.pay(reference).await;
    stack.api.until(id, "paid").await;
    stack.merchant_server.received("charge.paid", id).await;
    stack.asaas.heal().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_many_callers_wait_the_next_is_refused_at_once() {
    let stack = Stack::with(Options {
        max_waiting_callers: 1,
        ..only(GatewayKind::Efi)
    })
    .await;
    stack.efi.set(json!({ "latency_ms": 1_000 })).await;
    let body = pix();
    let answers = join_all((0..4).map(|_| stack.api.post("/v1/charges", &body))).await;
    assert_eq!(statuses(&answers), BTreeMap::from([(201, 1), (503, 3)]));
    for refused in answers.iter().filter(|answer| answer.status == 503) {
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.body["code"], "overloaded");
    }
    let list = stack.api.get("/v1/charges").await.expect(200);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    stack.stop().await;
}
