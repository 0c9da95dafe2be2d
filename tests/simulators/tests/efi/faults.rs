//! Tests of faults.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::{TXID, TestServer, cob};

impl TestServer {
    async fn fault(&self, fault: &Value) {
        let answer = self.control("POST", "faults", fault).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Returns the charge's body as received, or the error that ended it.
    async fn read_raw(&self) -> reqwest::Result<String> {
        let request = self.request("GET", &format!("/v2/cob/{TXID}"));
        request.send().await?.text().await
    }
}

#[tokio::test]
async fn a_truncated_answer_announces_more_than_it_brings() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    server
        .fault(&json!({ "kind": "truncated", "times": 1 }))
        .await;
    let answer = server
        .request("GET", &format!("/v2/cob/{TXID}"))
        .send()
        .await
        .unwrap();
    let announced = answer.content_length().unwrap();
    assert!(answer.text().await.is_err());
    let whole = server.read_raw().await.unwrap();
    assert_eq!(u64::try_from(whole.len()).unwrap(), announced);
}

#[tokio::test]
async fn a_malformed_answer_checks_whole_and_is_half() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    server
        .fault(&json!({ "kind": "malformed", "times": 1 }))
        .await;
    let half = server.read_raw().await.unwrap();
    assert!(serde_json::from_str::<Value>(&half).is_err());
    assert!(server.read_raw().await.unwrap().starts_with(&half));
}

#[tokio::test]
async fn a_trickling_answer_comes_slowly_and_whole() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    let whole = server.read_raw().await.unwrap();
    server
        .fault(&json!({ "kind": "trickle", "delay_ms": 1, "times": 1 }))
        .await;
    let started = Instant::now();
    assert_eq!(server.read_raw().await.unwrap(), whole);
    let bytes = u64::try_from(whole.len()).unwrap();
    assert!(u64::try_from(started.elapsed().as_millis()).unwrap() >= bytes);
}

