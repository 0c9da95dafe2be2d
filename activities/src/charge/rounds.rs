//! Further rounds through a charge's connections after all of them definitely failed.

use std::time::Duration;

use schemas::{
    attempt::{AttemptState, ErrorClass},
    breaker::BreakerState,
    retry::Backoff,
    route,
};
use store::{attempts::AttemptRow, charges::LockedCharge};

use crate::retry::plan::MAX_ATTEMPTS;
use crate::{delta, until};

/// Time of the next round.
pub(super) enum Round {
    Now,
    After(Duration),
    Never,
}

/// Returns the time of the next round after every gateway was tried and none has the charge. Rounds end with the charge's lifetime.
pub(super) fn next_round(charge: &LockedCharge, earlier: &[AttemptRow], rounds: Backoff) -> Round {
    let Some(last) = earlier.last() else {
        return Round::Never;
    };
    if !earlier.iter().any(may_try_again) || earlier.len() >= MAX_ATTEMPTS {
        return Round::Never;
    }
    let round = earlier
        .iter()
        .filter(|a| a.connection == last.connection)
        .count();
    let n = u32::try_from(round.saturating_sub(1)).unwrap_or(u32::MAX);
    let pause = Duration::from_millis(rounds.delay_ms(n));
    let next_at = last
        .started_at
        .max(last.ended_at.unwrap_or(last.started_at))
        + delta(pause);
    if charge.now < next_at {
        Round::After(until(next_at, charge.now))
    } else {
        Round::Now
    }
}

/// Returns true if nothing exists at that gateway and it may take the charge later.
fn may_try_again(attempt: &AttemptRow) -> bool {
    match attempt.state {
        AttemptState::NotCreated => attempt.error_class != Some(ErrorClass::Denied),
        AttemptState::Voided | AttemptState::Absent => true,
        _ => false,
    }
}

/// Clears `tried` of connections that can be retried in a new round. A rejection is permanent; refused credentials block until the breaker
/// has closed since.
pub(super) fn forget_tries(candidates: &mut [route::RouteCandidate], earlier: &[AttemptRow]) {
    for candidate in candidates {
        let tries = || {
            earlier
                .iter()
                .filter(|a| a.connection == candidate.connection)
        };
        let denials = tries().filter(|a| is_denied(a)).count();
        let restored = |a: &AttemptRow| {
            candidate.breaker.closed_at > a.ended_at
                && candidate.breaker.state == BreakerState::Closed
        };
        let lasts =
            tries().any(|a| !(may_try_again(a) || (is_denied(a) && denials == 1 && restored(a))));
        candidate.tried = tries().next().is_some() && lasts;
    }
}

fn is_denied(attempt: &AttemptRow) -> bool {
    attempt.state == AttemptState::NotCreated && attempt.error_class == Some(ErrorClass::Denied)
}
