//! Refunds. The amount is reserved immediately under the charge's lock; the refund's workflow sends it.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod list_of_charge;
