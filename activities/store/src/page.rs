//! Cursor pages, newest first and limited. One additional row is read to determine if more follow.

use uuid::Uuid;

#[cfg(test)]
mod tests;

/// Range of a list. At most one cursor is set.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Maximum number of rows.
    pub limit: i64,
    /// Cursor: rows older than this one.
    pub after: Option<Uuid>,
    /// Cursor: rows newer than this one, the nearest first.
    pub before: Option<Uuid>,
}

impl Range {
    /// Returns the number of rows to read.
    pub(crate) fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Cuts fetched rows to the page, newest first. Returns true if more follow in the same direction.
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
