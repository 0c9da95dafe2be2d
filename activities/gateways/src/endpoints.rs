//! Addresses of the gateways: platform configuration, never a merchant's input.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use schemas::{attempt::ErrorClass, gateway::GatewayApi};
use url::Url;

use crate::{GATEWAYS, GatewayError, Storage, descriptor::ApiDescriptor};

/// Base URLs for one mode, without a trailing slash.
#[derive(Clone, Default)]
pub struct Endpoints {
    pub urls: BTreeMap<GatewayApi, Url>,
    /// Additional certificate authority (PEM file) to trust for gateways with client certificates: a simulator's.
    pub ca_file: Option<PathBuf>,
    /// Storage of gateways that have no server. `None`: they are not available in this mode.
    pub storage: Option<Arc<dyn Storage>>,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Endpoints");
        fields.field("urls", &self.urls).finish_non_exhaustive()
    }
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
            storage: None,
        }
    }

    /// Returns the storage of a gateway without a server. Without one, the gateway is not available in this mode.
    pub(crate) fn storage(&self) -> Result<Arc<dyn Storage>, GatewayError> {
        self.storage.clone().ok_or_else(|| {
            let why = "the gateway exists in test mode only";
            GatewayError::new(ErrorClass::Denied, "test_mode_only", why)
        })
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
