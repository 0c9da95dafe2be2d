//! Current state of charges at Stripe, with all their payments, refunds and disputes.

use schemas::{Instant, next_action::NextAction};

use crate::stripe::{
    Stripe, refunds::Refund, responses::Intent, responses::payment::Charge,
    responses::session::Session,
};
use crate::{
    GatewayCharge, GatewayError, GatewayStatus,
    http::{Deadline, Effect},
};

impl Stripe {
    /// Fetches an intent or a session by its id.
    pub(in crate::stripe) async fn read(
        &self,
        id: &str,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        if is_session(id) {
            self.session(id, deadline).await
        } else {
            self.intent(id, deadline).await
        }
    }

    pub(in crate::stripe) async fn intent(
        &self,
        id: &str,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let expand = ["latest_charge.balance_transaction", "latest_charge.refunds"]
            .map(|path| ("expand[]", path.to_owned()));
        let intent: Intent = self
            .api
            .get(&["payment_intents", id], &expand, deadline)
            .await?
            .read(Effect::Reads)?;
        let charge = intent.to_charge()?;
        self.with_money(charge, intent.paid_by(), deadline).await
    }

    pub(in crate::stripe) async fn session(
        &self,
        id: &str,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let expand = [
            "payment_intent.latest_charge.balance_transaction",
            "payment_intent.latest_charge.refunds",
        ]
        .map(|path| ("expand[]", path.to_owned()));
        let session: Session = self
            .api
            .get(&["checkout", "sessions", id], &expand, deadline)
            .await?
            .read(Effect::Reads)?;
        let charge = session.to_charge()?;
        let paid_by = session.intent().and_then(Intent::paid_by);
        self.with_money(charge, paid_by, deadline).await
    }

    /// Adds the refunds and disputes of the payment.
    async fn with_money(
        &self,
        mut charge: GatewayCharge,
        paid_by: Option<&Charge>,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let Some(paid_by) = paid_by else {
            return Ok(charge);
        };
        charge.refunds = if paid_by.has_more_refunds() {
            let listed = self.refunds_of(&paid_by.id, deadline).await?;
            listed.iter().filter_map(Refund::to_refund).collect()
        } else {
            paid_by.refunds_inside()
        };
        charge.disputes = self.disputes_of(paid_by, deadline).await?;
        let claimed = charge.disputes.iter().any(|it| it.status.holds_money());
        charge.status = match (claimed, paid_by.refunded) {
            (true, _) => GatewayStatus::Disputed,
            (false, true) => GatewayStatus::Refunded,
            (false, false) => GatewayStatus::Paid,
        };
        Ok(charge)
    }
}

/// Returns the charge with the order's end, if that is earlier than the page's: we close a page that Stripe would leave open longer.
pub(in crate::stripe) fn within(
    order_ends_at: Instant,
    mut charge: GatewayCharge,
) -> GatewayCharge {
    if let Some(NextAction::Redirect { expires_at, .. }) = &mut charge.next_action {
        *expires_at = order_ends_at.min(*expires_at);
    }
    charge
}

/// Returns true if the id is of a session, not of an intent.
pub(in crate::stripe) fn is_session(id: &str) -> bool {
    id.starts_with("cs_")
}
