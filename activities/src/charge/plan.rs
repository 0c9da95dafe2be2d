//! Plan of the next attempt: the routed connections, and the first of them that can be called now.

use std::{sync::Arc, time::Duration};

use gateways::{ChargeRequest, Gateway, outside};
use schemas::{
    attempt::AttemptState,
    breaker::BreakerState,
    charge::ChargeFailure,
    connection::ConnectionStatus,
    gateway::GatewayApi,
    id::{AttemptId, ConnectionId},
    merchant::OnUnknown,
    payment_method::PaymentMethodKind,
    retry::jitter,
    route::{self, RoutePlan, RouteReason, RouteStep},
};
use secrecy::ExposeSecret;
use store::{
    PgConnection, StoreError,
    attempts::{AttemptLease, AttemptRow, NewAttempt},
    breakers,
    charges::LockedCharge,
    connections,
    routing::{self, RoutedConnection, Routing},
    vault::VaultError,
};

use super::{
    failure::no_gateway,
    open::{AttemptCall, CallSlot},
    rounds::{Round, forget_tries, next_round},
};
use crate::retry::plan::{LAST_RESORT_SPACING, PLANS, PROBE_AGAIN, PROBE_WITHIN, RESOLVING};
use crate::{Activities, connection::address, delta, until};

/// Next action for a charge without an open attempt.
pub(super) enum Decision {
    Call(Box<AttemptCall>),
    /// The shares of all its routes are used up.
    Queue(GatewayApi),
    Wait(Duration),
    Fail(ChargeFailure),
    /// The attempt is open and has no lease: the next step claims it.
    Left,
}

/// Workers that lease an attempt when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leasing {
    /// This worker, which calls the gateway at once.
    Now,
    /// This worker, if creating is idempotent. The call waits in memory: after a crash a leased attempt may have been sent, and elsewhere it
    /// could only be searched for.
    IfRepeatable,
    /// None.
    Never,
}

/// Routes that a transaction may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    All,
    /// Only connections whose breakers are closed. For transactions that hold a breaker's lock, or that must not wait for one: probes and
    /// last resorts are left to the next step.
    Healthy,
}

/// Conditions of a plan.
pub(super) struct Planning {
    pub reach: Reach,
    pub leasing: Leasing,
    /// Slot that the charge queued for.
    pub call_slot: Option<CallSlot>,
}

/// Plan with the connections that it names.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub routed: &'a Routed,
    pub plan: &'a RoutePlan,
}

/// Routed connections, opened, with the data that decides which of them can take the charge.
pub(super) struct Routed {
    version: i32,
    /// True if a connection was left out because it could not be opened.
    pub is_partial: bool,
    options: Vec<RouteOption>,
    pub candidates: Vec<route::RouteCandidate>,
}

/// Routed connection and its gateway.
struct RouteOption {
    routed: RoutedConnection,
    gateway: Arc<dyn Gateway>,
}

/// Result of choosing a step of a plan.
enum Choice {
    Call(Box<AttemptCall>),
    Full(GatewayApi),
    /// Other charges claimed the probes.
    Lost,
}

impl Activities {
    /// Plans the next attempt and opens it.
    pub(super) async fn plan_attempt(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        planning: &mut Planning,
    ) -> Result<Decision, StoreError> {
        let earlier = tries(charge, None);
        if let Some(pause) = self.held(charge, &earlier) {
            return Ok(Decision::Wait(pause));
        }
        let order = order(charge)?;
        for _ in 0..PLANS {
            let found = active(db, charge).await?;
            let mut routed = self.routed(db, found, &order, &earlier).await?;
            let plan = match self.plan(charge, &earlier, &mut routed) {
                Ok(plan) => plan,
                Err(decision) => return Ok(decision),
            };
            let (routed, plan) = (&routed, &plan);
            let route = Route { routed, plan };
            if let Some(decision) = self.open_along(db, charge, route, planning).await? {
                return Ok(decision);
            }
        }
        Ok(Decision::Wait(PROBE_AGAIN))
    }

