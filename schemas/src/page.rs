//! Pages of lists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// True if more items follow. To fetch them, set `starting_after` to the last id of this page.
    pub has_more: bool,
}

/// Maximum number of items in a page.
pub const MAX_LIMIT: i64 = 100;
/// Default number of items in a page.
pub const DEFAULT_LIMIT: i64 = 20;
