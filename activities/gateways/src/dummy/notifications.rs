//! Payments: the form `pay=<reference>`, posted to the notification address by the payer or a test.
//!
//! The address's secret is the proof. The body names the charge and is stored before it is answered; the payment itself is made when it is
//! resolved, so that it is repeated until it succeeds.

use schemas::id::AttemptId;

use super::Dummy;
use crate::{Entries, GatewayError, GatewayNotice, NoticeKind, Unreadable, http::Effect};

const PAY: &str = "pay=";

/// Returns the body that pays a charge.
pub(super) fn payment(reference: &str) -> String {
    format!("{PAY}{reference}")
}

/// Parses the form.
pub(super) fn parse(body: &[u8]) -> Entries {
    let text = str::from_utf8(body).unwrap_or_default().trim();
    // the payer knows the address: what is not one of our references must leave no row
    let reference = text
        .strip_prefix(PAY)
        .filter(|reference| AttemptId::from_reference(reference).is_some());
    match reference {
        Some(reference) => vec![notice(reference, NoticeKind::Token(reference.to_owned()))].into(),
        None => Unreadable::new("dummy_form", "not the form of a payment").into(),
    }
}

fn notice(reference: &str, means: NoticeKind) -> GatewayNotice {
    GatewayNotice {
        dedupe_key: format!("pay/{reference}"),
        event: "pay".to_owned(),
        reference: Some(reference.to_owned()),
        charge: Some(reference.to_owned()),
        payment: None,
        stated_at: None,
        means,
    }
}

impl Dummy {
    /// Pays the charge, if it is payable, and returns its state.
    pub(super) async fn pay(&self, reference: &str) -> Result<Entries, GatewayError> {
        let now = super::now();
        let paid = self
            .change(reference, Effect::Reads, |object| object.pay(now))
            .await?;
        let Some(object) = paid else {
            return Ok(Entries::default());
        };
        let means = NoticeKind::ChargeState(Box::new(object.to_charge(now)));
        Ok(vec![GatewayNotice {
            dedupe_key: format!("paid/{reference}"),
            ..notice(reference, means)
        }]
        .into())
    }
}
