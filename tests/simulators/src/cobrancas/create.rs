//! Creation of charges in one step or in two.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::Response,
    response::IntoResponse,
};
use chrono::Days;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Cobrancas, State as Held, answer,
    auth::Account,
    boleto,
    charge::{Billet, Charge, Link, Way, day},
    error::{ApiError, DAILY_LIMIT, IDENTICAL, PAYER_IS_RECEIVER, Sent, TOO_LATE},
    order::{BilletOrder, LinkOrder, Order},
};
use crate::{
    br_code,
    document::has_letters,
    listener::About,
    sim::{decimal, lock},
};

/// Number of letters and digits in URLs and notification tokens.
const TOKEN: usize = 32;

fn about(custom_id: Option<&str>, made: Result<Json<Value>, ApiError>) -> Response<Body> {
    let mut response = made.into_response();
    if let Some(id) = custom_id {
        response.extensions_mut().insert(About(id.to_owned()));
    }
    response
}

/// Handles `POST /v1/charge/one-step`: creates a boleto.
pub(super) async fn billet(
    State(cobrancas): State<Arc<Cobrancas>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let custom_id = body["metadata"]["custom_id"].as_str();
    let way = |order: &Order| billet_way(&cobrancas, order, &body);
    about(custom_id, one_step(&cobrancas, account, &body, way))
}

/// Handles `POST /v1/charge/one-step/link`.
pub(super) async fn link(
    State(cobrancas): State<Arc<Cobrancas>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let custom_id = body["metadata"]["custom_id"].as_str();
    let way = |order: &Order| link_way(&cobrancas, order, &body["settings"]);
    about(custom_id, one_step(&cobrancas, account, &body, way))
}

/// Handles `POST /v1/charge`: the first of two steps.
pub(super) async fn first(
    State(cobrancas): State<Arc<Cobrancas>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let custom_id = body["metadata"]["custom_id"].as_str();
    about(
        custom_id,
        one_step(&cobrancas, account, &body, |_| Ok(Way::None)),
    )
}

fn one_step(
    cobrancas: &Arc<Cobrancas>,
    account: String,
    body: &Value,
    way: impl FnOnce(&Order) -> Result<Way, ApiError>,
) -> Result<Json<Value>, ApiError> {
    let order = Order::read(body)?;
    let way = way(&order)?;
    let mut state = lock(&cobrancas.state);
    if let Way::Billet(billet) = &way {
        check_limits(cobrancas, &state, (&account, &order, billet))?;
    }
    let mut charge = Charge {
        account,
        id: state.next(),
        order,
        status: "new",
        created_at: cobrancas.sim.now(),
        way: Way::None,
        changes: Vec::new(),
        paid: None,
        refunded: 0,
        token: token(cobrancas),
        received: CancellationToken::new(),
        service_us: 0,
    };
    charge.become_status("new", charge.created_at);
    Ok(answer(&put(cobrancas, &mut state, charge, way)))
}

/// Checks the limits by which Efí refuses valid requests.
fn check_limits(
    cobrancas: &Cobrancas,
    state: &Held,
    (account, order, billet): (&str, &Order, &Billet),
) -> Result<(), ApiError> {
    let settings = lock(&cobrancas.settings).clone();
    let today = day(cobrancas.sim.now());
    let latest = settings.latest_due_days.map(|days| today + Days::new(days));
    if latest.is_some_and(|latest| billet.due > latest) {
        return Err(ApiError::limit(TOO_LATE, "vencimento máximo atingido"));
    }
    if settings
        .receiver_document
        .as_deref()
        .is_some_and(|it| billet.document() == Some(it))
    {
        let text = "Recebedor e cliente não podem ser a mesma pessoa.";
        return Err(ApiError::limit(PAYER_IS_RECEIVER, text));
    }
    let billets = || {
        let mine = state.charges.values().filter(|one| one.account == account);
        mine.filter_map(|one| match &one.way {
            Way::Billet(billet) => Some((one, billet)),
            _ => None,
        })
    };
    let alike = billets()
        .filter(|(one, made)| one.order.items == order.items && made.is_like(billet))
        .count();
    if settings.identical_charges.is_some_and(|most| alike >= most) {
        let text = "Não é possível emitir três cobranças idênticas.";
        return Err(ApiError::limit(IDENTICAL, text));
    }
    let of_today = billets()
        .filter(|(one, _)| day(one.created_at) == today)
        .count();
    if settings.daily_charges.is_some_and(|most| of_today >= most) {
        return Err(ApiError::limit(
            DAILY_LIMIT,
            "Limite de emissões diárias excedido.",
        ));
    }
    Ok(())
}

