//! Lists, a page at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// Whether more follow: ask again with `starting_after` set to the last id.
    pub has_more: bool,
}

/// The most that a page may hold.
pub const MAX_LIMIT: i64 = 100;
/// What a page holds unless told.
pub const DEFAULT_LIMIT: i64 = 20;
