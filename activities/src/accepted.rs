//! Charges that this process accepted and whose first call to a gateway has not started.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use schemas::id::ChargeId;

/// Resource released once the first call of a charge starts: a permit of the API's admission.
pub type Held = Box<dyn Any + Send>;

/// Resources that accepted charges hold until their first call starts.
#[derive(Default)]
pub struct Accepted(Mutex<HashMap<ChargeId, Held>>);

impl Accepted {
    /// Stores `held` until the charge is released. Replaces and drops a former one.
    pub fn hold(&self, charge: ChargeId, held: Held) {
        let former = self.lock().insert(charge, held);
        drop(former);
    }

    /// Drops the resource of the charge: its call starts, or another process has taken it over.
    pub fn release(&self, charge: ChargeId) {
        // dropped after the lock, since it may wake other tasks
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
