//! Checkout sessions, the hosted pages where cards pay, mapped to our types. `docs/gateways/stripe.md#statuses`.

use std::collections::BTreeMap;

use schemas::next_action::NextAction;
use serde::Deserialize;

use crate::stripe::{requests::calls::unreadable, responses::Intent, responses::payment::instant};
use crate::{GatewayCharge, GatewayError, GatewayStatus};

/// Session of Stripe. Fields that we do not need are not read.
#[derive(Debug, Deserialize)]
pub(in crate::stripe) struct Session {
    pub id: String,
    status: Option<String>,
    #[serde(default)]
    payment_status: String,
    amount_total: Option<i64>,
    client_reference_id: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    payment_intent: Option<Paying>,
    url: Option<String>,
    expires_at: i64,
}

/// Intent of the page: an id, or the intent itself if it was requested.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Paying {
    Intent(Box<Intent>),
    Id(serde::de::IgnoredAny),
}

/// Maps a session's two statuses. A complete and unpaid one was paid by a slow method.
fn status(theirs: &str, payment: &str) -> Option<GatewayStatus> {
    Some(match (theirs, payment) {
        ("open", _) | ("complete", "unpaid") => GatewayStatus::Pending,
        ("complete", "paid" | "no_payment_required") => GatewayStatus::Paid,
        ("expired", _) => GatewayStatus::Expired,
        _ => return None,
    })
}

impl Session {
    pub(in crate::stripe) fn reference(&self) -> Option<&str> {
        let metadata = self.metadata.as_ref().and_then(|it| it.get("reference"));
        self.client_reference_id
            .as_deref()
            .or(metadata.map(String::as_str))
    }

    /// Returns its intent, if it is inside.
    pub(in crate::stripe) fn intent(&self) -> Option<&Intent> {
        match self.payment_intent.as_ref()? {
            Paying::Intent(intent) => Some(intent),
            Paying::Id(_) => None,
        }
    }

    /// Returns the charge. A received payment decides its status, whatever the page's own status is.
    pub(in crate::stripe) fn to_charge(&self) -> Result<GatewayCharge, GatewayError> {
        let payment = self.intent().and_then(Intent::payment);
        let theirs = self.status.as_deref().unwrap_or_default();
        let status = match (&payment, status(theirs, &self.payment_status)) {
            (Some(_), _) => GatewayStatus::Paid,
            (None, Some(status)) => status,
            (None, None) => {
                return Err(unreadable("the session has a status that is not known"));
            }
        };
        Ok(GatewayCharge {
            id: self.id.clone(),
            reference: self.reference().map(ToOwned::to_owned),
            status,
            amount: self.amount_total.unwrap_or_default(),
            next_action: self.page().filter(|_| status.is_payable()),
            payments: payment.into_iter().collect(),
            customer: None,
            refunds: Vec::new(),
            disputes: Vec::new(),
        })
    }

    fn page(&self) -> Option<NextAction> {
        Some(NextAction::Redirect {
            url: self.url.clone()?,
            expires_at: instant(self.expires_at)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_a_session_has_ours() {
        use GatewayStatus::{Expired, Paid, Pending};
        for (theirs, payment, ours) in [
            ("open", "unpaid", Some(Pending)),
            ("complete", "paid", Some(Paid)),
            ("complete", "no_payment_required", Some(Paid)),
            ("complete", "unpaid", Some(Pending)),
            ("complete", "something_new", None),
            ("expired", "unpaid", Some(Expired)),
            ("something_new", "unpaid", None),
        ] {
            assert_eq!(status(theirs, payment), ours, "{theirs} {payment}");
        }
    }
}
