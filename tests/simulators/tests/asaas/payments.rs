//! Tests of creating, reading, changing, deleting and paying charges.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    listener::Listener,
    server::{TestServer, id},
};

#[tokio::test]
async fn each_wrong_field_has_its_code() {
    let server = TestServer::open().await;
    for (field, value, code) in [
        ("customer", json!("cus_nobody"), "invalid_customer"),
        ("billingType", json!("CASH"), "invalid_billingType"),
        ("value", json!(0), "invalid_value"),
        ("value", json!("100.00"), "invalid_value"),
        ("value", json!(1.005), "invalid_value"),
        ("dueDate", json!(TestServer::day(-1)), "invalid_dueDate"),
        ("dueDate", json!("19/07/2026"), "invalid_dueDate"),
        ("discount", json!({ "value": 100 }), "invalid_discount"),
        ("fine", json!({ "value": -1 }), "invalid_fine"),
        (
            "callback",
            json!({ "successUrl": "shop" }),
            "invalid_callback",
        ),
        ("installmentCount", json!(99), "invalid_installmentCount"),
    ] {
        let mut more = json!({});
        more[field] = value;
        let order = server.order("PIX", more.clone()).await;
        assert_eq!(server.refused("/v3/payments", order).await, code, "{more}");
    }
    assert!(server.held().await.is_empty());
    let today = json!({ "dueDate": TestServer::day(0) });
    assert_eq!(server.charge("PIX", today).await["status"], "PENDING");
}

#[tokio::test]
async fn a_pix_code_is_a_png_that_a_phone_can_read() {
    let server = TestServer::open().await;
    let charge = server
        .charge("PIX", json!({ "value": 98.01, "description": "Pedido" }))
        .await;
    let code = server
        .get(&format!("/v3/payments/{}/pixQrCode", id(&charge)))
        .await;
    let picture = STANDARD
        .decode(code["encodedImage"].as_str().unwrap())
        .unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(picture))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let width = usize::try_from(info.width).unwrap();
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, width, |x, y| pixels[y * width + x]);
    let (_, text) = image.detect_grids()[0].decode().unwrap();
    assert_eq!(json!(text), code["payload"]);
    assert!(text.contains("540598.01"), "{text}");
    let year_later = code["expirationDate"].as_str().unwrap();
    assert!(year_later.ends_with(" 23:59:59") && code["description"] == "Pedido");
}

#[tokio::test]
async fn without_an_approved_key_the_charge_is_made_and_its_code_refused() {
    let server = TestServer::open().await;
    server.set(json!({ "pix_key": false })).await;
    let charge = server.charge("PIX", Value::Null).await;
    let path = format!("/v3/payments/{}/pixQrCode", id(&charge));
    let (status, body) = server.call(Method::GET, &path, Value::Null).await;
    assert_eq!(
        (status, &body["errors"][0]["code"]),
        (400, &json!("invalid_action"))
    );
    assert_eq!(server.held().await.len(), 1);
}

#[tokio::test]
async fn a_boleto_has_a_line_that_agrees_with_its_barcode() {
    let server = TestServer::open().await;
    let boleto = server.charge("BOLETO", json!({ "value": 350 })).await;
    let numbers = server
        .get(&format!("/v3/payments/{}/identificationField", id(&boleto)))
        .await;
    let line = numbers["identificationField"].as_str().unwrap();
    let barcode = numbers["barCode"].as_str().unwrap();
    assert_eq!((line.len(), barcode.len()), (47, 44));
    assert_eq!(&line[..4], &barcode[..4]);
    assert_eq!(
        &line[32..],
        format!("{}{}", &barcode[4..5], &barcode[5..19])
    );
    assert_eq!(
        [&line[4..9], &line[10..20], &line[21..31]].concat(),
        barcode[19..]
    );
    assert!(barcode[5..19].ends_with("0000035000"));
    assert_eq!(numbers["nossoNumero"], boleto["nossoNumero"]);
    let pix = server.charge("PIX", Value::Null).await;
    let path = format!("/v3/payments/{}/identificationField", id(&pix));
    assert_eq!(server.call(Method::GET, &path, Value::Null).await.0, 400);
}

