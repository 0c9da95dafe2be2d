#![doc = include_str!("../README.md")]

use std::{fs, io, path::Path};

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use schemas::{
    attempt::Attempt,
    charge::{Charge, CreateCharge},
    delivery::Delivery,
    dispute::Dispute,
    event::Event,
    message::{AttemptFinished, BreakerMoved, ChargeMoved, CloudEvent},
    page::Page,
    problem::Problem,
    refund::{CreateRefund, Refund},
    timeline::Timeline,
    validate::request_schema,
    webhook_endpoint::{CreateWebhookEndpoint, WebhookEndpoint},
};

/// Returns the name and the schema of every public type.
pub fn documents() -> Vec<(&'static str, Schema)> {
    vec![
        ("create_charge", request_schema::<CreateCharge>()),
        (
            "create_webhook_endpoint",
            request_schema::<CreateWebhookEndpoint>(),
        ),
        ("create_refund", request_schema::<CreateRefund>()),
        ("charge", answer::<Charge>()),
        ("charge_page", answer::<Page<Charge>>()),
        ("timeline", answer::<Timeline>()),
        ("attempt", answer::<Attempt>()),
        ("refund", answer::<Refund>()),
        ("refund_page", answer::<Page<Refund>>()),
        ("dispute", answer::<Dispute>()),
        ("dispute_page", answer::<Page<Dispute>>()),
        ("event", answer::<Event>()),
        ("event_page", answer::<Page<Event>>()),
        ("webhook_endpoint", answer::<WebhookEndpoint>()),
        ("webhook_endpoint_page", answer::<Page<WebhookEndpoint>>()),
        ("delivery", answer::<Delivery>()),
        ("problem", answer::<Problem>()),
        (
            "message_gateway_attempt_finished",
            answer::<CloudEvent<AttemptFinished>>(),
        ),
        (
            "message_gateway_breaker_moved",
            answer::<CloudEvent<BreakerMoved>>(),
        ),
        ("message_charge_event", answer::<CloudEvent<ChargeMoved>>()),
    ]
}

fn answer<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Rewrites `folder`: writes one file per type and removes all other files.
pub fn write(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for (name, schema) in documents() {
        let text = serde_json::to_string_pretty(&schema)?;
        fs::write(folder.join(format!("{name}.json")), text + "\n")?;
    }
    Ok(())
}
