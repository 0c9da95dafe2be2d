//! Caps on calls in flight, so that one slow gateway or one busy merchant cannot use up the whole process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use schemas::{gateway::ApiFamily, id::MerchantId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many calls may be in flight in this process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub per_family: usize,
    pub per_merchant: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_family: 200,
            per_merchant: 100,
        }
    }
}

/// Hands out slots.
pub struct Bulkhead {
    limits: Limits,
    families: Slots<ApiFamily>,
    merchants: Slots<MerchantId>,
}

/// A slot taken; given back when dropped.
pub struct Slot {
    _family: OwnedSemaphorePermit,
    _merchant: OwnedSemaphorePermit,
}

impl Bulkhead {
    /// With all slots free.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            families: Slots::default(),
            merchants: Slots::default(),
        }
    }

    /// A slot for one call, or `None` at once when there is none.
    pub fn enter(&self, family: ApiFamily, merchant: MerchantId) -> Option<Slot> {
        Some(Slot {
            _family: self.families.take(family, self.limits.per_family)?,
            _merchant: self.merchants.take(merchant, self.limits.per_merchant)?,
        })
    }
}

/// Semaphores by key; those with no slot taken are forgotten.
pub(crate) struct Slots<K>(Mutex<HashMap<K, Arc<Semaphore>>>);

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// More keys than this are swept of the unused.
const KEYS: usize = 10_000;

impl<K: Eq + std::hash::Hash> Slots<K> {
    /// A slot of `key`, of which there are `limit`.
    pub(crate) fn take(&self, key: K, limit: usize) -> Option<OwnedSemaphorePermit> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() > KEYS {
            slots.retain(|_, semaphore| semaphore.available_permits() < limit);
        }
        let semaphore = slots
            .entry(key)
            .or_insert_with(|| Arc::new(Semaphore::new(limit)));
        Arc::clone(semaphore).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_slow_gateway_cannot_use_up_another_ones_slots() {
        let bulkhead = Bulkhead::new(Limits {
            per_family: 1,
            per_merchant: 2,
        });
        let merchant = MerchantId(Uuid::nil());
        let slow = bulkhead.enter(ApiFamily::Asaas, merchant).expect("free");
        assert!(bulkhead.enter(ApiFamily::Asaas, merchant).is_none());
        assert!(bulkhead.enter(ApiFamily::Stripe, merchant).is_some());
        drop(slow);
        assert!(bulkhead.enter(ApiFamily::Asaas, merchant).is_some());
    }
}
