//! Which gateway is tried next, and the row that says so before a byte is sent.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeOrder, Gateway};
use schemas::{
    attempt::{ErrorClass, State},
    charge::{Failure, FailureCode},
    connection,
    gateway::ApiFamily,
    id::AttemptId,
    merchant::OnUnknown,
    payment_method::Kind,
    retry::Backoff,
    route::{self, Reason},
};
use secrecy::ExposeSecret;
use store::{PgConnection, StoreError, attempts, breakers, charges, connections};
use uuid::Uuid;

use super::begin::{Call, SLACK};
use crate::{Activities, Step, connection::address, delta, until};

/// The most attempts of one charge, repeats included.
const MAX_ATTEMPTS: usize = 20;
/// Between rounds of gateways that all definitely failed.
const ROUNDS: Backoff = Backoff {
    initial_ms: 500,
    factor: 2,
    max_ms: 4_000,
};
/// How long a charge whose outcome is being reconciled waits before it looks by itself.
const RECONCILING: Duration = Duration::from_mins(1);

/// What is to be done with a charge that no attempt is open for.
pub(super) enum Chosen {
    Call(Box<Call>),
    Wait(Step),
    Fail(Failure),
}

enum Round {
    Now,
    After(Duration),
    Never,
}

impl Activities {
    pub(super) async fn choose(
        &self,
        db: &mut PgConnection,
        charge: &charges::Locked,
        earlier: &[attempts::Row],
    ) -> Result<Chosen, StoreError> {
        let unsettled = earlier.iter().any(|a| a.state == State::Abandoned);
        if let Some(step) = self.held(charge, earlier) {
            return Ok(Chosen::Wait(step));
        }
        let (version, connections) =
            breakers::candidates(db, charge.merchant, charge.mode, charge.method).await?;
        let order = self.order(db, charge).await?;
        let (gateways, mut candidates) = self.candidates(db, &order, &connections, earlier).await?;
        let mut plan = route::plan(&candidates, charge.now);
        if plan.steps.is_empty() {
            if unsettled {
                return Ok(Chosen::Wait(Step::look_after(RECONCILING)));
            }
            match self.next_round(charge, earlier) {
                Round::Now => {
                    forget_tries(&mut candidates, earlier);
                    plan = route::plan(&candidates, charge.now);
                }
                Round::After(pause) => return Ok(Chosen::Wait(Step::attempt_after(pause))),
                Round::Never => {}
            }
        }
        for (index, step) in plan.steps.iter().enumerate() {
            let at = candidates
                .iter()
                .position(|c| c.connection == step.connection)
                .unwrap_or_default();
            let last = index + 1 == plan.steps.len();
            let within = if last {
                self.timing.last_call
            } else {
                self.timing.call
            };
            let call = Call {
                charge: charge.id,
                merchant: charge.merchant,
                family: connections[at].family,
                attempt: AttemptId(store::new_id()),
                n: earlier.last().map_or(1, |a| a.n + 1),
                connection: step.connection,
                reason: step.reason,
                runner: Uuid::new_v4(),
                gateway: gateways[at].clone(),
                order: order.clone(),
                within,
                search_only: false,
            };
            let explained = serde_json::to_value(&plan).unwrap_or_default();
            if let Some(call) = self
                .insert(db, charge, (&connections[at], version), (call, explained))
                .await?
            {
                return Ok(Chosen::Call(Box::new(call)));
            }
        }
        Ok(Chosen::Fail(no_gateway(&candidates, earlier)))
    }

    /// The routed connections, opened, with all that decides whether each can take the charge.
    async fn candidates(
        &self,
        db: &mut PgConnection,
        order: &ChargeOrder,
        connections: &[breakers::Candidate],
        earlier: &[attempts::Row],
    ) -> Result<(Vec<Arc<dyn Gateway>>, Vec<route::Candidate>), StoreError> {
        let mut gateways = Vec::with_capacity(connections.len());
        let mut candidates = Vec::with_capacity(connections.len());
        for found in connections {
            let gateway = self
                .accounts
                .open_version(db, found.connection, found.credential_version)
                .await?;
            candidates.push(route::Candidate {
                connection: found.connection,
                gateway: found.gateway,
                status_active: found.status == connection::Status::Active,
                breaker: found.breaker.clone(),
                unmet: gateway.accepts(order).err().unwrap_or_default(),
                tried: earlier.iter().any(|a| a.connection == found.connection),
            });
            gateways.push(gateway);
        }
        Ok((gateways, candidates))
    }

    /// While nobody knows what became of an earlier attempt: whether the next one has to wait.
    fn held(&self, charge: &charges::Locked, earlier: &[attempts::Row]) -> Option<Step> {
        let abandoned = earlier.iter().filter(|a| a.state == State::Abandoned);
        let last = abandoned.map(|a| a.started_at).max()?;
        let wanted = charge.settings.on_unknown.get(&charge.method);
        if wanted == Some(&OnUnknown::Hold) {
            return Some(Step::look_after(RECONCILING));
        }
        // the payer may see it in their own bank (DDA) before anybody cancels it
        let free_at = last + delta(self.timing.hold_boleto);
        let waits = charge.method == Kind::Boleto && wanted.is_none() && charge.now < free_at;
        waits.then(|| Step::attempt_after(until(free_at, charge.now)))
    }

