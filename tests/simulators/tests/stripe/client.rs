//! Client that checks every successful response against Stripe's own `OpenAPI` description.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use simulators::{Options, Simulators};
use tokio::sync::mpsc;
use url::{Url, form_urlencoded};

use crate::schema;

/// Timeout for an expected event.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

pub(crate) const KEY: &str = "sk_test_loja";

/// Simulated Stripe of a single test.
pub(crate) struct Stripe {
    pub http: Client,
    pub base: Url,
    pub key: String,
    /// All simulators, which stop when this is dropped.
    _all: Simulators,
}

/// Response as the client receives it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks the status and returns the error's code.
    pub(crate) fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Stripe {
    pub(crate) async fn start() -> Self {
        let all = simulators::start(Options::for_test(7)).await.unwrap();
        let http = Client::builder().no_proxy().build().unwrap();
        // separate tasks open the sockets, shortly after the start
        let place = (
            all.plain_url("stripe").host_str().unwrap(),
            all.plain_url("stripe").port().unwrap(),
        );
        while tokio::net::TcpStream::connect(place).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self {
            http,
            base: all.plain_url("stripe").clone(),
            key: KEY.to_owned(),
            _all: all,
        }
    }

    /// Sends a request with these headers and returns the response.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let text = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut url = self.base.join(path).unwrap();
        let get = method != Method::POST;
        if get && !text.is_empty() {
            url.set_query(Some(&text));
        }
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !get {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(text);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body: Value = answer.json().await.unwrap();
        let answer = Answer {
            status,
            headers,
            body,
        };
        assert!(
            answer.header("request-id").starts_with("req_"),
            "{path}: {answer:?}"
        );
        schema::check(path, &answer.body);
        answer
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, form, &[]).await
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, query, &[]).await
    }

    /// Sends a POST that succeeds and returns the body.
    pub(crate) async fn make(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let answer = self.post(path, form).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Sends a GET that succeeds and returns the body.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.get(path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Calls the control API and returns status and body.
    pub(crate) async fn control(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = self.base.join(&format!("/_sim/stripe/{path}")).unwrap();
        let answer = self
            .http
            .request(method, url)
            .json(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(crate) async fn act(&self, charge: &str, action: &str, how: Value) {
        let (status, body) = self
            .control(Method::POST, &format!("charges/{charge}/{action}"), &how)
            .await;
        assert_eq!(status, 200, "{action}: {body}");
    }

    pub(crate) async fn behave(&self, behavior: Value) {
        let (status, body) = self.control(Method::PUT, "behavior", &behavior).await;
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) async fn advance(&self, seconds: i64) {
        let (status, _) = self
            .control(Method::POST, "clock", &json!({ "advance_s": seconds }))
            .await;
        assert_eq!(status, 200);
    }

    /// Returns the control API's charge with this id.
    pub(crate) async fn held(&self, id: &str) -> Value {
        let (_, all) = self.control(Method::GET, "charges", &json!({})).await;
        let all = all["charges"].as_array().unwrap().clone();
        all.into_iter().find(|held| held["id"] == id).unwrap()
    }

    /// Returns the types of an object's events, oldest first.
    pub(crate) async fn kinds(&self, id: &str) -> Vec<String> {
        let events = self.get("/v1/events", &[("limit", "100")]).await.body;
        let of = events["data"].as_array().unwrap().iter().rev();
        let of = of.filter(|event| event["data"]["object"]["id"] == id);
        of.map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Form of a Pix of R$ 123.45 whose code is shown.
pub(crate) const PIX: [(&str, &str); 9] = [
    ("amount", "12345"),
    ("currency", "brl"),
    ("payment_method_types[0]", "pix"),
    ("payment_method_data[type]", "pix"),
    ("payment_method_data[billing_details][name]", "Fulano"),
    ("payment_method_data[billing_details][email]", "a@b.com"),
    ("payment_method_options[pix][expires_after_seconds]", "3600"),
    ("confirm", "true"),
    ("metadata[reference]", "o1"),
];

/// Form of a boleto of R$ 123.45 that is shown.
pub(crate) const BOLETO: [(&str, &str); 15] = [
    ("amount", "12345"),
    ("currency", "brl"),
    ("payment_method_types[]", "boleto"),
    ("payment_method_data[type]", "boleto"),
    ("payment_method_data[boleto][tax_id]", "529.982.247-25"),
    ("payment_method_data[billing_details][name]", "Fulano"),
    ("payment_method_data[billing_details][email]", "a@b.com"),
    (
        "payment_method_data[billing_details][address][line1]",
        "Rua A, 1",
    ),
    (
        "payment_method_data[billing_details][address][city]",
        "São Paulo",
    ),
    ("payment_method_data[billing_details][address][state]", "SP"),
    (
        "payment_method_data[billing_details][address][postal_code]",
        "01001000",
    ),
    (
        "payment_method_data[billing_details][address][country]",
        "BR",
    ),
    ("payment_method_options[boleto][expires_after_days]", "2"),
    ("confirm", "true"),
    ("metadata[reference]", "o1"),
];

/// Form of a checkout page for a card payment of R$ 123.45.
pub(crate) const PAGE: [(&str, &str); 10] = [
    ("mode", "payment"),
    ("success_url", "https://shop/ok"),
    ("cancel_url", "https://shop/no"),
    ("client_reference_id", "o1"),
    ("metadata[order_id]", "o1"),
    ("payment_method_types[0]", "card"),
    ("line_items[0][quantity]", "1"),
    ("line_items[0][price_data][currency]", "brl"),
    ("line_items[0][price_data][unit_amount]", "12345"),
    ("line_items[0][price_data][product_data][name]", "Pedido o1"),
];

/// Returns a form with some fields changed. An empty value removes the field.
pub(crate) fn with<'a>(
    form: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let unchanged = form
        .iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let new = changes.iter().filter(|(_, value)| !value.is_empty());
    unchanged.chain(new).copied().collect()
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

/// HTTP server that receives the merchant's notifications one by one.
pub(crate) struct Listener {
    pub url: String,
    reported: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
    serving: tokio::task::JoinSet<()>,
}

impl Listener {
    /// Opens a listener that responds with these statuses first, then with 200.
    pub(crate) async fn open(statuses: &[u16]) -> Self {
        let (notify, reported) = mpsc::unbounded_channel();
        let statuses = std::sync::Arc::new(std::sync::Mutex::new(statuses.to_vec()));
        let receive = move |headers: HeaderMap, body: Bytes| {
            let _ = notify.send((headers, body));
            let mut left = statuses.lock().unwrap();
            let status = if left.is_empty() { 200 } else { left.remove(0) };
            async move { StatusCode::from_u16(status).unwrap() }
        };
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", socket.local_addr().unwrap());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            axum::serve(socket, Router::new().route("/hooks", post(receive)))
                .await
                .unwrap();
        });
        Self {
            url,
            reported,
            serving,
        }
    }

    /// Returns the signature header and the raw body of the next notification.
    pub(crate) async fn receive(&mut self) -> (String, Bytes) {
        assert_eq!(self.serving.len(), 1);
        let reported = tokio::time::timeout(PATIENCE, self.reported.recv()).await;
        let (headers, body) = reported.expect("nothing was received in time").unwrap();
        (
            headers["stripe-signature"].to_str().unwrap().to_owned(),
            body,
        )
    }

    /// Returns the next event of type `kind` and skips the others.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event: Value = serde_json::from_slice(&self.receive().await.1).unwrap();
            schema::is("event", &event);
            if event["type"] == kind {
                return event;
            }
        }
    }
}
