//! Plans the next attempt and inserts its row before the first byte is sent.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeRequest, Gateway, outside};
use schemas::{
    attempt::AttemptState,
    breaker::BreakerState,
    charge::ChargeFailure,
    connection,
    gateway::GatewayApi,
    id::AttemptId,
    merchant::OnUnknown,
    payment_method::PaymentMethodKind,
    retry::jitter,
    route::{self, RoutePlan, RouteReason},
};
use secrecy::ExposeSecret;
use store::{PgConnection, StoreError, attempts, breakers, charges, connections};

use super::{
    failure::no_gateway,
    open::{AttemptCall, CallSlot},
    rounds::{Round, forget_tries, next_round},
};
use crate::{Activities, connection::address, delta, until};

/// Pause before a charge plans again if only an orphan is unresolved.
const RESOLVING: Duration = Duration::from_mins(1);
/// Number of times a charge plans again within one transaction after other charges claimed the probes.
const PLANS: u32 = 3;
/// Time that a charge without another route waits for the result of another charge's probe.
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// Interval between checks of that probe.
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// Interval between two attempts of last resort at one connection.
const LAST_RESORT_SPACING: Duration = Duration::from_millis(50);

/// Next action for a charge without an open attempt.
pub(super) enum Decision {
    Call(Box<AttemptCall>),
    /// The shares of all its routes are used up.
    Queue(GatewayApi),
    Wait(Duration),
    Fail(ChargeFailure),
}

/// Routed connections, opened, with the data that decides which of them can take the charge.
struct Routed {
    version: i32,
    connections: Vec<breakers::BreakerCandidate>,
    gateways: Vec<Arc<dyn Gateway>>,
    candidates: Vec<route::RouteCandidate>,
}

/// Result of opening an attempt along a plan.
enum Opened {
    Call(Box<AttemptCall>),
    Full(GatewayApi),
    /// Other charges claimed the probes.
    Lost,
}

impl Activities {
    pub(super) async fn plan_attempt(
        &self,
        db: &mut PgConnection,
        charge: &charges::LockedCharge,
        earlier: &[attempts::AttemptRow],
        call_slot: &mut Option<CallSlot>,
    ) -> Result<Decision, StoreError> {
        if let Some(pause) = self.held(charge, earlier) {
            return Ok(Decision::Wait(pause));
        }
        let order = self.order(db, charge).await?;
        for _ in 0..PLANS {
            let mut routed = self.routed(db, charge, &order, earlier).await?;
            let plan = match self.plan(charge, earlier, &mut routed) {
                Ok(plan) => plan,
                Err(decision) => return Ok(decision),
            };
            if let Some(pause) = self
                .last_resort(db, charge, earlier, (&routed, &plan))
                .await?
            {
                return Ok(Decision::Wait(pause));
            }
            let opened = self.open_first(db, charge, (&routed, &plan, &order), call_slot);
            match opened.await? {
                Opened::Call(mut call) => {
                    call.n = earlier.last().map_or(1, |a| a.n + 1);
                    let call = self.insert(db, charge, &routed, (*call, &plan)).await?;
                    return Ok(Decision::Call(Box::new(call)));
                }
                Opened::Full(api) => return Ok(Decision::Queue(api)),
                Opened::Lost => {}
            }
        }
        Ok(Decision::Wait(PROBE_AGAIN))
    }

    /// Returns the plan for the next attempt, or the decision if there is no step to take.
    fn plan(
        &self,
        charge: &charges::LockedCharge,
        earlier: &[attempts::AttemptRow],
        routed: &mut Routed,
    ) -> Result<RoutePlan, Decision> {
        let mut plan = route::plan(&routed.candidates, charge.now);
        if plan.steps.is_empty() {
            match next_round(charge, earlier, self.timing.rounds) {
                Round::Now => {
                    forget_tries(&mut routed.candidates, earlier);
                    plan = route::plan(&routed.candidates, charge.now);
                }
                Round::After(pause) => return Err(Decision::Wait(pause)),
                Round::Never => {}
            }
        }
        if !plan.steps.is_empty() {
            return Ok(plan);
        }
        if earlier.iter().any(|a| a.state == AttemptState::Abandoned) {
            return Err(Decision::Wait(RESOLVING));
        }
        Err(Decision::Fail(no_gateway(&routed.candidates, earlier)))
    }

