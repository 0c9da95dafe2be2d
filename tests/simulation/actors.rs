//! Actions of merchants, payers and gateways: the API's part without HTTP.

use activities::{
    Activities, Subject,
    charge::{Acceptance, ChargeToAccept},
};
use chrono::{DateTime, Utc};
use gateways::Received;
use schemas::{
    charge::{ChargeStatus, CreateCharge},
    gateway::Mode,
    id::{ChargeId, ConnectionId, MerchantId, RefundId},
    refund::{RefundOrigin, RefundStatus},
};
use secrecy::SecretString;
use simulators::Outgoing;
use store::{
    StoreError, charges, connections::addresses, notifications::NotificationSource, payments,
    refunds,
};
use url::Url;

/// Request of a merchant for a charge.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub merchant: MerchantId,
    pub key: String,
    pub request: CreateCharge,
}

/// Result of a request for a charge or a refund.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// The charge was created and must be presented.
    Charge(ChargeId),
    /// Nothing was stored, or there is nothing to do, for this reason.
    Nothing(#[expect(dead_code, reason = "for the trace, which prints it")] String),
}

/// Runs `POST /v1/charges` up to the start of the charge's workflow.
pub(super) async fn create_charge(acts: &Activities, order: &Order) -> Result<Asked, StoreError> {
    let (merchant, request) = (order.merchant, &order.request);
    let mut db = acts.store.pool.acquire().await?;
    let settings = store::merchants::find(&mut db, merchant)
        .await?
        .map(|(_, settings)| settings)
        .unwrap_or_default();
    drop(db);
    let canonical =
        serde_json::to_vec(request).map_err(|why| StoreError::corrupt("request", why))?;
    let wanted = ChargeToAccept {
        merchant,
        mode: Mode::Test,
        settings: &settings,
        may_create: true,
        key: &order.key,
        request,
        canonical: &canonical,
    };
    let charge = match Box::pin(acts.accept_charge(wanted)).await? {
        Acceptance::New(id) | Acceptance::Replayed(id) | Acceptance::Open(id) => id,
        refused => return Ok(Asked::Nothing(format!("{refused:?}"))),
    };
    // a border between the commit and the start of the workflow
    let mut db = acts.store.pool.acquire().await?;
    let statuses = charges::statuses(&mut db, &[charge.uuid()]).await?;
    Ok(match statuses.first() {
        Some((_, ChargeStatus::Processing)) => Asked::Charge(charge),
        other => Asked::Nothing(format!("it is {other:?} already")),
    })
}

/// Runs `POST /v1/charges/{id}/cancel`.
pub(super) async fn cancel_charge(
    acts: &Activities,
    (merchant, charge): (MerchantId, ChargeId),
) -> Result<bool, StoreError> {
    let mut db = acts.store.pool.acquire().await?;
    let asked = charges::request_cancel(&mut db, merchant, Mode::Test, charge).await?;
    drop(db);
    if asked {
        acts.wake_charge(merchant, charge).await;
    }
    Ok(asked)
}

/// Runs `POST /v1/refunds` for a part of the remaining amount, or for all of it.
pub(super) async fn refund_charge(
    acts: &Activities,
    id: ChargeId,
    whole: bool,
) -> Result<Option<RefundId>, StoreError> {
    let mut tx = acts.store.begin().await?;
    let Some(mut charge) = charges::lock(&mut tx, &acts.store, id).await? else {
        return Ok(None);
    };
    let given = refunds::of_charge(&mut tx, id).await?;
    let left_of = |payment: &payments::PaymentRow| {
        let standing = given
            .iter()
            .filter(|row| row.payment == payment.id && row.status != RefundStatus::Failed);
        payment.amount - standing.map(|row| row.amount).sum::<i64>()
    };
    let payment = charge.payments.iter().find(|payment| left_of(payment) > 0);
    let Some(payment) = payment.cloned() else {
        return Ok(None);
    };
    let of_charge = charge.amount_paid
        - charge.amount_refunded
        - charge.amount_refund_pending
        - charge.amount_disputed;
    let left = left_of(&payment).min(of_charge);
    let amount = if whole { left } else { left / 2 };
    let gateway = acts.clients.open(&mut tx, payment.connection).await?;
    if amount <= 0 || gateway.capabilities(payment.method).refundable().is_err() {
        return Ok(None);
    }
    charge.amount_refund_pending += amount;
    let new = refunds::NewRefund {
        id: RefundId(store::new_id()),
        merchant: charge.merchant,
        mode: charge.mode,
        charge: id,
        payment: payment.id,
        connection: payment.connection,
        gateway: payment.gateway,
        status: RefundStatus::Pending,
        origin: RefundOrigin::Merchant,
        amount,
        reason: None,
        metadata: &schemas::charge::Metadata::default(),
        gateway_refund_id: None,
        next_check_at: Some(charge.now),
    };
    refunds::insert(&mut tx, &new).await?;
    let Some(mut row) = refunds::find(&mut tx, new.id).await? else {
        return Ok(None);
    };
    refunds::append_event(&mut tx, &mut charge, &mut row).await?;
    let due = charges::save(&mut tx, &mut charge).await?;
    tx.commit().await?;
    acts.starter.start_deliveries(due);
    acts.wake_or_leave(Subject::refund(charge.merchant, id, new.id))
        .await;
    Ok(Some(new.id))
}

/// Runs `POST /notifications/{connection}/{secret}`. Returns true if the notification was accepted.
pub(super) async fn notified(
    acts: &Activities,
    sent: &Outgoing,
    at: DateTime<Utc>,
) -> Result<Option<ConnectionId>, StoreError> {
    let Some((id, secret)) = address(&sent.url) else {
        return Ok(None);
    };
    let mut db = acts.store.pool.acquire().await?;
    let found = addresses::by_path_secret(&mut db, &acts.store, id, &secret).await?;
    drop(db);
    let Some(found) = found else { return Ok(None) };
    let (gateway, known) = acts.notification_reader(&found).await?;
    let from = found.connection;
    let received = Received {
        headers: sent.headers.clone(),
        body: sent.body.clone().into_bytes(),
        at,
    };
    if gateway.verify(&received, &known).is_err() {
        if acts.unproved(&from).await? {
            acts.register_again(&from).await?;
        }
        return Ok(None);
    }
    let read = gateway.parse(&received.body);
    if let Some(entry) = read.unreadable.first() {
        let why = entry.why.clone();
        return Err(StoreError::corrupt("a simulator's notification", why));
    }
    if read.notices.is_empty() {
        return Ok(Some(id));
    }
    let reported = acts
        .ingest(&from, NotificationSource::Received(&received.body), read)
        .await?;
    for charge in reported.charges {
        acts.wake_charge(from.merchant, charge).await;
    }
    if reported.has_tokens {
        acts.fetch_tokens_soon(from.id).await?;
    }
    Ok(Some(id))
}

/// Returns the connection and the secret of a notification address.
fn address(url: &str) -> Option<(ConnectionId, SecretString)> {
    let url: Url = url.parse().ok()?;
    let mut parts = url
        .path_segments()?
        .skip_while(|part| *part != "notifications");
    parts.next()?;
    let id = parts.next()?.parse().ok()?;
    Some((id, SecretString::from(parts.next()?.to_owned())))
}
