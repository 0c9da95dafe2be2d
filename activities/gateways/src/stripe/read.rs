//! Charges as they stand at Stripe now, with all that happened to their money.

use schemas::{Instant, next_action::NextAction, payment_method::Kind};

use super::{Stripe, charge::Charge, intent::Intent, refund::Refund, session::Session};
use crate::{
    ChargeLookup, GatewayCharge, GatewayError, GatewayStatus,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

/// How far before an order's making a search begins, for clocks that differ, in seconds.
const SEARCH_MARGIN_S: i64 = 60;
/// Nearly all orders are sent within this, in seconds: where to look first.
const SEARCH_FIRST_S: i64 = 120;
/// The most pages of a search; a busier account than this cannot be searched in time.
const MAX_PAGES: usize = 10;

impl Stripe {
    /// An intent or a session by its id.
    pub(super) async fn read(
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

    pub(super) async fn intent(
        &self,
        id: &str,
        deadline: Deadline,
    ) -> Result<GatewayCharge, GatewayError> {
        let expand = ["latest_charge.balance_transaction", "latest_charge.refunds"]
            .map(|path| ("expand[]", path.to_owned()));
        let intent: Intent = self
            .get(&["payment_intents", id], &expand, deadline)
            .await?
            .read(Effect::Reads)?;
        let charge = intent.to_charge()?;
        self.with_money(charge, intent.paid_by(), deadline).await
    }

    pub(super) async fn session(
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
            .get(&["checkout", "sessions", id], &expand, deadline)
            .await?
            .read(Effect::Reads)?;
        let charge = session.to_charge()?;
        let paid_by = session.intent().and_then(Intent::paid_by);
        self.with_money(charge, paid_by, deadline).await
    }

    /// Adds refunds and disputes of the money that came.
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

    /// Everything that carries the order's reference. Lists are immediate, searches are not.
    pub(super) async fn search(
        &self,
        order: &ChargeLookup,
    ) -> Result<Vec<GatewayCharge>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        let made = order.created_at.timestamp();
        let at_first = [
            ("created[gte]", (made - SEARCH_MARGIN_S).to_string()),
            ("created[lte]", (made + SEARCH_FIRST_S).to_string()),
        ];
        let mut ids = self.named(order, &at_first, deadline).await?;
        if ids.is_empty() {
            let later = [("created[gt]", (made + SEARCH_FIRST_S).to_string())];
            ids = self.named(order, &later, deadline).await?;
        }
        let mut found = Vec::new();
        for id in ids {
            found.push(within(order.expires_at, self.read(&id, deadline).await?));
        }
        Ok(found)
    }

    /// The ids of what was made in that time under the order's reference.
    async fn named(
        &self,
        order: &ChargeLookup,
        query: &[(&str, String)],
        deadline: Deadline,
    ) -> Result<Vec<String>, GatewayError> {
        let ours = |reference: Option<&str>| reference == Some(order.reference.as_str());
        if order.method.kind() == Kind::Card {
            let listed: Vec<Session> = self
                .list(&["checkout", "sessions"], query, (MAX_PAGES, deadline))
                .await?;
            let listed = listed.into_iter().filter(|it| ours(it.reference()));
            Ok(listed.map(|session| session.id).collect())
        } else {
            let listed: Vec<Intent> = self
                .list(&["payment_intents"], query, (MAX_PAGES, deadline))
                .await?;
            let listed = listed.into_iter().filter(|it| ours(it.reference()));
            Ok(listed.map(|intent| intent.id).collect())
        }
    }
}

/// The same; a page that Stripe leaves open for longer than the order lives ends with the order, by us.
pub(super) fn within(order_ends_at: Instant, mut charge: GatewayCharge) -> GatewayCharge {
    if let Some(NextAction::Redirect { expires_at, .. }) = &mut charge.next_action {
        *expires_at = order_ends_at.min(*expires_at);
    }
    charge
}

/// Sessions and intents are told apart by their ids.
pub(super) fn is_session(id: &str) -> bool {
    id.starts_with("cs_")
}
