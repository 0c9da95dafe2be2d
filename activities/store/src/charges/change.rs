//! Changes of a locked charge in memory. The state tables decide which take effect.

use chrono::{DateTime, Utc};
use schemas::{
    attempt::{AttemptState, ErrorClass},
    charge::{Charge, ChargeFailure, ChargeGateway, ChargeStatus, Currency},
    event::{EventSubjectKind, EventType},
    id::{AttemptId, ChargeId, MerchantId},
    message::{ChargeMoved, CloudEvent, Position, Topic},
    next_action::NextAction,
    payer::Payer,
};
use serde::Serialize;

use super::{
    LockedCharge,
    view::{mismatch, open_payer, refundable},
};
use crate::{
    StoreError,
    attempts::{AttemptOutcome, AttemptRow, NEVER_SENT, NewAttempt, request},
    error::to_json,
    events::{self, NewEvent},
    outbox::NewMessage,
    payers,
    payments::PaymentRow,
    vault::{DataKey, VaultError},
};

impl LockedCharge {
    /// Moves the charge to `next` if the table allows it, and adds the event and the message. Returns false if the table does not allow it.
    pub fn transition(
        &mut self,
        next: ChargeStatus,
        failure: Option<&ChargeFailure>,
    ) -> Result<bool, StoreError> {
        let Some(from) = self.set_status(next, failure) else {
            return Ok(false);
        };
        // No second `charge.paid` after a won dispute or a failed refund: their own events report it, and merchants ship on `charge.paid`.
        let is_known = matches!(from, ChargeStatus::Refunded | ChargeStatus::Disputed)
            && next == ChargeStatus::Paid;
        if let Some(kind) = EventType::of_charge(next)
            && !is_known
        {
            self.append_event(kind)?;
        }
        Ok(true)
    }

    /// Moves the charge to `next` if the table allows it, without an event: the caller adds a more specific one. Returns the previous status.
    pub fn set_status(
        &mut self,
        next: ChargeStatus,
        failure: Option<&ChargeFailure>,
    ) -> Option<ChargeStatus> {
        if !self.status.may_become(next) {
            return None;
        }
        let now = Some(self.now);
        match next {
            ChargeStatus::Paid => self.paid_at = self.paid_at.or(now),
            ChargeStatus::Expired => self.expired_at = now,
            ChargeStatus::Canceled => self.canceled_at = now,
            ChargeStatus::Failed => {
                self.failed_at = now;
                self.failure = failure.cloned();
            }
            _ => {}
        }
        let from = std::mem::replace(&mut self.status, next);
        // Transactions that notify queue at commit for one lock of the whole database: only a create and a cancel have waiting callers.
        self.pending.is_awaited |=
            from == ChargeStatus::Processing || self.cancel_requested_at.is_some();
        Some(from)
    }

    /// Adds an event with the charge as it is now, and its message.
    pub fn append_event(&mut self, kind: EventType) -> Result<(), StoreError> {
        self.append(kind, None)
    }

    /// Records that an order was paid twice: the event names the other charge of the same reference.
    pub fn append_duplicate_event(&mut self, other: ChargeId) -> Result<(), StoreError> {
        self.append(EventType::ChargeDuplicatePayment, Some(other))
    }

    fn append(&mut self, kind: EventType, other: Option<ChargeId>) -> Result<(), StoreError> {
        self.event_sequence += 1;
        let shown = self.shown()?;
        let mut data = events::masked(&shown);
        if let Some(other) = other {
            data["duplicate_of"] = to_json(&other);
        }
        let id = crate::new_id();
        self.add_event(NewEvent {
            id,
            merchant: self.merchant,
            mode: self.mode,
            kind,
            subject: EventSubjectKind::Charge,
            subject_id: self.id.uuid(),
            sequence: self.event_sequence,
            data,
        });
        let position = Position {
            time: self.now,
            mode: self.mode,
            sequence: self.event_sequence,
        };
        let message = CloudEvent::new(
            schemas::id::EventId(id).to_string(),
            kind.as_ref(),
            self.id.to_string(),
            position,
            moved(&shown, self.merchant, kind),
        );
        self.publish(Topic::ChargeEvents, &message);
        Ok(())
    }

