//! The control, the same for every simulator.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{Response, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    fault::{Fault, Kind},
    notify::{self, Proof, Telling},
    sim::{Settings, Sim, lock},
};

/// A charge that exists at a gateway.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Held {
    pub id: String,
    pub reference: String,
    pub description: String,
    /// `pix`, `boleto` or `card`.
    pub method: &'static str,
    /// The gateway's own word.
    pub status: String,
    /// In centavos.
    pub amount: i64,
    pub payable: bool,
    pub paid: bool,
    /// Given back so far, in centavos.
    pub refunded: i64,
    /// Whether a dispute is open or was lost.
    pub disputed: bool,
    pub created_at: DateTime<Utc>,
    /// What the simulator spent on the requests about it, in microseconds.
    pub service_us: u64,
    pub account: String,
}

/// What a person, or the time, does to a charge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Of this many centavos, if not of what was asked.
    Pay(Option<i64>),
    /// Its last payable moment passes.
    Expire,
    /// The gateway, or somebody in its panel, cancels it.
    Cancel,
    /// The due date passes, and it stays payable.
    Overdue,
    /// The payer's means are declined.
    Fail,
    /// Somebody in the gateway's panel gives money back: so many centavos, if not all.
    Refund(Option<i64>),
    /// The payer claims money back (MED, chargeback, dispute): so many centavos, if not all.
    Dispute(Option<i64>),
    /// The open dispute ends; `won`: the merchant keeps the money.
    CloseDispute { won: bool },
}

/// A simulated gateway, as the control sees it.
pub(crate) trait Book: Send + Sync {
    fn sim(&self) -> &Arc<Sim>;
    fn charges(&self) -> Vec<Held>;
    /// `charge`: an id or a reference. The error is for people.
    fn act(&self, charge: &str, action: Action, notify: bool) -> Result<(), String>;
    /// Time spent on a charge.
    fn served(&self, reference: &str, us: u64);
    /// An error of that status in the gateway's own shape.
    fn refusal(&self, status: StatusCode) -> Response<axum::body::Body>;
    fn reset(&self);
}

#[derive(Clone)]
struct Books(Arc<Vec<Arc<dyn Book>>>);

type Wrong = (StatusCode, String);

impl Books {
    fn of(&self, gateway: &str) -> Result<Arc<dyn Book>, Wrong> {
        let found = self.0.iter().find(|book| book.sim().name == gateway);
        found.cloned().ok_or_else(|| {
            (
                StatusCode::NOT_FOUND,
                format!("no simulator is called {gateway}\n"),
            )
        })
    }
}

pub(crate) fn router(books: Vec<Arc<dyn Book>>) -> Router {
    Router::new()
        .route("/_sim/health", get(|| async { "ok\n" }))
        .route("/_sim/{gateway}/reset", post(reset))
        .route("/_sim/{gateway}/charges", get(charges))
        .route("/_sim/{gateway}/charges/{charge}/{action}", post(act))
        .route(
            "/_sim/{gateway}/faults",
            post(add_fault).get(faults).delete(clear_faults),
        )
        .route("/_sim/{gateway}/requests", get(requests))
        .route("/_sim/{gateway}/notifications", get(notifications))
        .route("/_sim/{gateway}/notifications/{n}/resend", post(resend))
        .route("/_sim/{gateway}/notify", post(tell))
        .route("/_sim/{gateway}/settings", get(settings).put(set))
        .route("/_sim/{gateway}/clock", post(clock))
        .with_state(Books(Arc::new(books)))
}

async fn reset(State(books): State<Books>, Path(gateway): Path<String>) -> Result<(), Wrong> {
    let book = books.of(&gateway)?;
    book.sim().reset();
    book.reset();
    Ok(())
}

#[derive(Deserialize)]
struct Wanted {
    reference: Option<String>,
    description: Option<String>,
}

