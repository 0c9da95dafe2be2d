//! Tests of the listener that requires a client certificate.

use reqwest::{Certificate, Client, Identity};
use serde_json::json;

use crate::server::{PATIENCE, TestServer, http};

/// Returns true if the client receives a response. Each call opens a new connection.
async fn is_answered(server: &TestServer, identity: bool) -> bool {
    let _ = http();
    let authority = Certificate::from_pem(server.simulators.ca_pem.as_bytes()).unwrap();
    let mut client = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .tls_certs_only([authority]);
    if identity {
        let pem = server.simulators.client_pem.as_bytes();
        client = client.identity(Identity::from_pem(pem).unwrap());
    }
    let url = server
        .simulators
        .url("efi_pix")
        .join("/v2/gn/saldo")
        .unwrap();
    client.build().unwrap().get(url).send().await.is_ok()
}

#[tokio::test]
async fn certificates_are_refused_until_healed() {
    let server = TestServer::start().await;
    assert!(is_answered(&server, true).await);
    assert!(!is_answered(&server, false).await, "none shown");
    server
        .control("POST", "faults", &json!({ "kind": "certificate_refused" }))
        .await;
    assert!(!is_answered(&server, true).await);
    assert_eq!(
        server.get("/v2/gn/saldo").await.status,
        200,
        "plain HTTP is not concerned"
    );
    let faults = server.control("GET", "faults", &json!({})).await.body;
    assert_eq!(faults["certificate_refused"], true);
    server.control("DELETE", "faults", &json!({})).await;
    assert!(is_answered(&server, true).await);
}

#[tokio::test]
async fn an_open_connection_is_cut_when_certificates_are_refused() {
    let server = TestServer::start().await;
    let authority = Certificate::from_pem(server.simulators.ca_pem.as_bytes()).unwrap();
    let pem = server.simulators.client_pem.as_bytes();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .identity(Identity::from_pem(pem).unwrap())
        .build()
        .unwrap();
    let url = server
        .simulators
        .url("efi_pix")
        .join("/v2/gn/saldo")
        .unwrap();
    assert!(client.get(url.clone()).send().await.is_ok());
    server
        .control("POST", "faults", &json!({ "kind": "certificate_refused" }))
        .await;
    assert!(client.get(url).send().await.is_err());
}
