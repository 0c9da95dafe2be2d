//! Tests of lists (filters, pages, order) and of customers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{CPF, TestServer, id};

#[tokio::test]
async fn references_repeat_and_the_newest_comes_first() {
    let server = TestServer::open().await;
    let mut made = Vec::new();
    for _ in 0..12 {
        made.insert(
            0,
            id(&server
                .charge("PIX", json!({ "externalReference": "o1" }))
                .await),
        );
    }
    server
        .charge("PIX", json!({ "externalReference": "o2" }))
        .await;
    let page = server.get("/v3/payments?externalReference=o1").await;
    let ids =
        |page: &Value| -> Vec<String> { page["data"].as_array().unwrap().iter().map(id).collect() };
    assert_eq!(ids(&page), made[..10]);
    let header =
        ["object", "hasMore", "totalCount", "limit", "offset"].map(|name| page[name].clone());
    assert_eq!(json!(header), json!(["list", true, 12, 10, 0]));
    let rest = server
        .get("/v3/payments?externalReference=o1&offset=10&limit=500")
        .await;
    assert_eq!(ids(&rest), made[10..]);
    assert_eq!(
        (&rest["hasMore"], &rest["limit"]),
        (&json!(false), &json!(100))
    );
}

#[tokio::test]
async fn each_filter_filters() {
    let server = TestServer::open().await;
    let paid = server
        .charge("BOLETO", json!({ "externalReference": "b" }))
        .await;
    server
        .charge("PIX", json!({ "externalReference": "p" }))
        .await;
    server.act(&paid, "pay", json!({})).await;
    server.act(&paid, "pay", json!({})).await;
    let (today, tomorrow) = (TestServer::day(0), TestServer::day(1));
    let customer = paid["customer"].as_str().unwrap();
    for (query, count) in [
        ("status=RECEIVED".to_owned(), 1),
        (format!("customer={customer}"), 1),
        ("billingType=PIX".to_owned(), 1),
        (format!("dateCreated[ge]={today}"), 2),
        (format!("dateCreated[ge]={tomorrow}"), 0),
        (format!("dateCreated%5Ble%5D={today}"), 2),
        (format!("paymentDate[ge]={today}"), 1),
        (format!("paymentDate[le]={tomorrow}&billingType=PIX"), 0),
        (format!("dueDate[ge]={}", TestServer::day(6)), 0),
    ] {
        let found = server.get(&format!("/v3/payments?{query}")).await;
        assert_eq!(found["totalCount"], count, "{query}");
    }
    let wrong = "/v3/payments?dateCreated[ge]=yesterday";
    assert_eq!(server.call(Method::GET, wrong, Value::Null).await.0, 400);
}

#[tokio::test]
async fn whether_deleted_charges_are_listed_is_a_setting() {
    let server = TestServer::open().await;
    let charge = server.charge("PIX", Value::Null).await;
    server.act(&charge, "cancel", json!({})).await;
    let listed = server.get("/v3/payments").await;
    assert_eq!(listed["data"][0]["deleted"], true);
    server.set(json!({ "list_deleted": false })).await;
    assert_eq!(server.get("/v3/payments").await["totalCount"], 0);
}

#[tokio::test]
async fn one_document_makes_many_customers() {
    let server = TestServer::open().await;
    let ana = json!({ "name": "Ana", "cpfCnpj": "249.715.637-92", "externalReference": "a" });
    let first = server.make("/v3/customers", ana.clone()).await;
    let second = server.make("/v3/customers", ana).await;
    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["cpfCnpj"], CPF);
    let found = server.get(&format!("/v3/customers?cpfCnpj={CPF}")).await;
    assert_eq!(found["data"], json!([second, first]));
    assert_eq!(
        server.get("/v3/customers?externalReference=b").await["totalCount"],
        0
    );
    let path = format!("/v3/customers/{}", id(&first));
    assert_eq!(
        server.call(Method::DELETE, &path, Value::Null).await.1["deleted"],
        true
    );
    assert_eq!(server.get("/v3/customers").await["totalCount"], 1);
    assert_eq!(server.get(&path).await["deleted"], true);
}

#[tokio::test]
async fn a_deleted_customer_is_charged_no_more() {
    let server = TestServer::open().await;
    let order = server.order("PIX", Value::Null).await;
    let path = format!("/v3/customers/{}", order["customer"].as_str().unwrap());
    server.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!(
        server.refused("/v3/payments", order).await,
        "invalid_customer"
    );
}

#[tokio::test]
async fn alphanumeric_cnpjs_can_be_switched_off() {
    let server = TestServer::open().await;
    let company = json!({ "name": "Loja", "cpfCnpj": "12.ABC.345/01DE-35" });
    let made = server.make("/v3/customers", company.clone()).await;
    assert_eq!(
        (&made["cpfCnpj"], &made["personType"]),
        (&json!("12ABC34501DE35"), &json!("JURIDICA"))
    );
    server.set(json!({ "alphanumeric_cnpj": false })).await;
    assert_eq!(
        server.refused("/v3/customers", company).await,
        "invalid_object"
    );
    let old = json!({ "name": "Loja", "cpfCnpj": "11222333000181" });
    server.make("/v3/customers", old).await;
}

#[tokio::test]
async fn customers_are_checked_field_by_field() {
    let server = TestServer::open().await;
    for (more, code) in [
        (json!({ "name": "" }), "invalid_name"),
        (json!({ "cpfCnpj": "52998224726" }), "invalid_object"),
        (json!({ "email": "ana" }), "invalid_email"),
        (json!({ "email": "ana@localhost" }), "invalid_email"),
        (json!({ "mobilePhone": "123" }), "invalid_mobilePhone"),
        // a landline, a mobile number without its 9, an area code that does not exist
        (
            json!({ "mobilePhone": "1133334444" }),
            "invalid_mobilePhone",
        ),
        (
            json!({ "mobilePhone": "11887654321" }),
            "invalid_mobilePhone",
        ),
        (
            json!({ "mobilePhone": "01987654321" }),
            "invalid_mobilePhone",
        ),
        (json!({ "phone": "33334444" }), "invalid_phone"),
    ] {
        let mut customer = json!({ "name": "Ana", "cpfCnpj": CPF });
        for (name, value) in more.as_object().unwrap() {
            customer[name] = value.clone();
        }
        assert_eq!(server.refused("/v3/customers", customer).await, code);
    }
}
