//! Counts the statements of the running task: sqlx reports each statement that ended.

use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use super::borders::Borders;

pub(super) struct Statements(pub(super) Borders);

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, _: &Event<'_>) {
        self.0.lock().statements += 1;
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
