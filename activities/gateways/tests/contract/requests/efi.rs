//! Efí: the API Pix against BACEN's document, the API Cobranças against what Efí documents.

use std::sync::LazyLock;

use schemas::payment_method::{Discount, Due};
use serde_json::{Value, json};

use super::{
    Recorders, assert_calls,
    calls::{self, Call, call},
    document::{Correction, Document, each_object, read},
    kept,
    recorder::Request,
};
use crate::{
    bench::{Bench, day_in},
    efi::{by_boleto, by_card, cobrancas_in, pix_in},
};

/// Where the document contradicts itself: why, and what is set right.
const CORRECTIONS: [Correction; 3] = [
    (
        "CPF's pattern is written with slashes, as if in JavaScript: nothing matches it",
        |spec| {
            each_object(spec, &mut |object| {
                let pattern = object.get("pattern").and_then(Value::as_str);
                if let Some(inner) = pattern.and_then(|p| p.strip_prefix('/')?.strip_suffix('/')) {
                    let inner = inner.to_owned();
                    object.insert("pattern".to_owned(), inner.into());
                }
            });
        },
    ),
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
        "what a payer's bank reads lies at the location's own host, and its paths would match ours",
        |spec| {
            let paths = spec["paths"].as_object_mut().expect("paths");
            paths.retain(|path, _| !path.contains("AccessToken"));
        },
    ),
];

/// What BACEN does not describe.
const EXTENSIONS: [(Call, &str); 3] = [
    (
        call("POST", "/oauth/token"),
        "BACEN leaves the token's address to each bank",
    ),
    (
        call("GET", "/v2/gn/saldo"),
        "Efí's own: the balance, our probe",
    ),
    (
        Call {
            optional: &["paginacao.paginaAtual", "paginacao.itensPorPagina"],
            required: &["inicio", "fim"],
            ..call("GET", "/v2/gn/infracoes")
        },
        "Efí's own: claims; BACEN has them in another interface",
    ),
];

/// `docs/gateways/efi.md#endpoints`.
const COBRANCAS: [Call; 8] = [
    call("POST", "/v1/authorize"),
    call("POST", "/v1/charge/one-step"),
    call("POST", "/v1/charge/one-step/link"),
    call("GET", "/v1/charge/{id}"),
    Call {
        required: &["charge_type", "begin_date", "end_date"],
        optional: &[
            "custom_id",
            "status",
            "customer_document",
            "value",
            "limit",
            "page",
        ],
        ..call("GET", "/v1/charges")
    },
    call("PUT", "/v1/charge/{id}/cancel"),
    call("POST", "/v1/charge/card/{id}/refund"),
    call("GET", "/v1/notification/{token}"),
];

static BACEN: LazyLock<Document> = LazyLock::new(|| {
    let text = read("bacen-pix-api-openapi.yaml");
    let spec = serde_saphyr::from_str(&text).expect("YAML");
    Document::new(spec, "/v2", &CORRECTIONS)
});

fn check(request: &Request) -> Result<String, Vec<String>> {
    let extensions = EXTENSIONS.map(|(call, _)| call);
    calls::check(&extensions, request).or_else(|_| BACEN.check(request))
}

async fn open(path: &'static str, due: Option<Due>) -> (Bench, Recorders) {
    let (world, recorders) = Recorders::world().await;
    (pix_in(world, "loja", path, due), recorders)
}

const TOKEN: &str = "POST /oauth/token";
const CLAIMS: &str = "GET /v2/gn/infracoes";

#[tokio::test]
async fn immediate_charges_are_asked_for_as_bacen_says() {
    let (mut bench, recorders) = open("/v2/cob/", None).await;
    kept! { bench:
        a_charge_is_created_and_shown,
        nothing_is_found_where_nothing_was_created,
        creating_twice_creates_once,
        a_cancelled_charge_cannot_be_paid,
        a_charge_known_by_its_ids_can_be_cancelled,
        a_payment_is_told,
        a_dispute_is_seen_and_is_no_refund,
        a_payment_nobody_told_is_caught_up,
        // these move the simulator's clock, and lists end at ours
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_is_found_by_our_reference,
    }
    let expected = [
        TOKEN,
        CLAIMS,
        "PUT /cob/{txid}",
        "GET /cob/{txid}",
        "PATCH /cob/{txid}",
        "GET /pix",
        "PUT /pix/{e2eid}/devolucao/{id}",
        "GET /pix/{e2eid}/devolucao/{id}",
        "GET /webhook/{chave}",
        "PUT /webhook/{chave}",
    ];
    assert_calls(&super::calls(&recorders.efi_pix, check), &expected);
}

