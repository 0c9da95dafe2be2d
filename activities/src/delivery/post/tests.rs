use schemas::id::DeliveryId;
use store::webhook_endpoints;

use super::*;
use crate::{
    PollStep,
    testing::{Server, Stage},
};

/// Inserts an endpoint at `url` with one pending delivery.
async fn delivery(stage: &Stage, url: &Url) -> DeliveryId {
    let id = schemas::id::EndpointId(store::new_id());
    let request = serde_json::json!({ "url": url });
    let request = serde_json::from_value(request).expect("a request");
    let store = &stage.activities.store;
    let mut tx = store.begin().await.expect("a transaction");
    let tenant = (stage.merchant, schemas::gateway::Mode::Test);
    let created = webhook_endpoints::insert(&mut tx, store, tenant, id, &request).await;
    created.expect("inserted").expect("an endpoint");
    tx.commit().await.expect("committed");
    let delivery = DeliveryId(store::new_id());
    let (m, d, w) = (stage.merchant.uuid(), delivery.uuid(), id.uuid());
    stage
        .run(&format!(
            "insert into events (id, merchant_id, mode, type, subject_type, subject_id, sequence, data)
             values ('{d}', '{m}', 'test', 'charge.paid', 'charge', '{d}', 1, '{{\"amount\": 100}}');
             insert into deliveries (id, merchant_id, mode, event_id, event_type, subject_id, endpoint_id, next_check_at)
             values ('{d}', '{m}', 'test', '{d}', 'charge.paid', '{d}', '{w}', app_now())"
        ))
        .await;
    delivery
}

async fn posted(stage: &Stage, url: &Url) -> Answer {
    let id = delivery(stage, url).await;
    let mut db = stage
        .activities
        .store
        .pool
        .acquire()
        .await
        .expect("a connection");
    let job = store::deliveries::load(&mut db, id).await.expect("read");
    let job = job.expect("a delivery");
    let secret = webhook_endpoints::secret(&mut db, &stage.activities.store, &job).await;
    drop(db);
    let answer = stage
        .activities
        .post(&job, &secret.expect("a secret"))
        .await;
    answer.expect("an answer")
}

async fn delivered(stage: &Stage, id: DeliveryId) -> PollStep {
    stage.activities.deliver_once(id).await.expect("a step")
}

