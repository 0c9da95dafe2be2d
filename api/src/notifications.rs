//! Notifications from gateways. They are verified, stored, answered, and then processed.

use std::time::SystemTime;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use gateways::{Entries, Forged, Received};
use schemas::id::ConnectionId;
use secrecy::SecretString;
use serde::Deserialize;
use store::connections::{Connection, addresses};

use crate::{
    App, Code, Error,
    input::{Path, parse},
};

/// Parameters of a notification address.
#[derive(Deserialize)]
pub(crate) struct Address {
    connection: String,
    secret: SecretString,
}

/// `POST /notifications/{connection}/{secret}`: always exactly 200 once stored, because Asaas accepts no other status.
pub(crate) async fn receive(
    State(app): State<App>,
    Path(address): Path<Address>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Error> {
    let id: ConnectionId = parse(&address.connection)?;
    let mut db = app.db().await?;
    let found = addresses::by_path_secret(&mut db, &app.store, id, &address.secret).await?;
    let found = found.ok_or_else(|| Error::not_found("notification address"))?;
    drop(db);
    let (gateway, known) = app
        .orchestrator
        .activities
        .notification_reader(&found)
        .await?;
    let from = found.connection;
    let received = Received {
        headers: pairs(&headers),
        body: body.to_vec(),
        at: SystemTime::now().into(),
    };
    let read = match gateway.notification(&received, &known) {
        Ok(read) => read,
        Err(Forged(why)) => {
            count(&from, "forged");
            tracing::warn!(connection = %from.id, gateway = %from.gateway, why, "a notification could not be verified");
            app.orchestrator.unproved(&from).await?;
            return Err(Error::new(
                Code::InvalidNotification,
                "the notification could not be verified",
            ));
        }
    };
    if read == Entries::default() {
        count(&from, "verified_empty");
        return Ok(StatusCode::OK);
    }
    let ingested = app
        .orchestrator
        .notified(&from, &received.body, read)
        .await?;
    let outcome = match (ingested.is_unreadable, ingested.is_foreign) {
        (true, _) => "unreadable",
        (false, true) => "verified_foreign",
        (false, false) => "verified",
    };
    count(&from, outcome);
    Ok(StatusCode::OK)
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

fn count(from: &Connection, outcome: &str) {
    metrics::counter!("notifications_total", "gateway" => from.gateway.to_string(), "outcome" => outcome.to_owned()).increment(1);
}