    /// Opens an attempt along a plan. `None` if other charges claimed its probes.
    pub(super) async fn open_along(
        &self,
        db: &mut PgConnection,
        charge: &mut LockedCharge,
        route: Route<'_>,
        planning: &mut Planning,
    ) -> Result<Option<Decision>, StoreError> {
        let waits = match planning.reach {
            Reach::Healthy => route
                .plan
                .steps
                .first()
                .filter(|step| !is_plain(step))
                .map(|_| Duration::ZERO),
            Reach::All => self.last_resort(db, charge, route).await?,
        };
        if let Some(pause) = waits {
            return Ok(Some(Decision::Wait(pause)));
        }
        match self.choose(db, charge, route, planning).await? {
            Choice::Call(mut call) => {
                let new = self.new_attempt(db, charge, route, &mut call).await?;
                let leased = match planning.leasing {
                    Leasing::Now => true,
                    Leasing::IfRepeatable => call
                        .gateway
                        .capabilities(charge.method)
                        .idempotent_for
                        .is_some(),
                    Leasing::Never => false,
                };
                let lease_owner = new.lease.lease_owner.filter(|_| leased);
                let lease = AttemptLease {
                    lease_owner,
                    ..new.lease
                };
                charge.open_attempt(NewAttempt { lease, ..new });
                Ok(Some(if leased {
                    Decision::Call(call)
                } else {
                    Decision::Left
                }))
            }
            Choice::Full(api) => Ok(Some(Decision::Queue(api))),
            Choice::Lost => Ok(None),
        }
    }

    /// Returns the gateway of an open attempt of which nothing was sent, with the time limit of its call, if the attempt is still the first
    /// step of the plan.
    pub(super) async fn still_planned(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        open: &AttemptRow,
    ) -> Result<Option<(Arc<dyn Gateway>, Duration)>, StoreError> {
        let earlier = tries(charge, Some(open.id));
        let found = active(db, charge).await?;
        if found.version != open.policy_version {
            return Ok(None);
        }
        let mut routed = self.routed(db, found, &order(charge)?, &earlier).await?;
        let Ok(plan) = self.plan(charge, &earlier, &mut routed) else {
            return Ok(None);
        };
        let first = plan.steps.first().filter(|step| is_plain(step));
        let is_first = first.is_some_and(|step| step.connection == open.connection);
        let option = routed.option(open.connection).filter(|_| is_first);
        let within = self.call_within(plan.steps.len() == 1);
        Ok(option.map(|option| (option.gateway.clone(), within)))
    }

    /// Returns the plan for the next attempt, or the decision if there is no step to take.
    pub(super) fn plan(
        &self,
        charge: &LockedCharge,
        earlier: &[AttemptRow],
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
        let unresolved = earlier.iter().any(|a| a.state == AttemptState::Abandoned);
        if unresolved || routed.is_partial {
            return Err(Decision::Wait(RESOLVING));
        }
        Err(Decision::Fail(no_gateway(&routed.candidates, earlier)))
    }

