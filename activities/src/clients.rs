//! Gateway clients of merchants' accounts, opened once per version of their credentials.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use gateways::{Endpoints, Gateway, Storage, StorageFailed};
use moka::sync::Cache;
use schemas::{
    gateway::{GatewayKind, Mode},
    id::ConnectionId,
};
use serde_json::Value;
use store::{PgConnection, Store, StoreError, connections, gateway_objects};
use url::Url;

use crate::Activities;

/// Maximum number of open clients in the cache.
const OPEN_CLIENTS: u64 = 10_000;

/// Cache of gateway clients, opened with merchants' credentials. Cheap to clone.
#[derive(Clone)]
pub struct GatewayClients {
    store: Store,
    /// Base URL of our notification addresses.
    pub(crate) notifications: Url,
    endpoints: Arc<HashMap<Mode, Endpoints>>,
    open: Cache<(ConnectionId, i32), Arc<dyn Gateway>>,
}

impl GatewayClients {
    /// Creates an empty cache. `notifications` is the base URL of our notification addresses; `test` and `live` are the gateways' endpoints
    /// in each mode.
    pub fn new(store: Store, notifications: Url, test: Endpoints, live: Endpoints) -> Self {
        let test = Endpoints {
            storage: Some(Arc::new(Objects {
                store: store.clone(),
                of: None,
            })),
            ..test
        };
        let endpoints = HashMap::from([(Mode::Test, test), (Mode::Live, live)]);
        Self {
            store,
            notifications,
            endpoints: Arc::new(endpoints),
            open: Cache::new(OPEN_CLIENTS),
        }
    }

    /// Returns the store of the connections.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the gateways' endpoints in `mode`.
    pub fn endpoints(&self, mode: Mode) -> &Endpoints {
        &self.endpoints[&mode]
    }

    /// Opens the gateway of a connection with its newest credentials.
    pub async fn open(
        &self,
        db: &mut PgConnection,
        connection: ConnectionId,
    ) -> Result<Arc<dyn Gateway>, StoreError> {
        let version = connections::credential_version(db, connection).await?;
        self.open_version(db, connection, version).await
    }

    /// Opens the gateway of a connection whose newest credential version is known.
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
        let gateway = self.read(connection, found.gateway, found.mode, json)?;
        self.open.insert((connection, version), gateway.clone());
        Ok(gateway)
    }

    fn read(
        &self,
        connection: ConnectionId,
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
        let mut endpoints = self.endpoints(mode).clone();
        if endpoints.storage.is_some() {
            // a connection sees its own objects only
            endpoints.storage = Some(Arc::new(Objects {
                store: self.store.clone(),
                of: Some(connection),
            }));
        }
        credentials
            .open(&endpoints)
            .map_err(|why| StoreError::corrupt("gateway_credentials", why))
    }
}

/// Storage of the gateways that have no server: the objects of one connection. Before the connection exists, it is empty.
struct Objects {
    store: Store,
    of: Option<ConnectionId>,
}

impl Objects {
    fn key(&self, key: &str) -> Option<String> {
        self.of.map(|connection| format!("{connection}/{key}"))
    }

    async fn try_put(
        &self,
        key: &str,
        before: Option<&Value>,
        after: &Value,
    ) -> Result<bool, StoreError> {
        let Some(key) = self.key(key) else {
            return Ok(false);
        };
        let mut db = self.store.pool.acquire().await?;
        match before {
            Some(before) => gateway_objects::replace(&mut db, &key, before, after).await,
            None => gateway_objects::insert(&mut db, &key, after).await,
        }
    }

    async fn try_get(&self, key: &str) -> Result<Option<Value>, StoreError> {
        let Some(key) = self.key(key) else {
            return Ok(None);
        };
        let mut db = self.store.pool.acquire().await?;
        gateway_objects::get(&mut db, &key).await
    }
}

/// Logs a failure of our own database.
fn failed(error: &StoreError) -> StorageFailed {
    tracing::error!(%error, "a gateway's object could not be read or written");
    StorageFailed
}

#[async_trait]
impl Storage for Objects {
    async fn get(&self, key: &str) -> Result<Option<Value>, StorageFailed> {
        self.try_get(key).await.map_err(|error| failed(&error))
    }

    async fn put(
        &self,
        key: &str,
        before: Option<&Value>,
        after: &Value,
    ) -> Result<bool, StorageFailed> {
        let stored = self.try_put(key, before, after).await;
        stored.map_err(|error| failed(&error))
    }
}

impl Activities {
    /// Opens the gateway of a connection with its newest credentials.
    pub async fn gateway(&self, connection: ConnectionId) -> Result<Arc<dyn Gateway>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        self.clients.open(&mut db, connection).await
    }
}
