//! Events, for merchants that poll or that missed deliveries.

pub(crate) mod get;
pub(crate) mod list;
