//! Cursor pages: newest first, bounded, with one row more asked for to know whether more follow.

use uuid::Uuid;

#[cfg(test)]
mod tests;

/// What part of a list is wanted. At most one of the cursors is set.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// How many, at most.
    pub limit: i64,
    /// Older than this one.
    pub after: Option<Uuid>,
    /// Newer than this one, nearest to it.
    pub before: Option<Uuid>,
}

impl Range {
    /// How many rows to ask for.
    pub(crate) fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Cuts what was fetched to the page, newest first; whether more follow in the direction of travel.
    pub(crate) fn cut<T>(&self, mut rows: Vec<T>) -> (Vec<T>, bool) {
        let limit = usize::try_from(self.limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        if self.before.is_some() {
            rows.reverse();
        }
        (rows, more)
    }
}
