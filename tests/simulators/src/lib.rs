#![doc = include_str!("../README.md")]

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

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
mod simulator;
mod stripe;

use certificates::Certificates;
use control::ControlApi;
pub use control::{Action, Held};
pub use in_process::InProcess;
use listener::Listener;
pub use notify::Outgoing;
use sim::Sim;
use simulator::Simulator;
pub use simulator::{Descriptor, SIMULATORS, credentials};

/// Options of `start`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of the control API. Each simulator has the port after it by its place in [`SIMULATORS`]; those that demand a client
    /// certificate have one more over plain HTTP, after all others. 0 is any free port for each of them.
    pub port: u16,
    /// Folder that stores the certificates between runs. Without it, new ones are created in memory.
    pub certificates: Option<PathBuf>,
    /// Seed of the generated ids.
    pub seed: u64,
}

impl Options {
    /// Returns options for a test: any free ports, certificates in memory.
    pub fn for_test(seed: u64) -> Self {
        Self {
            port: 0,
            certificates: None,
            seed,
        }
    }
}

/// Addresses of one simulated gateway API.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Address for clients of the gateway, over HTTPS if it demands a client certificate.
    pub url: Url,
    /// Address over plain HTTP, which also serves the control API.
    pub plain: Url,
}

/// Running simulators and their addresses.
pub struct Simulators {
    pub control: Url,
    /// Addresses by the API's name: `efi_pix`, `stripe`…
    pub apis: BTreeMap<&'static str, Addresses>,
    /// Authority that signed the certificates of the listeners with HTTPS, in PEM.
    pub ca_pem: String,
    /// Client certificate and key that these listeners accept, in PEM.
    pub client_pem: String,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Simulators {
    /// Returns the address of an API for clients of the gateway.
    ///
    /// # Panics
    ///
    /// If no simulator has an API of that name.
    pub fn url(&self, api: &str) -> &Url {
        &self.apis[api].url
    }

    /// Returns the address of an API over plain HTTP.
    ///
    /// # Panics
    ///
    /// If no simulator has an API of that name.
    pub fn plain_url(&self, api: &str) -> &Url {
        &self.apis[api].plain
    }

    /// Stops the simulators and waits until their tasks end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Port numbers, one after the other from the base; always 0 if the base is 0.
struct NextPort {
    base: u16,
    given: u16,
}

impl NextPort {
    fn take(&mut self) -> SocketAddr {
        let port = if self.base == 0 {
            0
        } else {
            self.base.saturating_add(self.given)
        };
        self.given += 1;
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}

/// Starts all simulators.
pub async fn start(options: Options) -> anyhow::Result<Simulators> {
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let certificates = Certificates::open(options.certificates.as_deref())?;
    let mut open = Vec::new();
    for (n, simulator) in (0..).zip(SIMULATORS) {
        let sim = Sim::new(
            simulator.name,
            options.seed + n,
            tracker.clone(),
            stop.clone(),
        );
        open.push((simulator, (simulator.open)(sim, &certificates)?));
    }
    let apis: Vec<Arc<dyn ControlApi>> = open
        .iter()
        .map(|(_, api)| -> Arc<dyn ControlApi> { api.clone() })
        .collect();
    let sims: Vec<Arc<Sim>> = apis.iter().map(|api| api.sim().clone()).collect();
    let mut control = control::router(apis);
    for (_, api) in &open {
        control = control.merge(api.clone().control());
    }
    let listener = Listener {
        stop: stop.clone(),
        tracker: tracker.clone(),
    };
    let mut ports = NextPort {
        base: options.port,
        given: 0,
    };
    let control_port = ports.take();
    let apis = listen(&listener, &open, &control, &certificates, &mut ports)?;
    let control_at = listener.open_control(control_port, control).await?;
    take_connections(&sims).await;
    Ok(Simulators {
        control: format!("http://{control_at}").parse()?,
        apis,
        ca_pem: certificates.ca,
        client_pem: certificates.client,
        stop,
        tracker,
    })
}

type OpenSimulator = (&'static Descriptor, Arc<dyn Simulator>);

/// Opens the listeners of the simulators.
fn listen(
    listener: &Listener,
    open: &[OpenSimulator],
    control: &Router,
    certificates: &Certificates,
    ports: &mut NextPort,
) -> anyhow::Result<BTreeMap<&'static str, Addresses>> {
    let url = |scheme: &str, address: SocketAddr| format!("{scheme}://{address}").parse::<Url>();
    let plain = |api: &Arc<dyn Simulator>| control.clone().merge(api.clone().router());
    let mut addresses = BTreeMap::new();
    for (simulator, api) in open {
        let port = ports.take();
        let url = if simulator.demands_certificate {
            let tls = certificates.acceptor(api.sim().refuses_certificates.clone())?;
            let router = (api.clone().router(), Some(tls));
            url("https", listener.open(port, api.clone(), router)?)?
        } else {
            let router = (plain(api), None);
            url("http", listener.open(port, api.clone(), router)?)?
        };
        let plain = url.clone();
        addresses.insert(simulator.api, Addresses { url, plain });
    }
    for (simulator, api) in open.iter().filter(|(one, _)| one.demands_certificate) {
        let at = listener.open(ports.take(), api.clone(), (plain(api), None))?;
        if let Some(addresses) = addresses.get_mut(simulator.api) {
            addresses.plain = url("http", at)?;
        }
    }
    Ok(addresses)
}

/// Waits until the listeners, which are tasks, accept connections: a client that connects at once must not be refused.
async fn take_connections(sims: &[Arc<Sim>]) {
    for sim in sims {
        sim.set_up(true).await;
    }
}
