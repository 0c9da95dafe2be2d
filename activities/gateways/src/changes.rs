//! Feeds: the gateways' lists that are polled in case notifications were lost, each page by page with its own watermark.
//!
//! A page reports the time up to which its list is read. A run that stops early resumes at its cursor, so a list of any length is
//! read.

use std::time::Duration;

use chrono::TimeDelta;
use schemas::{
    Instant,
    gateway::{GatewayApi, GatewayKind},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::notification::Entries;

/// Requests that polling spends of the 25,000 that Asaas grants an account in twelve hours.
const ASAAS_BUDGET: u32 = 6_000;
const ASAAS_BUDGET_S: u64 = 12 * 60 * 60;
/// Number of feeds that share that budget.
const ASAAS_FEEDS: u32 = 3;
/// Pause between requests of a list that is read completely each time.
const SCAN_PACE: Duration = Duration::from_secs(1);

/// List of a gateway that is polled in case its notifications were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// Pix that arrived.
    EfiPix,
    /// Pix with a refund.
    EfiReturns,
    /// Disputes by payers (MED).
    EfiClaims,
    EfiBoletos,
    EfiCards,
    StripeEvents,
    /// Stripe's balance transactions, for the fees.
    StripeBalance,
    /// Payments by day of payment.
    AsaasPaid,
    /// Payments by day of creation.
    AsaasCreated,
    /// Payments in the statuses that no list by day shows.
    AsaasStates,
}

impl Feed {
    /// All feeds.
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

    /// Returns the name under which its watermark is stored.
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

    /// Returns the feed of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feed| feed.name() == name)
    }

    /// Returns the part of the gateway's API that lists it.
    pub fn api(self) -> GatewayApi {
        match self {
            Self::EfiPix | Self::EfiReturns | Self::EfiClaims => GatewayApi::EfiPix,
            Self::EfiBoletos | Self::EfiCards => GatewayApi::EfiCobrancas,
            Self::StripeEvents | Self::StripeBalance => GatewayApi::Stripe,
            Self::AsaasPaid | Self::AsaasCreated | Self::AsaasStates => GatewayApi::Asaas,
        }
    }

    /// Returns the gateway that has it.
    pub fn gateway(self) -> GatewayKind {
        match self.api() {
            GatewayApi::EfiPix | GatewayApi::EfiCobrancas => GatewayKind::Efi,
            GatewayApi::Stripe => GatewayKind::Stripe,
            GatewayApi::Asaas => GatewayKind::Asaas,
        }
    }

    /// Returns the time to reserve for each of its requests, so that the account's quota lasts.
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

/// Position at which reading a feed resumes.
#[derive(Clone, Copy, Debug)]
pub struct ReadFrom<'a> {
    /// Watermark, minus the time by which the gateway may list an entry late.
    pub since: Instant,
    /// PostgreSQL's clock.
    pub now: Instant,
    /// Cursor of the run that was stopped.
    pub cursor: Option<&'a str>,
}

/// Page of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub entries: Entries,
    /// Time up to which the feed is read, if known.
    pub read_until: Option<Instant>,
    /// Cursor of the next page. `None`: everything is read.
    pub cursor: Option<String>,
    /// Number of requests made.
    pub requests: u32,
}

impl Page {
    /// Returns the end of a feed that is read up to `until`.
    pub(crate) fn end(until: Instant) -> Self {
        Self {
            read_until: Some(until),
            requests: 1,
            ..Self::default()
        }
    }
}

/// Position in a numbered list of a fixed time span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub from: Instant,
    pub to: Instant,
    /// Page number, from zero.
    pub page: u64,
}

impl Window {
    /// Returns the window of the interrupted run, or a new one. `most`: length of the longest window.
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

    /// Returns the page that was read, with the cursor of the next one.
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

/// Parses a cursor. One of an earlier version that cannot be parsed restarts the run.
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
