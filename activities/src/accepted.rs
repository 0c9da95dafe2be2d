//! Charges that this process accepted and whose first call to a gateway has not begun: until then they are our own work.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use schemas::id::ChargeId;

/// What is dropped when a charge stops being our own work: a permit of the API's admission.
pub type Held = Box<dyn Any + Send>;

/// What each accepted charge holds until its first call begins.
#[derive(Default)]
pub struct Accepted(Mutex<HashMap<ChargeId, Held>>);

impl Accepted {
    /// Keeps `held` until the charge is released.
    pub fn hold(&self, charge: ChargeId, held: Held) {
        let former = self.lock().insert(charge, held);
        drop(former);
    }

    /// Drops what the charge holds: its call begins, or another process has taken it.
    pub fn release(&self, charge: ChargeId) {
        // dropped after the lock, since it may wake others
        let held = self.lock().remove(&charge);
        drop(held);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChargeId, Held>> {
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
    }
}