    /// Limits attempts at a connection whose breakers are all open. They wait for the result of a probe in progress, and are spaced.
    /// Returns the time to wait.
    async fn last_resort(
        &self,
        db: &mut PgConnection,
        charge: &charges::LockedCharge,
        earlier: &[attempts::AttemptRow],
        (routed, plan): (&Routed, &RoutePlan),
    ) -> Result<Option<Duration>, StoreError> {
        let Some(step) = plan
            .steps
            .first()
            .filter(|s| s.reason == RouteReason::LastResort)
        else {
            return Ok(None);
        };
        let Some(found) = routed.of(step.connection) else {
            return Ok(None);
        };
        let since = earlier.iter().filter_map(|a| a.ended_at).max();
        let waited = until(charge.now, since.unwrap_or(charge.created_at));
        let probe = found.breaker.probe.filter(|probe| probe.until > charge.now);
        let probing = found.breaker.state == BreakerState::HalfOpen && probe.is_some();
        if probing && waited < PROBE_WITHIN {
            return Ok(Some(PROBE_AGAIN));
        }
        let spacing = delta(LAST_RESORT_SPACING);
        let mine = breakers::claim_last_resort(db, found.connection, found.api, spacing).await?;
        Ok((!mine).then(|| PROBE_AGAIN + jitter(store::new_id(), PROBE_AGAIN)))
    }

    /// Loads and opens the routed connections, with the data that decides which of them can take the charge.
    async fn routed(
        &self,
        db: &mut PgConnection,
        charge: &charges::LockedCharge,
        order: &ChargeRequest,
        earlier: &[attempts::AttemptRow],
    ) -> Result<Routed, StoreError> {
        let (version, connections) = breakers::candidates(
            db,
            charge.merchant,
            charge.mode,
            charge.method,
            gateways::api,
        )
        .await?;
        let mut gateways = Vec::with_capacity(connections.len());
        let mut candidates = Vec::with_capacity(connections.len());
        for found in &connections {
            let gateway = self
                .clients
                .open_version(db, found.connection, found.credential_version)
                .await?;
            candidates.push(route::RouteCandidate {
                connection: found.connection,
                gateway: found.gateway,
                status_active: found.status == connection::ConnectionStatus::Active,
                breaker: found.breaker.clone(),
                unmet: (gateway.descriptor().unmet)(order),
                tried: earlier.iter().any(|a| a.connection == found.connection),
            });
            gateways.push(gateway);
        }
        Ok(Routed {
            version,
            connections,
            gateways,
            candidates,
        })
    }

    /// Returns the time that the next attempt must wait while the outcome of an earlier one is unknown.
    fn held(
        &self,
        charge: &charges::LockedCharge,
        earlier: &[attempts::AttemptRow],
    ) -> Option<Duration> {
        let abandoned = earlier
            .iter()
            .filter(|a| a.state == AttemptState::Abandoned);
        let last = abandoned.map(|a| a.started_at).max()?;
        let wanted = charge.settings.on_unknown.get(&charge.method);
        if wanted == Some(&OnUnknown::Hold) {
            return Some(RESOLVING);
        }
        // the payer may see the boleto in their own bank (DDA) before it is canceled
        let free_at = last + delta(self.timing.hold_boleto);
        let waits =
            charge.method == PaymentMethodKind::Boleto && wanted.is_none() && charge.now < free_at;
        waits.then(|| until(free_at, charge.now))
    }