#[tokio::test]
async fn charges_with_a_due_date_are_asked_for_as_bacen_says() {
    let due = Due {
        due_date: day_in(5),
        days_after_due: 10,
        fine_bps: 200,
        monthly_interest_bps: 100,
        discount: Some(Discount {
            amount: 500,
            until: day_in(2),
        }),
    };
    let (mut bench, recorders) = open("/v2/cobv/", Some(due)).await;
    kept! { bench:
        a_charge_is_created_and_shown,
        creating_twice_creates_once,
        a_cancelled_charge_cannot_be_paid,
        a_charge_known_by_its_ids_can_be_cancelled,
    }
    let expected = [
        TOKEN,
        "PUT /cobv/{txid}",
        "GET /cobv/{txid}",
        // a charge that is known by its id alone may be either
        "PATCH /cob/{txid}",
        "GET /cob/{txid}",
        "PATCH /cobv/{txid}",
    ];
    assert_calls(&super::calls(&recorders.efi_pix, check), &expected);
}

#[tokio::test]
async fn an_account_is_looked_after_as_bacen_says() {
    let (mut bench, recorders) = open("/v2/cob/", None).await;
    kept! { bench:
        a_missing_address_is_registered_again,
        an_address_taken_back_is_no_longer_registered,
        a_replaced_address_is_restored,
        a_probe_tells_whose_account_it_is,
    }
    let expected = [
        TOKEN,
        "GET /webhook/{chave}",
        "PUT /webhook/{chave}",
        "DELETE /webhook/{chave}",
        "GET /v2/gn/saldo",
    ];
    assert_calls(&super::calls(&recorders.efi_pix, check), &expected);
    let made = super::calls(&recorders.efi_cobrancas, |request| {
        calls::check(&COBRANCAS, request)
    });
    assert_calls(&made, &["POST /v1/authorize"]);
}

#[tokio::test]
async fn boletos_are_asked_for_as_cobrancas_documents() {
    let (world, recorders) = Recorders::world().await;
    let mut bench = cobrancas_in(world, by_boleto());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_payment_is_told,
        a_payment_nobody_told_is_caught_up,
    }
    let expected = [
        "POST /v1/authorize",
        "POST /v1/charge/one-step",
        "GET /v1/charge/{id}",
        "GET /v1/charges",
        "PUT /v1/charge/{id}/cancel",
        "GET /v1/notification/{token}",
    ];
    let made = super::calls(&recorders.efi_cobrancas, |request| {
        calls::check(&COBRANCAS, request)
    });
    assert_calls(&made, &expected);
}

#[tokio::test]
async fn card_links_are_asked_for_as_cobrancas_documents() {
    let (world, recorders) = Recorders::world().await;
    let mut bench = cobrancas_in(world, by_card());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_payment_is_told,
        a_whole_refund_is_shown,
        a_payment_nobody_told_is_caught_up,
    }
    let expected = [
        "POST /v1/authorize",
        "POST /v1/charge/one-step/link",
        "GET /v1/charge/{id}",
        "GET /v1/charges",
        "PUT /v1/charge/{id}/cancel",
        "POST /v1/charge/card/{id}/refund",
        "GET /v1/notification/{token}",
    ];
    let made = super::calls(&recorders.efi_cobrancas, |request| {
        calls::check(&COBRANCAS, request)
    });
    assert_calls(&made, &expected);
}

#[tokio::test]
async fn a_request_that_breaks_bacens_document_is_noticed() {
    let (bench, recorders) = open("/v2/cob/", None).await;
    bench.charged().await;
    let requests = recorders.efi_pix.requests();
    let right = requests.into_iter().find(|request| request.method == "PUT");
    let right = right.expect("a charge was made");
    assert_eq!(check(&right), Ok("PUT /cob/{txid}".to_owned()));
    let with_body = |change: fn(&mut Value)| {
        let mut body = serde_json::from_slice(&right.body).expect("JSON");
        change(&mut body);
        Request {
            body: body.to_string().into_bytes(),
            ..right.clone()
        }
    };
    for broken in [
        with_body(|body| body["valor"]["original"] = json!(123.45)),
        with_body(|body| body["valor"]["original"] = json!("123,45")),
        with_body(|body| body["calendario"]["validade"] = json!(1)),
        with_body(|body| body["devedor"]["cpf"] = json!("1")),
        with_body(|body| body["valores"] = json!({})),
        with_body(|body| *body = json!({})),
        Request {
            path: "/v2/cob/short".to_owned(),
            ..right.clone()
        },
        Request {
            path: format!("{}/more", right.path),
            ..right.clone()
        },
        Request {
            method: "DELETE".to_owned(),
            ..right.clone()
        },
        Request {
            query: "revisao=1".to_owned(),
            ..right.clone()
        },
    ] {
        assert!(check(&broken).is_err(), "{broken:?}");
    }
}
