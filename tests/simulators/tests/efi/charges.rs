//! Tests of immediate charges, their locations, and access.

use crc::{CRC_16_IBM_3740, Crc};
use serde_json::{Value, json};

use crate::server::{TXID, TestServer, cob};

/// Parses the fields of a BR Code: id, length and value, one after the other.
fn fields(text: &str) -> Vec<(String, String)> {
    let (mut rest, mut fields) = (text, Vec::new());
    while !rest.is_empty() {
        let length: usize = rest[2..4].parse().unwrap();
        fields.push((rest[..2].to_owned(), rest[4..4 + length].to_owned()));
        rest = &rest[4 + length..];
    }
    fields
}

fn field(text: &str, id: &str) -> String {
    let found = fields(text).into_iter().find(|(has, _)| has == id);
    found.unwrap().1
}

#[tokio::test]
async fn the_code_of_a_charge_holds_its_location_and_a_right_checksum() {
    let server = TestServer::start().await;
    let charge = server.charge(TXID).await;
    assert_eq!(charge.status, 201);
    let code = charge.body["pixCopiaECola"].as_str().unwrap();
    assert_eq!(
        field(&field(code, "26"), "25"),
        charge.body["location"].as_str().unwrap()
    );
    let (text, checksum) = code.split_at(code.len() - 4);
    let crc = Crc::<u16>::new(&CRC_16_IBM_3740).checksum(text.as_bytes());
    assert_eq!(checksum, format!("{crc:04X}"));
    let picture = server
        .get(&format!("/v2/loc/{}/qrcode", charge.body["loc"]["id"]))
        .await;
    assert_eq!(picture.body["qrcode"], code);
    let image = picture.body["imagemQrcode"].as_str().unwrap();
    assert!(
        image.starts_with("data:image/png;base64,iVBOR"),
        "{image:.40}"
    );
}

