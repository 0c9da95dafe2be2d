//! Searches by reference, which replace idempotency.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use gateways::{ChargeRequest, GatewayStatus, ReadFrom};
use schemas::{attempt::ErrorClass, next_action::NextAction};
use serde_json::json;

use super::{boleto, card, pix};
use crate::bench::{WITHIN, now};

#[tokio::test]
async fn asked_again_it_adopts_what_is_there() {
    for bench in [pix().await, boleto().await, card().await] {
        assert_eq!(bench.capabilities().idempotent_for, None);
        let (first, second) = (bench.charged().await, bench.charged().await);
        assert_eq!(
            (first.id, first.next_action),
            (second.id, second.next_action)
        );
        let there = bench.control.charges(&bench.order.reference).await;
        assert_eq!(there.len(), 1);
    }
}

#[tokio::test]
async fn a_deleted_charge_is_found_as_canceled_and_not_adopted() {
    let bench = pix().await;
    let first = bench.charged().await;
    bench.gateway.cancel(&first).await.expect("canceled");
    assert_eq!(bench.found().await.status, GatewayStatus::Canceled);
    let second = bench.charged().await;
    assert_ne!(first.id, second.id);
    let found = bench
        .gateway
        .find(&bench.order.lookup())
        .await
        .expect("an answer");
    let payable = found.iter().filter(|charge| charge.status.is_payable());
    assert_eq!((found.len(), payable.count()), (2, 1));
}

#[tokio::test]
async fn a_charge_that_is_no_longer_listed_is_canceled_when_it_is_cancelled_again() {
    let bench = pix().await;
    bench.control.set(json!({ "list_deleted": false })).await;
    let charge = bench.charged().await;
    bench.gateway.cancel(&charge).await.expect("canceled");
    assert_eq!(
        bench.gateway.find(&bench.order.lookup()).await,
        Ok(Vec::new())
    );
    let again = bench.gateway.cancel(&charge).await.expect("canceled");
    assert_eq!(again.status, GatewayStatus::Canceled);
}

#[tokio::test]
async fn a_code_or_line_that_is_refused_after_the_create_is_unknown_and_found() {
    for bench in [pix().await, boleto().await] {
        let second = ("GET", "/v3/payments/");
        let fault = json!({ "status": 400 });
        bench.control.fault("status", second, fault).await;
        let done = bench.gateway.charge(&bench.order, WITHIN).await;
        assert_eq!(done.expect_err("not shown").class, ErrorClass::Unknown);
        bench.control.heal().await;
        assert!(bench.found().await.next_action.is_some());
    }
}

#[tokio::test]
async fn a_used_up_quota_reports_when_it_begins_again() {
    let bench = pix().await;
    let none_left = json!({ "endpoint_limit": 0, "enforce_endpoint_limit": true });
    bench.control.set(none_left).await;
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    let error = done.expect_err("too many");
    assert_eq!(error.class, ErrorClass::Throttled);
    assert!(error.retry_after.is_some_and(|wait| !wait.is_zero()));
}

#[tokio::test]
async fn a_pix_that_has_no_code_is_found_to_be_ended() {
    let bench = pix().await;
    bench.control.set(json!({ "pix_key": false })).await;
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    assert_eq!(done.expect_err("not shown").class, ErrorClass::Unknown);
    let found = bench.found().await;
    assert_eq!(
        (found.status, &found.next_action),
        (GatewayStatus::Pending, &None)
    );
    let ended = bench.gateway.cancel(&found).await.expect("canceled");
    assert_eq!(ended.status, GatewayStatus::Canceled);
}

#[tokio::test]
async fn a_boleto_is_shown_with_its_pix_code_and_without_one_where_there_is_none() {
    let bench = boleto().await;
    let copy_paste = |shown| match shown {
        Some(NextAction::Boleto {
            copy_paste,
            pdf_url,
            ..
        }) => {
            assert!(pdf_url.is_some());
            copy_paste
        }
        other => panic!("{other:?}"),
    };
    assert!(copy_paste(bench.charged().await.next_action).is_some());
    bench.control.set(json!({ "pix_key": false })).await;
    assert_eq!(copy_paste(bench.charged().await.next_action), None);
}

#[tokio::test]
async fn a_customer_that_is_not_there_any_more_is_made_again() {
    let bench = pix().await;
    let order = ChargeRequest {
        customer: Some("cus_000000000000".to_owned()),
        ..bench.order.clone()
    };
    let charge = bench
        .gateway
        .charge(&order, WITHIN)
        .await
        .expect("a charge");
    let customer = charge.customer.expect("a customer");
    let second = ChargeRequest {
        customer: Some(customer.clone()),
        ..bench.another_order()
    };
    let charge = bench
        .gateway
        .charge(&second, WITHIN)
        .await
        .expect("a charge");
    assert_eq!(charge.customer, Some(customer));
}

#[tokio::test]
async fn what_is_of_the_account_is_denied_and_what_is_of_the_order_refused() {
    let bench = pix().await;
    for (code, class) in [
        ("invalid_billingType", ErrorClass::Denied),
        ("invalid_value", ErrorClass::Rejected),
        ("invalid_dueDate", ErrorClass::Rejected),
    ] {
        let body = json!({ "errors": [{ "code": code, "description": "…" }] });
        let more = json!({ "times": 1, "body": body });
        bench.control.answer(bench.creates(), 400, more).await;
        let done = bench.gateway.charge(&bench.order, WITHIN).await;
        let error = done.expect_err("refused");
        assert_eq!((error.class, error.code.as_str()), (class, code));
    }
}

#[tokio::test]
async fn a_deleted_charge_that_is_not_listed_is_found_by_its_id() {
    let bench = pix().await;
    bench.control.set(json!({ "list_deleted": false })).await;
    let charge = bench.charged().await;
    bench.gateway.cancel(&charge).await.expect("canceled");
    let mut lookup = bench.order.lookup();
    assert_eq!(bench.gateway.find(&lookup).await, Ok(Vec::new()));
    lookup.gateway_id = Some(charge.id);
    let found = bench.gateway.find(&lookup).await.expect("an answer");
    assert_eq!(found[0].status, GatewayStatus::Canceled);
}

/// Asaas lists by offset, newest first: an entry that is added between two pages shifts the others back.
#[tokio::test]
async fn more_payments_than_twenty_pages_hold_are_all_listed() {
    let bench = pix().await;
    let since = now() - TimeDelta::hours(1);
    let ours = bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.pay(reference).await;
    let volume = json!({ "count": 2_100 });
    bench.control.act(reference, "copy", volume).await;
    for feed in bench.gateway.descriptor().feeds {
        let (mut listed, mut cursor) = (BTreeSet::new(), None::<String>);
        for n in 0..200 {
            let from = ReadFrom {
                since,
                now: now(),
                cursor: cursor.as_deref(),
            };
            let page = bench.gateway.changes_since(feed, &from).await;
            let page = page.expect("a page");
            let is_read = page.read_until.is_some_and(|until| until >= from.now);
            assert!(!is_read || page.cursor.is_none(), "read before its end");
            listed.extend(page.entries.notices.into_iter().filter_map(|it| it.charge));
            if n == 5 {
                let more = json!({ "count": 150 });
                bench.control.act(reference, "copy", more).await;
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(cursor, None, "{feed:?} ends");
        if feed.name != "asaas_states" {
            assert!(listed.contains(&ours.id), "{feed:?}: {}", listed.len());
            assert!(listed.len() >= 2_101, "{feed:?}: {}", listed.len());
        }
    }
}
