//! Creating: in one step, or in two.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::Response,
    response::IntoResponse,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Cobrancas, State as Held, answer,
    auth::Account,
    boleto,
    charge::{Billet, Charge, Link, Way},
    error::{Sent, Wrong},
    order::{BilletOrder, LinkOrder, Order},
};
use crate::{
    br_code,
    document::has_letters,
    listener::About,
    sim::{decimal, lock},
};

/// Letters and digits in addresses and notification tokens.
const TOKEN: usize = 32;

fn about(custom_id: Option<&str>, made: Result<Json<Value>, Wrong>) -> Response<Body> {
    let mut response = made.into_response();
    if let Some(id) = custom_id {
        response.extensions_mut().insert(About(id.to_owned()));
    }
    response
}

/// `POST /v1/charge/one-step`: a boleto.
pub(super) async fn billet(
    State(cobrancas): State<Arc<Cobrancas>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let custom_id = body["metadata"]["custom_id"].as_str();
    let way = |order: &Order| billet_way(&cobrancas, order, &body);
    about(custom_id, one_step(&cobrancas, account, &body, way))
}

/// `POST /v1/charge/one-step/link`.
pub(super) async fn link(
    State(cobrancas): State<Arc<Cobrancas>>,
    Account(account): Account,
    Sent(body): Sent,
) -> Response<Body> {
    let custom_id = body["metadata"]["custom_id"].as_str();
    let way = |order: &Order| link_way(&cobrancas, order, &body["settings"]);
    about(custom_id, one_step(&cobrancas, account, &body, way))
}

/// `POST /v1/charge`: the first of two steps.
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
    way: impl FnOnce(&Order) -> Result<Way, Wrong>,
) -> Result<Json<Value>, Wrong> {
    let order = Order::read(body)?;
    let way = way(&order)?;
    let mut state = lock(&cobrancas.state);
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
        heard: CancellationToken::new(),
        service_us: 0,
    };
    charge.become_status("new", charge.created_at);
    Ok(answer(&put(cobrancas, &mut state, charge, way)))
}

/// Gives a charge its way to be paid, keeps it, and tells.
fn put(cobrancas: &Arc<Cobrancas>, state: &mut Held, mut charge: Charge, way: Way) -> Value {
    let now = cobrancas.sim.now();
    match &way {
        Way::None => {}
        Way::Billet(_) => charge.become_status("waiting", now),
        Way::Link(_) => charge.become_status("link", now),
    }
    charge.way = way;
    cobrancas.tell(&mut charge);
    cobrancas.expect(state, &charge);
    let made = charge.made();
    state.charges.insert(charge.id, charge);
    made
}

/// `POST /v1/charge/{id}/pay`: the second step, to a boleto.
pub(super) async fn pay(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, Wrong> {
    second(&cobrancas, (&account, &id), |order| {
        billet_way(&cobrancas, order, &body)
    })
}

/// `POST /v1/charge/{id}/link`: the second step, to a link.
pub(super) async fn to_link(
    State(cobrancas): State<Arc<Cobrancas>>,
    Path(id): Path<String>,
    Account(account): Account,
    Sent(body): Sent,
) -> Result<Json<Value>, Wrong> {
    second(&cobrancas, (&account, &id), |order| {
        link_way(&cobrancas, order, &body)
    })
}

fn second(
    cobrancas: &Arc<Cobrancas>,
    (account, id): (&str, &str),
    way: impl FnOnce(&Order) -> Result<Way, Wrong>,
) -> Result<Json<Value>, Wrong> {
    let charge = cobrancas.find(account, id)?;
    let way = way(&charge.order)?;
    let mut state = lock(&cobrancas.state);
    let charge = state.charges.get(&charge.id).cloned();
    let charge = charge.filter(|charge| charge.status == "new");
    let charge = charge.ok_or_else(|| Wrong::state("A cobrança já tem forma de pagamento"))?;
    Ok(answer(&put(cobrancas, &mut state, charge, way)))
}

fn billet_way(cobrancas: &Cobrancas, order: &Order, body: &Value) -> Result<Way, Wrong> {
    let settings = lock(&cobrancas.settings).clone();
    let limits = (order.total, settings.minimum_billet);
    let asked = BilletOrder::read(&cobrancas.sim, &body["payment"], limits)?;
    let company = "/payment/banking_billet/customer/juridical_person/cnpj";
    let cnpj = body.pointer(company).and_then(Value::as_str);
    if !settings.alphanumeric_cnpj && cnpj.is_some_and(has_letters) {
        return Err(Wrong::property(company, "CNPJ inválido"));
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
    }))
}

fn link_way(cobrancas: &Cobrancas, order: &Order, settings: &Value) -> Result<Way, Wrong> {
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
