//! Charges that this process accepted and whose first call to a gateway has not started.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use schemas::id::ChargeId;

use crate::charge::AttemptCall;

/// Resource released once the first call of a charge starts: a permit of the API's admission.
pub type Held = Box<dyn Any + Send>;

/// Attempts that this process leased when it accepted their charges, and resources that are held until their first call starts.
#[derive(Default)]
pub struct Accepted(Mutex<HashMap<ChargeId, Entry>>);

#[derive(Default)]
struct Entry {
    held: Option<Held>,
    call: Option<Box<AttemptCall>>,
}

impl Accepted {
    /// Stores `held` until the charge is released or its attempt is taken. Replaces and drops a former one.
    pub fn hold(&self, charge: ChargeId, held: Held) {
        let former = self.lock().entry(charge).or_default().held.replace(held);
        drop(former);
    }

    /// Stores the leased attempt of a charge that was just committed.
    pub(crate) fn lease(&self, charge: ChargeId, call: Box<AttemptCall>) {
        self.lock().entry(charge).or_default().call = Some(call);
    }

    /// Takes the charge's attempt, at most once: its call starts, or its lease is released. Drops what was held with it.
    pub(crate) fn take(&self, charge: ChargeId) -> Option<Box<AttemptCall>> {
        let mut entries = self.lock();
        entries.get(&charge)?.call.as_ref()?;
        let entry = entries.remove(&charge);
        // dropped after the lock, since it may wake other tasks
        drop(entries);
        entry?.call
    }

    /// Drops the resource of the charge: its call starts, or another process has taken it over.
    pub fn release(&self, charge: ChargeId) {
        let mut entries = self.lock();
        let held = entries.get_mut(&charge).and_then(|entry| entry.held.take());
        if entries
            .get(&charge)
            .is_some_and(|entry| entry.call.is_none())
        {
            entries.remove(&charge);
        }
        // dropped after the lock, since it may wake other tasks
        drop(entries);
        drop(held);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChargeId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_a_charge_holds_is_dropped_once_its_call_begins() {
        let (accepted, permit) = (Accepted::default(), Arc::new(()));
        let (one, other) = (ChargeId(Uuid::from_u128(1)), ChargeId(Uuid::from_u128(2)));
        accepted.hold(one, Box::new(permit.clone()));
        accepted.hold(other, Box::new(permit.clone()));
        accepted.release(one);
        accepted.release(one);
        assert_eq!(Arc::strong_count(&permit), 2);
        accepted.hold(other, Box::new(()));
        assert_eq!(Arc::strong_count(&permit), 1, "the latest one counts");
        assert!(accepted.take(other).is_none(), "it was accepted elsewhere");
    }
}
