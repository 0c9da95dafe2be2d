//! Pages of lists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    pub data: Vec<T>,
    /// True if more items follow. To fetch them, set `starting_after` to the last id of this page.
    pub has_more: bool,
}

/// Maximum number of items in a page.
pub const MAX_LIMIT: i64 = 100;
/// Default number of items in a page.
pub const DEFAULT_LIMIT: i64 = 20;

/// Range of a list, as query parameters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct PageParams<Id> {
    /// Maximum number of items in the page, from 1 to 100. Defaults to 20.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    pub limit: i64,
    /// Id of the last item of a page. Returns the items that follow it, which are older.
    pub starting_after: Option<Id>,
    /// Id of the first item of a page. Returns the items before it, which are newer. Cannot be combined with `starting_after`.
    pub ending_before: Option<Id>,
}

fn default_limit() -> i64 {
    DEFAULT_LIMIT
}
