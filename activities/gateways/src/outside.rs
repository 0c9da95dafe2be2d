//! What a process has of the outside: the wire to the gateways, the clock, waiting. All calls to gateways and all waits of the
//! activities go through here, so that the simulation (`tests/simulation`) can put its own in their place; nothing else does.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use reqwest::{Request, RequestBuilder, header::HeaderMap};
use tokio::time::Instant;

/// An answer as it came over the wire: status, headers, body.
pub type Exchanged = (u16, HeaderMap, Vec<u8>);

/// What kept an answer from coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The gateway took no connection.
    Connect,
    /// It did not take the connection in time.
    ConnectTimeout,
    /// It did not answer in time.
    Timeout,
    /// The connection ended before the answer was complete.
    Reset,
}

/// A replacement of the outside.
#[async_trait]
pub trait Outside: Send + Sync {
    /// Sends a request and reads the whole answer.
    async fn exchange(&self, request: Request, within: Duration) -> Result<Exchanged, Broken>;
    /// Waits.
    async fn sleep(&self, length: Duration);
    /// The monotonic clock.
    fn instant(&self) -> Instant;
    /// The wall clock.
    fn now(&self) -> SystemTime;
}

thread_local! {
    static REPLACED: RefCell<Option<Arc<dyn Outside>>> = const { RefCell::new(None) };
}

/// Replaces the outside for all that runs on this thread, or gives it back the real one.
pub fn replace(by: Option<Arc<dyn Outside>>) {
    REPLACED.with_borrow_mut(|outside| *outside = by);
}

pub(crate) fn replaced() -> Option<Arc<dyn Outside>> {
    REPLACED.with_borrow(Clone::clone)
}

/// The monotonic clock.
pub fn instant() -> Instant {
    replaced().map_or_else(Instant::now, |outside| outside.instant())
}

/// The wall clock. What decides about rows is PostgreSQL's.
pub fn now() -> SystemTime {
    replaced().map_or_else(SystemTime::now, |outside| outside.now())
}

/// Sends a request over the replaced wire; `None` if the wire is the real one.
pub async fn exchange(
    request: RequestBuilder,
    within: Duration,
) -> Option<Result<Exchanged, Broken>> {
    let outside = replaced()?;
    let request = request.build().ok()?;
    Some(outside.exchange(request, within).await)
}

/// Waits for `length`.
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
