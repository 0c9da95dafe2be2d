//! The load: a fixed number of purchases a second, independent of the answers.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::purchase::{Buyer, Purchase};

/// Running load; creates purchases until it is closed.
pub(crate) struct Load {
    stop: CancellationToken,
    selling: tokio::task::JoinHandle<Vec<Purchase>>,
    _open: TaskTrackerToken,
}

impl Load {
    pub(crate) fn open(buyer: Buyer, rate: u32) -> Self {
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        let selling = tracker.spawn(async move {
            let mut clock = interval(Duration::from_secs(1) / rate);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut purchases = JoinSet::new();
            let mut n = 0;
            while stopped.run_until_cancelled(clock.tick()).await.is_some() {
                n += 1;
                purchases.spawn(buyer.clone().buy(n));
            }
            purchases.join_all().await
        });
        Self {
            stop,
            selling,
            _open: tracker.token(),
        }
    }

    /// Stops new purchases and waits for those in progress.
    pub(crate) async fn close(self) -> Vec<Purchase> {
        self.stop.cancel();
        self.selling.await.expect("no purchase panics")
    }
}
