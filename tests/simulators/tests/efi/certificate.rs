//! The listener that wants a client certificate.

use reqwest::{Certificate, Client, Identity};
use serde_json::json;

use crate::world::{PATIENCE, World, http};

/// Whether that client gets any answer. Each call is a new connection.
async fn is_answered(world: &World, identity: bool) -> bool {
    let _ = http();
    let authority = Certificate::from_pem(world.simulators.ca_pem.as_bytes()).unwrap();
    let mut client = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .tls_certs_only([authority]);
    if identity {
        let pem = world.simulators.client_pem.as_bytes();
        client = client.identity(Identity::from_pem(pem).unwrap());
    }
    let url = world.simulators.efi_tls.join("/v2/gn/saldo").unwrap();
    client.build().unwrap().get(url).send().await.is_ok()
}

#[tokio::test]
async fn certificates_are_refused_until_healed() {
    let world = World::start().await;
    assert!(is_answered(&world, true).await);
    assert!(!is_answered(&world, false).await, "none shown");
    world
        .control("POST", "faults", &json!({ "kind": "certificate_refused" }))
        .await;
    assert!(!is_answered(&world, true).await);
    assert_eq!(
        world.get("/v2/gn/saldo").await.status,
        200,
        "plain HTTP is not concerned"
    );
    let faults = world.control("GET", "faults", &json!({})).await.body;
    assert_eq!(faults["certificate_refused"], true);
    world.control("DELETE", "faults", &json!({})).await;
    assert!(is_answered(&world, true).await);
}

#[tokio::test]
async fn a_connection_that_stands_is_cut_when_certificates_are_refused() {
    let world = World::start().await;
    let authority = Certificate::from_pem(world.simulators.ca_pem.as_bytes()).unwrap();
    let pem = world.simulators.client_pem.as_bytes();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .identity(Identity::from_pem(pem).unwrap())
        .build()
        .unwrap();
    let url = world.simulators.efi_tls.join("/v2/gn/saldo").unwrap();
    assert!(client.get(url.clone()).send().await.is_ok());
    world
        .control("POST", "faults", &json!({ "kind": "certificate_refused" }))
        .await;
    assert!(client.get(url).send().await.is_err());
}
