#![doc = include_str!("../README.md")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::Router;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

mod asaas;
mod br_code;
mod broken_body;
mod certificates;
mod cobrancas;
mod control;
mod document;
mod efi;
mod fault;
mod in_process;
mod listener;
mod notify;
mod qr_code;
mod sim;
mod stripe;

use certificates::Certificates;
use control::ControlApi;
pub use control::{Action, Held};
pub use in_process::InProcess;
use listener::Listener;
pub use notify::Outgoing;
use sim::Sim;

/// Ports of the listeners; 0 is any free port.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub control: u16,
    pub efi_tls: u16,
    pub efi: u16,
    pub efi_cobrancas: u16,
    pub stripe: u16,
    pub asaas: u16,
}

/// Options of `start`.
#[derive(Clone, Debug)]
pub struct Options {
    pub ports: Ports,
    /// Folder that stores the certificates between runs. Without it, new ones are created in memory.
    pub certificates: Option<PathBuf>,
    /// Seed of the generated ids.
    pub seed: u64,
}

/// Running simulators and their addresses.
pub struct Simulators {
    pub control: Url,
    pub efi_tls: Url,
    pub efi: Url,
    pub efi_cobrancas: Url,
    pub stripe: Url,
    pub asaas: Url,
    /// Authority that signed the certificate of Efí's listener, in PEM.
    pub ca_pem: String,
    /// Client certificate and key that this listener accepts, in PEM.
    pub client_pem: String,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Simulators {
    /// Stops the simulators and waits until their tasks end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Starts all simulators.
pub async fn start(options: Options) -> anyhow::Result<Simulators> {
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let certificates = Certificates::open(options.certificates.as_deref())?;
    let gateway = |name, seed| Sim::new(name, seed, tracker.clone(), stop.clone());
    let sim = |name, seed| Arc::new(gateway(name, seed));
    let client = certificates.client()?;
    let efi = Arc::new(efi::Efi::new(gateway("efi", options.seed), client));
    let stripe = Arc::new(stripe::Stripe::new(sim("stripe", options.seed + 1)));
    let asaas = Arc::new(asaas::Asaas::new(sim("asaas", options.seed + 2)));
    let cobrancas = sim("efi_cobrancas", options.seed + 3);
    let cobrancas = Arc::new(cobrancas::Cobrancas::new(cobrancas));
    let apis: Vec<Arc<dyn ControlApi>> = vec![
        efi.clone(),
        cobrancas.clone(),
        stripe.clone(),
        asaas.clone(),
    ];
    let sims: Vec<Arc<Sim>> = apis.iter().map(|api| api.sim().clone()).collect();
    let control = control::router(apis).merge(efi::control(efi.clone()));
    let listen = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let plain = |gateway: Router| control.clone().merge(gateway);

    let listener = Listener {
        stop: stop.clone(),
        tracker: tracker.clone(),
    };
    let ports = options.ports;
    let tls = Some(certificates.acceptor(efi.sim.refuses_certificates.clone())?);
    let efi_tls = listener.open(
        listen(ports.efi_tls),
        efi.clone(),
        (efi::router(efi.clone()), tls),
    )?;
    let efi_http = listener.open(
        listen(ports.efi),
        efi.clone(),
        (plain(efi::router(efi.clone())), None),
    )?;
    let cobrancas_at = listener.open(
        listen(ports.efi_cobrancas),
        cobrancas.clone(),
        (plain(cobrancas::router(cobrancas.clone())), None),
    )?;
    let stripe_at = listener.open(
        listen(ports.stripe),
        stripe.clone(),
        (plain(stripe::router(stripe.clone())), None),
    )?;
    let asaas_at = listener.open(
        listen(ports.asaas),
        asaas.clone(),
        (plain(asaas::router(asaas.clone())), None),
    )?;
    let control_at = listener
        .open_control(listen(ports.control), control)
        .await?;
    take_connections(&sims).await;
    let url = |scheme: &str, address: SocketAddr| format!("{scheme}://{address}").parse::<Url>();
    Ok(Simulators {
        control: url("http", control_at)?,
        efi_tls: url("https", efi_tls)?,
        efi: url("http", efi_http)?,
        efi_cobrancas: url("http", cobrancas_at)?,
        stripe: url("http", stripe_at)?,
        asaas: url("http", asaas_at)?,
        ca_pem: certificates.ca,
        client_pem: certificates.client,
        stop,
        tracker,
    })
}

/// Waits until the listeners, which are tasks, accept connections: a client that connects at once must not be refused.
async fn take_connections(sims: &[Arc<Sim>]) {
    for sim in sims {
        sim.set_up(true).await;
    }
}
