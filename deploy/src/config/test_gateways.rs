use std::{collections::BTreeMap, path::PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use gateways::Endpoints;
use schemas::gateway::GatewayApi;
use strum::IntoEnumIterator;
use url::Url;

const HEADING: &str = "Gateways in test mode";
const EFI_CA_FILE: &str = "test-efi-ca-file";

/// Addresses of the gateways in test mode: their own sandboxes, or simulators. In live mode they are fixed.
#[derive(Clone, Debug, Default)]
pub struct TestGateways {
    /// Base URL of each gateway API that is not at its sandbox, from `ORCHESTRATOR_TEST_<API>_URL`.
    pub urls: BTreeMap<GatewayApi, Url>,
    /// Additional certificate authority (PEM file) to trust for Efí, such as a simulator's.
    pub efi_ca_file: Option<PathBuf>,
}

impl TestGateways {
    /// Returns the endpoints of test mode.
    pub(crate) fn endpoints(&self) -> Endpoints {
        let mut endpoints = Endpoints::sandbox();
        endpoints.urls.extend(self.urls.clone());
        endpoints.ca_file.clone_from(&self.efi_ca_file);
        endpoints
    }
}

/// Returns the gateway APIs that have an address.
pub(super) fn configurable() -> impl Iterator<Item = GatewayApi> {
    let sandbox = Endpoints::sandbox();
    GatewayApi::iter().filter(move |api| sandbox.urls.contains_key(api))
}

/// Returns the name of the argument of a gateway API's URL.
fn argument(api: GatewayApi) -> String {
    format!("test-{}-url", api.as_ref().replace('_', "-"))
}

/// Returns the environment variable of a gateway API's URL in test mode.
pub fn variable(api: GatewayApi) -> String {
    format!("ORCHESTRATOR_TEST_{}_URL", api.as_ref().to_uppercase())
}

impl Args for TestGateways {
    fn augment_args(command: Command) -> Command {
        let urls = configurable().map(|api| {
            Arg::new(argument(api))
                .long(argument(api))
                .env(variable(api))
                .value_parser(value_parser!(Url))
                .help_heading(HEADING)
                .help(format!(
                    "URL of the gateway API `{api}` in test mode. Its sandbox by default."
                ))
        });
        let authority = Arg::new(EFI_CA_FILE)
            .long(EFI_CA_FILE)
            .env("ORCHESTRATOR_TEST_EFI_CA_FILE")
            .value_parser(value_parser!(PathBuf))
            .help_heading(HEADING)
            .help("Additional certificate authority (PEM file) to trust for Efí in test mode, such as a simulator's. None by default.");
        command.args(urls).arg(authority)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TestGateways {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut read = Self::default();
        read.update_from_arg_matches(matches)?;
        Ok(read)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for api in configurable() {
            if let Some(url) = matches.get_one::<Url>(&argument(api)) {
                self.urls.insert(api, url.clone());
            }
        }
        if let Some(file) = matches.get_one::<PathBuf>(EFI_CA_FILE) {
            self.efi_ca_file = Some(file.clone());
        }
        Ok(())
    }
}
