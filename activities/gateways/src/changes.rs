//! The lists that are read in case notifications were lost: each page by page, with a watermark of its own.
//!
//! A page reports how far the list is read. A run that stops early goes on where its cursor stands, so that no list is too long.

use std::time::Duration;

use chrono::TimeDelta;
use schemas::{
    Instant,
    gateway::{GatewayApi, GatewayKind},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::notification::Entries;

/// The requests that catching up spends of the 25,000 that Asaas grants an account in twelve hours.
const ASAAS_BUDGET: u32 = 6_000;
const ASAAS_BUDGET_S: u64 = 12 * 60 * 60;
/// The feeds that share that budget.
const ASAAS_FEEDS: u32 = 3;
/// Between requests of a list that is read as a whole each time.
const SCAN_PACE: Duration = Duration::from_secs(1);

/// A list of a gateway that is read in case its notifications were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// Pix that arrived.
    EfiPix,
    /// Pix of which something was given back.
    EfiReturns,
    /// Claims of payers (MED).
    EfiClaims,
    EfiBoletos,
    EfiCards,
    StripeEvents,
    /// What Stripe booked: the fees.
    StripeBalance,
    /// Payments by the day on which they were paid.
    AsaasPaid,
    /// Payments by the day on which they were made.
    AsaasCreated,
    /// Payments in the states that no day lists.
    AsaasStates,
}

impl Feed {
    /// Every feed.
    pub const ALL: [Self; 10] = [
        Self::EfiPix,
        Self::EfiReturns,
        Self::EfiClaims,
        Self::EfiBoletos,
        Self::EfiCards,
        Self::StripeEvents,
        Self::StripeBalance,
        Self::AsaasPaid,
        Self::AsaasCreated,
        Self::AsaasStates,
    ];

    /// The name under which its watermark is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::EfiPix => "efi_pix",
            Self::EfiReturns => "efi_returns",
            Self::EfiClaims => "efi_claims",
            Self::EfiBoletos => "efi_boletos",
            Self::EfiCards => "efi_cards",
            Self::StripeEvents => "stripe_events",
            Self::StripeBalance => "stripe_balance",
            Self::AsaasPaid => "asaas_paid",
            Self::AsaasCreated => "asaas_created",
            Self::AsaasStates => "asaas_states",
        }
    }

    /// The feed of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feed| feed.name() == name)
    }

    /// The part of the gateway's API that lists it.
    pub fn api(self) -> GatewayApi {
        match self {
            Self::EfiPix | Self::EfiReturns | Self::EfiClaims => GatewayApi::EfiPix,
            Self::EfiBoletos | Self::EfiCards => GatewayApi::EfiCobrancas,
            Self::StripeEvents | Self::StripeBalance => GatewayApi::Stripe,
            Self::AsaasPaid | Self::AsaasCreated | Self::AsaasStates => GatewayApi::Asaas,
        }
    }

    /// The gateway that has it.
    pub fn gateway(self) -> GatewayKind {
        match self.api() {
            GatewayApi::EfiPix | GatewayApi::EfiCobrancas => GatewayKind::Efi,
            GatewayApi::Stripe => GatewayKind::Stripe,
            GatewayApi::Asaas => GatewayKind::Asaas,
        }
    }

    /// The time that each request of it stands for, so that the account's quota lasts.
    pub fn pace(self) -> Duration {
        match self {
            Self::AsaasPaid | Self::AsaasCreated | Self::AsaasStates => {
                Duration::from_secs(ASAAS_BUDGET_S) * ASAAS_FEEDS / ASAAS_BUDGET
            }
            Self::EfiReturns | Self::EfiClaims | Self::EfiBoletos | Self::EfiCards => SCAN_PACE,
            Self::EfiPix | Self::StripeEvents | Self::StripeBalance => Duration::ZERO,
        }
    }
}

/// Where reading a feed goes on.
#[derive(Clone, Copy, Debug)]
pub struct ReadFrom<'a> {
    /// The watermark, less what the gateway may list late.
    pub since: Instant,
    /// PostgreSQL's clock.
    pub now: Instant,
    /// Where the run that was stopped stands.
    pub cursor: Option<&'a str>,
}

/// A page of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub entries: Entries,
    /// Until when the feed is read, as far as that is known.
    pub read_until: Option<Instant>,
    /// Where the next page begins. None: everything is read.
    pub cursor: Option<String>,
    /// Requests that it took.
    pub requests: u32,
}

impl Page {
    /// The end of a feed that is read until then.
    pub(crate) fn end(until: Instant) -> Self {
        Self {
            read_until: Some(until),
            requests: 1,
            ..Self::default()
        }
    }
}

/// A place in a numbered list of a fixed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub from: Instant,
    pub to: Instant,
    /// From zero on.
    pub page: u64,
}

impl Window {
    /// The window in which the run stands, or a new one. `most`: the longest one.
    pub(crate) fn of(read: &ReadFrom<'_>, most: Option<TimeDelta>) -> Self {
        read_cursor(read.cursor).unwrap_or_else(|| Self::begin(read.since, read.now, most))
    }

    fn begin(from: Instant, now: Instant, most: Option<TimeDelta>) -> Self {
        let now = now.max(from);
        Self {
            from,
            to: most.map_or(now, |most| now.min(from + most)),
            page: 0,
        }
    }

    /// The page that was read, and where to go on.
    pub(crate) fn page(
        self,
        entries: Entries,
        is_last: bool,
        (now, most): (Instant, Option<TimeDelta>),
    ) -> Page {
        let next = if !is_last {
            Some(Self {
                page: self.page + 1,
                ..self
            })
        } else if most.is_some() && self.to < now {
            Some(Self::begin(self.to, now, most))
        } else {
            None
        };
        Page {
            entries,
            read_until: is_last.then_some(self.to),
            cursor: next.as_ref().and_then(write_cursor),
            requests: 1,
        }
    }
}

/// A cursor of an earlier version that reads no more begins the run again.
pub(crate) fn read_cursor<T: DeserializeOwned>(cursor: Option<&str>) -> Option<T> {
    serde_json::from_str(cursor?).ok()
}

pub(crate) fn write_cursor<T: Serialize>(place: &T) -> Option<String> {
    serde_json::to_string(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Instant {
        Instant::from_timestamp(s, 0).expect("a time")
    }

    #[test]
    fn every_feed_is_found_by_its_name_and_asaas_keeps_its_budget() {
        for feed in Feed::ALL {
            assert_eq!(Feed::named(feed.name()), Some(feed));
        }
        let asaas = Feed::ALL
            .into_iter()
            .filter(|feed| feed.gateway() == GatewayKind::Asaas);
        let spent: u64 = asaas
            .map(|feed| {
                ASAAS_BUDGET_S * 1_000 / u64::try_from(feed.pace().as_millis()).expect("ms")
            })
            .sum();
        assert!(spent <= u64::from(ASAAS_BUDGET), "{spent} requests");
    }

    #[test]
    fn a_long_time_is_read_slice_by_slice_and_each_end_is_a_watermark() {
        let most = Some(TimeDelta::seconds(10));
        let (mut cursor, mut watermarks) = (None::<String>, Vec::new());
        for _ in 0..9 {
            let read = ReadFrom {
                since: at(0),
                now: at(25),
                cursor: cursor.as_deref(),
            };
            let window = Window::of(&read, most);
            // each slice has two pages
            let page = window.page(Entries::default(), window.page == 1, (read.now, most));
            watermarks.extend(page.read_until.map(|at| at.timestamp()));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((cursor, watermarks), (None, vec![10, 20, 25]));
    }
}
