//! Tests of charges with a due date.

use serde_json::{Value, json};

use crate::server::{KEY, TXID, TestServer};

fn cobv() -> Value {
    json!({
        "calendario": { "dataDeVencimento": "2098-07-31", "validadeAposVencimento": 10 },
        "devedor": {
            "cpf": "52998224725", "nome": "Fulano", "logradouro": "Rua A, 1", "cidade": "Ouro Preto", "uf": "MG", "cep": "35400000",
        },
        "valor": { "original": "100.00", "multa": { "modalidade": 2, "valorPerc": "2.00" } },
        "chave": KEY,
    })
}

#[tokio::test]
async fn paid_late_it_costs_the_fine() {
    let mut server = TestServer::start().await;
    let path = format!("/v2/cobv/{TXID}");
    let made = server.call("PUT", &path, &cobv()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.body["location"].as_str().unwrap().contains("/cobv/"));
    server.act(TXID, "overdue", &json!({})).await;
    server.advance(4 * 86_400).await;
    let held = server.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["payable"], true, "ten days are left");
    server.act(TXID, "pay", &json!({})).await;
    server.become_account("loja").await;
    let paid = server.get(&path).await.body;
    assert_eq!(paid["status"], "CONCLUIDA");
    assert_eq!(paid["valor"]["original"], "100.00");
    assert_eq!(paid["pix"][0]["valor"], "102.00");
    assert_eq!(paid["pix"][0]["componentesValor"]["multa"]["valor"], "2.00");
}

#[tokio::test]
async fn after_its_last_day_it_cannot_be_paid_but_removed() {
    let server = TestServer::start().await;
    let path = format!("/v2/cobv/{TXID}");
    server.call("PUT", &path, &cobv()).await;
    server.act(TXID, "expire", &json!({})).await;
    let held = server.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["payable"], false);
    let removal = json!({ "status": "REMOVIDA_PELO_USUARIO_RECEBEDOR" });
    assert_eq!(server.call("PATCH", &path, &removal).await.status, 200);
}

#[tokio::test]
async fn a_due_charge_needs_its_payer_and_a_date_to_come() {
    let server = TestServer::start().await;
    let put = async |change: &dyn Fn(&mut Value)| {
        let mut body = cobv();
        change(&mut body);
        server
            .call("PUT", &format!("/v2/cobv/{TXID}"), &body)
            .await
            .status
    };
    assert_eq!(put(&|body| body["devedor"] = Value::Null).await, 400);
    assert_eq!(put(&|body| body["devedor"]["cep"] = Value::Null).await, 400);
    assert_eq!(
        put(&|body| body["calendario"]["dataDeVencimento"] = "2020-01-01".into()).await,
        400
    );
    assert_eq!(
        put(&|body| body["valor"]["multa"]["modalidade"] = 3.into()).await,
        400
    );
    assert_eq!(put(&|_| {}).await, 201);
    assert_eq!(
        server.get(&format!("/v2/cob/{TXID}")).await.status,
        404,
        "it is no cob"
    );
}
