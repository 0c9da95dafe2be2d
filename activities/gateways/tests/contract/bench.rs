//! Test bench: a gateway opened against its simulator, with one valid order.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{Days, NaiveDate};
use gateways::{
    Capabilities, ChargeRequest, CheckReport, Credentials, Endpoints, Entries, Feed, Forged,
    Gateway, GatewayCharge, GatewayError, GatewayNotice, ReadFrom, Received, RefundRequest,
    Registration, Subscription, Unregister,
};
use schemas::{
    Instant, calendar,
    gateway::{GatewayApi, GatewayKind},
    id::{AttemptId, RefundId},
    payer::{Address, Payer},
    payment_method::{PaymentMethod, PaymentMethodKind},
    route::Unmet,
};
use secrecy::SecretString;
use serde_json::Value;
use simulators::{Options, Simulators};
use url::Url;
use uuid::Uuid;

use crate::control::Control;

/// Longest duration of a call in the tests.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// Gateway and payment method under test.
pub(crate) struct Bench {
    environment: Environment,
    set_up: SetUp,
    pub gateway: Arc<dyn Gateway>,
    /// Client of the same gateway, with credentials that it refuses.
    pub third_party: Arc<dyn Gateway>,
    pub control: Control,
    /// Valid order.
    pub order: ChargeRequest,
}

/// Set-up of a gateway on the bench.
pub(crate) struct SetUp {
    pub kind: GatewayKind,
    /// Simulator's name.
    pub simulator: &'static str,
    pub credentials: Value,
    /// Credentials that are refused.
    pub refused: Value,
    /// Requests that create a charge: method and beginning of the path.
    pub creates: (&'static str, &'static str),
    /// Requests that create a refund.
    pub refunds: (&'static str, &'static str),
    /// True if the gateway receives the payer's document with the order and checks it.
    pub checks_documents: bool,
}

/// Running simulators, and the endpoints at which a test's gateways reach them.
pub(crate) struct Environment {
    pub simulators: Simulators,
    pub endpoints: Endpoints,
}

impl Environment {
    pub(crate) async fn start() -> Self {
        let simulators = simulators::start(Options::for_test(1))
            .await
            .expect("simulators");
        for simulator in simulators::SIMULATORS {
            // this call is answered once the simulator accepts connections, a moment after its start
            Control::new(&simulators.control, simulator.name)
                .heal()
                .await;
        }
        let ca_file = folder().join(format!("{}.pem", Uuid::new_v4()));
        std::fs::write(&ca_file, &simulators.ca_pem).expect("the authority's file is written");
        let urls = simulators.apis.iter().map(|(api, at)| {
            let api: GatewayApi = api.parse().expect("an API");
            (api, at.url.clone())
        });
        let endpoints = Endpoints {
            urls: urls.collect(),
            ca_file: Some(ca_file),
            storage: None,
        };
        Self {
            simulators,
            endpoints,
        }
    }

    /// Opens the gateway as its merchant connects it.
    fn open(&self, kind: GatewayKind, credentials: Value) -> Arc<dyn Gateway> {
        let credentials: Credentials =
            gateways::read_credentials(kind, credentials).expect("credentials");
        credentials.open(&self.endpoints).expect("a gateway")
    }
}

/// Returns a folder in which tests may write.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

pub(crate) fn now() -> Instant {
    SystemTime::now().into()
}

/// Returns the day `days` days from today, in Brazil.
pub(crate) fn day_in(days: u64) -> NaiveDate {
    calendar::today(now())
        .checked_add_days(Days::new(days))
        .expect("a day")
}

/// Returns an order that every gateway accepts, with all optional fields of the payer.
pub(crate) fn order(method: PaymentMethod) -> ChargeRequest {
    let now = now();
    ChargeRequest {
        reference: AttemptId(Uuid::now_v7()).reference(),
        amount: 12_345,
        expires_at: method.life().end(now),
        method,
        created_at: now,
        payer: payer(),
        customer: None,
        description: Some("Pedido 123".to_owned()),
        notification_url: None,
    }
}

fn payer() -> Payer {
    Payer {
        name: "Francisca da Silva".to_owned(),
        document: "52998224725".parse().expect("a CPF"),
        email: Some("francisca@example.com".to_owned()),
        phone: Some("31987654321".to_owned()),
        address: Some(Address {
            street: "Avenida Brasil".to_owned(),
            number: "909".to_owned(),
            complement: None,
            district: "Centro".to_owned(),
            city: "Ouro Preto".to_owned(),
            state: "MG".to_owned(),
            postal_code: "35400000".to_owned(),
        }),
    }
}

/// Gateway with a registered address, and its stored registrations.
pub(crate) struct Registered {
    pub gateway: Arc<dyn Gateway>,
    pub known: Vec<Registration>,
}

impl Registered {
    pub(crate) fn notification(&self, received: &Received) -> Result<Entries, Forged> {
        self.gateway.verify(received, &self.known)?;
        Ok(self.gateway.parse(&received.body))
    }

    pub(crate) async fn check(&self, url: &Url, replace: bool) -> CheckReport {
        let report = self.gateway.check(url, replace, &self.known).await;
        report.expect("a check")
    }
}

/// Returns the codes of a check's issues, each with true if it was or will be repaired.
pub(crate) fn codes(report: &CheckReport) -> Vec<(&'static str, bool)> {
    let all = report.issues.iter().chain(&report.lost);
    all.map(|issue| (issue.code, issue.repaired)).collect()
}

