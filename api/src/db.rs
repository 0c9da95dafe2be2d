//! Connections to the database.

use axum::{extract::FromRequestParts, http::request::Parts};
use store::PoolConnection;

use crate::{App, Error};

/// Connection to the database for one handler. Put it last among the arguments: it is acquired after the other input was accepted.
pub(crate) struct Db(pub(crate) PoolConnection);

impl FromRequestParts<App> for Db {
    type Rejection = Error;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Error> {
        app.db().await.map(Self)
    }
}

impl App {
    /// Acquires a connection. A handler that waits holds none.
    pub(crate) async fn db(&self) -> Result<PoolConnection, Error> {
        Ok(self.store.pool.acquire().await?)
    }
}
