//! Notifications from gateways. They are verified, stored, answered, and then processed.

use std::time::SystemTime;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use gateways::{Entries, Forged, Received};
use secrecy::SecretString;
use store::{
    StoreError,
    connections::{Connection, addresses},
};

use crate::{
    App, Code, Error,
    input::{Body, Path, path_id},
};

/// `POST /notifications/{connection}/{secret}`: always exactly 200 once stored, because Asaas accepts no other status.
pub async fn receive(
    State(app): State<App>,
    Path((connection, secret)): Path<(String, String)>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<StatusCode, Error> {
    let id = path_id(&connection, "notification address")?;
    let mut db = app.store.pool.acquire().await.map_err(StoreError::from)?;
    let from = addresses::by_path_secret(&mut db, id, &SecretString::from(secret)).await?;
    let from = from.ok_or_else(|| Error::not_found("notification address"))?;
    drop(db);
    let gateway = app.orchestrator.gateway(from.id).await?;
    let known = app.orchestrator.registrations(&from).await?;
    let received = Received {
        headers: pairs(&headers),
        body: body.to_vec(),
        at: SystemTime::now().into(),
    };
    if let Err(Forged(why)) = gateway.verify(&received, &known) {
        count(&from, "forged");
        tracing::warn!(connection = %from.id, gateway = %from.gateway, why, "a notification could not be verified");
        app.orchestrator.unproved(&from).await?;
        return Err(Error::new(
            Code::InvalidNotification,
            "the notification could not be verified",
        ));
    }
    let read = gateway.parse(&received.body);
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