/// Sets the charge's payment method, stores the charge and sends a notification.
fn put(cobrancas: &Arc<Cobrancas>, state: &mut Held, mut charge: Charge, way: Way) -> Value {
    let now = cobrancas.sim.now();
    match &way {
        Way::None => {}
        Way::Billet(_) => charge.become_status("waiting", now),
        Way::Link(_) => charge.become_status("link", now),
    }
    charge.way = way;
    cobrancas.notify(&mut charge);
    cobrancas.expect(state, &charge);
    let made = charge.made();
    state.charges.insert(charge.id, charge);
    made
}

/// Handles `POST /v1/charge/{id}/pay`: the second step, which creates a boleto.
pub(super) async fn pay(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    second(&cobrancas, (&account, &id), |order| {
        billet_way(&cobrancas, order, &body)
    })
}

/// Handles `POST /v1/charge/{id}/link`: the second step, which creates a link.
pub(super) async fn to_link(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    second(&cobrancas, (&account, &id), |order| {
        link_way(&cobrancas, order, &body)
    })
}

fn second(
    cobrancas: &Arc<Cobrancas>,
    (account, id): (&str, &str),
    way: impl FnOnce(&Order) -> Result<Way, ApiError>,
) -> Result<Json<Value>, ApiError> {
    let charge = cobrancas.find(account, id)?;
    let way = way(&charge.order)?;
    let mut state = lock(&cobrancas.state);
    let charge = state.charges.get(&charge.id).cloned();
    let charge = charge.filter(|charge| charge.status == "new");
    let charge = charge.ok_or_else(|| ApiError::state("A cobrança já tem forma de pagamento"))?;
    Ok(answer(&put(cobrancas, &mut state, charge, way)))
}

fn billet_way(cobrancas: &Cobrancas, order: &Order, body: &Value) -> Result<Way, ApiError> {
    let settings = lock(&cobrancas.settings).clone();
    let limits = (order.total, settings.minimum_billet);
    let asked = BilletOrder::read(&cobrancas.sim, &body["payment"], limits)?;
    let company = "/payment/banking_billet/customer/juridical_person/cnpj";
    let cnpj = body.pointer(company).and_then(Value::as_str);
    if !settings.alphanumeric_cnpj && cnpj.is_some_and(has_letters) {
        return Err(ApiError::property(company, "CNPJ inválido"));
    }
    let location = format!(
        "qrcodes-pix.gerencianet.com.br/bolix/v2/{}",
        token(cobrancas)
    );
    let code = || br_code::dynamic(&location, &decimal(order.total));
    Ok(Way::Billet(Billet {
        customer: asked.customer,
        due: asked.due,
        terms: asked.terms,
        message: asked.message,
        free: cobrancas.sim.digits(boleto::FREE),
        token: token(cobrancas),
        pix: settings.bolix.then(code),
        kind_write_off: settings.kind_write_off,
    }))
}

fn link_way(cobrancas: &Cobrancas, order: &Order, settings: &Value) -> Result<Way, ApiError> {
    let minimum = lock(&cobrancas.settings).minimum_billet;
    let asked = LinkOrder::read(&cobrancas.sim, settings, (order.total, minimum))?;
    Ok(Way::Link(Link {
        method: asked.method,
        due: asked.due,
        message: asked.message,
        delivery: asked.delivery,
        token: token(cobrancas),
    }))
}

fn token(cobrancas: &Cobrancas) -> String {
    cobrancas.sim.random(TOKEN)
}
