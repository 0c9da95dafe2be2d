//! Connections: a merchant's account at a gateway is checked, stored and routed, and our notification address is registered there.

use gateways::{Account, GATEWAYS, GatewayError, Subscription, Unregister, descriptor, is_default};
use schemas::{
    connection::ConnectionStatus,
    gateway::{GatewayKind, Mode},
    id::{ConnectionId, MerchantId},
    problem::FieldError,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use store::{
    PgConnection, Store, StoreError,
    connections::{self, addresses},
    merchants,
    routing::{self, Change},
};
use url::Url;

use crate::{clients::GatewayClients, registration::register};

/// Connection to add.
#[derive(Debug)]
pub struct NewConnection {
    pub merchant: MerchantId,
    pub mode: Mode,
    pub gateway: GatewayKind,
    /// Merchant's own name for it, unique per mode.
    pub label: String,
    pub credentials: Value,
    /// True if another party's address that is registered at the gateway is to be replaced.
    pub replace_address: bool,
}

/// Connection that was added.
#[derive(Debug)]
pub struct Added {
    pub id: ConnectionId,
    /// Result of registering the notification address. Charges work without it, but payments are noticed later.
    pub notified: Result<(), String>,
}

/// Reason that a connection was not added. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    #[error("the credentials are not complete: {}", .0.iter().map(|e| format!("{} {}", e.param, e.message)).collect::<Vec<_>>().join("; "))]
    Credentials(Vec<FieldError>),
    #[error("the gateway did not accept the credentials: {0}")]
    Gateway(#[from] GatewayError),
    #[error(
        "these credentials belong to the gateway's {found} environment, and the connection is for mode {asked}"
    )]
    OtherMode { found: Mode, asked: Mode },
    #[error("this merchant has a connection called `{0}` in this mode already")]
    LabelTaken(String),
    #[error(
        "this account at the gateway is connected already in this mode, as `{label}` ({id}): add new credentials to that connection, or archive it first"
    )]
    AccountConnected { id: ConnectionId, label: String },
    #[error("there is no such merchant")]
    NoMerchant,
    #[error(transparent)]
    Store(#[from] StoreError),
}

const LABEL_TAKEN: &str = "gateway_connections_merchant_id_mode_label_key";

