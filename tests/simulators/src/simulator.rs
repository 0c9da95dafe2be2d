//! Registry of the simulators: what distinguishes one gateway API from another for the rest of the crate, and for the tests.

use std::sync::Arc;

use axum::Router;
use serde_json::Value;

use crate::{
    asaas::Asaas, certificates::Certificates, cobrancas::Cobrancas, control::ControlApi, efi::Efi,
    sim::Sim, stripe::Stripe,
};

/// All simulators. The order determines their ports.
pub const SIMULATORS: &[Descriptor] = &[
    //
    Efi::DESCRIPTOR,
    Cobrancas::DESCRIPTOR,
    Stripe::DESCRIPTOR,
    Asaas::DESCRIPTOR,
];

/// Description of a simulator.
pub struct Descriptor {
    /// Gateway, as the product names it.
    pub gateway: &'static str,
    /// API, as the product names it.
    pub api: &'static str,
    /// Name in the control API.
    pub name: &'static str,
    /// True if its listener uses HTTPS and demands a client certificate. It then has a second one over plain HTTP.
    pub demands_certificate: bool,
    /// Returns credentials that it accepts for an account. The second argument is the client certificate with its key, in PEM.
    pub credentials: fn(&str, &str) -> Value,
    pub(crate) open: fn(Sim, &Certificates) -> anyhow::Result<Arc<dyn Simulator>>,
}

/// Simulator of one gateway API.
pub(crate) trait Simulator: ControlApi {
    /// Returns the routes of the gateway's API, and starts its clock.
    fn router(self: Arc<Self>) -> Router;

    /// Returns control endpoints that only this simulator has.
    fn control(self: Arc<Self>) -> Router {
        Router::new()
    }
}

/// Returns credentials that the simulators of a gateway accept for an account.
///
/// # Panics
///
/// If no simulator belongs to that gateway.
pub fn credentials(gateway: &str, account: &str, client_pem: &str) -> Value {
    let found = SIMULATORS.iter().find(|one| one.gateway == gateway);
    let found = found.unwrap_or_else(|| panic!("no simulator of {gateway}"));
    (found.credentials)(account, client_pem)
}
