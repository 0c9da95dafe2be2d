//! Lists by time, in pages: what arrived, what is claimed back.

use chrono::{SecondsFormat, TimeDelta};
use schemas::{Instant, attempt::ErrorClass};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Pix, infraction::Infraction, notification, received::Received, refund::Returned};
use crate::{
    Entries, GatewayError, GatewayNotice, NoticeKind, Page, ReadFrom, Unreadable,
    changes::Window,
    efi::session::Call,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

/// The lists' paths.
const PIX: [&str; 2] = ["v2", "pix"];
const CLAIMS: [&str; 3] = ["v2", "gn", "infracoes"];

/// So many of a page stay below the longest answer that is read.
const PAGE: &str = "500";
/// The most pages of the claims that are read for one charge.
const MAX_PAGES: u64 = 100;
/// A claim is decided within a week and paid within eleven days; what it becomes is listed under the day it was made.
const CLAIM_LASTS: TimeDelta = TimeDelta::days(30);

/// A list reaches beyond its end by this: clocks differ, and its instants are cut to milliseconds.
const CLOCKS: TimeDelta = TimeDelta::minutes(1);
/// A Pix can be given back for so long; it is listed by when it arrived.
const RETURNABLE: TimeDelta = TimeDelta::days(90);

/// The longest time that one list of what arrived covers.
const SLICE: TimeDelta = TimeDelta::days(1);

/// From when to when.
pub(super) type Span = (Instant, Instant);

/// A page of a list: its entries, and whether it is the last.
struct Listed<T> {
    entries: Vec<T>,
    unreadable: Vec<Unreadable>,
    is_last: bool,
}

impl Pix {
    /// A page of the Pix that arrived since then, and of what went back of them.
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

    /// A page of the older Pix of which something went back since then.
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

    /// A page of the claims that may have moved since then; none where the application may not see them.
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

    /// Claims made in that time; none where the application may not see them.
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

    /// A page of a list.
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

/// What a listed Pix proves.
fn proved(pix: &Received) -> Vec<GatewayNotice> {
    let Some(charge) = pix.to_charge() else {
        return Vec::new();
    };
    let means = NoticeKind::ChargeState(Box::new(charge));
    let mut notices = vec![notification::arrival(pix, means)];
    notices.extend(pix.devolucoes.iter().map(|one| returning(pix, one)));
    notices
}

/// What goes back of a listed Pix. What the banks took belongs to a claim, which only asking puts together; and what is of no
/// charge is nobody's.
fn returning(pix: &Received, one: &Returned) -> GatewayNotice {
    let refund = one.listed(&pix.end_to_end_id);
    let means = match refund {
        _ if pix.txid.is_none() => NoticeKind::Nothing,
        Some(refund) if !one.is_claim() => NoticeKind::Refund(Box::new(refund)),
        _ => NoticeKind::Hint,
    };
    notification::returning(pix, one, means)
}