    /// Adds an event of a row that this charge's lock protects.
    pub(crate) fn add_event(&mut self, event: NewEvent) {
        self.pending.events.push(event);
    }

    /// Adds a message whose key is its subject.
    pub fn publish<T: Serialize>(&mut self, topic: Topic, message: &CloudEvent<T>) {
        self.pending.messages.push(NewMessage::new(topic, message));
    }

    /// Schedules the next check; `None` if nothing more is expected. `checks` is the number of checks so far.
    pub fn set_next_check(&mut self, at: Option<DateTime<Utc>>, checks: i32) {
        self.next_check_at = at;
        self.checks = checks;
    }

    /// Returns the attempt with that id.
    pub fn attempt(&self, id: AttemptId) -> Option<&AttemptRow> {
        self.attempts.iter().find(|row| row.id == id)
    }

    /// Returns the attempt with that id, to change it.
    pub fn attempt_mut(&mut self, id: AttemptId) -> Option<&mut AttemptRow> {
        self.attempts.iter_mut().find(|row| row.id == id)
    }

    /// Returns true if an attempt is in that state.
    pub fn has_attempt_in(&self, state: AttemptState) -> bool {
        self.attempts.iter().any(|row| row.state == state)
    }

    /// Adds an open attempt.
    pub fn open_attempt(&mut self, new: NewAttempt) {
        self.attempts.push(new.row());
        self.pending.opened.push(new);
    }

    /// Closes an open attempt with the outcome of its call.
    pub fn close_attempt(&mut self, id: AttemptId, outcome: &AttemptOutcome, duration_ms: i64) {
        let now = self.now;
        let Some(row) = self.attempt_mut(id) else {
            return;
        };
        row.state = outcome.state;
        let error = outcome.error.as_ref();
        row.error_class = error.map(|error| error.class);
        row.error_code = error.map(|error| error.code.clone());
        row.error_message = error.map(|error| error.message.clone());
        row.next_check_at = outcome.next_check_at;
        row.ended_at = Some(now);
        row.answered_at = row.answered_at.or(Some(now));
        row.duration_ms = Some(duration_ms);
        row.end_lease();
        self.show(id, outcome);
    }

    /// Closes an open attempt of which nothing was sent. It is no try, and no signal about its gateway.
    pub fn close_unsent(&mut self, id: AttemptId) {
        let now = self.now;
        let Some(row) = self.attempt_mut(id) else {
            return;
        };
        row.state = AttemptState::NotCreated;
        row.error_class = Some(ErrorClass::NotCreated);
        row.error_code = Some(NEVER_SENT.to_owned());
        row.error_message = Some("nothing was sent to the gateway".to_owned());
        row.next_check_at = None;
        row.ended_at = Some(now);
        row.end_lease();
    }

    /// Schedules the next check of an attempt. `searched` is true if the gateway answered a search just now.
    pub fn check_attempt(&mut self, id: AttemptId, at: Option<DateTime<Utc>>, searched: bool) {
        let now = self.now;
        if let Some(row) = self.attempt_mut(id) {
            row.check_at(at);
            row.searched_at = if searched { Some(now) } else { row.searched_at };
        }
    }

    /// Moves an attempt if the transition table allows it. Returns false if it does not.
    pub fn move_attempt(&mut self, id: AttemptId, outcome: &AttemptOutcome) -> bool {
        let now = self.now;
        let Some(row) = self.attempt_mut(id) else {
            return false;
        };
        if !row.state.may_become(outcome.state) {
            return false;
        }
        row.state = outcome.state;
        row.next_check_at = outcome.next_check_at;
        row.checks = 0;
        row.voiding &= outcome.state == AttemptState::Abandoned;
        row.ended_at = row.ended_at.or(Some(now));
        self.show(id, outcome);
        true
    }

    fn show(&mut self, id: AttemptId, outcome: &AttemptOutcome) {
        let is_erased = self.payer_key.is_none();
        let Some(row) = self.attempt_mut(id) else {
            return;
        };
        if outcome.gateway_charge_id.is_some() {
            row.gateway_charge_id.clone_from(&outcome.gateway_charge_id);
        }
        // an erased payer's link or code is not written again
        if outcome.next_action.is_some() && !is_erased {
            row.next_action.clone_from(&outcome.next_action);
        }
    }