    /// Returns a call for the first step of the plan with a free slot, and with the probe's lease if the step is a probe.
    async fn open_first(
        &self,
        db: &mut PgConnection,
        charge: &charges::LockedCharge,
        (routed, plan, order): (&Routed, &RoutePlan, &ChargeRequest),
        call_slot: &mut Option<CallSlot>,
    ) -> Result<Opened, StoreError> {
        let mut full = None;
        for (index, step) in plan.steps.iter().enumerate() {
            let Some(at) = routed.position(step.connection) else {
                continue;
            };
            let found = &routed.connections[at];
            let held = call_slot.take_if(|(api, _)| *api == found.api);
            let Some(slot) = self.call_slot(held, found.api, charge.merchant) else {
                full = full.or(Some(found.api));
                continue;
            };
            let last = index + 1 == plan.steps.len();
            let within = if last {
                self.timing.last_call
            } else {
                self.timing.call
            };
            let attempt = AttemptId(store::new_id());
            let lease = self.lease(charge.now, within);
            if step.reason == RouteReason::Probe {
                let mut locked = breakers::lock(db, found.connection, found.api).await?;
                let until = lease.deadline_at;
                let transition = locked.breaker.lease(attempt, until, locked.now);
                let mine = locked
                    .breaker
                    .probe
                    .is_some_and(|probe| probe.attempt == attempt);
                if !mine {
                    continue;
                }
                breakers::save(db, &mut locked, transition).await?;
            }
            return Ok(Opened::Call(Box::new(AttemptCall {
                charge: charge.id,
                api: found.api,
                attempt,
                n: 1,
                connection: step.connection,
                reason: step.reason,
                lease_owner: lease.lease_owner,
                gateway: routed.gateways[at].clone(),
                order: order.clone(),
                within,
                taken_over: None,
                leased: outside::instant(),
                _slot: slot,
            })));
        }
        Ok(full.map_or(Opened::Lost, Opened::Full))
    }

    /// Inserts the attempt with its sealed order, before a byte of the order is sent.
    async fn insert(
        &self,
        db: &mut PgConnection,
        charge: &charges::LockedCharge,
        routed: &Routed,
        (mut call, plan): (AttemptCall, &RoutePlan),
    ) -> Result<AttemptCall, StoreError> {
        let lost = || StoreError::corrupt("routing_policies", "a planned connection is gone");
        let found = routed.of(call.connection).ok_or_else(lost)?;
        call.order.reference = call.attempt.reference();
        call.order.customer = charges::payer_at(db, charge.payer, found.connection).await?;
        if gateways::descriptor(found.gateway)
            .capabilities(charge.method)
            .notified_per_charge
        {
            let secret =
                connections::addresses::path_secret(db, &self.store, found.connection).await?;
            let base = &self.clients.notifications;
            let ours = address(base, found.connection, secret.expose_secret());
            call.order.notification_url = Some(ours);
        }
        let plain =
            serde_json::to_vec(&call.order).map_err(|why| StoreError::corrupt("order", why))?;
        let payer = (charge.merchant, charge.payer);
        let request_sealed =
            attempts::request::seal(db, &self.store, payer, (call.attempt, &plain)).await?;
        let mut lease = self.lease(charge.now, call.within);
        lease.lease_owner = call.lease_owner;
        let new = attempts::NewAttempt {
            id: call.attempt,
            merchant: charge.merchant,
            mode: charge.mode,
            charge: charge.id,
            n: call.n,
            connection: found.connection,
            gateway: found.gateway,
            api: found.api,
            reason: call.reason,
            plan: serde_json::to_value(plan).unwrap_or_default(),
            policy_version: routed.version,
            lease,
            request_sealed,
            started_at: charge.now,
        };
        attempts::insert(db, &new).await?;
        Ok(call)
    }

    /// Returns the order for any gateway; reference and customer are filled in once one is chosen.
    async fn order(
        &self,
        db: &mut PgConnection,
        charge: &charges::LockedCharge,
    ) -> Result<ChargeRequest, StoreError> {
        Ok(ChargeRequest {
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
}

impl Routed {
    fn position(&self, connection: schemas::id::ConnectionId) -> Option<usize> {
        self.connections
            .iter()
            .position(|found| found.connection == connection)
    }

    fn of(&self, connection: schemas::id::ConnectionId) -> Option<&breakers::BreakerCandidate> {
        self.connections
            .iter()
            .find(|found| found.connection == connection)
    }
}
