//! Shares of the calls in flight: one slow gateway or one busy merchant cannot use up the whole process.

use crate::fair::{self, FairSlots, Shares};
use schemas::{gateway::GatewayApi, id::MerchantId};

/// Default limit of calls in flight in one process.
pub const MAX_CALLS_IN_FLIGHT: usize = 4_000;
/// Divisor of the calls in flight that gives one gateway API's share.
const API_SHARE: usize = 2;
/// Divisor of the calls in flight that gives one merchant's share.
const MERCHANT_SHARE: usize = 4;
/// Divisor of the slots that gives the number reserved for calls within their shares.
const HEADROOM: usize = 8;
/// Maximum number of calls that queue for a slot.
const MAX_QUEUED: usize = 10_000;

/// Limits of one process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_calls_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_calls_in_flight: MAX_CALLS_IN_FLIGHT,
        }
    }
}

/// Slots for calls to gateways, shared by gateway API and by merchant.
pub type Bulkhead = FairSlots<GatewayApi, MerchantId>;

/// Slot for one call; released when dropped.
pub type Slot = fair::Slot<GatewayApi, MerchantId>;

impl Bulkhead {
    /// Creates a bulkhead with all slots free.
    pub fn new(limits: Limits) -> Self {
        let slots = limits.max_calls_in_flight.max(1);
        Self::sharing(Shares {
            slots,
            of_group: (slots / API_SHARE).max(1),
            of_key: (slots / MERCHANT_SHARE).max(1),
            headroom: slots / HEADROOM,
            max_queued: MAX_QUEUED,
            gauge: "gateway_calls_in_flight",
        })
    }
}

#[cfg(test)]
mod queue;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn merchant(n: u128) -> MerchantId {
        MerchantId(Uuid::from_u128(n))
    }

    fn fill(bulkhead: &Bulkhead, api: GatewayApi, merchant: MerchantId) -> Vec<Slot> {
        std::iter::from_fn(|| bulkhead.try_enter(api, merchant)).collect()
    }

    #[test]
    fn a_hanging_gateway_leaves_slots_to_the_others_at_once() {
        let bulkhead = Bulkhead::new(Limits::default());
        let hanging: Vec<_> = (0..20)
            .flat_map(|n| fill(&bulkhead, GatewayApi::Asaas, merchant(n)))
            .collect();
        assert_eq!(
            hanging.len(),
            3_500,
            "all but the headroom: nothing else wants them"
        );
        assert!(
            bulkhead
                .try_enter(GatewayApi::Asaas, merchant(99))
                .is_none()
        );
        let other = bulkhead.try_enter(GatewayApi::Stripe, merchant(99));
        assert!(other.is_some());
    }

    #[test]
    fn one_merchant_uses_what_is_free_and_never_the_last_slots() {
        let bulkhead = Bulkhead::new(Limits {
            max_calls_in_flight: 16,
        });
        let busy = fill(&bulkhead, GatewayApi::Stripe, merchant(1));
        assert_eq!(busy.len(), 14);
        assert!(bulkhead.try_enter(GatewayApi::Asaas, merchant(1)).is_none());
        assert!(bulkhead.try_enter(GatewayApi::Asaas, merchant(2)).is_some());
        drop(busy);
        let again = fill(&bulkhead, GatewayApi::Stripe, merchant(1));
        assert_eq!(again.len(), 14, "a slot is free again when dropped");
    }
}
