//! Disputes as reported by gateways. Merchants respond to them at the gateway.

pub(crate) mod get;
pub(crate) mod list;
