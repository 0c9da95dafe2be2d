use std::future::Future;

use futures::FutureExt;

use super::*;

type Slots = FairSlots<&'static str, u32>;
type Taken = Slot<&'static str, u32>;

const MAX_QUEUED: usize = 100;
const LONG: Duration = Duration::from_mins(1);

fn slots(slots: usize) -> Slots {
    FairSlots::sharing(Shares {
        slots,
        of_group: slots,
        of_key: slots,
        headroom: 0,
        max_queued: MAX_QUEUED,
        gauge: "tests",
    })
}

fn is_idle(slots: &Slots) -> bool {
    let state = lock(&slots.0);
    state.taken == 0
        && state.queued == 0
        && state.groups.is_empty()
        && state.keys.is_empty()
        && state.queues.is_empty()
}

/// Returns a caller that waits in the queue.
fn queued(slots: &Slots, key: u32) -> impl Future<Output = Option<Taken>> + Unpin {
    let mut caller = Box::pin(slots.enter_within("a", key, LONG));
    assert!((&mut caller).now_or_never().is_none(), "a slot was free");
    caller
}

#[tokio::test]
async fn a_free_slot_goes_to_the_key_with_the_fewest() {
    let slots = slots(4);
    let (busy, quiet) = (1, 2);
    let mut held: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", busy)).collect();
    let mut first = queued(&slots, busy);
    let second = queued(&slots, quiet);
    held.pop();
    let slot = second.now_or_never().flatten().expect("it has none");
    assert!((&mut first).now_or_never().is_none(), "it has three");
    drop((held, slot));
    assert!(first.await.is_some());
    assert!(is_idle(&slots));
}

#[tokio::test]
async fn a_group_beyond_its_share_leaves_the_headroom_to_others() {
    let slots: Slots = FairSlots::sharing(Shares {
        slots: 8,
        of_group: 4,
        of_key: 8,
        headroom: 2,
        max_queued: MAX_QUEUED,
        gauge: "tests",
    });
    let mut busy: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", 1)).collect();
    assert_eq!(busy.len(), 6);
    let waiting = queued(&slots, 2);
    let other = slots.try_enter("b", 3).expect("the headroom");
    busy.pop();
    assert!(slots.try_enter("b", 3).is_some(), "it is not used up");
    drop((busy, other));
    assert!(waiting.await.is_some());
    assert!(is_idle(&slots));
}

#[tokio::test]
async fn equal_keys_enter_in_the_order_of_arrival() {
    let slots = slots(1);
    let mut slot = slots.try_enter("a", 0);
    let mut callers: Vec<_> = [1, 1, 1, 2, 3]
        .into_iter()
        .map(|key| Some(queued(&slots, key)))
        .collect();
    let mut order = Vec::new();
    for _ in 0..callers.len() {
        drop(slot.take());
        for (at, caller) in callers.iter_mut().enumerate() {
            if let Some(entered) = caller.as_mut().and_then(FutureExt::now_or_never) {
                *caller = None;
                order.push(at);
                slot = entered;
            }
        }
    }
    drop(slot);
    assert_eq!(order, [0, 1, 2, 3, 4]);
    assert!(is_idle(&slots));
}

#[tokio::test]
async fn a_caller_that_gives_up_loses_no_slot() {
    let slots = slots(1);
    let held = slots.try_enter("a", 1).expect("free");
    let within = Duration::from_millis(5);
    assert!(slots.enter_within("a", 2, within).await.is_none());
    let dropped = queued(&slots, 2);
    let granted = queued(&slots, 3);
    drop(dropped);
    drop(held);
    // granted, and dropped before it was received
    drop(granted);
    assert!(is_idle(&slots));
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let slots = slots(1);
    let _held = slots.try_enter("a", 1).expect("free");
    let callers: Vec<_> = (0..MAX_QUEUED).map(|_| queued(&slots, 1)).collect();
    assert!(slots.enter_within("a", 2, LONG).await.is_none());
    drop(callers);
}

#[tokio::test]
async fn a_capped_key_holds_and_queues_no_more_than_its_bounds() {
    let (capped, other) = (1, 2);
    let slots: Slots = FairSlots::capped(
        Shares {
            slots: 8,
            of_group: 8,
            of_key: 8,
            headroom: 0,
            max_queued: MAX_QUEUED,
            gauge: "tests",
        },
        Cap {
            key: capped,
            slots: 2,
            queued: 3,
        },
    );
    let mut held: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", capped)).collect();
    assert_eq!(held.len(), 2, "though eight are free");
    let callers: Vec<_> = (0..3).map(|_| queued(&slots, capped)).collect();
    let refused = slots.enter_within("b", capped, LONG).now_or_never();
    assert!(refused.expect("at once").is_none(), "in any group");
    let others: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", other)).collect();
    assert_eq!(others.len(), 6);
    // a slot that is passed on makes room under the cap only if a slot is free
    held[0].pass_to(other);
    drop(others);
    let entered = callers.into_iter().filter_map(FutureExt::now_or_never);
    let entered: Vec<_> = entered.flatten().collect();
    assert_eq!(entered.len(), 1);
    drop((held, entered));
    assert!(is_idle(&slots));
}

#[tokio::test]
async fn a_long_line_is_seen_by_its_own_key_only() {
    let slots = slots(2);
    assert_eq!(slots.queue("a", 1), Queue::default());
    let held: Vec<_> = std::iter::from_fn(|| slots.try_enter("a", 1)).collect();
    lock(&slots.0).held = Duration::from_millis(100);
    let callers: Vec<_> = (0..99).map(|_| queued(&slots, 1)).collect();
    let own = slots.queue("a", 1).wait;
    assert_eq!(own, Duration::from_secs(5));
    let other = slots.queue("a", 2).wait;
    assert_eq!(other, Duration::from_millis(100));
    drop((callers, held));
    assert!(is_idle(&slots));
}