/// Returns the delivery's state, its number of tries, and the minutes until it is due.
async fn row(stage: &Stage) -> String {
    let sql = "select state || ' ' || attempts || ' '
                      || coalesce(round(extract(epoch from next_check_at - app_now()) / 60)::text, 'no time') from deliveries";
    stage.texts(sql).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_signed_over_its_id_its_time_and_its_body() {
    let server = Server::with_status(200, "").await;
    let stage = Stage::new(&server.url, true).await;
    let id = delivery(&stage, &server.url).await;
    delivered(&stage, id).await;
    let received = server.requests().remove(0);
    assert_eq!(received.line(), "POST /");
    let mut db = stage
        .activities
        .store
        .pool
        .acquire()
        .await
        .expect("a connection");
    let job = store::deliveries::load(&mut db, id)
        .await
        .expect("read")
        .expect("a delivery");
    let secret = webhook_endpoints::secret(&mut db, &stage.activities.store, &job).await;
    let header = |name: &str| received.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("webhook-id"), job.event.id.to_string());
    let at: i64 = header("webhook-timestamp").parse().expect("seconds");
    let key = Webhook::new(&secret.expect("a secret")).expect("a key");
    let signature = key
        .sign(&header("webhook-id"), at, &received.body)
        .expect("signed");
    assert_eq!(header("webhook-signature"), signature);
    let body: serde_json::Value = serde_json::from_slice(&received.body).expect("JSON");
    assert_eq!(
        (&body["type"], &body["data"]["amount"]),
        (&"charge.paid".into(), &100.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_receives_no_post() {
    let server = Server::with_status(200, "").await;
    let stage = Stage::new(&server.url, false).await;
    let port = server.url.port().expect("a port");
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://localhost:{port}/"),
        "https://10.0.0.1/".to_owned(),
        "https://169.254.169.254/latest".to_owned(),
        "https://shop:pass@example.com/".to_owned(),
    ] {
        let answer = posted(&stage, &url.parse().expect("a URL")).await;
        assert_eq!(answer.error, Some("address_not_allowed"), "{url}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let other = Server::with_status(200, "").await;
    let server = Server::with_status(302, &format!("location: {}\r\n", other.url)).await;
    let stage = Stage::new(&server.url, true).await;
    let answer = posted(&stage, &server.url).await;
    assert_eq!(answer.status, Some(StatusCode::FOUND));
    assert!(!answer.is_accepted());
    assert!(other.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_read_in_seconds_and_as_a_date() {
    for (headers, expected) in [
        ("retry-after: 120\r\n", Some(120)),
        (
            "date: Thu, 26 Nov 2026 10:00:00 GMT\r\nretry-after: Thu, 26 Nov 2026 11:00:00 GMT\r\n",
            Some(3_600),
        ),
        (
            "date: Thu, 26 Nov 2026 10:00:00 GMT\r\nretry-after: Thu, 26 Nov 2026 09:00:00 GMT\r\n",
            None,
        ),
        ("retry-after: soon\r\n", None),
        ("", None),
    ] {
        let server = Server::with_status(503, headers).await;
        let stage = Stage::new(&server.url, true).await;
        let answer = posted(&stage, &server.url).await;
        assert_eq!(answer.retry_after_s, expected, "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_named_by_its_failure() {
    let closing = Server::answering(|_| Some(String::new())).await;
    let hanging = Server::answering(|_| None).await;
    let mut stage = Stage::new(&closing.url, true).await;
    assert_eq!(posted(&stage, &closing.url).await.error, Some("broken"));
    let refusing = {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = gone.local_addr().expect("an address").port();
        format!("http://127.0.0.1:{port}/").parse().expect("a URL")
    };
    assert_eq!(posted(&stage, &refusing).await.error, Some("connect"));
    stage.activities.timing.delivery_call = Duration::from_millis(100);
    assert_eq!(posted(&stage, &hanging.url).await.error, Some("timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_delivery_is_posted_once() {
    let server = Server::with_status(204, "").await;
    let stage = Stage::new(&server.url, true).await;
    let id = delivery(&stage, &server.url).await;
    for _ in 0..2 {
        assert_eq!(delivered(&stage, id).await, PollStep::Done);
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(row(&stage).await, "delivered 1 no time");
    assert!(
        stage.calls.calls().is_empty(),
        "a healthy endpoint needs no check"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_delivery_waits_as_long_as_the_server_requests() {
    let server = Server::with_status(503, "retry-after: 7200\r\n").await;
    let stage = Stage::new(&server.url, true).await;
    let id = delivery(&stage, &server.url).await;
    let step = delivered(&stage, id).await;
    assert!(
        matches!(step, PollStep::Wait { after_ms } if after_ms >= 7_200_000),
        "{step:?}"
    );
    let row = row(&stage).await;
    assert!(row.starts_with("pending 1 1"), "{row}");
    assert!(
        matches!(delivered(&stage, id).await, PollStep::Wait { .. }),
        "not before its time"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_to_paused_and_deleted_endpoints_are_not_posted() {
    let server = Server::with_status(200, "").await;
    for (status, left) in [
        ("paused", "pending 0 no time"),
        ("deleted", "discarded 0 no time"),
    ] {
        let stage = Stage::new(&server.url, true).await;
        let id = delivery(&stage, &server.url).await;
        stage
            .run(&format!(
                "update webhook_endpoints set status = '{status}', next_check_at = app_now()"
            ))
            .await;
        assert_eq!(delivered(&stage, id).await, PollStep::Done);
        assert_eq!(row(&stage).await, left);
    }
    assert!(server.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_paused_with_one_event_and_its_workflow_woken() {
    let server = Server::with_status(410, "").await;
    let stage = Stage::new(&server.url, true).await;
    let id = delivery(&stage, &server.url).await;
    assert_eq!(delivered(&stage, id).await, PollStep::Done);
    let status = stage.texts("select status from webhook_endpoints").await;
    assert_eq!(status, ["paused"]);
    let events = stage
        .texts("select type from events where subject_type = 'webhook_endpoint'")
        .await;
    assert_eq!(events, ["webhook_endpoint.paused"]);
    let woken = stage.calls.calls();
    assert!(
        woken.iter().any(|call| call.starts_with("wake we_")),
        "{woken:?}"
    );
}
