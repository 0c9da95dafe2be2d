//! Tests of webhook registration and of the notifications sent to webhooks.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::server::{KEY, Receiver, TXID, TestServer};

/// Starts a receiver that responds with 200 only to clients with a certificate of that authority.
async fn demanding_receiver(ca_pem: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
        .unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![own.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    format!("https://{address}/hooks")
}

#[tokio::test]
async fn registration_tests_that_the_address_demands_a_certificate() {
    let server = TestServer::start().await;
    let path = format!("/v2/webhook/{KEY}");
    let open = Receiver::start().await;
    let careless = server
        .call("PUT", &path, &json!({ "webhookUrl": open.url("/hooks") }))
        .await;
    assert_eq!(
        (careless.status, &careless.body["nome"]),
        (400, &json!("webhook_invalido"))
    );
    assert_eq!(open.next().await.uri, "/hooks", "the test appends nothing");
    let strict = demanding_receiver(&server.simulators.ca_pem).await;
    let registered = server
        .call("PUT", &path, &json!({ "webhookUrl": strict }))
        .await;
    assert_eq!(registered.status, 201, "{registered:?}");
    assert_eq!(server.get(&path).await.body["webhookUrl"], *strict);
    let anonymous = json!({ "webhookUrl": "http://127.0.0.1:1/hooks" });
    assert_eq!(server.call("PUT", &path, &anonymous).await.status, 400);
}

#[tokio::test]
async fn callbacks_append_pix_to_a_path_and_to_a_query() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    server.listen(&receiver).await;
    server.charge(TXID).await;
    server.pay(TXID).await;
    let reported = receiver.next().await;
    assert_eq!(
        (reported.uri.as_str(), reported.content_type.as_str()),
        ("/hooks/efi/pix", "application/json")
    );
    let request = server
        .request("PUT", &format!("/v2/webhook/{KEY}"))
        .header("x-skip-mtls-checking", "true")
        .json(&json!({ "webhookUrl": receiver.url("/hooks?hmac=SECRET&ignorar=") }));
    assert_eq!(crate::server::answer(request).await.status, 201);
    server.charge("aaaaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    server.pay("aaaaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    assert_eq!(receiver.next().await.uri, "/hooks?hmac=SECRET&ignorar=/pix");
}

#[tokio::test]
async fn a_later_registration_takes_the_callbacks() {
    let server = TestServer::start().await;
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    server.listen(&first).await;
    server.listen(&second).await;
    server.charge(TXID).await;
    server.pay(TXID).await;
    second.next().await;
    assert!(first.is_silent().await);
    let path = format!("/v2/webhook/{KEY}");
    assert_eq!(server.call("DELETE", &path, &json!({})).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn extras_and_pix_without_a_txid_follow_the_configuration() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    server.listen(&receiver).await;
    let transfer = json!({ "pix": [{ "account": "loja", "key": KEY, "amount": 500 }] });
    let configure = async |extras: bool, without: bool| {
        let webhook = json!({
            "notificacao": { "tarifa": extras, "pagador": extras }, "notificar": { "pixSemTxid": without },
        });
        let config =
            json!({ "pix": { "chaves": { KEY: { "recebimento": { "webhook": webhook } } } } });
        assert_eq!(
            server.call("PUT", "/v2/gn/config", &config).await.status,
            204
        );
        assert_eq!(server.get("/v2/gn/config").await.body, config);
    };
    configure(false, false).await;
    server.control("POST", "pix", &transfer).await;
    server.charge(TXID).await;
    server.pay(TXID).await;
    let reported = receiver.next().await.json();
    assert_eq!(
        reported["pix"][0]["txid"], TXID,
        "the transfer was not sent"
    );
    assert!(reported["pix"][0].get("gnExtras").is_none());
    configure(true, true).await;
    server.control("POST", "pix", &transfer).await;
    let reported = receiver.next().await.json();
    assert!(reported["pix"][0].get("txid").is_none());
    assert_eq!(reported["pix"][0]["gnExtras"]["tarifa"], "0.05");
    let list = "/v2/pix?inicio=2020-01-01T00:00:00Z&fim=2099-01-01T00:00:00Z&txIdPresente=false";
    assert_eq!(
        server.get(list).await.body["pix"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn one_body_may_carry_several_pix_and_sends_are_reported_too() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    server.listen(&receiver).await;
    let other = "aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    server.charge(TXID).await;
    server.charge(other).await;
    let both = json!({ "pix": [{ "charge": TXID }, { "charge": other, "amount": 100 }] });
    let ids = server.control("POST", "pix", &both).await.body["endToEndIds"].clone();
    let reported = receiver.next().await.json();
    assert_eq!(reported["pix"].as_array().unwrap().len(), 2);
    assert_eq!(reported["pix"][1]["valor"], "1.00");
    let order = json!({ "account": "loja", "key": KEY, "amount": 100 });
    server.control("POST", "sends", &order).await;
    let sent = receiver.next().await.json();
    assert_eq!(
        (&sent["pix"][0]["tipo"], &sent["pix"][0]["status"]),
        (&json!("SOLICITACAO"), &json!("REALIZADO"))
    );

    let again = json!({ "tipo": "PIX_RECEBIDO", "e2eids": [ids[1]] });
    assert_eq!(
        server
            .call("POST", "/v2/gn/webhook/reenviar", &again)
            .await
            .status,
        202
    );
    assert_eq!(receiver.next().await.json()["pix"][0]["endToEndId"], ids[1]);
    let again = json!({ "tipo": "PIX_ENVIADO", "e2eids": [sent["pix"][0]["endToEndId"]] });
    assert_eq!(
        server
            .call("POST", "/v2/gn/webhook/reenviar", &again)
            .await
            .status,
        202
    );
    assert_eq!(receiver.next().await.json(), sent);
    let unknown = json!({ "tipo": "PIX_RECEBIDO", "e2eids": ["E0"] });
    assert_eq!(
        server
            .call("POST", "/v2/gn/webhook/reenviar", &unknown)
            .await
            .status,
        404
    );
}