/// Most pages of a list in the tests: more than any has.
const MAX_PAGES: usize = 1_000;

/// Returns all notices of one list since then, read page by page, and the number of requests.
pub(crate) async fn read_feed(
    gateway: &dyn Gateway,
    feed: &Feed,
    since: Instant,
) -> Result<(Vec<GatewayNotice>, u32), GatewayError> {
    let (mut all, mut cursor, mut requests) = (Vec::new(), None::<String>, 0);
    let mut watermark = since;
    for _ in 0..MAX_PAGES {
        let from = ReadFrom {
            since,
            now: now().max(since),
            cursor: cursor.as_deref(),
        };
        let page = gateway.changes_since(feed, &from).await?;
        assert_eq!(page.entries.unreadable, []);
        all.extend(page.entries.notices);
        requests += page.requests;
        if let Some(until) = page.read_until {
            assert!(until >= watermark, "a watermark goes on: {feed:?}");
            watermark = until;
        }
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok((all, requests));
        }
    }
    panic!("{feed:?} has no end")
}

/// Returns all notices of the gateway's lists since then.
pub(crate) async fn poll(
    gateway: &dyn Gateway,
    since: Instant,
) -> Result<Vec<GatewayNotice>, GatewayError> {
    let mut all: Vec<GatewayNotice> = Vec::new();
    let own = gateway.descriptor().feeds;
    for feed in own {
        for notice in read_feed(gateway, feed, since).await?.0 {
            // several lists contain the same notice
            if all
                .iter()
                .all(|known| known.dedupe_key != notice.dedupe_key)
            {
                all.push(notice);
            }
        }
    }
    Ok(all)
}

impl Bench {
    /// Returns all notices of the gateway's lists since then.
    pub(crate) async fn poll(&self, since: Instant) -> Result<Vec<GatewayNotice>, GatewayError> {
        poll(self.gateway.as_ref(), since).await
    }

    pub(crate) fn new(environment: Environment, set_up: SetUp, order: ChargeRequest) -> Self {
        Self {
            gateway: environment.open(set_up.kind, set_up.credentials.clone()),
            third_party: environment.open(set_up.kind, set_up.refused.clone()),
            control: Control::new(&environment.simulators.control, set_up.simulator),
            order,
            set_up,
            environment,
        }
    }

    pub(crate) fn simulators(&self) -> &Simulators {
        &self.environment.simulators
    }

    pub(crate) fn kind(&self) -> PaymentMethodKind {
        self.order.method.kind()
    }

    pub(crate) fn creates(&self) -> (&'static str, &'static str) {
        self.set_up.creates
    }

    pub(crate) fn checks_documents(&self) -> bool {
        self.set_up.checks_documents
    }

    pub(crate) fn refunds(&self) -> (&'static str, &'static str) {
        self.set_up.refunds
    }

    /// Returns the gateway's capabilities for the method.
    pub(crate) fn capabilities(&self) -> &'static Capabilities {
        self.gateway.capabilities(self.kind())
    }

    /// Returns the requirements that an order does not meet.
    pub(crate) fn unmet(&self, order: &ChargeRequest) -> Vec<Unmet> {
        (self.gateway.descriptor().unmet)(order)
    }

    /// Returns the same order with another reference.
    pub(crate) fn another_order(&self) -> ChargeRequest {
        ChargeRequest {
            reference: AttemptId(Uuid::now_v7()).reference(),
            ..self.order.clone()
        }
    }

    /// Registers our address, and returns the gateway with the secret that proves its notifications.
    pub(crate) async fn subscribed(&self, url: &Url) -> Registered {
        let token = SecretString::from("a token of ours that is long enough");
        let done = self.gateway.register(url, false, &token).await;
        let known = match done.expect("subscribed") {
            Subscription::Registered { id, secret } => {
                let others = Unregister::Others { keep: &id };
                let left = self.gateway.unregister(url, others).await;
                left.expect("one is left");
                vec![Registration {
                    id: Some(id),
                    secret: secret.map_or(token, SecretString::from),
                    valid_until: None,
                }]
            }
            other => {
                assert_eq!(other, Subscription::Done);
                Vec::new()
            }
        };
        Registered {
            gateway: self.gateway.clone(),
            known,
        }
    }

    /// Creates the order's charge at the gateway.
    pub(crate) async fn charged(&self) -> GatewayCharge {
        self.gateway
            .charge(&self.order, WITHIN)
            .await
            .expect("a charge")
    }

    /// Returns the order's only charge, as the gateway has it.
    pub(crate) async fn found(&self) -> GatewayCharge {
        let mut found = self
            .gateway
            .find(&self.order.lookup())
            .await
            .expect("an answer");
        assert_eq!(found.len(), 1, "one charge: {found:?}");
        found.remove(0)
    }

    /// Refunds `amount` centavos of the order's only payment, or all of it.
    pub(crate) async fn refund_order(&self, amount: Option<i64>) -> RefundRequest {
        let charge = self.found().await;
        let payment = charge.payments.first().expect("a payment");
        RefundRequest {
            reference: RefundId(Uuid::now_v7()).reference(),
            charge: charge.id.clone(),
            charge_reference: self.order.reference.clone(),
            payment: payment.id.clone(),
            end_to_end_id: payment.end_to_end_id.clone(),
            method: self.kind(),
            amount: amount.unwrap_or(payment.amount),
            is_whole: amount.is_none_or(|amount| amount == payment.amount),
            reason: Some("Desistência".to_owned()),
            created_at: now(),
        }
    }
}