/// Adds a connection at the end of the merchant's routes.
pub async fn add(
    store: &Store,
    clients: &GatewayClients,
    new: &NewConnection,
) -> Result<Added, AddError> {
    let credentials = gateways::read_credentials(new.gateway, new.credentials.clone())
        .map_err(AddError::Credentials)?;
    let gateway = credentials.open(clients.endpoints(new.mode))?;
    let account = gateway.probe().await?;
    check_mode(&account, new.mode)?;
    let (id, secret) = insert(store, new, &account).await?;
    let address = address(&clients.notifications, id, secret.expose_secret());
    let mut db = store.pool.acquire().await.map_err(StoreError::from)?;
    let about = connections::find(&mut db, id)
        .await?
        .ok_or_else(|| StoreError::corrupt("gateway_connections", "a new row is not there"))?;
    drop(db);
    let where_to = (&address, new.replace_address);
    let notified = match register(clients, &about, gateway.as_ref(), where_to).await? {
        Ok(Subscription::Taken { by }) => Err(format!(
            "another address is registered at the gateway: {by}"
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    Ok(Added { id, notified })
}

/// Label of a default connection. Connections that the merchant adds are named after their gateway by default.
const DEFAULT_LABEL: &str = "default";

/// Connects a new merchant to the gateways that need no account of it, in test mode.
pub async fn add_defaults(
    store: &Store,
    clients: &GatewayClients,
    merchant: MerchantId,
) -> Result<(), AddError> {
    for gateway in GATEWAYS {
        let Some(default) = gateway.default else {
            continue;
        };
        let new = NewConnection {
            merchant,
            mode: Mode::Test,
            gateway: gateway.kind,
            label: DEFAULT_LABEL.to_owned(),
            credentials: serde_json::from_str(default.credentials)
                .map_err(|why| StoreError::corrupt("default credentials", why))?,
            replace_address: false,
        };
        add(store, clients, &new).await?;
    }
    Ok(())
}

/// Returns the default connections, which a new account of the merchant replaces in its routes.
async fn defaults(
    db: &mut PgConnection,
    new: &NewConnection,
    account: &Account,
) -> Result<Vec<ConnectionId>, StoreError> {
    if is_default(&account.fingerprint) {
        return Ok(Vec::new());
    }
    let all = connections::list(db, new.merchant, new.mode).await?;
    let replaced = all.into_iter().filter(|one| is_default(&one.fingerprint));
    Ok(replaced.map(|one| one.id).collect())
}

/// Connection that was archived.
#[derive(Debug)]
pub struct Archived {
    /// Result of removing our address at the gateway. If it failed, archiving again retries it.
    pub deregistered: Result<(), String>,
}

/// Reason that a connection was not archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("there is no such connection")]
    NoConnection,
    #[error(
        "{0} charges on it may still be paid: drain it, so that it takes no new ones, and archive it when they have ended"
    )]
    Payable(i64),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Archives a connection: removes our notification address at the gateway and restores the one that it had replaced. Later activity there
/// is found in the gateway's lists.
pub async fn archive(
    store: &Store,
    clients: &GatewayClients,
    id: ConnectionId,
) -> Result<Archived, ArchiveError> {
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    if connections::find(&mut tx, id).await?.is_none() {
        return Err(ArchiveError::NoConnection);
    }
    // first, so that no charge is routed to it meanwhile and the address is not registered again
    connections::set_status(&mut tx, id, ConnectionStatus::Archived).await?;
    match connections::count_payable(&mut tx, id).await? {
        0 => {}
        payable => return Err(ArchiveError::Payable(payable)),
    }
    let secret = addresses::path_secret(&mut tx, store, id).await?;
    let former = addresses::former(&mut tx, store, id).await?;
    let gateway = clients.open(&mut tx, id).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let former = former
        .map(|text| Url::parse(&text))
        .transpose()
        .map_err(|why| StoreError::corrupt("former_address_sealed", why))?;
    let ours = address(&clients.notifications, id, secret.expose_secret());
    let deregistered = gateway
        .unregister(
            &ours,
            Unregister::All {
                restore: former.as_ref(),
            },
        )
        .await;
    Ok(Archived {
        deregistered: deregistered.map_err(|error| error.to_string()),
    })
}

async fn insert(
    store: &Store,
    new: &NewConnection,
    account: &Account,
) -> Result<(ConnectionId, secrecy::SecretString), AddError> {
    let id = ConnectionId(store::new_id());
    let gateway = descriptor(new.gateway);
    let apis: Vec<_> = gateway.apis.iter().map(|api| api.api).collect();
    let mut tx = store.begin().await.map_err(StoreError::from)?;
    if merchants::find(&mut tx, new.merchant).await?.is_none() {
        return Err(AddError::NoMerchant);
    }
    let of = (new.merchant, new.mode);
    if let Some(same) = connections::of_account(&mut tx, of, &account.fingerprint).await? {
        return Err(AddError::AccountConnected {
            id: same.id,
            label: same.label,
        });
    }
    let row = connections::NewConnection {
        id,
        merchant: new.merchant,
        mode: new.mode,
        gateway: new.gateway,
        label: &new.label,
        fingerprint: &account.fingerprint,
        credentials: &new.credentials,
        apis: &apis,
        replace_address: new.replace_address,
    };
    let inserted = connections::insert(&mut tx, store, &row).await;
    let secret = inserted.map_err(|error| {
        if error.violates(LABEL_TAKEN) {
            AddError::LabelTaken(new.label.clone())
        } else {
            AddError::Store(error)
        }
    })?;
    let replaced = defaults(&mut tx, new, account).await?;
    for method in gateway.methods {
        let change = Change {
            author: "connection add",
            reason: "a new connection goes last",
        };
        routing::append(
            &mut tx,
            routing::PolicyKey {
                merchant: new.merchant,
                mode: new.mode,
                method: method.kind,
            },
            id,
            &replaced,
            change,
        )
        .await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok((id, secret))
}

fn check_mode(account: &Account, asked: Mode) -> Result<(), AddError> {
    let found = account
        .live
        .map(|live| if live { Mode::Live } else { Mode::Test });
    match found {
        Some(found) if found != asked => Err(AddError::OtherMode { found, asked }),
        _ => Ok(()),
    }
}

/// Returns the address that receives a connection's notifications.
pub fn address(base: &Url, id: ConnectionId, secret: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty()
            .extend(["notifications", &id.to_string(), secret]);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_the_base_path_and_takes_connection_and_secret() {
        let id = ConnectionId(uuid::Uuid::nil());
        for base in ["https://in.example.com/pay", "https://in.example.com/pay/"] {
            let url = address(&base.parse().expect("a URL"), id, "s3");
            assert_eq!(
                url.as_str(),
                format!("https://in.example.com/pay/notifications/{id}/s3")
            );
        }
    }
}
