use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use schemas::{
    Instant,
    attempt::ErrorClass,
    boleto_line::BoletoLine,
    br_code::BrCode,
    next_action::NextAction,
    payer::Payer,
    payment_method::{PaymentMethod, PaymentMethodKind},
};
use serde_json::{Value, json};

use super::now;
use crate::{
    ChargeRequest, Endpoints, Gateway, GatewayCharge, GatewayStatus, NoticeKind, RefundRequest,
    Storage, StorageFailed, read_credentials,
};

const WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Value>>);

#[async_trait]
impl Storage for Memory {
    async fn get(&self, key: &str) -> Result<Option<Value>, StorageFailed> {
        let objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(objects.get(key).cloned())
    }

    async fn put(
        &self,
        key: &str,
        before: Option<&Value>,
        after: &Value,
    ) -> Result<bool, StorageFailed> {
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = objects.get(key) == before;
        if same {
            objects.insert(key.to_owned(), after.clone());
        }
        Ok(same)
    }
}

fn open() -> Arc<dyn Gateway> {
    let endpoints = Endpoints {
        storage: Some(Arc::new(Memory::default())),
        ..Endpoints::sandbox()
    };
    let credentials = read_credentials(super::GATEWAY.kind, json!({})).expect("credentials");
    credentials.open(&endpoints).expect("a gateway")
}

fn order(amount: i64, method: Value) -> ChargeRequest {
    let method: PaymentMethod = serde_json::from_value(method).expect("a method");
    ChargeRequest {
        reference: "at01jfx0m9a1e7f8q2v3w4x5y6z7".to_owned(),
        amount,
        created_at: now(),
        expires_at: method.life().end(now()),
        method,
        payer: Payer {
            name: "Fulano de Tal".to_owned(),
            document: "52998224725".parse().expect("a document"),
            email: None,
            phone: None,
            address: None,
        },
        customer: None,
        description: None,
        notification_url: "https://in.example.com/notifications/gc_1/s3cret"
            .parse()
            .ok(),
    }
}

fn pix(amount: i64) -> ChargeRequest {
    order(amount, json!({ "type": "pix", "expires_in": 3600 }))
}

async fn found(gateway: &dyn Gateway, order: &ChargeRequest) -> Vec<GatewayCharge> {
    gateway.find(&order.lookup()).await.expect("an answer")
}

async fn pay(gateway: &dyn Gateway, order: &ChargeRequest) {
    let body = super::notifications::payment(&order.reference);
    let NoticeKind::Token(token) = &gateway.parse(body.as_bytes()).notices[0].means else {
        panic!("a token")
    };
    gateway.resolve(token).await.expect("paid");
}

#[tokio::test]
async fn every_instrument_is_readable_and_pays_at_its_url() {
    for method in [
        json!({ "type": "pix", "expires_in": 3600 }),
        json!({ "type": "boleto", "due_date": "2126-12-01" }),
        json!({ "type": "card", "success_url": "https://s/ok", "cancel_url": "https://s/no" }),
    ] {
        let gateway = open();
        let order = order(12_345, method);
        let charge = gateway.charge(&order, WITHIN).await.expect("a charge");
        let url = match charge.next_action.expect("an instrument") {
            NextAction::Pix {
                copy_paste,
                qr_code_url,
                ..
            } => {
                assert_eq!(
                    BrCode::parse(&copy_paste).expect("a code").amount,
                    Some(12_345)
                );
                qr_code_url.expect("a URL")
            }
            NextAction::Boleto { line, pdf_url, .. } => {
                assert_eq!(
                    BoletoLine::from_line(&line).expect("a line").amount(),
                    12_345
                );
                pdf_url.expect("a URL")
            }
            NextAction::Redirect { url, .. } => url,
        };
        assert!(
            url.ends_with("/s3cret?pay=at01jfx0m9a1e7f8q2v3w4x5y6z7"),
            "{url}"
        );
        pay(gateway.as_ref(), &order).await;
        pay(gateway.as_ref(), &order).await;
        let paid = found(gateway.as_ref(), &order).await.remove(0);
        assert_eq!((paid.status, paid.payments.len()), (GatewayStatus::Paid, 1));
    }
}

