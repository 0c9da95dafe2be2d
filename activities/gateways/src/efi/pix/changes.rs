//! Lists by time, in pages: received Pix and disputes.

use chrono::{SecondsFormat, TimeDelta};
use schemas::{Instant, attempt::ErrorClass};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Pix, disputes::Infraction, notifications, refunds::Returned, responses::received::Received,
};
use crate::{
    Entries, GatewayError, GatewayNotice, NoticeKind, Page, ReadFrom, Unreadable,
    changes::Window,
    efi::requests::Call,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

/// Path of the list of received Pix. `CLAIMS` is that of the disputes.
const PIX: [&str; 2] = ["v2", "pix"];
const CLAIMS: [&str; 3] = ["v2", "gn", "infracoes"];

/// Entries of a page: few enough for the longest answer that is read.
const PAGE: &str = "500";
/// Most pages of disputes that are read for one charge.
const MAX_PAGES: u64 = 100;
/// Longest life of a dispute, which is decided within a week and paid within eleven days. A dispute is listed by its day of creation.
const CLAIM_LASTS: TimeDelta = TimeDelta::days(30);

/// Time by which a list extends beyond its end: clocks differ, and its instants are truncated to milliseconds.
const CLOCKS: TimeDelta = TimeDelta::minutes(1);
/// Time for which a Pix can be refunded. A Pix is listed by its time of arrival.
const RETURNABLE: TimeDelta = TimeDelta::days(90);

/// Longest time span of one list of received Pix.
const SLICE: TimeDelta = TimeDelta::days(1);

/// First and last instant of a time span.
pub(super) type Span = (Instant, Instant);

/// Page of a list: its entries, and true if it is the last.
struct Listed<T> {
    entries: Vec<T>,
    unreadable: Vec<Unreadable>,
    is_last: bool,
}

impl Pix {
    /// Fetches a page of the Pix received since then, with their refunds.
    pub(in crate::efi) async fn arrived(&self, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        let window = Window::of(from, Some(SLICE));
        let span = ((window.from, window.to), window.page);
        let listed: Listed<Received> = self.page((&PIX, "pix"), span, (&[], deadline())).await?;
        let entries = Entries {
            notices: listed.entries.iter().flat_map(proved).collect(),
            unreadable: listed.unreadable,
        };
        Ok(window.page(entries, listed.is_last, (from.now, Some(SLICE))))
    }

    /// Fetches a page of the older Pix that have a refund since then.
    pub(in crate::efi) async fn returned(&self, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        let window = Window::of(from, None);
        let since = window.from;
        let span = ((since - RETURNABLE, since), window.page);
        let only = ([("devolucaoPresente", "true")], deadline());
        let listed: Listed<Received> = self.page((&PIX, "pix"), span, (&only.0, only.1)).await?;
        let mut entries = Entries {
            notices: Vec::new(),
            unreadable: listed.unreadable,
        };
        for pix in listed.entries.iter().filter(|pix| pix.horario < since) {
            let moved = pix.devolucoes.iter().filter(|one| one.moved_since(since));
            entries.notices.extend(moved.map(|one| returning(pix, one)));
        }
        Ok(window.page(entries, listed.is_last, (from.now, None)))
    }

    /// Fetches a page of the disputes that may have changed since then; none if the application may not read them.
    pub(in crate::efi) async fn claims(&self, from: &ReadFrom<'_>) -> Result<Page, GatewayError> {
        let window = Window::of(from, None);
        let span = ((window.from - CLAIM_LASTS, window.to), window.page);
        let listed = self.page((&CLAIMS, "infracoes"), span, (&[], deadline()));
        let listed: Listed<Infraction> = match listed.await {
            Err(error) if error.class == ErrorClass::Denied => return Ok(Page::end(window.to)),
            listed => listed?,
        };
        let entries = Entries {
            notices: listed
                .entries
                .iter()
                .filter_map(Infraction::to_notice)
                .collect(),
            unreadable: listed.unreadable,
        };
        Ok(window.page(entries, listed.is_last, (from.now, None)))
    }

    /// Fetches the disputes created in that span; none if the application may not read them.
    pub(super) async fn infractions(
        &self,
        span: Span,
        deadline: Deadline,
    ) -> Result<Vec<Infraction>, GatewayError> {
        let mut all = Vec::new();
        for number in 0..MAX_PAGES {
            let listed = self
                .page((&CLAIMS, "infracoes"), (span, number), (&[], deadline))
                .await;
            let listed: Listed<Infraction> = match listed {
                Err(error) if error.class == ErrorClass::Denied => {
                    tracing::debug!("efi shows no infractions to this application");
                    return Ok(Vec::new());
                }
                listed => listed?,
            };
            all.extend(listed.entries);
            if listed.is_last {
                return Ok(all);
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "too_many_pages",
            "the gateway lists more than is read at once",
        ))
    }

    /// Fetches a page of a list.
    async fn page<T: DeserializeOwned>(
        &self,
        (path, name): (&[&str], &str),
        ((from, to), number): (Span, u64),
        (only, deadline): (&[(&str, &str)], Deadline),
    ) -> Result<Listed<T>, GatewayError> {
        let instant = |at: Instant| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (from, to, page) = (instant(from), instant(to + CLOCKS), number.to_string());
        let mut query = vec![
            ("inicio", from.as_str()),
            ("fim", to.as_str()),
            ("paginacao.paginaAtual", page.as_str()),
            ("paginacao.itensPorPagina", PAGE),
        ];
        query.extend(only);
        let call = Call {
            query: &query,
            ..Call::read(path)
        };
        let answer = self.session.send(&call, deadline).await?;
        let body: Value = answer.read(Effect::Reads)?;
        let pages = body["parametros"]["paginacao"]["quantidadeDePaginas"].as_u64();
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        for entry in body[name].as_array().cloned().unwrap_or_default() {
            match serde_json::from_value(entry) {
                Ok(entry) => entries.push(entry),
                Err(_) => {
                    unreadable.push(Unreadable::new("efi_pix_listed", "a listed Pix or claim"));
                }
            }
        }
        Ok(Listed {
            entries,
            unreadable,
            is_last: number + 1 >= pages.unwrap_or(1),
        })
    }
}

fn deadline() -> Deadline {
    Deadline::after(CALL_TIMEOUT)
}

/// Returns the notices that a listed Pix proves.
fn proved(pix: &Received) -> Vec<GatewayNotice> {
    let Some(charge) = pix.to_charge() else {
        return Vec::new();
    };
    let means = NoticeKind::ChargeState(Box::new(charge));
    let mut notices = vec![notifications::arrival(pix, means)];
    notices.extend(pix.devolucoes.iter().map(|one| returning(pix, one)));
    notices
}

/// Returns the notice of a refund of a listed Pix. Money taken by the banks belongs to a dispute and needs a read of the charge; a
/// Pix without a `txid` belongs to no charge.
fn returning(pix: &Received, one: &Returned) -> GatewayNotice {
    let refund = one.listed(&pix.end_to_end_id);
    let means = match refund {
        _ if pix.txid.is_none() => NoticeKind::Nothing,
        Some(refund) if !one.is_claim() => NoticeKind::Refund(Box::new(refund)),
        _ => NoticeKind::Hint,
    };
    notifications::returning(pix, one, means)
}
