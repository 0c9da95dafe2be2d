//! Merchants' accounts at gateways, opened once per version of their credentials.

use std::{collections::HashMap, sync::Arc};

use gateways::{Endpoints, Gateway};
use moka::sync::Cache;
use schemas::{
    gateway::{GatewayKind, Mode},
    id::ConnectionId,
};
use store::{PgConnection, Store, StoreError, connections};
use url::Url;

use crate::Activities;

/// How many opened accounts are kept.
const OPEN_CLIENTS: u64 = 10_000;

/// Opens gateways with merchants' credentials. Cheap to clone.
#[derive(Clone)]
pub struct GatewayClients {
    store: Store,
    /// The base of our notification addresses.
    pub(crate) notifications: Url,
    endpoints: Arc<HashMap<Mode, Endpoints>>,
    open: Cache<(ConnectionId, i32), Arc<dyn Gateway>>,
}

impl GatewayClients {
    /// `notifications`: the base of our notification addresses; the others: where the gateways are, for each mode.
    pub fn new(store: Store, notifications: Url, test: Endpoints, live: Endpoints) -> Self {
        let endpoints = HashMap::from([(Mode::Test, test), (Mode::Live, live)]);
        Self {
            store,
            notifications,
            endpoints: Arc::new(endpoints),
            open: Cache::new(OPEN_CLIENTS),
        }
    }

    /// Where what belongs to the connections is stored.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Where the gateways are in `mode`.
    pub fn endpoints(&self, mode: Mode) -> &Endpoints {
        &self.endpoints[&mode]
    }

    /// The gateway behind a connection, with its newest credentials.
    pub async fn open(
        &self,
        db: &mut PgConnection,
        connection: ConnectionId,
    ) -> Result<Arc<dyn Gateway>, StoreError> {
        let version = connections::credential_version(db, connection).await?;
        self.open_version(db, connection, version).await
    }

    /// The same, when the newest version is already known.
    pub async fn open_version(
        &self,
        db: &mut PgConnection,
        connection: ConnectionId,
        version: i32,
    ) -> Result<Arc<dyn Gateway>, StoreError> {
        if let Some(gateway) = self.open.get(&(connection, version)) {
            return Ok(gateway);
        }
        let found = connections::find(db, connection).await?.ok_or_else(|| {
            StoreError::corrupt(
                "gateway_connections",
                "a referenced connection is not there",
            )
        })?;
        let (version, json) = connections::credentials(db, &self.store, connection).await?;
        let gateway = self.read(found.gateway, found.mode, json)?;
        self.open.insert((connection, version), gateway.clone());
        Ok(gateway)
    }

    fn read(
        &self,
        kind: GatewayKind,
        mode: Mode,
        json: serde_json::Value,
    ) -> Result<Arc<dyn Gateway>, StoreError> {
        let credentials = gateways::stored_credentials(kind, json).map_err(|wrong| {
            StoreError::corrupt(
                "gateway_credentials",
                wrong.first().map_or("", |e| e.param.as_str()),
            )
        })?;
        gateways::open(&credentials, self.endpoints(mode))
            .map_err(|why| StoreError::corrupt("gateway_credentials", why))
    }
}

impl Activities {
    /// The gateway behind a connection, with its newest credentials.
    pub async fn gateway(&self, connection: ConnectionId) -> Result<Arc<dyn Gateway>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        self.clients.open(&mut db, connection).await
    }
}
