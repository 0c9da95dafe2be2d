//! Ids of new rows, and random numbers for jitter. A simulation replaces both on its thread with values drawn from its seed; no other code
//! replaces them.

use std::cell::RefCell;

use rand::RngExt;
use uuid::Uuid;

/// Replacement of the source of ids and random numbers.
pub trait Chance {
    fn id(&mut self) -> Uuid;
    fn up_to(&mut self, limit: u64) -> u64;
}

thread_local! {
    static REPLACED: RefCell<Option<Box<dyn Chance>>> = const { RefCell::new(None) };
}

/// Replaces the random source of this thread; `None` restores the real one.
pub fn replace(by: Option<Box<dyn Chance>>) {
    REPLACED.with_borrow_mut(|chance| *chance = by);
}

/// Returns the id of a new row, a UUID version 7.
pub fn new_id() -> Uuid {
    REPLACED.with_borrow_mut(|chance| chance.as_mut().map_or_else(Uuid::now_v7, |c| c.id()))
}

/// Returns a uniformly distributed number from 0 to `limit`, inclusive.
pub fn chance(limit: u64) -> u64 {
    REPLACED.with_borrow_mut(|chance| match chance {
        Some(chance) => chance.up_to(limit),
        None => rand::rng().random_range(0..=limit),
    })
}
