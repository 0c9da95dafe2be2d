//! Tests of payment links of API Cobranças.

use serde_json::{Value, json};

use crate::billets::Session;

fn link() -> Value {
    json!({
        "items": [{ "name": "Pedido 123", "value": 12345 }],
        "metadata": { "custom_id": "ord_1" },
        "settings": { "payment_method": "credit_card", "expire_at": "2098-07-31", "request_delivery_address": false, "message": "até 80" },
    })
}

async fn made(session: &Session) -> Value {
    let made = session
        .call("POST", "/v1/charge/one-step/link", &link())
        .await;
    assert_eq!(made.status, 200, "{made:?}");
    made.body["data"]["charge_id"].clone()
}

#[tokio::test]
async fn a_link_answers_as_documented() {
    let session = Session::open().await;
    let answer = session
        .call("POST", "/v1/charge/one-step/link", &link())
        .await
        .body;
    let data = answer["data"].as_object().unwrap();
    let names = [
        "charge_id",
        "status",
        "total",
        "custom_id",
        "payment_url",
        "payment_method",
        "conditional_discount_value",
        "conditional_discount_type",
        "conditional_discount_date",
        "request_delivery_address",
        "message",
        "expire_at",
        "created_at",
    ];
    let has: Vec<_> = data.keys().map(String::as_str).collect();
    assert_eq!(has, names);
    assert_eq!(
        (&data["status"], &data["total"]),
        (&json!("link"), &json!(12_345))
    );
    let mut wrong = link();
    wrong["settings"]["payment_method"] = "pix".into();
    assert_eq!(
        session
            .call("POST", "/v1/charge/one-step/link", &wrong)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_paid_card_can_be_refunded_in_parts_and_contested() {
    let session = Session::open().await;
    let id = made(&session).await;
    session.act("ord_1", "pay").await;
    assert_eq!(session.status(&id).await, "paid");
    let refund = format!("/v1/charge/card/{id}/refund");
    assert_eq!(
        session
            .call("POST", &refund, &json!({ "amount": 100 }))
            .await
            .status,
        200
    );
    assert_eq!(session.status(&id).await, "paid", "a part changes nothing");
    assert_eq!(
        session
            .call("POST", &refund, &json!({ "amount": 12_246 }))
            .await
            .status,
        400
    );
    session.act("ord_1", "dispute").await;
    assert_eq!(session.status(&id).await, "contested");
    assert_eq!(session.call("POST", &refund, &json!({})).await.status, 400);
    session
        .control(
            "POST",
            "charges/ord_1/close_dispute",
            &json!({ "won": true }),
        )
        .await;
    assert_eq!(session.call("POST", &refund, &json!({})).await.status, 200);
    assert_eq!(session.status(&id).await, "refunded");
    let held = session.control("GET", "charges", &json!({})).await.body["charges"][0].clone();
    assert_eq!(
        (&held["refunded"], &held["method"]),
        (&json!(12_345), &json!("card"))
    );
}

#[tokio::test]
async fn a_declined_card_consumes_the_link() {
    let session = Session::open().await;
    let id = made(&session).await;
    session.act("ord_1", "fail").await;
    assert_eq!(session.status(&id).await, "unpaid");
    let again = session
        .control("POST", "charges/ord_1/pay", &json!({}))
        .await;
    assert_eq!(again.status, 409);
    let held = session.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["payable"], false);
}

#[tokio::test]
async fn a_link_expires_or_is_settled_by_hand() {
    let session = Session::open().await;
    let id = made(&session).await;
    session.act("ord_1", "expire").await;
    assert_eq!(session.status(&id).await, "expired");
    let cancel = format!("/v1/charge/{id}/cancel");
    assert_eq!(session.call("PUT", &cancel, &json!({})).await.status, 400);
    let next = made(&session).await;
    let path = format!("/v1/charge/{next}/settle");
    assert_eq!(session.call("PUT", &path, &json!({})).await.status, 200);
    assert_eq!(session.status(&next).await, "settled");
    let rename = format!("/v1/charge/{next}/metadata");
    assert_eq!(
        session
            .call("PUT", &rename, &json!({ "custom_id": "ord_2" }))
            .await
            .status,
        200
    );
    let read = session.get(&format!("/v1/charge/{next}")).await.body;
    assert_eq!(read["data"]["custom_id"], "ord_2");
}