    /// Limits attempts at a connection whose breakers are all open. They wait for the result of a probe in progress, and are spaced.
    /// Returns the time to wait.
    async fn last_resort(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        route: Route<'_>,
    ) -> Result<Option<Duration>, StoreError> {
        let step = route.plan.steps.first();
        let step = step.filter(|s| s.reason == RouteReason::LastResort);
        let Some(found) = step.and_then(|step| route.routed.option(step.connection)) else {
            return Ok(None);
        };
        let found = &found.routed;
        let since = charge.attempts.iter().filter_map(|a| a.ended_at).max();
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

    /// Opens the routed connections' gateways. One whose credentials cannot be read is left out.
    pub(super) async fn routed(
        &self,
        db: &mut PgConnection,
        found: Routing,
        order: &ChargeRequest,
        earlier: &[AttemptRow],
    ) -> Result<Routed, StoreError> {
        let mut routed = Routed {
            version: found.version,
            is_partial: found.is_partial,
            options: Vec::with_capacity(found.connections.len()),
            candidates: Vec::with_capacity(found.connections.len()),
        };
        for found in found.connections {
            let opened = self
                .clients
                .open_version(db, found.connection, found.credential_version);
            let gateway = match opened.await {
                Ok(gateway) => gateway,
                Err(error @ (StoreError::Corrupt { .. } | StoreError::Vault(_))) => {
                    tracing::error!(connection = %found.connection, %error, "a connection is left out of a route");
                    routed.is_partial = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            routed.candidates.push(route::RouteCandidate {
                connection: found.connection,
                gateway: found.gateway,
                status_active: found.status == ConnectionStatus::Active,
                breaker: found.breaker.clone(),
                unmet: (gateway.descriptor().unmet)(order),
                tried: earlier.iter().any(|a| a.connection == found.connection),
            });
            routed.options.push(RouteOption {
                routed: found,
                gateway,
            });
        }
        Ok(routed)
    }

    /// Returns the time that the next attempt must wait while the outcome of an earlier one is unknown.
    fn held(&self, charge: &LockedCharge, earlier: &[AttemptRow]) -> Option<Duration> {
        let abandoned = earlier
            .iter()
            .filter(|a| a.state == AttemptState::Abandoned);
        // an attempt may be sent long after it was opened
        let last = abandoned
            .map(|a| a.ended_at.unwrap_or(a.started_at))
            .max()?;
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

    /// Returns the time limit of a call: longer if no other route remains.
    fn call_within(&self, is_last: bool) -> Duration {
        if is_last {
            self.timing.last_call
        } else {
            self.timing.call
        }
    }

    /// Returns the first step of the plan with a free slot, and with the probe's lease if the step is a probe.
    async fn choose(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        route: Route<'_>,
        planning: &mut Planning,
    ) -> Result<Choice, StoreError> {
        let (mut full, steps) = (None, &route.plan.steps);
        for (index, step) in steps.iter().enumerate() {
            let Some(option) = route.routed.option(step.connection) else {
                continue;
            };
            if planning.reach == Reach::Healthy && !is_plain(step) {
                continue;
            }
            let api = option.routed.api;
            let held = planning.call_slot.take_if(|(held, _)| *held == api);
            let Some(slot) = self.call_slot(held, api, charge.merchant) else {
                full = full.or(Some(api));
                continue;
            };
            let within = self.call_within(index + 1 == steps.len());
            let attempt = AttemptId(store::new_id());
            let lease = self.lease(charge.now, within);
            if step.reason == RouteReason::Probe {
                let mut locked = breakers::lock(db, step.connection, api).await?;
                let until = lease.deadline_at;
                let transition = locked.breaker.lease(attempt, until, locked.now);
                let probe = locked.breaker.probe;
                if probe.is_none_or(|probe| probe.attempt != attempt) {
                    continue;
                }
                breakers::save(db, &mut locked, transition).await?;
            }
            return Ok(Choice::Call(Box::new(AttemptCall {
                charge: charge.id,
                merchant: charge.merchant,
                api,
                attempt,
                connection: step.connection,
                reason: step.reason,
                lease_owner: lease.lease_owner.unwrap_or_default(),
                gateway: option.gateway.clone(),
                order: order(charge)?,
                within,
                taken_over: None,
                leased: outside::instant(),
                _slot: slot,
            })));
        }
        Ok(full.map_or(Choice::Lost, Choice::Full))
    }

    /// Completes the order of a call, and returns the attempt to open with its sealed copy.
    async fn new_attempt(
        &self,
        db: &mut PgConnection,
        charge: &LockedCharge,
        route: Route<'_>,
        call: &mut AttemptCall,
    ) -> Result<NewAttempt, StoreError> {
        let lost = || StoreError::corrupt("routing_policies", "a planned connection is gone");
        let option = route.routed.option(call.connection).ok_or_else(lost)?;
        let found = &option.routed;
        call.order.reference = call.attempt.reference();
        call.order.customer.clone_from(&found.customer);
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
        let mut lease = self.lease(charge.now, call.within);
        lease.lease_owner = Some(call.lease_owner);
        let request_sealed = charge.seal_request(call.attempt, &plain)?;
        Ok(NewAttempt {
            id: call.attempt,
            merchant: charge.merchant,
            mode: charge.mode,
            charge: charge.id,
            n: charge.attempts.last().map_or(1, |a| a.n + 1),
            connection: found.connection,
            gateway: found.gateway,
            api: found.api,
            reason: call.reason,
            plan: serde_json::to_value(route.plan).unwrap_or_default(),
            policy_version: route.routed.version,
            lease,
            request_sealed,
            started_at: charge.now,
        })
    }
}

impl Routed {
    fn option(&self, connection: ConnectionId) -> Option<&RouteOption> {
        self.options
            .iter()
            .find(|option| option.routed.connection == connection)
    }
}

/// Returns true for a step at a connection whose breaker is closed.
fn is_plain(step: &RouteStep) -> bool {
    matches!(step.reason, RouteReason::Primary | RouteReason::Fallback)
}

/// Returns the charge's attempts that may have been sent, without one of them.
fn tries(charge: &LockedCharge, but: Option<AttemptId>) -> Vec<AttemptRow> {
    let tries = charge.attempts.iter().filter(|row| row.is_try());
    tries.filter(|row| Some(row.id) != but).cloned().collect()
}

async fn active(db: &mut PgConnection, charge: &LockedCharge) -> Result<Routing, StoreError> {
    let policy = routing::PolicyKey {
        merchant: charge.merchant,
        mode: charge.mode,
        method: charge.method,
    };
    routing::active_connections(db, policy, charge.payer, gateways::api).await
}

/// Returns the order for any gateway; reference and customer are filled in once one is chosen.
fn order(charge: &LockedCharge) -> Result<ChargeRequest, StoreError> {
    Ok(ChargeRequest {
        reference: String::new(),
        amount: charge.amount,
        method: charge.payment_method.clone(),
        created_at: charge.now,
        expires_at: charge.expires_at,
        payer: charge.open_payer()?.ok_or(VaultError::Erased)?,
        customer: None,
        description: charge.description.clone(),
        notification_url: None,
    })
}
