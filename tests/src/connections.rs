//! The merchant's gateway connections.

use activities::connection::{self, AddError, ArchiveError, NewConnection};
use orchestrator::{Config, start::clients};
use schemas::{
    gateway::{GatewayKind, Mode},
    id::{ConnectionId, MerchantId},
};
use secrecy::ExposeSecret;
use store::{
    Store,
    connections::{self, Connection, addresses},
};
use url::Url;

use crate::Stack;

impl Stack {
    /// Returns the merchant's connections, oldest first.
    pub async fn connections(&self) -> Vec<Connection> {
        let mut db = self.store.pool.acquire().await.expect("a connection");
        connections::list(&mut db, self.merchant, Mode::Test)
            .await
            .expect("a list")
    }

    /// Connects the same account once more, and replaces the present notification address.
    pub async fn connect_again(&self, gateway: GatewayKind) -> Result<ConnectionId, AddError> {
        let new = NewConnection {
            label: format!("{gateway} again"),
            replace_address: true,
            ..new(self.merchant, gateway, &self.simulators)
        };
        let clients = clients(&self.config, &self.store);
        let added = connection::add(&self.store, &clients, &new).await;
        added.map(|added| added.id)
    }

    /// Archives a connection, as `orchestrator connection archive` does.
    pub async fn archive(&self, id: ConnectionId) -> Result<(), ArchiveError> {
        let clients = clients(&self.config, &self.store);
        let archived = connection::archive(&self.store, &clients, id).await?;
        assert_eq!(archived.deregistered, Ok(()));
        Ok(())
    }
}

/// Connects an account at a simulator. Returns the address of its notifications.
pub(crate) async fn connect(
    config: &Config,
    store: &Store,
    (merchant, gateway): (MerchantId, GatewayKind),
    simulators: &simulators::Simulators,
) -> anyhow::Result<Url> {
    let new = new(merchant, gateway, simulators);
    let added = connection::add(store, &clients(config, store), &new).await?;
    added.notified.map_err(anyhow::Error::msg)?;
    let mut db = store.pool.acquire().await?;
    let secret = addresses::path_secret(&mut db, store, added.id).await?;
    Ok(connection::address(
        &config.http.notifications_url,
        added.id,
        secret.expose_secret(),
    ))
}

fn new(
    merchant: MerchantId,
    gateway: GatewayKind,
    simulators: &simulators::Simulators,
) -> NewConnection {
    NewConnection {
        merchant,
        mode: Mode::Test,
        gateway,
        label: gateway.to_string(),
        credentials: simulators::credentials(gateway.as_ref(), "loja", &simulators.client_pem),
        replace_address: false,
    }
}
