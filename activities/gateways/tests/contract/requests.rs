//! What our clients send, and what is answered, against our own description of both (`tests/specs`) and, where they are here, the
//! gateways' own documents: the promises of the suite are kept once more, through a recorder, and each exchange is checked.

use std::collections::BTreeSet;

use recorder::{Recorder, Request};

use crate::bench::Environment;

mod asaas;
mod document;
mod efi;
mod form;
mod own;
mod recorder;
mod stripe;

/// Keeps the promises, each with an order of its own.
macro_rules! kept {
    ($bench:ident: $($promise:ident),+ $(,)?) => {$(
        $bench.order = $bench.another_order();
        crate::suite::$promise(&$bench).await;
    )+};
}
use kept;

/// What stands before each of the gateways' interfaces.
struct Recorders {
    efi_pix: Recorder,
    efi_cobrancas: Recorder,
    stripe: Recorder,
    asaas: Recorder,
}

impl Recorders {
    /// A world whose gateways are asked through recorders. Efí's API Pix is met on its plain port: the certificate is the contract's.
    async fn environment() -> (Environment, Self) {
        let mut environment = Environment::start().await;
        let simulators = &environment.simulators;
        let recorders = Self {
            efi_pix: Recorder::before(&simulators.efi).await,
            efi_cobrancas: Recorder::before(&simulators.efi_cobrancas).await,
            stripe: Recorder::before(&simulators.stripe).await,
            asaas: Recorder::before(&simulators.asaas).await,
        };
        let endpoints = &mut environment.endpoints;
        endpoints.efi_pix = recorders.efi_pix.url.clone();
        endpoints.efi_cobrancas = recorders.efi_cobrancas.url.clone();
        endpoints.stripe = recorders.stripe.url.clone();
        endpoints.asaas = recorders.asaas.url.clone();
        (environment, recorders)
    }
}

/// The calls that were made, each once; fails on any that `check` has something against.
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
