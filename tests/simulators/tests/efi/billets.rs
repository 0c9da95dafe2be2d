//! Tests of boletos of API Cobranças.

use chrono::{DateTime, Datelike, Days, Utc, Weekday};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::server::{Answer, Receiver, TestServer, answer};

pub(crate) struct Session {
    pub server: TestServer,
    token: String,
}

impl Session {
    pub(crate) async fn open() -> Self {
        let mut session = Self {
            server: TestServer::start().await,
            token: String::new(),
        };
        session.authorize().await;
        // tests use due dates far in the future, which Efí's limit would refuse
        let far = json!({ "latest_due_days": null });
        session.control("PUT", "settings", &far).await;
        session
    }

    pub(crate) async fn authorize(&mut self) {
        let url = self
            .server
            .simulators
            .plain_url("efi_cobrancas")
            .join("/v1/authorize")
            .unwrap();
        let request = self.server.http.post(url);
        let request = request.basic_auth("Client_Id_loja", Some("Client_Secret_loja"));
        let answer = answer(request.json(&json!({ "grant_type": "client_credentials" }))).await;
        assert_eq!(
            (answer.status, &answer.body["expires_in"]),
            (200, &json!(600))
        );
        let token = answer.body["access_token"].as_str().unwrap();
        token.clone_into(&mut self.token);
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = self
            .server
            .simulators
            .plain_url("efi_cobrancas")
            .join(path)
            .unwrap();
        let request = self.server.http.request(method.parse().unwrap(), url);
        request.bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request("GET", path)).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        answer(self.request(method, path).json(body)).await
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.server
            .control_of("efi_cobrancas", (method, path), body)
            .await
    }

    pub(crate) async fn act(&self, charge: &str, action: &str) {
        let path = format!("charges/{charge}/{action}");
        let answer = self.control("POST", &path, &json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn status(&self, id: &Value) -> Value {
        self.get(&format!("/v1/charge/{id}")).await.body["data"]["status"].clone()
    }

    async fn held(&self) -> Value {
        let charges = self.control("GET", "charges", &json!({})).await.body;
        charges["charges"][0].clone()
    }
}

fn billet() -> Value {
    json!({
        "items": [{ "name": "Pedido 123", "value": 4115, "amount": 3 }],
        "metadata": { "custom_id": "ord_1" },
        "payment": { "banking_billet": {
            "customer": {
                "name": "Gorbadoc Oldbuck", "cpf": "94271564656", "email": "a@b.com", "phone_number": "5144916523",
                "address": {
                    "street": "Av. JK", "number": "909", "neighborhood": "Bauxita", "zipcode": "35400000", "city": "Ouro Preto",
                    "complement": "", "state": "MG",
                },
            },
            "expire_at": "2098-07-31",
            "configurations": { "fine": 200, "interest": 33, "days_to_write_off": 30 },
        } },
    })
}

fn digits(line: &str) -> String {
    line.chars().filter(char::is_ascii_digit).collect()
}

/// Returns the modulo 10 check digit by an independent implementation: every second digit from the right is doubled, beginning with the
/// first.
fn check(field: &str) -> u32 {
    let mut sum = 0;
    for (at, c) in field.chars().rev().enumerate() {
        let product = c.to_digit(10).unwrap() * if at % 2 == 0 { 2 } else { 1 };
        sum += if product > 9 { product - 9 } else { product };
    }
    (10 - sum % 10) % 10
}

#[tokio::test]
async fn a_boleto_has_a_line_with_right_check_digits_and_a_pix_code() {
    let session = Session::open().await;
    let made = session.call("POST", "/v1/charge/one-step", &billet()).await;
    assert_eq!((made.status, &made.body["code"]), (200, &json!(200)));
    let data = &made.body["data"];
    assert_eq!(
        (&data["status"], &data["total"], &data["payment"]),
        (&json!("waiting"), &json!(12345), &json!("banking_billet"))
    );
    let line = digits(data["barcode"].as_str().unwrap());
    assert_eq!(line.len(), 47);
    for (from, to) in [(0, 9), (10, 20), (21, 31)] {
        let digit = line[to..=to].parse::<u32>().unwrap();
        assert_eq!(check(&line[from..to]), digit, "{line}");
    }
    assert!(line.ends_with("0000012345"), "{line}");
    assert!(
        data["pix"]["qrcode"]
            .as_str()
            .unwrap()
            .contains("br.gov.bcb.pix")
    );
    let image = data["pix"]["qrcode_image"].as_str().unwrap();
    assert!(image.starts_with("data:image/svg+xml;base64,"));
    session
        .control("PUT", "settings", &json!({ "bolix": false }))
        .await;
    let plain = session.call("POST", "/v1/charge/one-step", &billet()).await;
    assert!(plain.body["data"].get("pix").is_none());
}

#[tokio::test]
async fn both_shapes_of_errors_name_the_field() {
    let session = Session::open().await;
    let post = async |change: &dyn Fn(&mut Value)| {
        let mut body = billet();
        change(&mut body);
        let answer = session.call("POST", "/v1/charge/one-step", &body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.body
    };
    let at = "/payment/banking_billet";
    let wrong = [
        ("/expire_at", json!("2020-01-01")),
        ("/customer/cpf", json!("94271564657")),
        ("/customer/address/zipcode", json!("35400-000")),
        ("/configurations/days_to_write_off", json!(121)),
        ("/message", json!("a\nb\nc\nd\ne")),
        ("/customer/email", json!("no-email")),
        ("/customer/email", json!("maria@localhost")),
        ("/customer/name", json!("Maria")),
        ("/customer/phone_number", json!("00123456789")),
        ("/customer/phone_number", json!("11887654321")),
        ("/customer/address/state", json!("XX")),
    ];
    for (field, value) in wrong {
        let error = post(&|body| {
            let (parent, name) = field.rsplit_once('/').unwrap();
            let parent = body.pointer_mut(&format!("{at}{parent}")).unwrap();
            parent[name] = value.clone();
        })
        .await;
        assert_eq!(
            (&error["code"], &error["error"]),
            (&json!(3_500_034), &json!("validation_error"))
        );
        assert_eq!(
            error["error_description"]["property"],
            format!("{at}{field}")
        );
    }
    let kind = post(&|body| body["items"][0]["value"] = "12345".into()).await;
    assert_eq!(kind["extras"][0]["path"], json!(["items", 0, "value"]));
    assert_eq!(
        (
            &kind["extras"][0]["expected"],
            &kind["extras"][0]["received"]
        ),
        (&json!("number"), &json!("string"))
    );
    post(&|body| body["items"] = json!([{ "name": "x", "value": 499 }])).await;
    let none = session.control("GET", "charges", &json!({})).await.body;
    assert_eq!(none["charges"], json!([]));
}

/// Efí's page counts calendar days. The rule for a due date on a weekend or holiday is a setting.
#[tokio::test]
async fn a_boleto_due_on_a_saturday_is_payable_that_day_or_to_monday() {
    for (kind, payable) in [(false, [true, false, false]), (true, [true, true, false])] {
        let session = Session::open().await;
        let settings = json!({ "kind_write_off": kind });
        session.control("PUT", "settings", &settings).await;
        let clock = async |seconds: i64| -> DateTime<Utc> {
            let to = json!({ "advance_s": seconds });
            let answer = session.control("POST", "clock", &to).await.body;
            answer["now"].as_str().unwrap().parse().unwrap()
        };
        let now = clock(0).await;
        let days = now.date_naive().iter_days().skip(2);
        let saturday = days
            .take(7)
            .find(|day| day.weekday() == Weekday::Sat)
            .unwrap();
        let mut body = billet();
        let boleto = &mut body["payment"]["banking_billet"];
        boleto["expire_at"] = saturday.to_string().into();
        boleto["configurations"] = json!({ "days_to_write_off": 0 });
        let made = session.call("POST", "/v1/charge/one-step", &body).await;
        assert_eq!(made.status, 200, "{made:?}");
        for (after, expected) in [0, 2, 3].into_iter().zip(payable) {
            let noon = (saturday + Days::new(after)).and_hms_opt(15, 0, 0).unwrap();
            clock((noon.and_utc() - clock(0).await).num_seconds()).await;
            assert_eq!(session.held().await["payable"], expected, "{kind} {after}");
        }
    }
}

#[tokio::test]
async fn a_boleto_past_its_day_is_unpaid_and_may_still_be_paid_with_fine_and_interest() {
    let mut session = Session::open().await;
    let id = session
        .call("POST", "/v1/charge/one-step", &billet())
        .await
        .body["data"]["charge_id"]
        .clone();
    session.act("ord_1", "overdue").await;
    assert_eq!(session.status(&id).await, "unpaid");
    let held = session.held().await;
    assert_eq!(
        (&held["payable"], &held["method"], &held["reference"]),
        (&json!(true), &json!("boleto"), &json!("ord_1"))
    );
    session.act("ord_1", "pay").await;
    let list =
        "/v1/charges?charge_type=billet&begin_date=2020-01-01&end_date=2099-01-01&custom_id=ord_1";
    let listed = session.get(list).await.body["data"][0].clone();
    assert_eq!((&listed["id"], &listed["status"]), (&id, &json!("paid")));
    // 2% and three days of 0.033%
    assert_eq!(listed["payment"]["paid_value"], 12_345 + 246 + 12);
    session
        .control("POST", "clock", &json!({ "advance_s": 601 }))
        .await;
    assert_eq!(session.get(list).await.status, 401, "ten minutes are over");
    session.authorize().await;
    assert_eq!(session.get(list).await.status, 200);
}

#[tokio::test]
async fn the_clock_makes_a_boleto_unpaid_and_then_unpayable() {
    let mut session = Session::open().await;
    let mut body = billet();
    let now = session
        .control("POST", "clock", &json!({ "advance_s": 0 }))
        .await
        .body["now"]
        .clone();
    body["payment"]["banking_billet"]["expire_at"] = tomorrow(&now);
    let made = session.call("POST", "/v1/charge/one-step", &body).await;
    let id = made.body["data"]["charge_id"].clone();
    session
        .control("POST", "clock", &json!({ "advance_s": 5 * 86_400 }))
        .await;
    session.authorize().await;
    assert_eq!(session.status(&id).await, "unpaid");
    assert_eq!(session.held().await["payable"], true);
    session
        .control("POST", "clock", &json!({ "advance_s": 30 * 86_400 }))
        .await;
    assert_eq!(session.held().await["payable"], false);
    let moved = session.authorize_and_move(&id, "2098-08-31").await;
    assert_eq!(moved.status, 200);
    assert_eq!(session.status(&id).await, "waiting");
}

impl Session {
    async fn authorize_and_move(&mut self, id: &Value, due: &str) -> Answer {
        self.authorize().await;
        let path = format!("/v1/charge/{id}/billet");
        self.call("PUT", &path, &json!({ "expire_at": due })).await
    }
}

fn tomorrow(now: &Value) -> Value {
    let now: chrono::DateTime<chrono::Utc> = now.as_str().unwrap().parse().unwrap();
    let day = (now + chrono::TimeDelta::days(1)).format("%Y-%m-%d");
    day.to_string().into()
}

#[tokio::test]
async fn lists_need_their_filters_and_may_lag() {
    let session = Session::open().await;
    let list = "/v1/charges?charge_type=billet&begin_date=2020-01-01&end_date=2099-01-01";
    for missing in [
        "charge_type=billet&",
        "begin_date=2020-01-01&",
        "&end_date=2099-01-01",
    ] {
        let answer = session.get(&list.replace(missing, "")).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (400, &json!(3_500_034)),
            "{missing}"
        );
    }
    session
        .control("PUT", "settings", &json!({ "list_lag_ms": 60_000 }))
        .await;
    session.call("POST", "/v1/charge/one-step", &billet()).await;
    assert_eq!(session.get(list).await.body["data"], json!([]));
    session
        .control("POST", "clock", &json!({ "advance_s": 61 }))
        .await;
    assert_eq!(
        session.get(list).await.body["data"][0]["custom_id"],
        "ord_1"
    );
    for other in [
        "custom_id=ord_2",
        "status=paid",
        "value=1",
        "customer_document=52998224725",
        "page=2",
    ] {
        assert_eq!(
            session.get(&format!("{list}&{other}")).await.body["data"],
            json!([]),
            "{other}"
        );
    }
    let cards = list.replace("billet", "card");
    assert_eq!(session.get(&cards).await.body["data"], json!([]));
}

#[tokio::test]
async fn two_steps_make_the_same_boleto_and_cancelling_has_rules() {
    let session = Session::open().await;
    let (mut first, second) = (billet(), json!({ "payment": billet()["payment"] }));
    first["payment"].take();
    let made = session.call("POST", "/v1/charge", &first).await.body["data"].clone();
    assert_eq!(made["status"], "new");
    let path = format!("/v1/charge/{}", made["charge_id"]);
    let paid = session.call("POST", &format!("{path}/pay"), &second).await;
    assert_eq!(paid.body["data"]["status"], "waiting");
    assert_eq!(
        session
            .call("POST", &format!("{path}/pay"), &second)
            .await
            .status,
        400
    );
    assert_eq!(
        session
            .call("PUT", &format!("{path}/cancel"), &json!({}))
            .await
            .body,
        json!({ "code": 200 })
    );
    let again = session
        .call("PUT", &format!("{path}/cancel"), &json!({}))
        .await;
    assert_eq!(again.status, 400);
    assert!(again.body["error_description"].is_string());
    let history = session.get(&path).await.body["data"]["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 3);
    let refund = format!("/v1/charge/card/{}/refund", made["charge_id"]);
    assert_eq!(session.call("POST", &refund, &json!({})).await.status, 400);
    assert_eq!(session.get("/v1/charge/1").await.status, 404);
}

#[tokio::test]
async fn a_token_is_posted_until_its_growing_history_is_fetched() {
    let session = Session::open().await;
    let receiver = Receiver::start().await;
    let mut body = billet();
    body["metadata"]["notification_url"] = receiver.url("/hooks/efi-cobrancas").into();
    session.call("POST", "/v1/charge/one-step", &body).await;
    let reported = receiver.next().await;
    assert_eq!(reported.content_type, "application/x-www-form-urlencoded");
    let token = reported
        .text
        .strip_prefix("notification=")
        .unwrap()
        .to_owned();
    session
        .control("POST", "clock", &json!({ "advance_s": 300 }))
        .await;
    assert_eq!(
        receiver.next().await.text,
        reported.text,
        "an answer is not enough"
    );
    let path = format!("/v1/notification/{token}");
    let history = session.get(&path).await.body["data"].clone();
    let previous: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["id"], &entry["status"]["previous"]))
        .collect();
    assert_eq!(
        previous,
        [(&json!(1), &Value::Null), (&json!(2), &json!("new"))]
    );
    session.act("ord_1", "pay").await;
    assert_eq!(
        receiver.next().await.text,
        reported.text,
        "the same token for life"
    );
    let history = session.get(&path).await.body["data"].clone();
    let states: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["status"]["current"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["new", "waiting", "identified", "paid"]);
    assert_eq!(
        (&history[3]["value"], &history[3]["id"]),
        (&json!(12_345), &json!(4))
    );
    assert!(history[3]["received_by_bank_at"].is_string());
    let notified = session
        .control("GET", "notifications", &json!({}))
        .await
        .body;
    assert_eq!(notified["notifications"].as_array().unwrap().len(), 2);
    assert_eq!(session.get("/v1/notification/unknown").await.status, 404);
}
