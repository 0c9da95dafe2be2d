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
mod tests;
