//! Access to the outside of the process: the network to the gateways, the clock, sleeping. All gateway calls and all waits of the
//! activities use this module, so that the simulation (`tests/simulation`) can replace it; nothing else replaces it.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use reqwest::{Request, RequestBuilder, header::HeaderMap};
use tokio::time::Instant;

/// Answer as received: status, headers, body.
pub type Exchanged = (u16, HeaderMap, Vec<u8>);

/// Reason for a missing answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The gateway accepted no connection.
    Connect,
    /// The gateway did not accept the connection in time.
    ConnectTimeout,
    /// The gateway did not answer in time.
    Timeout,
    /// The connection ended before the answer was complete.
    Reset,
}

/// Replacement of the outside.
#[async_trait]
pub trait Outside: Send + Sync {
    /// Sends a request and reads the complete answer.
    async fn exchange(&self, request: Request, within: Duration) -> Result<Exchanged, Broken>;
    /// Sleeps for `length`.
    async fn sleep(&self, length: Duration);
    /// Returns the monotonic clock.
    fn instant(&self) -> Instant;
    /// Returns the wall clock.
    fn now(&self) -> SystemTime;
}

thread_local! {
    static REPLACED: RefCell<Option<Arc<dyn Outside>>> = const { RefCell::new(None) };
}

/// Replaces the outside for everything that runs on this thread; `None` restores the real one.
pub fn replace(by: Option<Arc<dyn Outside>>) {
    REPLACED.with_borrow_mut(|outside| *outside = by);
}

pub(crate) fn replaced() -> Option<Arc<dyn Outside>> {
    REPLACED.with_borrow(Clone::clone)
}

/// Returns the monotonic clock.
pub fn instant() -> Instant {
    replaced().map_or_else(Instant::now, |outside| outside.instant())
}

/// Returns the wall clock. Decisions about rows use PostgreSQL's clock instead.
pub fn now() -> SystemTime {
    replaced().map_or_else(SystemTime::now, |outside| outside.now())
}

/// Sends a request over the replaced network; `None` if the network is the real one.
pub async fn exchange(
    request: RequestBuilder,
    within: Duration,
) -> Option<Result<Exchanged, Broken>> {
    let outside = replaced()?;
    let request = request.build().ok()?;
    Some(outside.exchange(request, within).await)
}

/// Sleeps for `length`.
pub async fn sleep(length: Duration) {
    match replaced() {
        Some(outside) => outside.sleep(length).await,
        None => tokio::time::sleep(length).await,
    }
}

/// Runs `work` for at most `within`; `None` if it did not end by then.
pub async fn timeout<F: Future>(within: Duration, work: F) -> Option<F::Output> {
    let Some(outside) = replaced() else {
        return tokio::time::timeout(within, work).await.ok();
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = outside.sleep(within) => None,
    }
}
