//! The REST API's resources.

pub mod charges;
pub mod disputes;
pub mod events;
pub mod refunds;
pub mod webhook_endpoints;
