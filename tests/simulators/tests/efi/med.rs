//! Payers who claim their money back.

use serde_json::{Value, json};

use crate::world::{Receiver, TXID, World};

const LIST: &str = "/v2/gn/infracoes?inicio=2020-01-01T00:00:00Z&fim=2099-01-01T00:00:00Z";

async fn only(world: &World) -> Value {
    let list = world.get(LIST).await.body;
    assert_eq!(
        list["infracoes"].as_array().map(Vec::len),
        Some(1),
        "{list}"
    );
    list["infracoes"][0].clone()
}

#[tokio::test]
async fn a_lost_dispute_takes_the_money_as_a_return_of_fraud() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    world.listen(&receiver).await;
    world.charge(TXID).await;
    let e2eid = world.pay(TXID).await;
    receiver.next().await;
    world
        .act(TXID, "dispute", &json!({ "amount": 5_000 }))
        .await;
    let open = only(&world).await;
    assert_eq!(
        (&open["status"], &open["valor"]),
        (&json!("ABERTA"), &json!("50.00"))
    );
    assert_eq!(open["endToEndId"], *e2eid);
    let balance = world.get("/v2/gn/saldo?bloqueios=true").await.body;
    assert_eq!(
        (&balance["saldo"], &balance["bloqueios"]["med"]),
        (&json!("73.45"), &json!("50.00"))
    );
    world
        .act(TXID, "close_dispute", &json!({ "won": false }))
        .await;
    assert_eq!(only(&world).await["status"], "ACEITA");
    let told = receiver.next().await.json();
    let back = &told["pix"][0]["devolucoes"][0];
    assert_eq!(
        (&back["natureza"], &back["status"]),
        (&json!("MED_FRAUDE"), &json!("DEVOLVIDO"))
    );
    assert_eq!(world.get("/v2/gn/saldo").await.body["saldo"], "73.45");
    let held = world.control("GET", "charges", &json!({})).await.body["charges"][0].clone();
    assert_eq!(
        (&held["disputed"], &held["refunded"]),
        (&json!(true), &json!(0))
    );
}

#[tokio::test]
async fn a_defended_and_won_dispute_leaves_the_money() {
    let world = World::start().await;
    world.charge(TXID).await;
    world.pay(TXID).await;
    world.act(TXID, "dispute", &json!({})).await;
    let open = only(&world).await;
    let path = format!(
        "/v2/gn/infracoes/{}/defesa",
        open["idInfracao"].as_str().unwrap()
    );
    let defence = json!({ "analise": "rejeitado", "justificativa": "Entregue" });
    assert_eq!(
        world
            .call("POST", &path, &json!({ "analise": "?" }))
            .await
            .status,
        400
    );
    assert_eq!(world.call("POST", &path, &defence).await.status, 200);
    assert_eq!(only(&world).await["status"], "EM_DEFESA");
    world
        .act(TXID, "close_dispute", &json!({ "won": true }))
        .await;
    assert_eq!(only(&world).await["status"], "REJEITADA");
    assert_eq!(world.get("/v2/gn/saldo").await.body["saldo"], "123.45");
    let held = world.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["disputed"], false);
}

#[tokio::test]
async fn what_nobody_paid_cannot_be_disputed() {
    let world = World::start().await;
    world.charge(TXID).await;
    for action in ["dispute", "close_dispute", "refund", "fail", "overdue"] {
        let path = format!("charges/{TXID}/{action}");
        assert_eq!(
            world.control("POST", &path, &json!({})).await.status,
            409,
            "{action}"
        );
    }
}