    /// Writes the attempt down; `None` if it was to probe a half-open breaker and another one got the probe.
    async fn insert(
        &self,
        db: &mut PgConnection,
        charge: &charges::Locked,
        (found, policy_version): (&breakers::Candidate, i32),
        (mut call, plan): (Call, serde_json::Value),
    ) -> Result<Option<Call>, StoreError> {
        let deadline_at = charge.now + delta(call.within + self.timing.resolve + SLACK);
        if call.reason == Reason::Probe {
            let mut locked = breakers::lock(db, found.connection, found.family).await?;
            let transition = locked.breaker.lease(call.attempt, deadline_at, locked.now);
            if locked
                .breaker
                .probe
                .is_none_or(|probe| probe.attempt != call.attempt)
            {
                return Ok(None);
            }
            breakers::save(db, &mut locked, transition).await?;
        }
        call.order.reference = call.attempt.reference();
        call.order.customer = charges::payer_at(db, charge.payer, found.connection).await?;
        if found.family == ApiFamily::EfiCobrancas {
            let secret =
                connections::addresses::path_secret(db, &self.store, found.connection).await?;
            let base = &self.accounts.notifications;
            let ours = address(base, found.connection, secret.expose_secret());
            call.order.notification_url = Some(ours);
        }
        let plain =
            serde_json::to_vec(&call.order).map_err(|why| StoreError::corrupt("order", why))?;
        let payer = (charge.merchant, charge.payer);
        let order_sealed =
            attempts::order::seal(db, &self.store, payer, (call.attempt, &plain)).await?;
        let new = attempts::New {
            id: call.attempt,
            merchant: charge.merchant,
            mode: charge.mode,
            charge: charge.id,
            n: call.n,
            connection: found.connection,
            gateway: found.gateway,
            family: found.family,
            reason: call.reason,
            plan,
            policy_version,
            runner: call.runner,
            order_sealed,
            started_at: charge.now,
            deadline_at,
        };
        attempts::insert(db, &new).await?;
        Ok(Some(call))
    }

    /// What is asked of any gateway; reference and customer are filled in once one is chosen.
    async fn order(
        &self,
        db: &mut PgConnection,
        charge: &charges::Locked,
    ) -> Result<ChargeOrder, StoreError> {
        Ok(ChargeOrder {
            reference: String::new(),
            amount: charge.amount,
            method: charge.payment_method.clone(),
            created_at: charge.now,
            expires_at: charge.expires_at,
            payer: charges::view::payer(db, &self.store, charge.merchant, charge.id).await?,
            customer: None,
            description: charge.description.clone(),
            notification_url: None,
        })
    }

    /// Every gateway was tried and none has it: whether to go round again, while the caller still waits.
    fn next_round(&self, charge: &charges::Locked, earlier: &[attempts::Row]) -> Round {
        let Some(last) = earlier.last() else {
            return Round::Never;
        };
        let again = earlier.iter().any(may_try_again);
        let gives_up_at = charge.created_at + delta(self.timing.answer_within);
        if !again || earlier.len() >= MAX_ATTEMPTS {
            return Round::Never;
        }
        let round = earlier
            .iter()
            .filter(|a| a.connection == last.connection)
            .count();
        let pause =
            Duration::from_millis(ROUNDS.delay_ms(u32::try_from(round - 1).unwrap_or(u32::MAX)));
        let next_at = last.started_at + delta(pause);
        if next_at >= gives_up_at {
            Round::Never
        } else if charge.now < next_at {
            Round::After(until(next_at, charge.now))
        } else {
            Round::Now
        }
    }
}

/// A definite failure that may have passed; refused credentials have not.
fn may_try_again(attempt: &attempts::Row) -> bool {
    attempt.state == State::NotCreated && attempt.error_class != Some(ErrorClass::Denied)
}

fn forget_tries(candidates: &mut [route::Candidate], earlier: &[attempts::Row]) {
    for candidate in candidates {
        let tries = earlier
            .iter()
            .filter(|a| a.connection == candidate.connection);
        candidate.tried = !tries.clone().all(may_try_again) && tries.count() > 0;
    }
}

fn no_gateway(candidates: &[route::Candidate], earlier: &[attempts::Row]) -> Failure {
    let message = if candidates.is_empty() {
        "no gateway connection is routed for this payment method in this mode: add one".to_owned()
    } else if earlier.is_empty() {
        "no connected gateway can take this charge: see `fallbacks` for what each one lacks"
            .to_owned()
    } else {
        let tried = earlier
            .iter()
            .map(|a| a.gateway.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "every gateway failed (tried, in order: {tried}): see the charge's timeline, and try again with a new charge"
        )
    };
    Failure {
        code: FailureCode::NoGatewayAvailable,
        message,
        retryable: !earlier.is_empty(),
        gateway: None,
    }
}
