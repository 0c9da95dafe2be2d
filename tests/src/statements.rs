//! Counts the SQL statements of a thread, as sqlx logs them; `begin` and `commit` are not included.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};

/// Counter of statements. It counts until dropped.
pub struct Statements {
    count: Arc<AtomicUsize>,
    _guard: DefaultGuard,
}

impl Statements {
    /// Starts to count the statements of this thread.
    pub fn count() -> Self {
        let count = Arc::<AtomicUsize>::default();
        let guard = tracing::subscriber::set_default(Counter(count.clone()));
        Self {
            count,
            _guard: guard,
        }
    }

    /// Returns the number of statements since the last call.
    pub fn take(&self) -> usize {
        self.count.swap(0, Ordering::Relaxed)
    }
}

struct Counter(Arc<AtomicUsize>);

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
