//! Lists by time, in pages: what arrived, what is claimed back.

use chrono::{SecondsFormat, TimeDelta};
use schemas::{Instant, attempt::ErrorClass};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Pix, infraction::Infraction, notification, received::Received, refund::Returned};
use crate::{
    GatewayError, GatewayNotice, Means,
    efi::session::Call,
    http::{Deadline, Effect},
};

/// So many of a page stay below the longest answer that is read.
const PAGE: &str = "500";
/// More pages than this are not read at once.
const MAX_PAGES: u64 = 100;
/// A claim is decided within a week and paid within eleven days; what it becomes is listed under the day it was made.
const CLAIM_LASTS: TimeDelta = TimeDelta::days(30);

/// A list reaches beyond its end by this: clocks differ, and its instants are cut to milliseconds.
const CLOCKS: TimeDelta = TimeDelta::minutes(1);
/// A Pix can be given back for so long; it is listed by when it arrived.
const RETURNABLE: TimeDelta = TimeDelta::days(90);

/// From when to when.
pub(super) type Window = (Instant, Instant);

impl Pix {
    /// All that arrived since then, went back, or is claimed back.
    pub(in crate::efi) async fn catch_up(
        &self,
        (since, now): Window,
        deadline: Deadline,
    ) -> Result<Vec<GatewayNotice>, GatewayError> {
        let pix = ["v2", "pix"];
        let arrived: Vec<Received> = self
            .list((&pix, "pix"), ((since, now), &[]), deadline)
            .await?;
        let mut notices: Vec<_> = arrived.iter().flat_map(proved).collect();
        let older = (since - RETURNABLE, since);
        let returned: Vec<Received> = self
            .list(
                (&pix, "pix"),
                (older, &[("devolucaoPresente", "true")]),
                deadline,
            )
            .await?;
        for pix in returned.iter().filter(|pix| pix.horario < since) {
            let moved = pix.devolucoes.iter().filter(|one| one.moved_since(since));
            notices.extend(moved.map(|one| returning(pix, one)));
        }
        let claims = self
            .infractions((since - CLAIM_LASTS, now), deadline)
            .await?;
        notices.extend(claims.iter().filter_map(Infraction::to_notice));
        Ok(notices)
    }

    /// Claims made in that time; none where the application may not see them.
    pub(super) async fn infractions(
        &self,
        window: Window,
        deadline: Deadline,
    ) -> Result<Vec<Infraction>, GatewayError> {
        let path = ["v2", "gn", "infracoes"];
        let listed = self
            .list((&path, "infracoes"), (window, &[]), deadline)
            .await;
        match listed {
            Err(error) if error.class == ErrorClass::Denied => {
                tracing::debug!("efi shows no infractions to this application");
                Ok(Vec::new())
            }
            listed => listed,
        }
    }

    /// Every entry of a list; one that cannot be read is left out.
    async fn list<T: DeserializeOwned>(
        &self,
        (path, name): (&[&str], &str),
        ((from, to), only): (Window, &[(&str, &str)]),
        deadline: Deadline,
    ) -> Result<Vec<T>, GatewayError> {
        let instant = |at: Instant| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (from, to) = (instant(from), instant(to + CLOCKS));
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let number = page.to_string();
            let mut query = vec![
                ("inicio", from.as_str()),
                ("fim", to.as_str()),
                ("paginacao.paginaAtual", number.as_str()),
                ("paginacao.itensPorPagina", PAGE),
            ];
            query.extend(only);
            let call = Call {
                query: &query,
                ..Call::read(path)
            };
            let answer = self.session.send(&call, deadline).await?;
            let body: Value = answer.read(Effect::Reads)?;
            let entries = body[name].as_array().cloned().unwrap_or_default();
            all.extend(entries.into_iter().filter_map(readable));
            let pages = body["parametros"]["paginacao"]["quantidadeDePaginas"].as_u64();
            if page + 1 >= pages.unwrap_or(1) {
                return Ok(all);
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "too_many_pages",
            "the gateway lists more than is read at once",
        ))
    }
}

fn readable<T: DeserializeOwned>(entry: Value) -> Option<T> {
    serde_json::from_value(entry)
        .inspect_err(|_| tracing::warn!("efi listed an entry that is not readable"))
        .ok()
}

/// What a listed Pix proves.
fn proved(pix: &Received) -> Vec<GatewayNotice> {
    let Some(charge) = pix.to_charge() else {
        return Vec::new();
    };
    let means = Means::Stands(Box::new(charge));
    let mut notices = vec![notification::arrival(pix, means)];
    notices.extend(pix.devolucoes.iter().map(|one| returning(pix, one)));
    notices
}

/// What goes back of a listed Pix. What the banks took belongs to a claim, which only asking puts together; and what is of no
/// charge is nobody's.
fn returning(pix: &Received, one: &Returned) -> GatewayNotice {
    let refund = one.listed(&pix.end_to_end_id);
    let means = match refund {
        _ if pix.txid.is_none() => Means::Nothing,
        Some(refund) if !one.is_claim() => Means::Refund(Box::new(refund)),
        _ => Means::Hint,
    };
    notification::returning(pix, one, means)
}
