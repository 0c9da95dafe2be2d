//! Tests of Efí's responses against BACEN's `OpenAPI` document of the API Pix.

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::server::{Answer, KEY, TXID, TestServer, cob};

const FILE: &str = "bacen-pix-api-openapi.yaml";

/// Reason for a correction of the document, and the correction.
type Exception = (&'static str, fn(&mut Value));

/// Corrections where the document contradicts itself or Efí's documentation.
const EXCEPTIONS: [Exception; 9] = [
    (
        "CPF's pattern is written with slashes, as if in JavaScript: nothing matches it",
        |spec| strip_slashes(spec),
    ),
    (
        "`loc` in a charge needs no `txid`: Efí's has none, nor have BACEN's own examples",
        |spec| {
            for schema in ["CobGerada", "CobVGerada"] {
                each_object(&mut spec["components"]["schemas"][schema], &mut |object| {
                    let loc = object
                        .get_mut("loc")
                        .and_then(|loc| loc.get_mut("required"));
                    if let Some(required) = loc.and_then(Value::as_array_mut) {
                        required.retain(|name| name != "txid");
                    }
                });
            }
        },
    ),
    (
        "a location is no `uri`: it has no scheme, in BACEN's examples as well",
        |spec| {
            each_object(spec, &mut |object| {
                if let Some(location) = object.get_mut("location").and_then(Value::as_object_mut) {
                    location.remove("format");
                }
            });
        },
    ),
    ("`recebedor` has an address, not the charge", |spec| {
        let receiver = &mut spec["components"]["schemas"]["DadosRecebedor"];
        receiver.as_object_mut().unwrap().remove("required");
    }),
    (
        "of the two kinds of `desconto` the first requires nothing, so that the second matches both",
        |spec| {
            each_object(spec, &mut |object| {
                let fixed = object
                    .get("properties")
                    .is_some_and(|properties| properties.get("descontoDataFixa").is_some());
                if fixed {
                    object.insert("required".to_owned(), json!(["descontoDataFixa"]));
                }
            });
        },
    ),
    (
        "a list of Pix requires `cobs`, which only lists of charges have",
        |spec| {
            let list = &mut spec["components"]["schemas"]["PixConsultados"];
            list["required"] = json!(["parametros", "pix"]);
        },
    ),
    (
        "lists of charges require an `idCob` in each, which is defined nowhere",
        |spec| {
            each_object(spec, &mut |object| {
                if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
                    required.retain(|name| name != "idCob");
                }
            });
        },
    ),
    (
        "Efí's webhook names its `chave`, BACEN's the receiver's `cnpj`",
        |spec| {
            let webhook = &mut spec["components"]["schemas"]["WebhookCompleto"];
            webhook["required"] = json!(["webhookUrl", "criacao"]);
        },
    ),
    (
        "PUT of a webhook answers 201 with the address at Efí, 200 without a body in BACEN's",
        |spec| {
            let responses = &mut spec["paths"]["/webhook/{chave}"]["put"]["responses"];
            responses["201"] = json!({ "description": "Efí's" });
        },
    ),
];

fn each_object(value: &mut Value, change: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            object
                .values_mut()
                .for_each(|inner| each_object(inner, change));
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| each_object(inner, change)),
        _ => {}
    }
}

fn strip_slashes(spec: &mut Value) {
    each_object(spec, &mut |object| {
        let pattern = object.get("pattern").and_then(Value::as_str);
        if let Some(inner) = pattern.and_then(|p| p.strip_prefix('/')?.strip_suffix('/')) {
            let inner = inner.to_owned();
            object.insert("pattern".to_owned(), inner.into());
        }
    });
}

/// Corrected document. Absent if the file is not available; then nothing is checked.
struct Spec(Option<Value>);

impl Spec {
    fn read() -> Self {
        Self(specs::read(FILE).map(|text| {
            let mut spec: Value = serde_saphyr::from_str(&text).expect("YAML");
            for (_, set_right) in EXCEPTIONS {
                set_right(&mut spec);
            }
            spec
        }))
    }

    /// Returns the document's schema of a response, or nothing if the response has no body.
    fn schema(&self, method: &str, path: &str, status: u16) -> Option<Value> {
        let spec = self.0.as_ref()?;
        let mut response = &spec["paths"][path][method]["responses"][status.to_string()];
        assert!(
            response.is_object(),
            "{method} {path} cannot answer {status}"
        );
        if let Some(reference) = response["$ref"].as_str() {
            response = spec.pointer(reference.trim_start_matches('#')).unwrap();
        }
        let content = response["content"].as_object()?;
        content.values().next().map(|media| media["schema"].clone())
    }