#[tokio::test]
async fn a_txid_is_used_once() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    let again = server
        .call("PUT", &format!("/v2/cob/{TXID}"), &cob("9.99"))
        .await;
    assert_eq!(
        (again.status, &again.body["nome"]),
        (409, &json!("txid_duplicado"))
    );
    let read = server.get(&format!("/v2/cob/{TXID}")).await;
    assert_eq!(
        read.body["valor"]["original"], "123.45",
        "the first one remains"
    );
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_name() {
    let server = TestServer::start().await;
    let put = async |change: &dyn Fn(&mut Value)| {
        let mut body = cob("123.45");
        change(&mut body);
        let answer = server.call("PUT", &format!("/v2/cob/{TXID}"), &body).await;
        (
            answer.status,
            answer.body["nome"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let invalid = (400, "valor_invalido".to_owned());
    let missing = (400, "json_invalido".to_owned());
    for amount in ["0.00", "12,00", "12", "12.0", "12345678901.00", "-1.00"] {
        assert_eq!(
            put(&|body| body["valor"]["original"] = amount.into()).await,
            invalid,
            "{amount}"
        );
    }
    assert_eq!(put(&|body| body["valor"] = json!({})).await, missing);
    assert_eq!(
        put(&|body| body["valor"]["original"] = json!(123.45)).await,
        invalid
    );
    assert_eq!(
        put(&|body| body["devedor"]["cpf"] = "12345678900".into()).await,
        invalid
    );
    assert_eq!(
        put(&|body| body["devedor"]["cnpj"] = "11222333000181".into()).await,
        invalid
    );
    assert_eq!(
        put(&|body| body["devedor"]["nome"] = Value::Null).await,
        invalid
    );
    assert_eq!(
        put(&|body| body["calendario"] = json!({ "expiracao": "3600" })).await,
        invalid
    );
    assert_eq!(
        put(&|body| body["solicitacaoPagador"] = "x".repeat(141).into()).await,
        invalid
    );
    assert_eq!(
        put(&|body| body["infoAdicionais"][0]["nome"] = "x".repeat(51).into()).await,
        invalid
    );
    assert_eq!(put(&|body| body["chave"] = Value::Null).await, missing);
    let short = server.call("PUT", "/v2/cob/short", &cob("1.00")).await;
    assert_eq!(short.status, 400);
    server.set(&json!({ "keys": ["another"] })).await;
    assert_eq!(put(&|_| {}).await, (400, "chave_invalida".to_owned()));
    assert_eq!(
        server.get(&format!("/v2/cob/{TXID}")).await.status,
        404,
        "nothing was made"
    );
}

#[tokio::test]
async fn revisions_count_changes_and_stay_readable() {
    let server = TestServer::start().await;
    server.charge(TXID).await;
    let path = format!("/v2/cob/{TXID}");
    let changed = json!({ "valor": { "original": "50.00" }, "solicitacaoPagador": "Outro" });
    let changed = server.call("PATCH", &path, &changed).await;
    assert_eq!((changed.status, &changed.body["revisao"]), (200, &json!(1)));
    assert_eq!(
        changed.body["calendario"]["expiracao"], 3600,
        "what was not named stays"
    );
    let removed = json!({ "status": "REMOVIDA_PELO_USUARIO_RECEBEDOR" });
    assert_eq!(
        server.call("PATCH", &path, &removed).await.body["revisao"],
        2
    );
    let first = server.get(&format!("{path}?revisao=0")).await;
    assert_eq!(first.body["valor"]["original"], "123.45");
    assert_eq!(first.body["status"], "ATIVA");
    assert_eq!(server.get(&format!("{path}?revisao=3")).await.status, 404);
    let late = server.call("PATCH", &path, &removed).await;
    assert_eq!(
        (late.status, &late.body["nome"]),
        (400, &json!("status_cobranca_invalido"))
    );
}

#[tokio::test]
async fn an_expired_charge_stays_active_and_only_time_reports() {
    let mut server = TestServer::start().await;
    server.charge(TXID).await;
    server.advance(3601).await;
    server.become_account("loja").await;
    assert_eq!(
        server.get(&format!("/v2/cob/{TXID}")).await.body["status"],
        "ATIVA"
    );
    let held = server.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["payable"], false);
}

#[tokio::test]
async fn tokens_expire_and_scopes_are_needed() {
    let mut server = TestServer::start().await;
    assert_eq!(server.ask_token("loja", "other").await.status, 401);
    server.set(&json!({ "bad_pair_status": 400 })).await;
    assert_eq!(server.ask_token("loja", "other").await.status, 400);
    server.advance(3601).await;
    assert_eq!(server.get("/v2/gn/saldo").await.status, 401);
    server.become_account("no_cobv_scope").await;
    assert_eq!(server.charge(TXID).await.status, 201);
    let denied = server.get(&format!("/v2/cobv/{TXID}")).await;
    assert_eq!(denied.status, 403);
    server.set(&json!({ "scopes": ["cob.read"] })).await;
    server.become_account("loja").await;
    assert_eq!(server.charge(TXID).await.status, 403);
    assert_eq!(
        server.get(&format!("/v2/cob/{TXID}")).await.status,
        404,
        "reading is granted"
    );
}

#[tokio::test]
async fn not_found_is_404_or_400_as_set_and_has_a_name() {
    let server = TestServer::start().await;
    let path = format!("/v2/cob/{TXID}");
    assert_eq!(server.get(&path).await.status, 404);
    server.set(&json!({ "not_found_status": 400 })).await;
    let absent = server.get(&path).await;
    assert_eq!(
        (absent.status, &absent.body["nome"]),
        (400, &json!("cobranca_nao_encontrada"))
    );
}

#[tokio::test]
async fn lists_have_pages_and_need_their_window() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.charge(&format!("{TXID}{n}")[1..]).await;
    }
    let list = "/v2/cob?inicio=2020-01-01T00:00:00Z&fim=2099-01-01T00:00:00-03:00";
    let page = "paginacao.itensPorPagina=2&paginacao.paginaAtual=2";
    let answer = server.get(&format!("{list}&{page}")).await;
    let pages = &answer.body["parametros"]["paginacao"];
    assert_eq!(
        (
            &pages["quantidadeDePaginas"],
            &pages["quantidadeTotalDeItens"]
        ),
        (&json!(3), &json!(5))
    );
    assert_eq!(answer.body["cobs"].as_array().unwrap().len(), 1);
    let none = server.get(&format!("{list}&cpf=52998224725")).await;
    assert_eq!(none.body["cobs"], json!([]));
    let past = server
        .get("/v2/cob?inicio=2020-01-01T00:00:00Z&fim=2020-01-02T00:00:00Z")
        .await;
    assert_eq!(past.body["cobs"], json!([]));
    assert_eq!(
        server
            .get("/v2/cob?inicio=2020-01-01T00:00:00Z")
            .await
            .status,
        400
    );
    assert_eq!(
        server
            .get("/v2/cob?inicio=2020-01-01&fim=2020-01-02")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_charge_without_its_location_cannot_be_paid_and_the_location_lives_on() {
    let server = TestServer::start().await;
    let charge = server.charge(TXID).await.body;
    let place = format!("/v2/loc/{}", charge["loc"]["id"]);
    server
        .call("DELETE", &format!("{place}/txid"), &json!({}))
        .await;
    let read = server.get(&format!("/v2/cob/{TXID}")).await.body;
    assert_eq!(
        (&read["location"], &read["revisao"]),
        (&Value::Null, &json!(1))
    );
    let held = server.control("GET", "charges", &json!({})).await.body;
    assert_eq!(held["charges"][0]["payable"], false);
    let mut next = cob("1.00");
    next["loc"] = json!({ "id": charge["loc"]["id"] });
    let other = "aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let taken = server
        .call("PUT", &format!("/v2/cob/{other}"), &next)
        .await
        .body;
    assert_eq!(taken["location"], charge["location"]);
    let again = server
        .call("PUT", "/v2/cob/bbbbbbbbbbbbbbbbbbbbbbbbbbbb", &next)
        .await;
    assert_eq!(again.status, 400, "a location serves one charge");
}

#[tokio::test]
async fn small_charges_pay_themselves_when_the_clock_reaches_their_time() {
    let server = TestServer::start().await;
    server.set(&json!({ "auto_pay_small_ms": 60_000 })).await;
    server
        .call("PUT", &format!("/v2/cob/{TXID}"), &cob("10.00"))
        .await;
    let large = "aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    server
        .call("PUT", &format!("/v2/cob/{large}"), &cob("10.01"))
        .await;
    assert_eq!(
        server.get(&format!("/v2/cob/{TXID}")).await.body["status"],
        "ATIVA"
    );
    server.advance(61).await;
    assert_eq!(
        server.get(&format!("/v2/cob/{TXID}")).await.body["status"],
        "CONCLUIDA"
    );
    assert_eq!(
        server.get(&format!("/v2/cob/{large}")).await.body["status"],
        "ATIVA"
    );
}
