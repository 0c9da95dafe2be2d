//! Efí: both APIs against our own description, the API Pix also against BACEN's document.

use std::{collections::BTreeSet, sync::LazyLock};

use schemas::payment_method::{Discount, DueDate};
use serde_json::{Value, json};

use super::{
    Recorders, assert_calls,
    document::{Correction, Document, each_object},
    kept, own,
    recorder::Request,
};
use crate::{
    bench::{Bench, day_in},
    efi::{by_boleto, by_card, cobrancas_in, pix_in},
};

/// Corrections of the document where it contradicts itself, with their reasons.
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

/// Calls that BACEN does not describe, with the reasons.
const EXTENSIONS: [(&str, &str); 3] = [
    (TOKEN, "BACEN leaves the token's address to each bank"),
    (
        "GET /v2/gn/saldo",
        "Efí's own: the balance, which is our probe",
    ),
    (
        CLAIMS,
        "Efí's own: claims; BACEN has them in another interface",
    ),
];

const FILE: &str = "bacen-pix-api-openapi.yaml";

static BACEN: LazyLock<Option<Document>> = LazyLock::new(|| {
    let spec = serde_saphyr::from_str(&specs::read(FILE)?).expect("YAML");
    Some(Document::new(spec, "/v2", &CORRECTIONS))
});

fn check(request: &Request) -> Result<String, Vec<String>> {
    let call = own::check(&own::EFI_PIX, request)?;
    let is_extension = EXTENSIONS.iter().any(|(extension, _)| *extension == call);
    match BACEN.as_ref() {
        Some(bacen) if !is_extension => bacen.check(request).map(|_| call),
        _ => Ok(call),
    }
}

fn made(recorders: &Recorders) -> BTreeSet<String> {
    if BACEN.is_none() {
        specs::skip(FILE);
    }
    super::calls(&recorders.efi_pix, check)
}

fn made_of_cobrancas(recorders: &Recorders) -> BTreeSet<String> {
    super::calls(&recorders.efi_cobrancas, |request| {
        own::check(&own::EFI_COBRANCAS, request)
    })
}

async fn open(path: &'static str, due: Option<DueDate>) -> (Bench, Recorders) {
    let (environment, recorders) = Recorders::environment().await;
    (pix_in(environment, "loja", path, due), recorders)
}

const TOKEN: &str = "POST /oauth/token";
const CLAIMS: &str = "GET /v2/gn/infracoes";

#[tokio::test]
async fn immediate_charges_are_requested_as_bacen_specifies() {
    let (mut bench, recorders) = open("/v2/cob/", None).await;
    kept! { bench:
        a_charge_is_created_and_shown,
        nothing_is_found_where_nothing_was_created,
        creating_twice_creates_once,
        a_cancelled_charge_cannot_be_paid,
        a_charge_known_by_its_ids_can_be_cancelled,
        a_payment_is_reported,
        a_dispute_is_seen_and_is_no_refund,
        a_payment_no_one_reported_is_caught_up,
        // these advance the simulator's clock, and lists end at ours
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_is_found_by_our_reference,
    }
    let expected = [
        TOKEN,
        CLAIMS,
        "PUT /v2/cob/{txid}",
        "GET /v2/cob/{txid}",
        "PATCH /v2/cob/{txid}",
        "GET /v2/pix",
        "PUT /v2/pix/{e2eid}/devolucao/{id}",
        "GET /v2/pix/{e2eid}/devolucao/{id}",
        "GET /v2/webhook/{chave}",
        "PUT /v2/webhook/{chave}",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn charges_with_a_due_date_are_requested_as_bacen_specifies() {
    let due = DueDate {
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
        "PUT /v2/cobv/{txid}",
        "GET /v2/cobv/{txid}",
        // a charge known by its id alone may be of either kind
        "PATCH /v2/cob/{txid}",
        "GET /v2/cob/{txid}",
        "PATCH /v2/cobv/{txid}",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn an_account_is_maintained_as_bacen_specifies() {
    let (mut bench, recorders) = open("/v2/cob/", None).await;
    kept! { bench:
        a_missing_address_is_registered_again,
        an_address_taken_back_is_no_longer_registered,
        a_replaced_address_is_restored,
        a_probe_reports_whose_account_it_is,
    }
    let expected = [
        TOKEN,
        "GET /v2/webhook/{chave}",
        "PUT /v2/webhook/{chave}",
        "DELETE /v2/webhook/{chave}",
        "GET /v2/gn/saldo",
    ];
    assert_calls(&made(&recorders), &expected);
    assert_calls(&made_of_cobrancas(&recorders), &["POST /v1/authorize"]);
}

#[tokio::test]
async fn boletos_are_asked_for_as_cobrancas_documents() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = cobrancas_in(environment, by_boleto());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_payment_is_reported,
        a_payment_no_one_reported_is_caught_up,
    }
    let expected = [
        "POST /v1/authorize",
        "POST /v1/charge/one-step",
        "GET /v1/charge/{id}",
        "GET /v1/charges",
        "PUT /v1/charge/{id}/cancel",
        "GET /v1/notification/{token}",
    ];
    assert_calls(&made_of_cobrancas(&recorders), &expected);
}

#[tokio::test]
async fn card_links_are_asked_for_as_cobrancas_documents() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = cobrancas_in(environment, by_card());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_payment_is_reported,
        a_whole_refund_is_shown,
        a_payment_no_one_reported_is_caught_up,
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
    assert_calls(&made_of_cobrancas(&recorders), &expected);
}

#[tokio::test]
async fn a_request_that_breaks_bacens_document_is_noticed() {
    let (bench, recorders) = open("/v2/cob/", None).await;
    bench.charged().await;
    let requests = recorders.efi_pix.requests();
    let right = requests.into_iter().find(|request| request.method == "PUT");
    let right = right.expect("a charge was made");
    assert_eq!(check(&right), Ok("PUT /v2/cob/{txid}".to_owned()));
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
