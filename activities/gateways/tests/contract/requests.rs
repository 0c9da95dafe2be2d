//! Checks of our clients' requests and the answers against our own description of both (`tests/specs`) and, where available, the
//! gateways' own documents: the suite's promises run once more through a recorder, and each exchange is checked.

use std::collections::BTreeSet;

use recorder::{Recorder, Request};
use schemas::gateway::GatewayApi;

use crate::bench::Environment;

mod asaas;
mod document;
mod efi;
mod form;
mod own;
mod recorder;
mod stripe;

/// Runs the promises, each with an order of its own.
macro_rules! kept {
    ($bench:ident: $($promise:ident),+ $(,)?) => {$(
        $bench.order = $bench.another_order();
        crate::suite::$promise(&$bench).await;
    )+};
}
use kept;

/// Recorders in front of the gateways' APIs.
struct Recorders {
    efi_pix: Recorder,
    efi_cobrancas: Recorder,
    stripe: Recorder,
    asaas: Recorder,
}

impl Recorders {
    /// Starts an environment whose gateways are called through recorders. Efí's API Pix is reached at its plain port: its certificate is
    /// covered by the contract.
    async fn environment() -> (Environment, Self) {
        let mut environment = Environment::start().await;
        let simulators = &environment.simulators;
        let recorders = Self {
            efi_pix: Recorder::before(simulators.plain_url("efi_pix")).await,
            efi_cobrancas: Recorder::before(simulators.plain_url("efi_cobrancas")).await,
            stripe: Recorder::before(simulators.plain_url("stripe")).await,
            asaas: Recorder::before(simulators.plain_url("asaas")).await,
        };
        environment.endpoints.urls = [
            (GatewayApi::EfiPix, recorders.efi_pix.url.clone()),
            (
                GatewayApi::EfiCobrancas,
                recorders.efi_cobrancas.url.clone(),
            ),
            (GatewayApi::Stripe, recorders.stripe.url.clone()),
            (GatewayApi::Asaas, recorders.asaas.url.clone()),
        ]
        .into();
        (environment, recorders)
    }
}

/// Returns the set of calls that were made; fails on any that `check` rejects.
fn calls(
    recorder: &Recorder,
    check: impl Fn(&Request) -> Result<String, Vec<String>>,
) -> BTreeSet<String> {
    let requests = recorder.requests();
    let checked = requests.iter().map(|request| {
        check(request).unwrap_or_else(|wrong| {
            let body = String::from_utf8_lossy(&request.body);
            let Request {
                method,
                path,
                query,
                ..
            } = request;
            panic!("{method} {path}?{query} breaks the document: {wrong:#?}\n{body}")
        })
    });
    checked.collect()
}

/// Fails unless exactly these calls were made.
fn assert_calls(made: &BTreeSet<String>, expected: &[&str]) {
    let made: BTreeSet<&str> = made.iter().map(String::as_str).collect();
    assert_eq!(made, expected.iter().copied().collect());
}
