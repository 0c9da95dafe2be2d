//! Tests of Pix refunds.

use serde_json::json;

use crate::server::{KEY, Receiver, TXID, TestServer};

#[tokio::test]
async fn a_return_ends_later_and_is_reported() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    server.listen(&receiver).await;
    server.charge(TXID).await;
    let e2eid = server.pay(TXID).await;
    assert!(receiver.next().await.json()["pix"][0]["devolucoes"].is_null());
    let path = format!("/v2/pix/{e2eid}/devolucao/r0001");
    let asked = server.call("PUT", &path, &json!({ "valor": "7.89" })).await;
    assert_eq!(
        (asked.status, &asked.body["status"]),
        (201, &json!("EM_PROCESSAMENTO"))
    );
    assert!(asked.body["rtrId"].as_str().unwrap().starts_with('D'));
    server.advance(1).await;
    let reported = receiver.next().await.json();
    assert_eq!(reported["pix"][0]["devolucoes"][0]["status"], "DEVOLVIDO");
    let read = server.get(&path).await.body;
    assert_eq!(read["status"], "DEVOLVIDO");
    assert!(read["horario"]["liquidacao"].is_string());
    let charge = server.get(&format!("/v2/cob/{TXID}")).await.body;
    assert_eq!(charge["status"], "CONCLUIDA", "returns change no charge");
    let held = server.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["refunded"], 789);
}

#[tokio::test]
async fn returns_keep_their_rules() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    let e2eid = server.pay(TXID).await;
    let give = async |id: &str, amount: &str| {
        let path = format!("/v2/pix/{e2eid}/devolucao/{id}");
        let answer = server.call("PUT", &path, &json!({ "valor": amount })).await;
        (
            answer.status,
            answer.body["nome"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(give("r1", "100.00").await.0, 201);
    assert_eq!(
        give("r1", "100.00").await,
        (409, "devolucao_id_duplicado".to_owned())
    );
    assert_eq!(give("r2", "23.46").await.0, 400, "more than the Pix");
    assert_eq!(give("r-3", "1.00").await.0, 400);
    assert_eq!(give("r4", "0.00").await.0, 400);
    assert_eq!(give("r5", "23.45").await.0, 201);
    let other = server.get(&format!("/v2/pix/{e2eid}/devolucao/zz")).await;
    assert_eq!(other.body["nome"], "devolucao_nao_encontrada");
    let unknown = format!("/v2/pix/E{}/devolucao/r1", "0".repeat(31));
    let unknown = server
        .call("PUT", &unknown, &json!({ "valor": "1.00" }))
        .await;
    assert_eq!(unknown.body["nome"], "pix_nao_encontrado");
}

#[tokio::test]
async fn after_ninety_days_nothing_is_refunded() {
    let mut server = TestServer::start().await;
    server.charge(TXID).await;
    let e2eid = server.pay(TXID).await;
    server.advance(90 * 86_400 + 1).await;
    server.become_account("loja").await;
    let path = format!("/v2/pix/{e2eid}/devolucao/r1");
    assert_eq!(
        server
            .call("PUT", &path, &json!({ "valor": "1.00" }))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_return_fails_without_money_or_when_reported_to() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    let e2eid = server.pay(TXID).await;
    let send = json!({ "account": "loja", "key": KEY, "amount": 12_000 });
    server.control("POST", "sends", &send).await;
    assert_eq!(server.get("/v2/gn/saldo").await.body["saldo"], "3.45");
    let give = async |id: &str, amount: &str| {
        let path = format!("/v2/pix/{e2eid}/devolucao/{id}");
        server.call("PUT", &path, &json!({ "valor": amount })).await;
        server.advance(1).await;
        server.get(&path).await.body
    };
    let poor = give("r1", "100.00").await;
    assert_eq!(
        (&poor["status"], &poor["motivo"]),
        (&json!("NAO_REALIZADO"), &json!("Saldo insuficiente"))
    );
    server.set(&json!({ "refund_end": "NAO_REALIZADO" })).await;
    assert_eq!(give("r2", "1.00").await["status"], "NAO_REALIZADO");
    server.set(&json!({ "refund_end": "DEVOLVIDO" })).await;
    assert_eq!(
        give("r3", "1.00").await["status"],
        "DEVOLVIDO",
        "what failed does not count"
    );
    assert_eq!(server.get("/v2/gn/saldo").await.body["saldo"], "2.45");
}
