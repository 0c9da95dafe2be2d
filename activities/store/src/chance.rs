//! Ids of new rows, and chance (jitter). The simulation draws both from its seed, for its thread; nothing else does.

use std::cell::RefCell;

use rand::RngExt;
use uuid::Uuid;

/// A replacement of chance.
pub trait Chance {
    fn id(&mut self) -> Uuid;
    fn up_to(&mut self, limit: u64) -> u64;
}

thread_local! {
    static REPLACED: RefCell<Option<Box<dyn Chance>>> = const { RefCell::new(None) };
}

/// Replaces chance for all that runs on this thread, or gives it back the real one.
pub fn replace(by: Option<Box<dyn Chance>>) {
    REPLACED.with_borrow_mut(|chance| *chance = by);
}

/// A new row's id: a UUID version 7.
pub fn new_id() -> Uuid {
    REPLACED.with_borrow_mut(|chance| chance.as_mut().map_or_else(Uuid::now_v7, |c| c.id()))
}

/// A number from 0 to `limit`, evenly.
pub fn chance(limit: u64) -> u64 {
    REPLACED.with_borrow_mut(|chance| match chance {
        Some(chance) => chance.up_to(limit),
        None => rand::rng().random_range(0..=limit),
    })
}