async fn charges(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Wrong> {
    let mut charges = books.of(&gateway)?.charges();
    charges.retain(|charge| {
        wanted
            .reference
            .as_ref()
            .is_none_or(|wanted| *wanted == charge.reference)
            && wanted
                .description
                .as_ref()
                .is_none_or(|wanted| *wanted == charge.description)
    });
    charges.sort_by_key(|charge| charge.created_at);
    Ok(Json(json!({ "charges": charges })))
}

#[derive(Deserialize)]
struct How {
    amount: Option<i64>,
    #[serde(default)]
    won: bool,
    #[serde(default = "yes")]
    notify: bool,
}

fn yes() -> bool {
    true
}

async fn act(
    State(books): State<Books>,
    Path((gateway, charge, action)): Path<(String, String, String)>,
    Json(how): Json<How>,
) -> Result<Json<Value>, Wrong> {
    let action = match action.as_str() {
        "pay" => Action::Pay(how.amount),
        "expire" => Action::Expire,
        "cancel" => Action::Cancel,
        "overdue" => Action::Overdue,
        "fail" => Action::Fail,
        "refund" => Action::Refund(how.amount),
        "dispute" => Action::Dispute(how.amount),
        "close_dispute" => Action::CloseDispute { won: how.won },
        other => {
            return Err((
                StatusCode::NOT_FOUND,
                format!("nobody can {other} a charge\n"),
            ));
        }
    };
    books
        .of(&gateway)?
        .act(&charge, action, how.notify)
        .map_err(|why| (StatusCode::CONFLICT, why + "\n"))?;
    Ok(Json(json!({})))
}

async fn add_fault(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(fault): Json<Fault>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    if fault.kind == Kind::Down {
        book.sim().set_up(false).await;
    } else {
        book.sim().faults.add(fault);
    }
    Ok(Json(json!({})))
}

async fn faults(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    Ok(Json(
        json!({ "faults": book.sim().faults.all(), "down": !*book.sim().up.borrow() }),
    ))
}

async fn clear_faults(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    book.sim().faults.clear();
    book.sim().set_up(true).await;
    Ok(Json(json!({})))
}

async fn requests(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    Ok(Json(
        json!({ "requests": books.of(&gateway)?.sim().seen() }),
    ))
}

async fn notifications(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    let told = lock(&book.sim().notifications).clone();
    Ok(Json(json!({ "notifications": told })))
}

async fn resend(
    State(books): State<Books>,
    Path((gateway, n)): Path<(String, usize)>,
) -> Result<impl IntoResponse, Wrong> {
    let status = notify::send(books.of(&gateway)?.sim(), n).await;
    Ok(Json(json!({ "status": status })))
}

#[derive(Deserialize)]
struct Anything {
    url: String,
    body: Value,
}

async fn tell(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(anything): Json<Anything>,
) -> Result<Json<Value>, Wrong> {
    let telling = Telling {
        url: anything.url,
        event: "anything".to_owned(),
        body: anything.body.to_string(),
        proof: Proof::None,
        schedule_s: &[],
        exactly_200: false,
        order: None,
    };
    notify::tell(books.of(&gateway)?.sim(), telling);
    Ok(Json(json!({})))
}

async fn settings(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Json<Settings>, Wrong> {
    Ok(Json(books.of(&gateway)?.sim().settings()))
}

/// Changes what is named; the rest stays.
async fn set(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(changes): Json<serde_json::Map<String, Value>>,
) -> Result<Json<Settings>, Wrong> {
    let book = books.of(&gateway)?;
    let mut now = serde_json::to_value(book.sim().settings()).unwrap_or_default();
    for (name, value) in changes {
        now[&name] = value;
    }
    let settings: Settings = serde_json::from_value(now)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")))?;
    book.sim().set(settings.clone());
    Ok(Json(settings))
}

#[derive(Deserialize)]
struct Clock {
    advance_s: i64,
}

async fn clock(
    State(books): State<Books>,
    Path(gateway): Path<String>,
    Json(clock): Json<Clock>,
) -> Result<Json<Value>, Wrong> {
    let book = books.of(&gateway)?;
    book.sim().advance(clock.advance_s);
    Ok(Json(json!({ "now": book.sim().now() })))
}