    /// Adds the data of a late answer to an attempt without changing its state.
    pub fn fill_in(
        &mut self,
        id: AttemptId,
        gateway_charge_id: &str,
        next_action: Option<&NextAction>,
    ) {
        let is_erased = self.payer_key.is_none();
        let Some(row) = self.attempt_mut(id) else {
            return;
        };
        row.gateway_charge_id
            .get_or_insert_with(|| gateway_charge_id.to_owned());
        if row.next_action.is_none() && !is_erased {
            row.next_action = next_action.cloned();
        }
    }

    /// Returns the payer, or `None` once it is erased.
    pub fn open_payer(&self) -> Result<Option<Payer>, StoreError> {
        match self.payer_data_key()? {
            Some(key) => open_payer(&key, self.merchant, self.id, &self.payer_sealed).map(Some),
            None => Ok(None),
        }
    }

    /// Seals the order of an attempt under the payer's key. Fails with [`VaultError::Erased`] if the payer was erased.
    pub fn seal_request(&self, attempt: AttemptId, order: &[u8]) -> Result<Vec<u8>, StoreError> {
        let key = self.payer_data_key()?.ok_or(VaultError::Erased)?;
        let place = request::request_context(self.merchant.uuid(), attempt.uuid());
        Ok(key.seal(&place, order))
    }

    fn payer_data_key(&self) -> Result<Option<DataKey>, StoreError> {
        let place = payers::key_place(self.merchant.uuid(), self.payer.uuid());
        let key = self.payer_key.as_ref();
        let key = key.map(|wrapped| self.merchant_key.unwrap(&place, wrapped));
        Ok(key.transpose()?)
    }

    /// Returns the charge as the API returns it.
    pub fn shown(&self) -> Result<Charge, StoreError> {
        let by = self.attempts.iter().filter(|row| {
            matches!(
                row.state,
                AttemptState::Presented | AttemptState::Paid | AttemptState::Voided
            )
        });
        let by = by.max_by_key(|row| {
            let is_paid = row.state == AttemptState::Paid;
            (is_paid, row.state == AttemptState::Presented, row.n)
        });
        Ok(Charge {
            id: self.id,
            mode: self.mode,
            status: self.status,
            amount: self.amount,
            currency: Currency::BRL,
            amount_paid: self.amount_paid,
            amount_mismatch: mismatch(self.amount, self.amount_paid),
            amount_refunded: self.amount_refunded,
            amount_disputed: self.amount_disputed,
            amount_refundable: refundable(
                self.amount_paid,
                self.amount_refunded + self.amount_refund_pending + self.amount_disputed,
            ),
            reference: self.reference.clone(),
            description: self.description.clone(),
            payer: self.open_payer()?,
            payment_method: self.payment_method.clone(),
            gateway: by.map(|row| ChargeGateway {
                kind: row.gateway,
                connection: row.connection,
            }),
            next_action: by
                .filter(|_| self.status.is_payable())
                .and_then(|row| row.next_action.clone()),
            hosted_url: None,
            expires_at: self.expires_at,
            payments: self.payments.iter().map(PaymentRow::shown).collect(),
            failure: self.failure.clone(),
            fallbacks: self.fallbacks.clone(),
            unresolved_attempt: self.has_attempt_in(AttemptState::Abandoned),
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            paid_at: self.paid_at,
            expired_at: self.expired_at,
            canceled_at: self.canceled_at,
            failed_at: self.failed_at,
        })
    }
}

fn moved(shown: &Charge, merchant: MerchantId, event: EventType) -> ChargeMoved {
    let gateway = shown.gateway.as_ref();
    ChargeMoved {
        merchant,
        charge: shown.id,
        event,
        amount: shown.amount,
        amount_paid: shown.amount_paid,
        method: shown.method(),
        connection: gateway.map(|g| g.connection),
        gateway: gateway.map(|g| g.kind),
    }
}