#[tokio::test]
async fn a_pix_is_received_at_once() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(
        &server,
        &["PAYMENT_CREATED", "PAYMENT_RECEIVED"],
        Value::Null,
    )
    .await;
    let charge = server
        .charge("PIX", json!({ "externalReference": "o1" }))
        .await;
    server.act(&charge, "pay", json!({})).await;
    let events = listener.events(2).await;
    assert_eq!(
        events,
        ["PAYMENT_CREATED PENDING", "PAYMENT_RECEIVED RECEIVED"]
    );
    let paid = server.get(&format!("/v3/payments/{}", id(&charge))).await;
    let today = json!(TestServer::day(0));
    for day in [
        "paymentDate",
        "clientPaymentDate",
        "confirmedDate",
        "creditDate",
    ] {
        assert_eq!(paid[day], today, "{day}");
    }
    assert_eq!(
        server.get("/v3/finance/balance").await.to_string(),
        r#"{"balance":98.01}"#
    );
    let all = server.get("/v3/pix/transactions").await;
    let e2e = all["data"][0]["endToEndIdentifier"].as_str().unwrap();
    assert_eq!(
        (e2e.len(), &all["data"][0]["id"]),
        (32, &paid["pixTransaction"])
    );
    let found = server
        .get(&format!("/v3/pix/transactions?endToEndIdentifier={e2e}"))
        .await;
    assert_eq!(found["data"][0]["payment"], charge["id"]);
}

#[tokio::test]
async fn a_boleto_is_confirmed_first_and_received_on_the_next_business_day() {
    let server = TestServer::open().await;
    let events = ["PAYMENT_CONFIRMED", "PAYMENT_RECEIVED"];
    let (mut listener, _) = Listener::of(&server, &events, Value::Null).await;
    let charge = server.charge("BOLETO", Value::Null).await;
    server
        .act(&charge, "pay", json!({ "amount": 10_250 }))
        .await;
    let (event, payment) = listener.event().await;
    assert_eq!(
        (event.as_str(), &payment["status"]),
        ("PAYMENT_CONFIRMED", &json!("CONFIRMED"))
    );
    assert_eq!(payment["paymentDate"], Value::Null);
    assert_eq!(payment["clientPaymentDate"], json!(TestServer::day(0)));
    assert_eq!(
        (&payment["originalValue"], &payment["value"]),
        (&json!(100), &json!(102.5))
    );
    assert_eq!(payment["interestValue"], json!(2.5));
    server.advance(4).await;
    let (event, payment) = listener.event().await;
    assert_eq!(
        (event.as_str(), &payment["status"]),
        ("PAYMENT_RECEIVED", &json!("RECEIVED"))
    );
    assert_eq!(payment["paymentDate"], json!(TestServer::day(4)));
}

#[tokio::test]
async fn a_further_pay_settles_what_is_confirmed_and_a_third_is_refused() {
    let server = TestServer::open().await;
    let charge = server.charge("BOLETO", Value::Null).await;
    server.act(&charge, "pay", json!({})).await;
    assert_eq!(server.status(&charge).await, "CONFIRMED");
    server.act(&charge, "pay", json!({})).await;
    assert_eq!(server.status(&charge).await, "RECEIVED");
    let path = format!("charges/{}/pay", id(&charge));
    assert_eq!(server.control(Method::POST, &path, json!({})).await.0, 409);
}

#[tokio::test]
async fn what_is_overdue_is_still_payable_until_the_boleto_ends() {
    let server = TestServer::open().await;
    let events = ["PAYMENT_OVERDUE", "PAYMENT_BANK_SLIP_CANCELLED"];
    let (mut listener, _) = Listener::of(&server, &events, Value::Null).await;
    let days = "daysAfterDueDateToRegistrationCancellation";
    let charge = server.charge("BOLETO", json!({ days: 3 })).await;
    server.advance(6).await;
    assert_eq!(listener.events(1).await, ["PAYMENT_OVERDUE OVERDUE"]);
    assert_eq!(server.held().await[0]["payable"], true);
    server.advance(3).await;
    assert_eq!(
        listener.events(1).await,
        ["PAYMENT_BANK_SLIP_CANCELLED OVERDUE"]
    );
    assert_eq!(server.held().await[0]["payable"], false);
    assert_eq!(server.status(&charge).await, "OVERDUE");
}

