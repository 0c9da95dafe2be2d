//! Tests of disputes by payers (MED).

use serde_json::{Value, json};

use crate::server::{Receiver, TXID, TestServer};

const LIST: &str = "/v2/gn/infracoes?inicio=2020-01-01T00:00:00Z&fim=2099-01-01T00:00:00Z";

async fn only(server: &TestServer) -> Value {
    let list = server.get(LIST).await.body;
    assert_eq!(
        list["infracoes"].as_array().map(Vec::len),
        Some(1),
        "{list}"
    );
    list["infracoes"][0].clone()
}

#[tokio::test]
async fn a_lost_dispute_takes_the_money_as_a_return_of_fraud() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    server.listen(&receiver).await;
    server.charge(TXID).await;
    let e2eid = server.pay(TXID).await;
    receiver.next().await;
    server
        .act(TXID, "dispute", &json!({ "amount": 5_000 }))
        .await;
    let open = only(&server).await;
    assert_eq!(
        (&open["status"], &open["valor"]),
        (&json!("ABERTA"), &json!("50.00"))
    );
    assert_eq!(open["endToEndId"], *e2eid);
    let balance = server.get("/v2/gn/saldo?bloqueios=true").await.body;
    assert_eq!(
        (&balance["saldo"], &balance["bloqueios"]["med"]),
        (&json!("73.45"), &json!("50.00"))
    );
    server
        .act(TXID, "close_dispute", &json!({ "won": false }))
        .await;
    assert_eq!(only(&server).await["status"], "ACEITA");
    let reported = receiver.next().await.json();
    let back = &reported["pix"][0]["devolucoes"][0];
    assert_eq!(
        (&back["natureza"], &back["status"]),
        (&json!("MED_FRAUDE"), &json!("DEVOLVIDO"))
    );
    assert_eq!(server.get("/v2/gn/saldo").await.body["saldo"], "73.45");
    let held = server.control("GET", "charges", &json!({})).await.body["charges"][0].clone();
    assert_eq!(
        (&held["disputed"], &held["refunded"]),
        (&json!(true), &json!(0))
    );
}

#[tokio::test]
async fn a_defended_and_won_dispute_leaves_the_money() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    server.pay(TXID).await;
    server.act(TXID, "dispute", &json!({})).await;
    let open = only(&server).await;
    let path = format!(
        "/v2/gn/infracoes/{}/defesa",
        open["idInfracao"].as_str().unwrap()
    );
    let defense = json!({ "analise": "rejeitado", "justificativa": "Entregue" });
    assert_eq!(
        server
            .call("POST", &path, &json!({ "analise": "?" }))
            .await
            .status,
        400
    );
    assert_eq!(server.call("POST", &path, &defense).await.status, 200);
    assert_eq!(only(&server).await["status"], "EM_DEFESA");
    server
        .act(TXID, "close_dispute", &json!({ "won": true }))
        .await;
    assert_eq!(only(&server).await["status"], "REJEITADA");
    assert_eq!(server.get("/v2/gn/saldo").await.body["saldo"], "123.45");
    let held = server.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["disputed"], false);
}

#[tokio::test]
async fn what_no_one_paid_cannot_be_disputed() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    for action in ["dispute", "close_dispute", "refund", "fail", "overdue"] {
        let path = format!("charges/{TXID}/{action}");
        assert_eq!(
            server.control("POST", &path, &json!({})).await.status,
            409,
            "{action}"
        );
    }
}
