//! Addresses of the gateways: platform configuration, never a merchant's input.

use std::{collections::BTreeMap, path::PathBuf};

use schemas::{attempt::ErrorClass, gateway::GatewayApi};
use url::Url;

use crate::{GATEWAYS, GatewayError, descriptor::ApiDescriptor};

/// Base URLs for one mode, without a trailing slash.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    pub urls: BTreeMap<GatewayApi, Url>,
    /// Additional certificate authority (PEM file) to trust for gateways with client certificates: a simulator's.
    pub ca_file: Option<PathBuf>,
}

impl Endpoints {
    /// Returns the production endpoints.
    pub fn live() -> Self {
        Self::of(|api| api.live)
    }

    /// Returns the endpoints of the gateways' own sandboxes.
    pub fn sandbox() -> Self {
        Self::of(|api| api.test)
    }

    fn of(url: fn(&ApiDescriptor) -> Option<&'static str>) -> Self {
        let apis = GATEWAYS.iter().flat_map(|gateway| gateway.apis);
        let urls = apis.filter_map(|api| Some((api.api, fixed(url(api)?))));
        Self {
            urls: urls.collect(),
            ca_file: None,
        }
    }

    /// Returns the base URL of an API. An API without one is not available in this mode.
    pub(crate) fn url(&self, api: GatewayApi) -> Result<Url, GatewayError> {
        self.urls.get(&api).cloned().ok_or_else(|| {
            GatewayError::new(
                ErrorClass::Denied,
                "no_endpoint",
                format!("{api} is not available in this mode"),
            )
        })
    }
}

fn fixed(url: &'static str) -> Url {
    Url::parse(url).expect("a literal URL")
}