#[tokio::test]
async fn the_sandbox_pays_and_makes_overdue() {
    let server = TestServer::open().await;
    let charge = server.charge("PIX", Value::Null).await;
    let overdue = server
        .make(
            &format!("/v3/sandbox/payment/{}/overdue", id(&charge)),
            Value::Null,
        )
        .await;
    assert_eq!(overdue["status"], "OVERDUE");
    let path = format!("/v3/sandbox/payment/{}/confirm", id(&charge));
    assert_eq!(server.make(&path, Value::Null).await["status"], "RECEIVED");
    assert_eq!(server.refused(&path, Value::Null).await, "invalid_action");
}

#[tokio::test]
async fn only_what_is_unpaid_can_be_deleted_and_it_can_be_restored() {
    let server = TestServer::open().await;
    let events = ["PAYMENT_DELETED", "PAYMENT_RESTORED"];
    let (mut listener, _) = Listener::of(&server, &events, Value::Null).await;
    let charge = server.charge("PIX", Value::Null).await;
    let path = format!("/v3/payments/{}", id(&charge));
    let delete = async || server.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!(
        delete().await,
        (200, json!({ "deleted": true, "id": charge["id"] }))
    );
    assert_eq!(server.get(&path).await["deleted"], true);
    assert_eq!(delete().await.1["errors"][0]["code"], "invalid_action");
    let restored = server.make(&format!("{path}/restore"), Value::Null).await;
    assert_eq!(restored["deleted"], false);
    assert_eq!(
        listener.events(2).await,
        ["PAYMENT_DELETED PENDING", "PAYMENT_RESTORED PENDING"]
    );
    server.act(&charge, "pay", json!({})).await;
    assert_eq!(delete().await.0, 400);
}

#[tokio::test]
async fn a_change_is_reported_and_only_taken_while_unpaid() {
    let server = TestServer::open().await;
    let (mut listener, _) = Listener::of(&server, &["PAYMENT_UPDATED"], Value::Null).await;
    let charge = server
        .charge("BOLETO", json!({ "externalReference": "old" }))
        .await;
    let path = format!("/v3/payments/{}", id(&charge));
    let update =
        json!({ "value": 50.5, "dueDate": TestServer::day(9), "externalReference": "new" });
    let (status, shown) = server.call(Method::PUT, &path, update.clone()).await;
    assert_eq!((status, &shown["value"]), (200, &json!(50.5)));
    assert_eq!(shown["originalDueDate"], charge["originalDueDate"]);
    assert_eq!(listener.event().await.1["externalReference"], "new");
    for (reference, count) in [("old", 0), ("new", 1)] {
        let found = server
            .get(&format!("/v3/payments?externalReference={reference}"))
            .await;
        assert_eq!(found["totalCount"], count, "{reference}");
    }
    server.act(&charge, "pay", json!({})).await;
    let (status, refused) = server.call(Method::PUT, &path, update).await;
    assert_eq!(
        (status, &refused["errors"][0]["code"]),
        (400, &json!("invalid_action"))
    );
}

#[tokio::test]
async fn installments_sum_up_to_the_total() {
    let server = TestServer::open().await;
    let order = json!({ "installmentCount": 3, "totalValue": 100, "value": null });
    let first = server.charge("CREDIT_CARD", order).await;
    assert_eq!(
        (&first["installmentNumber"], &first["value"]),
        (&json!(1), &json!(33.33))
    );
    let plan = first["installment"].as_str().unwrap();
    let all = server
        .get(&format!("/v3/payments?installment={plan}"))
        .await;
    let values: Vec<_> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["value"].to_string())
        .collect();
    assert_eq!(values, ["33.34", "33.33", "33.33"]);
    server.act(&first, "pay", json!({})).await;
    let confirmed = server
        .get(&format!("/v3/payments?installment={plan}&status=CONFIRMED"))
        .await;
    assert_eq!(confirmed["totalCount"], 3, "the card pays all at once");
}

#[tokio::test]
async fn money_by_hand_is_not_in_the_balance() {
    let server = TestServer::open().await;
    let charge = server.charge("BOLETO", Value::Null).await;
    let path = format!("/v3/payments/{}", id(&charge));
    let paid = server
        .make(&format!("{path}/receiveInCash"), json!({}))
        .await;
    assert_eq!(paid["status"], "RECEIVED_IN_CASH");
    assert_eq!(server.get("/v3/finance/balance").await["balance"], 0);
    let undone = server
        .make(&format!("{path}/undoReceivedInCash"), json!({}))
        .await;
    assert_eq!(undone["status"], "PENDING");
}
