//! The REST API's resources.

pub mod charges;
pub mod events;
pub mod webhook_endpoints;