    fn validator(&self, schema: &Value) -> Validator {
        let components = self.0.as_ref().map(|spec| &spec["components"]);
        let whole = json!({ "allOf": [schema], "components": components });
        jsonschema::options()
            .with_draft(Draft::Draft4)
            .should_validate_formats(true)
            .build(&whole)
            .expect("a schema")
    }

    /// Checks a response against the document. `path` is the path as in the document.
    fn check(&self, (method, path): (&str, &str), answer: &Answer) {
        let Some(schema) = self.schema(method, path, answer.status) else {
            return;
        };
        let errors: Vec<_> = self
            .validator(&schema)
            .iter_errors(&answer.body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        let status = answer.status;
        assert!(
            errors.is_empty(),
            "{method} {path} {status}: {errors:#?}\n{:#}",
            answer.body
        );
    }
}

const COBV: &str = "7978c0c97ea847e78e8849634473c1f2";
const ALL_TIME: &str = "inicio=2020-01-01T00:00:00Z&fim=2099-01-01T00:00:00Z";

fn cobv() -> Value {
    json!({
        "calendario": { "dataDeVencimento": "2098-07-31", "validadeAposVencimento": 30 },
        "devedor": {
            "cnpj": "12ABC34501DE35", "nome": "Loja", "logradouro": "Av. JK, 909", "cidade": "Ouro Preto", "uf": "MG",
            "cep": "35400000",
        },
        "valor": {
            "original": "100.00", "multa": { "modalidade": 2, "valorPerc": "2.00" },
            "juros": { "modalidade": 2, "valorPerc": "1.00" },
            "desconto": { "modalidade": 1, "descontoDataFixa": [{ "data": "2098-07-01", "valorPerc": "5.00" }] },
        },
        "chave": KEY,
    })
}

#[tokio::test]
async fn charges_answer_as_bacen_specifies() {
    let (spec, server) = (Spec::read(), TestServer::start().await);
    spec.check(("put", "/cob/{txid}"), &server.charge(TXID).await);
    let unnamed = server.call("POST", "/v2/cob", &cob("1.00")).await;
    spec.check(("post", "/cob"), &unnamed);
    let changed = json!({ "valor": { "original": "99.00" } });
    let changed = server
        .call("PATCH", &format!("/v2/cob/{TXID}"), &changed)
        .await;
    spec.check(("patch", "/cob/{txid}"), &changed);
    let due = server
        .call("PUT", &format!("/v2/cobv/{COBV}"), &cobv())
        .await;
    spec.check(("put", "/cobv/{txid}"), &due);
    let daily = json!({ "valor": { "desconto": { "modalidade": 3, "valorPerc": "0.01" } } });
    let daily = server
        .call("PATCH", &format!("/v2/cobv/{COBV}"), &daily)
        .await;
    spec.check(("patch", "/cobv/{txid}"), &daily);
    for txid in [TXID, COBV] {
        server.act(txid, "pay", &json!({})).await;
    }
    spec.check(
        ("get", "/cob/{txid}"),
        &server.get(&format!("/v2/cob/{TXID}")).await,
    );
    let paid = server.get(&format!("/v2/cobv/{COBV}")).await;
    assert!(
        paid.body["pix"][0]["componentesValor"]["desconto"].is_object(),
        "{paid:?}"
    );
    spec.check(("get", "/cobv/{txid}"), &paid);
    for path in ["/cob", "/cobv"] {
        let list = server.get(&format!("/v2{path}?{ALL_TIME}")).await;
        assert!(!list.body["cobs"].as_array().unwrap().is_empty());
        spec.check(("get", path), &list);
    }
}

#[tokio::test]
async fn pix_and_returns_answer_as_bacen_specifies() {
    let (spec, server) = (Spec::read(), TestServer::start().await);
    server.charge(TXID).await;
    let e2eid = server.pay(TXID).await;
    let returning = format!("/v2/pix/{e2eid}/devolucao/r0001");
    let returned = server
        .call("PUT", &returning, &json!({ "valor": "7.89" }))
        .await;
    spec.check(("put", "/pix/{e2eid}/devolucao/{id}"), &returned);
    server.advance(60).await;
    let settled = server.get(&returning).await;
    assert_eq!(settled.body["status"], "DEVOLVIDO");
    spec.check(("get", "/pix/{e2eid}/devolucao/{id}"), &settled);
    spec.check(
        ("get", "/pix/{e2eid}"),
        &server.get(&format!("/v2/pix/{e2eid}")).await,
    );
    let list = server.get(&format!("/v2/pix?{ALL_TIME}&txid={TXID}")).await;
    assert_eq!(list.body["pix"][0]["endToEndId"], *e2eid);
    spec.check(("get", "/pix"), &list);
}

#[tokio::test]
async fn locations_and_webhooks_answer_as_bacen_specifies() {
    let (spec, server) = (Spec::read(), TestServer::start().await);
    let location = server
        .call("POST", "/v2/loc", &json!({ "tipoCob": "cob" }))
        .await;
    spec.check(("post", "/loc"), &location);
    let mut with_location = cob("10.50");
    with_location["loc"] = json!({ "id": location.body["id"] });
    server
        .call("PUT", &format!("/v2/cob/{TXID}"), &with_location)
        .await;
    let path = format!("/v2/loc/{}", location.body["id"]);
    let read = server.get(&path).await;
    assert_eq!(read.body["txid"], TXID);
    spec.check(("get", "/loc/{id}"), &read);
    spec.check(
        ("get", "/loc"),
        &server.get(&format!("/v2/loc?{ALL_TIME}")).await,
    );
    let unlinked = server
        .call("DELETE", &format!("{path}/txid"), &json!({}))
        .await;
    spec.check(("delete", "/loc/{id}/txid"), &unlinked);

    let registered = server
        .request("PUT", &format!("/v2/webhook/{KEY}"))
        .header("x-skip-mtls-checking", "true")
        .json(&json!({ "webhookUrl": "https://shop.example/hooks" }));
    let registered = crate::server::answer(registered).await;
    spec.check(("put", "/webhook/{chave}"), &registered);
    let path = format!("/v2/webhook/{KEY}");
    spec.check(("get", "/webhook/{chave}"), &server.get(&path).await);
    spec.check(
        ("get", "/webhook"),
        &server.get(&format!("/v2/webhook?{ALL_TIME}")).await,
    );
    let removed = server.call("DELETE", &path, &json!({})).await;
    spec.check(("delete", "/webhook/{chave}"), &removed);
}

#[tokio::test]
async fn refusals_in_bacens_shape_are_its_problems() {
    let (spec, mut server) = (Spec::read(), TestServer::start().await);
    server.set(&json!({ "errors": "bacen" })).await;
    let wrong = server
        .call("PUT", &format!("/v2/cob/{TXID}"), &cob("12,00"))
        .await;
    assert_eq!(
        (wrong.status, wrong.content_type.as_str()),
        (400, "application/problem+json")
    );
    let kind = "https://pix.bcb.gov.br/api/v2/error/CobOperacaoInvalida";
    assert_eq!(wrong.body["type"], kind);
    assert_eq!(wrong.body["violacoes"][0]["propriedade"], "valor.original");
    spec.check(("put", "/cob/{txid}"), &wrong);
    let absent = server.get(&format!("/v2/cob/{TXID}")).await;
    assert_eq!(absent.status, 404);
    spec.check(("get", "/cob/{txid}"), &absent);
    server.charge(TXID).await;
    let again = server.charge(TXID).await;
    assert_eq!(again.status, 400, "BACEN knows no 409");
    spec.check(("put", "/cob/{txid}"), &again);
    let fault = json!({ "kind": "status", "status": 503, "times": 1 });
    server.control("POST", "faults", &fault).await;
    let away = server.get(&format!("/v2/cob/{TXID}")).await;
    spec.check(("get", "/cob/{txid}"), &away);
    server.become_account("no_cob_scope").await;
    let denied = server.get(&format!("/v2/cob/{TXID}")).await;
    assert_eq!(denied.status, 403);
    spec.check(("get", "/cob/{txid}"), &denied);
}

#[tokio::test]
async fn an_answer_that_breaks_the_document_is_noticed() {
    let (spec, server) = (Spec::read(), TestServer::start().await);
    let Some(schema) = spec.schema("put", "/cob/{txid}", 201) else {
        return;
    };
    let validator = spec.validator(&schema);
    let right = server.charge(TXID).await.body;
    assert!(validator.is_valid(&right));
    for (field, wrong) in [
        ("valor", json!({ "original": 123.45 })),
        ("status", json!("EXPIRADA")),
        ("devedor", json!({})),
    ] {
        let mut broken = right.clone();
        broken[field] = wrong;
        assert!(!validator.is_valid(&broken), "{field}");
    }
}
