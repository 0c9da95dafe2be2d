//! Promises that only Efí's API Pix makes.

use gateways::{GatewayStatus, NoticeKind, RefundStatus};
use schemas::{attempt::ErrorClass, calendar::is_business_day, dispute};
use serde_json::json;

use super::{pix, pix_by, pix_due};
use crate::bench::{WITHIN, day_in};

#[tokio::test]
async fn a_pix_past_its_due_date_is_overdue_and_payable() {
    let bench = pix_due().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "overdue", json!({})).await;
    let found = bench.found().await;
    // a due date on a day off is overdue a day later
    let yesterday = day_in(0).pred_opt().expect("a day");
    let expected = if is_business_day(yesterday) {
        GatewayStatus::Overdue
    } else {
        GatewayStatus::Pending
    };
    assert_eq!(found.status, expected);
    bench.control.pay(reference).await;
    let found = bench.found().await;
    assert_eq!(found.status, GatewayStatus::Paid);
    assert_eq!(found.amount, bench.order.amount);
    assert!(found.payments[0].amount >= bench.order.amount);
}

#[tokio::test]
async fn an_application_without_the_scope_of_claims_still_sees_what_they_took() {
    let bench = pix_by("no_gn_scope", "/v2/cob/", None).await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.pay(reference).await;
    bench.control.act(reference, "dispute", json!({})).await;
    let lost = json!({ "won": false });
    bench.control.act(reference, "close_dispute", lost).await;
    let found = bench.found().await;
    assert_eq!(found.disputes.len(), 1);
    assert_eq!(found.disputes[0].status, dispute::DisputeStatus::Lost);
    assert_eq!(found.refunds, []);
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_no_one_notices() {
    let bench = pix().await;
    bench.control.set(json!({ "token_ttl_s": 60 })).await;
    bench.charged().await;
    bench.control.advance(120).await;
    assert_eq!(bench.found().await.status, GatewayStatus::Pending);
}

#[tokio::test]
async fn a_refused_certificate_is_denied() {
    let bench = pix().await;
    let fault = json!({ "kind": "certificate_refused" });
    bench.control.post("faults", fault).await;
    let done = bench.gateway.charge(&bench.order, WITHIN).await;
    assert_eq!(done.expect_err("refused").class, ErrorClass::Denied);
}

#[tokio::test]
async fn a_refund_that_was_not_done_has_failed() {
    let bench = pix().await;
    let settings = json!({ "refund_end": "NAO_REALIZADO" });
    bench.control.set(settings).await;
    bench.charged().await;
    bench.control.pay(&bench.order.reference).await;
    let order = bench.refund_order(Some(1_000)).await;
    let sent = bench.gateway.refund(&order, WITHIN).await.expect("taken");
    assert_eq!(sent.status, RefundStatus::Pending);
    bench.control.advance(60).await;
    let found = bench.gateway.find_refund(&order).await.expect("an answer");
    let found = found.expect("the refund");
    assert_eq!(found.status, RefundStatus::Failed);
    assert!(found.reason.is_some());
}

#[tokio::test]
async fn a_refund_of_a_pix_that_came_before_is_caught_up() {
    let bench = pix().await;
    bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.pay(reference).await;
    let since = bench.found().await.payments[0].paid_at + chrono::TimeDelta::milliseconds(1);
    let silently = json!({ "amount": 1_000, "notify": false });
    bench.control.act(reference, "refund", silently).await;
    let caught = bench.poll(since).await.expect("a list");
    assert_eq!(caught.len(), 1, "{caught:?}");
    assert_eq!(caught[0].reference.as_ref(), Some(reference));
    let NoticeKind::Refund(refund) = &caught[0].means else {
        panic!("{caught:?} contains no refund")
    };
    assert_eq!(refund.amount, 1_000);
}

#[tokio::test]
async fn what_is_of_the_account_is_denied_and_what_is_of_the_order_refused() {
    use ErrorClass::{Denied, Rejected};
    let bench = pix().await;
    for (name, class) in [
        ("documento_bloqueado", Denied),
        ("chave_invalida", Denied),
        ("valor_invalido", Rejected),
        ("json_invalido", Rejected),
    ] {
        let body = json!({ "nome": name, "mensagem": "…" });
        let more = json!({ "times": 1, "body": body });
        bench.control.answer(bench.creates(), 400, more).await;
        let done = bench.gateway.charge(&bench.order, WITHIN).await;
        let error = done.expect_err("refused");
        assert_eq!((error.class, error.code.as_str()), (class, name));
    }
    let found = bench.gateway.find(&bench.order.lookup()).await;
    assert_eq!(found, Ok(Vec::new()));
}

/// A `cob` has no status for its expiry, and our clock may be wrong by hours.
#[tokio::test]
async fn efis_clock_decides_when_a_charge_is_over() {
    let bench = pix().await;
    bench.charged().await;
    assert_eq!(bench.found().await.status, GatewayStatus::Pending);
    bench.control.advance(2 * 60 * 60).await;
    assert_eq!(bench.found().await.status, GatewayStatus::Expired);
}

#[tokio::test]
async fn a_charge_past_its_time_is_removed_all_the_same() {
    let bench = pix().await;
    let charge = bench.charged().await;
    let reference = &bench.order.reference;
    bench.control.act(reference, "expire", json!({})).await;
    let at_efi = async || bench.control.charges(reference).await[0]["status"].clone();
    assert_eq!(at_efi().await, "ATIVA");
    // refused for another reason, it stays active, and so has not ended
    let more = json!({ "times": 1, "body": { "nome": "valor_invalido", "mensagem": "…" } });
    bench.control.answer(("PATCH", "/v2/cob/"), 400, more).await;
    let refused = bench.gateway.cancel(&charge).await;
    assert_eq!(refused.expect_err("active").class, ErrorClass::Rejected);
    let ended = bench.gateway.cancel(&charge).await.expect("removed");
    assert_eq!(ended.status, GatewayStatus::Canceled);
    assert_eq!(at_efi().await, "REMOVIDA_PELO_USUARIO_RECEBEDOR");
}