#[tokio::test]
async fn each_amount_has_its_outcome() {
    for (amount, class, exists) in [
        (90_001, None, true),
        (90_002, Some(ErrorClass::Rejected), false),
        (90_003, Some(ErrorClass::Declined), false),
        (90_004, Some(ErrorClass::Unknown), true),
        (90_005, Some(ErrorClass::Unknown), false),
        (90_007, Some(ErrorClass::Unknown), false),
        (90_008, Some(ErrorClass::Throttled), false),
        (90_009, Some(ErrorClass::Denied), false),
        (90_010, Some(ErrorClass::NotCreated), false),
        (90_011, None, true),
    ] {
        let (gateway, order) = (open(), pix(amount));
        let done = gateway.charge(&order, WITHIN).await;
        assert_eq!(done.as_ref().err().map(|e| e.class), class, "{amount}");
        let there = found(gateway.as_ref(), &order).await;
        assert_eq!(!there.is_empty(), exists, "{amount}");
        if amount == 90_001 {
            assert_eq!(there[0].status, GatewayStatus::Paid);
        }
        if class == Some(ErrorClass::Unknown) {
            let again = gateway.charge(&order, WITHIN).await.expect("a charge");
            assert_eq!(again.status, GatewayStatus::Pending, "{amount}");
        }
    }
}

#[tokio::test]
async fn what_has_ended_cannot_be_paid_and_money_goes_back_once() {
    let (gateway, order) = (open(), pix(10_000));
    let charge = gateway.charge(&order, WITHIN).await.expect("a charge");
    pay(gateway.as_ref(), &order).await;
    let ended = gateway.cancel(&charge).await.expect("an answer");
    assert_eq!(ended.status, GatewayStatus::Paid, "a payment wins");
    let refund = |reference: &str, amount| RefundRequest {
        reference: reference.to_owned(),
        charge: charge.id.clone(),
        charge_reference: order.reference.clone(),
        payment: ended.payments[0].id.clone(),
        end_to_end_id: None,
        method: PaymentMethodKind::Pix,
        amount,
        is_whole: false,
        reason: None,
        created_at: now(),
    };
    for _ in 0..2 {
        let done = gateway.refund(&refund("re1", 6_000), WITHIN).await;
        assert_eq!(done.expect("a refund").amount, 6_000);
    }
    let over = gateway.refund(&refund("re2", 4_001), WITHIN).await;
    assert_eq!(over.expect_err("over the sum").class, ErrorClass::Rejected);
    let rest = gateway.refund(&refund("re3", 4_000), WITHIN).await;
    rest.expect("a refund");
    let refunded = found(gateway.as_ref(), &order).await.remove(0);
    assert_eq!(refunded.status, GatewayStatus::Refunded);

    let other = ChargeRequest {
        reference: "at01jfx0m9a1e7f8q2v3w4x5y6z8".to_owned(),
        ..pix(10_000)
    };
    let charge = gateway.charge(&other, WITHIN).await.expect("a charge");
    gateway.cancel(&charge).await.expect("canceled");
    pay(gateway.as_ref(), &other).await;
    let canceled = found(gateway.as_ref(), &other).await.remove(0);
    assert_eq!(canceled.status, GatewayStatus::Canceled);

    let late = ChargeRequest {
        reference: "at01jfx0m9a1e7f8q2v3w4x5y6z9".to_owned(),
        expires_at: Instant::UNIX_EPOCH,
        ..pix(10_000)
    };
    gateway.charge(&late, WITHIN).await.expect("a charge");
    pay(gateway.as_ref(), &late).await;
    let expired = found(gateway.as_ref(), &late).await.remove(0);
    assert_eq!(expired.status, GatewayStatus::Expired);
    assert_eq!(expired.payments, []);
}

#[test]
fn it_does_not_exist_in_live_mode() {
    let credentials = read_credentials(super::GATEWAY.kind, json!({})).expect("credentials");
    let refused = credentials.open(&Endpoints::live()).err();
    assert_eq!(refused.map(|error| error.class), Some(ErrorClass::Denied));
}
