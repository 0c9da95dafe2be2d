//! Tests of authentication, required headers and rate limits.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::server::TestServer;

const PATH: &str = "/v3/finance/balance";

async fn with_key(server: &TestServer, key: Option<&str>) -> (u16, Value) {
    let request = server.http.get(server.url(PATH));
    let request = match key {
        Some(key) => request.header("access_token", key),
        None => request,
    };
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn each_wrong_key_has_its_code() {
    let server = TestServer::open().await;
    server.set(json!({ "environment": "sandbox" })).await;
    for (key, code) in [
        (None, "access_token_not_found"),
        (Some("aact_hmlg_loja"), "invalid_access_token_format"),
        (Some("$aact_hmlg_lo ja"), "invalid_access_token_format"),
        (Some("$aact_hmlg_revoked"), "invalid_access_token"),
        (Some("$aact_prod_loja"), "invalid_environment"),
    ] {
        let (status, body) = with_key(&server, key).await;
        assert_eq!((status, &body["errors"][0]["code"]), (401, &json!(code)));
    }
    assert_eq!(with_key(&server, Some("$aact_hmlg_loja")).await.0, 200);
}

#[tokio::test]
async fn a_missing_user_agent_is_refused_as_set() {
    let server = TestServer::open().await;
    let nameless = Client::builder().no_proxy().build().expect("a client");
    let ask = async || {
        let request = nameless.get(server.url(PATH));
        let request = request.header("access_token", "$aact_hmlg_loja");
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(ask().await, 403);
    server.set(json!({ "missing_user_agent": 400 })).await;
    assert_eq!(ask().await, 400);
    server.set(json!({ "missing_user_agent": null })).await;
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn a_get_with_a_body_meets_the_cdn() {
    let server = TestServer::open().await;
    let request = server.http.get(server.url(PATH)).body("{}");
    let request = request.header("access_token", "$aact_hmlg_loja");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    let kind = answer.headers()["content-type"].to_str().expect("a type");
    assert!(kind.starts_with("text/html"), "{kind}");
}

#[tokio::test]
async fn what_is_absent_is_404_without_a_body() {
    let server = TestServer::open().await;
    for path in [
        "/v3/payments/pay_nothing",
        "/v3/customers/cus_1",
        "/v3/nothing",
    ] {
        let request = server.http.get(server.url(path));
        let request = request.header("access_token", "$aact_hmlg_loja");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.text().await.expect("a body"), "", "{path}");
    }
}

#[tokio::test]
async fn another_accounts_payment_is_absent() {
    let server = TestServer::open().await;
    let charge = server.charge("PIX", Value::Null).await;
    let path = format!("/v3/payments/{}", crate::server::id(&charge));
    let request = server.http.get(server.url(&path));
    let request = request.header("access_token", "$aact_hmlg_outra");
    assert_eq!(request.send().await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn rate_limit_headers_count_down_per_endpoint() {
    let server = TestServer::open().await;
    let remaining = async |path: &str| {
        let request = server.http.get(server.url(path));
        let request = request.header("access_token", "$aact_hmlg_loja");
        let answer = request.send().await.expect("an answer");
        let number = |name: &str| -> u64 {
            let text = answer.headers()[name].to_str().expect("a text");
            text.parse().expect("a number")
        };
        assert!(number("ratelimit-reset") <= 60);
        number("ratelimit-limit") - number("ratelimit-remaining")
    };
    assert_eq!(remaining(PATH).await, 1);
    assert_eq!(remaining(PATH).await, 2);
    assert_eq!(remaining("/v3/myAccount/fees").await, 1);
}

#[tokio::test]
async fn the_quota_lasts_twelve_hours() {
    let server = TestServer::open().await;
    server.set(json!({ "quota": 2 })).await;
    let ask = async || server.call(Method::GET, PATH, Value::Null).await.0;
    assert_eq!([ask().await, ask().await, ask().await], [200, 200, 429]);
    server.advance(1).await;
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn more_gets_at_a_time_than_allowed_are_429() {
    let server = TestServer::open().await;
    server
        .set(json!({ "concurrent_gets": 1, "get_ms": 300 }))
        .await;
    let ask = async || server.call(Method::GET, PATH, Value::Null).await.0;
    let (first, second) = tokio::join!(ask(), ask());
    let mut both = [first, second];
    both.sort_unstable();
    assert_eq!(both, [200, 429]);
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn the_account_can_be_probed() {
    let server = TestServer::open().await;
    let status = server.get("/v3/myAccount/status").await;
    assert_eq!(status["general"], "APPROVED");
    let fees = server.get("/v3/myAccount/fees").await;
    assert_eq!(
        fees["payment"]["creditCard"]["oneInstallmentPercentage"].to_string(),
        "2.99"
    );
    assert_eq!(server.get("/v3/myAccount").await["id"], "loja");
    assert_eq!(server.get(PATH).await.to_string(), r#"{"balance":0}"#);
}

#[tokio::test]
async fn a_setting_that_does_not_exist_is_refused() {
    let server = TestServer::open().await;
    let (status, _) = server
        .control(Method::PUT, "settings", json!({ "nothing": 1 }))
        .await;
    assert_eq!(status, 422);
}
