#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use schemas::{
    charge::CreateCharge, refund::CreateRefund, validate::Checker,
    webhook_endpoint::CreateWebhookEndpoint,
};
use store::{Store, listen::Outcomes};
use tokio_util::task::TaskTracker;
use url::Url;
use workflows::Orchestrator;

mod admission;
pub mod auth;
pub mod error;
pub mod input;
pub mod log;
pub mod notifications;
pub mod v1;

use admission::Admission;
pub use error::{Code, Error};

/// Maximum size of a merchant's request in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Maximum size of a gateway's notification in bytes.
const MAX_NOTIFICATION: usize = 512 * 1024;

/// Configuration of the API.
#[derive(Clone, Debug)]
pub struct Config {
    /// Maximum time that a caller waits for a charge to be presented.
    pub answer_within: Duration,
    /// Maximum number of concurrent requests that create or change something. Waiting for a gateway does not count.
    pub requests_at_work: usize,
    /// Maximum number of callers that wait for an outcome. More are refused immediately.
    pub max_waiting_callers: usize,
    /// True if webhook endpoints may have private addresses and plain HTTP: for local stacks only.
    pub allow_private_webhooks: bool,
    /// Base URL of the explanations of error codes.
    pub docs_url: Url,
}

/// State of the handlers. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// Fields of an [`App`].
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) outcomes: Outcomes,
    pub(crate) config: Config,
    pub(crate) tracker: TaskTracker,
    pub(crate) admission: Admission,
    pub(crate) charges: Checker<CreateCharge>,
    pub(crate) refunds: Checker<CreateRefund>,
    pub(crate) endpoints: Checker<CreateWebhookEndpoint>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// Creates the state. `outcomes` must be listening; the process waits for `tracker` when it stops.
    pub fn new(
        store: Store,
        orchestrator: Orchestrator,
        outcomes: Outcomes,
        config: Config,
        tracker: TaskTracker,
    ) -> Self {
        let admission = Admission::new(admission::Limits {
            at_work: config.requests_at_work,
            waiting_callers: config.max_waiting_callers,
            answer_within: config.answer_within,
        });
        Self(Arc::new(Inner {
            store,
            orchestrator,
            outcomes,
            config,
            tracker,
            admission,
            charges: Checker::new(),
            refunds: Checker::new(),
            endpoints: Checker::new(),
        }))
    }
}

/// Returns all routes.
pub fn router(app: App) -> Router {
    let merchants = Router::new()
        .route(
            "/v1/charges",
            post(v1::charges::create::create).get(v1::charges::list::list),
        )
        .route("/v1/charges/{id}", get(v1::charges::get::get))
        .route("/v1/charges/{id}/cancel", post(v1::charges::cancel::cancel))
        .route(
            "/v1/charges/{id}/refunds",
            post(v1::refunds::create).get(v1::refunds::of_charge),
        )
        .route("/v1/refunds", get(v1::refunds::list))
        .route("/v1/refunds/{id}", get(v1::refunds::get))
        .route("/v1/disputes", get(v1::disputes::list))
        .route("/v1/disputes/{id}", get(v1::disputes::get))
        .route(
            "/v1/charges/{id}/timeline",
            get(v1::charges::timeline::timeline),
        )
        .route("/v1/events", get(v1::events::list))
        .route("/v1/events/{id}", get(v1::events::get))
        .route(
            "/v1/webhook_endpoints",
            post(v1::webhook_endpoints::create).get(v1::webhook_endpoints::list),
        )
        .route(
            "/v1/webhook_endpoints/{id}",
            get(v1::webhook_endpoints::get).delete(v1::webhook_endpoints::delete),
        )
        .route("/docs/errors/{code}", get(error::explain))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let gateways = Router::new()
        .route(
            "/notifications/{connection}/{secret}",
            post(notifications::receive),
        )
        // Efí appends `/pix` to the registered address.
        .route(
            "/notifications/{connection}/{secret}/pix",
            post(notifications::receive),
        )
        .layer(DefaultBodyLimit::max(MAX_NOTIFICATION));
    let docs = app.config.docs_url.clone();
    let routes = merchants
        .merge(gateways)
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .with_state(app);
    log::wrap(routes, docs)
}
