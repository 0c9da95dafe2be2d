#![doc = include_str!("../README.md")]

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::post};
use schemas::{
    charge::CreateCharge, refund::CreateRefund, validate::Checker,
    webhook_endpoint::CreateWebhookEndpoint,
};
use store::{Store, listen::Outcomes};
use tokio_util::task::TaskTracker;
use url::Url;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use workflows::Orchestrator;

mod admission;
mod auth;
mod code;
mod db;
mod document;
mod edge;
mod error;
mod examples;
mod explain;
mod input;
mod notifications;
mod shape;
mod v1;

use admission::Admission;
pub use code::Code;
pub use document::document;
use edge::Edge;
pub use error::Error;
use v1::{charges, disputes, events, refunds, webhook_endpoints};

/// Maximum size of a merchant's request in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Maximum size of a gateway's notification in bytes.
const MAX_NOTIFICATION: usize = 512 * 1024;
/// Maximum time for a request's body to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Time of a request besides its place in the queue and its wait for an outcome: its body and its statements.
const REQUEST_MARGIN: Duration = Duration::from_mins(1);

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

macro_rules! checked_by {
    ($($request:ty: $checker:ident),+) => {$(
        impl AsRef<Checker<$request>> for App {
            fn as_ref(&self) -> &Checker<$request> {
                &self.$checker
            }
        }
    )+};
}

checked_by!(CreateCharge: charges, CreateRefund: refunds, CreateWebhookEndpoint: endpoints);

/// Returns all routes.
pub fn router(app: App) -> Router {
    let edge = Edge {
        docs: app.config.docs_url.clone(),
        body_within: BODY_WITHIN,
        request_within: app.config.answer_within * 2 + REQUEST_MARGIN,
    };
    let documented: Router<App> = routes().into();
    let gateways = Router::new()
        .route(
            "/notifications/{connection}/{secret}",
            post(notifications::receive),
        )
        // Efí appends `/pix` to the registered address.
        .route(
            "/notifications/{connection}/{secret}/pix",
            post(notifications::receive),
        );
    let routes = edge::limited(documented, MAX_BODY)
        .merge(edge::limited(gateways, MAX_NOTIFICATION))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .with_state(app);
    edge.wrap(routes)
}

/// Returns the routes of merchants and developers, with their documentation.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::Frame::openapi())
        .routes(routes!(charges::create::create, charges::list::list))
        .routes(routes!(charges::get::get))
        .routes(routes!(charges::cancel::cancel))
        .routes(routes!(charges::timeline::timeline))
        .routes(routes!(
            refunds::create::create,
            refunds::list_of_charge::list_of_charge
        ))
        .routes(routes!(refunds::list::list))
        .routes(routes!(refunds::get::get))
        .routes(routes!(disputes::list::list))
        .routes(routes!(disputes::get::get))
        .routes(routes!(events::list::list))
        .routes(routes!(events::get::get))
        .routes(routes!(
            webhook_endpoints::create::create,
            webhook_endpoints::list::list
        ))
        .routes(routes!(
            webhook_endpoints::get::get,
            webhook_endpoints::delete::delete
        ))
        .routes(routes!(explain::explain))
}
