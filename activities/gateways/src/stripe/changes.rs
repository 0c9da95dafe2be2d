//! Changes since a watermark, oldest first: events, and the balance transactions of [`balance`]. Stripe lists newest first.

use std::time::Duration;

use schemas::{
    Instant,
    attempt::ErrorClass,
    gateway::{GatewayApi, GatewayKind},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Stripe, errors,
    notifications::event::{EVENTS, Event},
    requests::calls::{PAGE, Page as ListPage},
};
use crate::{
    Entries, Feed, GatewayError, NoticeKind, Page, ReadFrom, Unreadable,
    http::{CALL_TIMEOUT, Deadline, Effect},
};

pub(in crate::stripe) mod balance;

pub(super) const EVENT_FEED: &str = "stripe_events";
/// Balance transactions, for the fees.
pub(super) const BALANCE_FEED: &str = "stripe_balance";

pub(super) const FEEDS: [Feed; 2] = [feed(EVENT_FEED), feed(BALANCE_FEED)];

const fn feed(name: &'static str) -> Feed {
    Feed {
        name,
        gateway: GatewayKind::Stripe,
        api: GatewayApi::Stripe,
        pace: Duration::ZERO,
    }
}

/// Part of a list that was read in order of creation.
pub(super) struct Forward {
    /// Entries, oldest first.
    pub items: Vec<Value>,
    /// Id of the newest entry, if there are more.
    pub cursor: Option<String>,
    /// Time up to which the list is read.
    pub read_until: Instant,
    pub requests: u32,
}

impl Forward {
    fn of(newest_first: Vec<Value>, has_more: bool, (now, requests): (Instant, u32)) -> Self {
        let newest = newest_first.first();
        let id = newest.and_then(|item| item["id"].as_str());
        let made = newest.and_then(|item| item["created"].as_i64());
        let made = made.and_then(|s| Instant::from_timestamp(s, 0));
        let (cursor, read_until) = match (has_more, id, made) {
            (true, Some(id), Some(made)) => (Some(id.to_owned()), made),
            _ => (None, now),
        };
        Self {
            items: newest_first.into_iter().rev().collect(),
            cursor,
            read_until,
            requests,
        }
    }
}

/// Most requests that search a list's oldest entry by halving the time span.
const MAX_HALVINGS: u32 = 40;
/// Most pages of a single second.
const MAX_SECOND_PAGES: usize = 100;
impl Stripe {
    /// Fetches a page of the events since then, in the same form and under the same keys as received at our address. Stripe lists 30 days.
    pub(in crate::stripe) async fn events_since(
        &self,
        from: &ReadFrom<'_>,
    ) -> Result<Page, GatewayError> {
        let types = EVENTS.map(|event| ("types[]", event.to_owned()));
        let read = self.forward(&["events"], &types, from).await?;
        let mut entries = Entries::default();
        for event in &read.items {
            match Event::deserialize(event) {
                Ok(event) => entries.extend(event.read(self.is_live())),
                Err(_) => entries.extend(Unreadable::new("stripe_event", "not an event")),
            }
        }
        entries
            .notices
            .retain(|notice| notice.means != NoticeKind::Nothing);
        Ok(Page {
            entries,
            read_until: Some(read.read_until),
            cursor: read.cursor,
            requests: read.requests,
        })
    }

    /// Fetches a page of a list from `from` on, oldest first. Stripe lists newest first, so the page before an older entry is requested.
    pub(super) async fn forward(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        from: &ReadFrom<'_>,
    ) -> Result<Forward, GatewayError> {
        if let Some(cursor) = from.cursor {
            match self.after(path, query, cursor).await {
                // Stripe no longer has the entry: the run restarts at the watermark
                Err(error) if error.code == errors::ABSENT => {}
                read => {
                    let page = read?;
                    return Ok(Forward::of(page.data, page.has_more, (from.now, 1)));
                }
            }
        }
        let before = [
            ("created[lt]", from.since.timestamp().to_string()),
            ("limit", "1".to_owned()),
        ];
        let before: ListPage<Value> = self.listed(path, &before).await?;
        let anchor = before.data.first().and_then(|item| item["id"].as_str());
        let Some(anchor) = anchor else {
            return self.oldest(path, query, from).await;
        };
        let page = self.after(path, query, anchor).await?;
        Ok(Forward::of(page.data, page.has_more, (from.now, 2)))
    }

    /// Fetches the page of the entries created next after the one with that id.
    async fn after(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        id: &str,
    ) -> Result<ListPage<Value>, GatewayError> {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_owned()));
        query.push(("ending_before", id.to_owned()));
        self.listed(path, &query).await
    }

    async fn listed(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
    ) -> Result<ListPage<Value>, GatewayError> {
        let deadline = Deadline::after(CALL_TIMEOUT);
        self.api
            .get(path, query, deadline)
            .await?
            .read(Effect::Reads)
    }

    /// Fetches the oldest page of a list without entries before `from`. The time span is halved until a page holds all of its older part.
    async fn oldest(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        from: &ReadFrom<'_>,
    ) -> Result<Forward, GatewayError> {
        let end = from.now.timestamp().max(from.since.timestamp()) + 1;
        let (mut begin, mut until) = (from.since.timestamp(), end);
        for n in 0..MAX_HALVINGS {
            let mut part = query.to_vec();
            part.push(("limit", PAGE.to_owned()));
            part.push(("created[gte]", begin.to_string()));
            // Stripe's clock may be ahead of ours: the last part has no end
            if until < end {
                part.push(("created[lt]", until.to_string()));
            }
            let mut page = self.listed(path, &part).await?;
            let middle = begin + (until - begin) / 2;
            match (page.data.is_empty(), page.has_more) {
                (true, _) if until < end => {
                    begin = until;
                    until = end;
                }
                (false, true) if until - begin > 1 => until = middle,
                (_, has_more) => {
                    if has_more {
                        self.whole_second(path, &part, &mut page.data).await?;
                    }
                    let more = until < end;
                    return Ok(Forward::of(page.data, more, (from.now, n + 2)));
                }
            }
        }
        Err(GatewayError::new(
            ErrorClass::NotCreated,
            "too_many",
            "the list's oldest entries were not found",
        ))
    }

    /// Fetches the remaining entries of a second that has more of them than a page holds.
    async fn whole_second(
        &self,
        path: &[&str],
        part: &[(&'static str, String)],
        found: &mut Vec<Value>,
    ) -> Result<(), GatewayError> {
        for _ in 0..MAX_SECOND_PAGES {
            let last = found.last().and_then(|item| item["id"].as_str());
            let mut query = part.to_vec();
            query.extend(last.map(|id| ("starting_after", id.to_owned())));
            let page = self.listed(path, &query).await?;
            found.extend(page.data);
            if !page.has_more {
                break;
            }
        }
        Ok(())
    }
}
