mod queue;

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