#[tokio::test]
async fn a_reset_comes_before_or_after_the_effect() {
    let server = TestServer::start().await;
    for (kind, exists) in [("reset_before", 404), ("reset_after", 200)] {
        server
            .fault(&json!({ "kind": kind, "method": "PUT", "times": 1 }))
            .await;
        let body = crate::server::cob("1.00");
        let put = server
            .request("PUT", &format!("/v2/cob/{TXID}"))
            .json(&body);
        assert!(put.send().await.is_err(), "{kind}");
        assert_eq!(
            server.get(&format!("/v2/cob/{TXID}")).await.status,
            exists,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn faults_hit_their_endpoint_after_some_and_for_some() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    let fault = json!({ "kind": "status", "status": 429, "retry_after_s": 7, "method": "GET", "path": "/v2/cob", "skip": 1, "times": 2 });
    server.fault(&fault).await;
    assert_eq!(server.get("/v2/gn/saldo").await.status, 200, "another path");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = server
            .request("GET", &format!("/v2/cob/{TXID}"))
            .send()
            .await
            .unwrap();
        let wait = answer
            .headers()
            .get("retry-after")
            .is_some_and(|value| value == "7");
        seen.push((answer.status().as_u16(), wait));
    }
    assert_eq!(seen, [(200, false), (429, true), (429, true), (200, false)]);
}

#[tokio::test]
async fn a_probable_fault_hits_the_same_requests_with_the_same_seed() {
    let run = async || {
        let server = TestServer::start().await;
        server
            .fault(&json!({ "kind": "status", "status": 500, "probability": 0.5 }))
            .await;
        let mut seen = Vec::new();
        for _ in 0..30 {
            seen.push(server.get("/v2/gn/saldo").await.status);
        }
        seen
    };
    let (first, second) = (run().await, run().await);
    assert_eq!(first, second);
    assert!(first.contains(&200) && first.contains(&500), "{first:?}");
}

#[tokio::test]
async fn senseless_faults_and_settings_are_refused() {
    let server = TestServer::start().await;
    for fault in [
        json!({ "kind": "status", "probability": 2 }),
        json!({ "kind": "delay", "delay_ms": 9, "delay_max_ms": 1 }),
    ] {
        assert_eq!(
            server.control("POST", "faults", &fault).await.status,
            422,
            "{fault}"
        );
    }
    for settings in [
        json!({ "no_such": 1 }),
        json!({ "notification_loss": 7 }),
        json!({ "errors": "other" }),
    ] {
        assert_eq!(
            server.control("PUT", "settings", &settings).await.status,
            422,
            "{settings}"
        );
    }
}

#[tokio::test]
async fn each_gateway_has_a_page_and_the_index_links_it() {
    let server = TestServer::start().await;
    let page = async |path: &str| {
        let url = server.simulators.control.join(path).unwrap();
        let answer = server.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (_, index) = page("/_sim").await;
    for gateway in ["efi", "efi_cobrancas", "stripe", "asaas"] {
        assert!(
            index.contains(&format!("href=\"/_sim/{gateway}\"")),
            "{gateway}"
        );
        let (status, html) = page(&format!("/_sim/{gateway}")).await;
        assert_eq!(status, 200);
        assert!(
            html.contains(&format!("base = \"/_sim/{gateway}/\"")),
            "{gateway}"
        );
    }
    assert_eq!(page("/_sim/unknown").await.0, 404);
}

#[tokio::test]
async fn any_answer_can_be_chosen_with_or_without_the_effect() {
    let server = TestServer::start().await;
    let put = async || {
        let request = server.request("PUT", &format!("/v2/cob/{TXID}"));
        let sent = request.json(&cob("123.45")).send().await.unwrap();
        let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
        let header = move |name: &str| headers.get(name).map(|it| it.to_str().unwrap().to_owned());
        (status, header, sent.text().await.unwrap())
    };
    let blocked = json!({ "nome": "documento_bloqueado", "mensagem": "…" });
    let chosen = json!({
        "kind": "status", "status": 400, "times": 1, "body": blocked, "headers": { "x-request-id": "r1" },
    });
    server.fault(&chosen).await;
    let (status, header, text) = put().await;
    assert_eq!(
        (status, header("x-request-id").as_deref()),
        (400, Some("r1"))
    );
    assert_eq!(header("content-type").as_deref(), Some("application/json"));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), blocked);
    let page = json!({
        "kind": "status", "status": 302, "times": 1, "body": "<html>", "headers": { "server": "proxy" },
    });
    server.fault(&page).await;
    let (status, header, text) = put().await;
    assert_eq!((status, text.as_str()), (302, "<html>"));
    assert_eq!(
        header("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    let empty = json!({ "kind": "status", "status": 401, "times": 1, "body": "" });
    server.fault(&empty).await;
    let (status, header, text) = put().await;
    assert_eq!(
        (status, header("content-type"), text.as_str()),
        (401, None, "")
    );
    assert_eq!(server.get(&format!("/v2/cob/{TXID}")).await.status, 404);
    let after =
        json!({ "kind": "status", "status": 400, "times": 1, "after": true, "body": blocked });
    server.fault(&after).await;
    assert_eq!(put().await.0, 400);
    assert_eq!(server.get(&format!("/v2/cob/{TXID}")).await.status, 200);
}

#[tokio::test]
async fn a_chosen_answer_that_cannot_be_is_refused() {
    let server = TestServer::start().await;
    for fault in [
        json!({ "kind": "status", "headers": { "a b": "c" } }),
        json!({ "kind": "status", "headers": { "a": "b\n" } }),
        json!({ "kind": "delay", "delay_ms": 1, "body": "x" }),
    ] {
        let answer = server.control("POST", "faults", &fault).await;
        assert_eq!(answer.status, 422, "{fault}");
    }
}

#[tokio::test]
async fn an_odd_code_ends_in_a_checksum_that_is_none() {
    let server = TestServer::start().await;
    server.fault(&json!({ "kind": "odd_code" })).await;
    let made = server.charge(TXID).await.body;
    let code = made["pixCopiaECola"].as_str().unwrap();
    assert!(code.ends_with("6304ZZZZ"), "{code}");
}
