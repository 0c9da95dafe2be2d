//! The queue of a full bulkhead.

use std::time::Duration;

use futures::FutureExt;
use uuid::Uuid;

use super::*;

const LONG: Duration = Duration::from_mins(1);

fn merchant(n: u128) -> MerchantId {
    MerchantId(Uuid::from_u128(n))
}

fn of(slots: usize) -> Bulkhead {
    Bulkhead::new(Limits {
        max_calls_in_flight: slots,
    })
}

#[test]
fn the_smallest_bulkhead_admits_one_call() {
    for slots in [0, 1] {
        let bulkhead = of(slots);
        let call = bulkhead.try_enter(GatewayApi::Asaas, merchant(1));
        assert!(call.is_some(), "{slots}");
        assert!(
            bulkhead
                .try_enter(GatewayApi::Stripe, merchant(2))
                .is_none()
        );
    }
}

#[tokio::test]
async fn a_released_slot_goes_to_the_merchant_with_the_fewest_calls() {
    let bulkhead = of(4);
    let mut busy: Vec<_> =
        std::iter::from_fn(|| bulkhead.try_enter(GatewayApi::Asaas, merchant(1))).collect();
    assert_eq!(busy.len(), 4);
    let mut own = Box::pin(bulkhead.enter_within(GatewayApi::Asaas, merchant(1), LONG));
    let mut other = Box::pin(bulkhead.enter_within(GatewayApi::Asaas, merchant(2), LONG));
    assert!((&mut own).now_or_never().is_none());
    assert!((&mut other).now_or_never().is_none());
    busy.pop();
    let entered = other.now_or_never().flatten();
    assert!(entered.is_some(), "it arrived later and holds none");
    assert!((&mut own).now_or_never().is_none());
    drop(entered);
    assert!(own.now_or_never().flatten().is_some());
}

#[tokio::test]
async fn ten_thousand_calls_queue_and_one_more_is_refused_at_once() {
    let bulkhead = of(1);
    let held = bulkhead.try_enter(GatewayApi::Asaas, merchant(0));
    let mut waiting = Vec::new();
    for n in 0..10_000 {
        let mut call = Box::pin(bulkhead.enter_within(GatewayApi::Asaas, merchant(n % 100), LONG));
        assert!((&mut call).now_or_never().is_none());
        waiting.push(call);
    }
    let refused = bulkhead.enter_within(GatewayApi::Stripe, merchant(7), LONG);
    assert!(refused.now_or_never().is_some_and(|slot| slot.is_none()));
    drop(held);
    // each slot is released at once, so that the next caller enters
    let calls = waiting
        .into_iter()
        .map(|call| call.map(|slot| slot.is_some()));
    let entered = futures::future::join_all(calls).await;
    let entered = entered.into_iter().filter(|is_in| *is_in).count();
    assert_eq!(entered, 10_000);
    assert!(
        bulkhead.try_enter(GatewayApi::Asaas, merchant(1)).is_some(),
        "it is empty"
    );
}
