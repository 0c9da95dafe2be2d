//! Asaas publishes no machine-readable document: its calls are checked against our own.

use std::collections::BTreeSet;

use super::{Recorders, assert_calls, kept, own, recorder::Request};
use crate::asaas::{by_boleto, by_card, by_pix, by_pix_due, open_in};

fn check(request: &Request) -> Result<String, Vec<String>> {
    let call = own::check(&own::ASAAS, request)?;
    let mut wrong = Vec::new();
    for name in ["access_token", "user-agent"] {
        if request.header(name).is_none_or(str::is_empty) {
            wrong.push(format!("header: {name} is missing"));
        }
    }
    if wrong.is_empty() {
        Ok(call)
    } else {
        Err(wrong)
    }
}

fn made(recorders: &Recorders) -> BTreeSet<String> {
    super::calls(&recorders.asaas, check)
}

#[tokio::test]
async fn pix_is_asked_for_as_asaas_documents() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, by_pix());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_charge_known_by_its_ids_can_be_cancelled,
        a_payment_is_reported,
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_refund_is_found_by_our_reference,
        a_payment_no_one_reported_is_caught_up,
    }
    let expected = [
        "GET /v3/customers",
        "POST /v3/customers",
        "POST /v3/payments",
        "GET /v3/payments",
        "GET /v3/payments/{id}",
        "DELETE /v3/payments/{id}",
        "GET /v3/payments/{id}/pixQrCode",
        "POST /v3/payments/{id}/refund",
        "GET /v3/payments/{id}/refunds",
        "GET /v3/webhooks",
        "POST /v3/webhooks",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn pix_with_a_due_date_is_asked_for_as_asaas_documents() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, by_pix_due());
    kept! { bench: a_charge_is_created_and_shown, a_cancelled_charge_cannot_be_paid }
    let expected = [
        "GET /v3/customers",
        "POST /v3/customers",
        "POST /v3/payments",
        "GET /v3/payments",
        "GET /v3/payments/{id}",
        "DELETE /v3/payments/{id}",
        "GET /v3/payments/{id}/pixQrCode",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn boletos_are_asked_for_as_asaas_documents() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, by_boleto());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_payment_no_one_reported_is_caught_up,
    }
    let expected = [
        "GET /v3/customers",
        "POST /v3/customers",
        "POST /v3/payments",
        "GET /v3/payments",
        "GET /v3/payments/{id}",
        "DELETE /v3/payments/{id}",
        "GET /v3/payments/{id}/identificationField",
        "GET /v3/payments/{id}/pixQrCode",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn cards_are_asked_for_as_asaas_documents() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, by_card());
    kept! { bench:
        a_charge_is_created_and_shown,
        a_cancelled_charge_cannot_be_paid,
        a_whole_refund_is_shown,
        refunds_in_parts_are_each_shown,
        a_dispute_no_one_reported_is_caught_up,
    }
    let expected = [
        "GET /v3/customers",
        "POST /v3/customers",
        "POST /v3/payments",
        "GET /v3/payments",
        "GET /v3/payments/{id}",
        "DELETE /v3/payments/{id}",
        "POST /v3/payments/{id}/refund",
        "GET /v3/payments/{id}/refunds",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn an_account_is_maintained_as_asaas_documents() {
    let (environment, recorders) = Recorders::environment().await;
    let mut bench = open_in(environment, by_pix());
    kept! { bench:
        a_missing_address_is_registered_again,
        an_address_taken_back_is_no_longer_registered,
        a_set_up_that_lasts_gives_no_findings,
        a_probe_reports_whose_account_it_is,
    }
    let expected = [
        "GET /v3/finance/balance",
        "GET /v3/myAccount",
        "GET /v3/webhooks",
        "POST /v3/webhooks",
        "PUT /v3/webhooks/{id}",
        "DELETE /v3/webhooks/{id}",
    ];
    assert_calls(&made(&recorders), &expected);
}

#[tokio::test]
async fn a_request_that_breaks_asaas_rules_is_noticed() {
    let (environment, recorders) = Recorders::environment().await;
    let bench = open_in(environment, by_pix());
    bench.charged().await;
    bench.found().await;
    let requests = recorders.asaas.requests();
    let of = |method: &str, path: &str| {
        let mut requests = requests.iter();
        requests
            .find(|request| request.method == method && request.path == path)
            .expect("it was asked")
            .clone()
    };
    let (creates, reads) = (of("POST", "/v3/payments"), of("GET", "/v3/payments"));
    assert!(check(&creates).is_ok() && check(&reads).is_ok());
    let without = |name: &str| {
        let mut less = creates.clone();
        less.headers.remove(name);
        less
    };
    for broken in [
        without("access_token"),
        without("user-agent"),
        without("content-type"),
        Request {
            body: b"{}".to_vec(),
            ..creates.clone()
        },
        Request {
            body: b"{}".to_vec(),
            ..reads.clone()
        },
        Request {
            query: "reference=1".to_owned(),
            ..reads.clone()
        },
        Request {
            path: "/v3/payment".to_owned(),
            ..reads.clone()
        },
    ] {
        assert!(check(&broken).is_err(), "{broken:?}");
    }
}
