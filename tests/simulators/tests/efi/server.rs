//! Simulators over real sockets, a client, and a receiver of notifications.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    routing::any,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use simulators::{Options, Simulators};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Timeout for an expected notification.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const KEY: &str = "71cdf9ba-c695-4e3c-b010-abb521a3f1be";
pub(crate) const TXID: &str = "7978c0c97ea847e78e8849634473c1f1";

pub(crate) struct TestServer {
    pub simulators: Simulators,
    pub http: Client,
    token: String,
}

/// Response as the client receives it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Value,
}

pub(crate) fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().timeout(PATIENCE).build();
    client.expect("a client")
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        let simulators = simulators::start(Options::for_test(1))
            .await
            .expect("simulators");
        let mut server = Self {
            simulators,
            http: http(),
            token: String::new(),
        };
        server.become_account("loja").await;
        server
    }

    /// Fetches a token of this account for the following calls.
    pub(crate) async fn become_account(&mut self, account: &str) {
        let answer = self.ask_token(account, account).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.body["access_token"].as_str().expect("a token");
        token.clone_into(&mut self.token);
    }

    pub(crate) async fn ask_token(&self, id: &str, secret: &str) -> Answer {
        let url = self
            .simulators
            .plain_url("efi_pix")
            .join("/oauth/token")
            .expect("a path");
        let request = self
            .http
            .post(url)
            .basic_auth(
                format!("Client_Id_{id}"),
                Some(format!("Client_Secret_{secret}")),
            )
            .json(&json!({ "grant_type": "client_credentials" }));
        answer(request).await
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = self
            .simulators
            .plain_url("efi_pix")
            .join(path)
            .expect("a path");
        let method: Method = method.parse().expect("a method");
        self.http.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request("GET", path)).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        answer(self.request(method, path).json(body)).await
    }

    /// Creates an immediate charge.
    pub(crate) async fn charge(&self, txid: &str) -> Answer {
        self.call("PUT", &format!("/v2/cob/{txid}"), &cob("123.45"))
            .await
    }

    /// Calls the control API of `efi`.
    pub(crate) async fn control(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.control_of("efi", (method, path), body).await
    }

    pub(crate) async fn control_of(
        &self,
        gateway: &str,
        (method, path): (&str, &str),
        body: &Value,
    ) -> Answer {
        let url = self
            .simulators
            .control
            .join(&format!("/_sim/{gateway}/{path}"));
        let method: Method = method.parse().expect("a method");
        answer(self.http.request(method, url.expect("a path")).json(body)).await
    }

    /// Applies an action to a charge, which must succeed.
    pub(crate) async fn act(&self, charge: &str, action: &str, how: &Value) {
        let path = format!("charges/{charge}/{action}");
        let answer = self.control("POST", &path, how).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn set(&self, settings: &Value) {
        let answer = self.control("PUT", "settings", settings).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn advance(&self, seconds: i64) {
        let clock = json!({ "advance_s": seconds });
        assert_eq!(self.control("POST", "clock", &clock).await.status, 200);
    }

    /// Registers the receiver's address for the key.
    pub(crate) async fn listen(&self, receiver: &Receiver) {
        let request = self
            .request("PUT", &format!("/v2/webhook/{KEY}"))
            .header("x-skip-mtls-checking", "true")
            .json(&json!({ "webhookUrl": receiver.url("/hooks/efi") }));
        let answer = answer(request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Pays the charge and returns the `endToEndId`.
    pub(crate) async fn pay(&self, txid: &str) -> String {
        self.act(txid, "pay", &json!({})).await;
        let read = self.get(&format!("/v2/cob/{txid}")).await;
        let id = read.body["pix"][0]["endToEndId"].as_str();
        id.expect("an id").to_owned()
    }
}

pub(crate) fn cob(amount: &str) -> Value {
    json!({
        "calendario": { "expiracao": 3600 },
        "devedor": { "cpf": "12345678909", "nome": "Francisco da Silva" },
        "valor": { "original": amount },
        "chave": KEY,
        "solicitacaoPagador": "Pedido 123",
        "infoAdicionais": [{ "nome": "pedido", "valor": "123" }],
    })
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("an answer");
    let content_type = answer.headers().get("content-type");
    Answer {
        status: answer.status().as_u16(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default(),
    }
}

/// HTTP server that receives notifications.
pub(crate) struct Receiver {
    base: String,
    reported: Mutex<mpsc::UnboundedReceiver<ReceivedNotification>>,
    /// Status of the receiver's responses.
    status: Arc<Mutex<StatusCode>>,
    stop: CancellationToken,
}

#[derive(Debug)]
pub(crate) struct ReceivedNotification {
    pub uri: String,
    pub content_type: String,
    pub text: String,
}

impl ReceivedNotification {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

#[derive(Clone)]
struct Inbox {
    sender: mpsc::UnboundedSender<ReceivedNotification>,
    status: Arc<Mutex<StatusCode>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, reported) = mpsc::unbounded_channel();
        let status = Arc::new(Mutex::new(StatusCode::OK));
        let inbox = Inbox {
            sender,
            status: status.clone(),
        };
        let router = Router::new().fallback(any(take)).with_state(inbox);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        TaskTracker::new().spawn(async move {
            let _ = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await;
        });
        Self {
            base,
            reported: Mutex::new(reported),
            status,
            stop,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn answer_with(&self, status: u16) {
        *self.status.lock().await = StatusCode::from_u16(status).expect("a status");
    }

    /// Returns the next notification.
    pub(crate) async fn next(&self) -> ReceivedNotification {
        let mut reported = self.reported.lock().await;
        let next = tokio::time::timeout(PATIENCE, reported.recv()).await;
        next.expect("received in time").expect("a receiver")
    }

    /// Returns true if no unread notification exists.
    pub(crate) async fn is_silent(&self) -> bool {
        self.reported.lock().await.try_recv().is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn take(State(inbox): State<Inbox>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let content_type = headers.get("content-type");
    let reported = ReceivedNotification {
        uri: uri.to_string(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        text: String::from_utf8_lossy(&body).into_owned(),
    };
    let status = *inbox.status.lock().await;
    let _ = inbox.sender.send(reported);
    status
}
