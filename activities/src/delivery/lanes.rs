//! Slots for posts in flight in this process: one lane per endpoint, so that a slow endpoint never delays another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::retry::delivery::BURST;
use schemas::{id::EndpointId, retry::turn_spacing};
use store::deliveries::EndpointTerms;
use tokio::time::Instant;

/// Maximum number of posts in flight in this process; fewer than a worker's activity slots, which the other steps of deliveries use too.
const MAX_IN_FLIGHT: u32 = 80;
/// Divisor of the slots that the others leave: an endpoint's maximum. That is 16 of 80 alone and 6 each if seven are slow, so
/// that some are always left.
const SHARE: u32 = 5;
/// Divisor that gives the weight of a new answer in the smoothed answer time.
const SMOOTHING: u32 = 4;
/// Number of lanes above which unused ones are removed.
const MAX_LANES: usize = 10_000;

/// Lanes of this process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lanes {
    max_in_flight: u32,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    in_flight: u32,
    lanes: HashMap<EndpointId, Lane>,
}

#[derive(Default)]
struct Lane {
    /// Start of each post in flight.
    posts: Vec<Instant>,
    /// Smoothed answer time.
    answer: Option<Duration>,
    /// Earliest time of the next post at the endpoint's rate.
    paced_at: Option<Instant>,
}

/// Slot for one post; released when dropped.
pub(super) struct Slot {
    lanes: Lanes,
    endpoint: EndpointId,
    began: Instant,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            max_in_flight: MAX_IN_FLIGHT,
            inside: Arc::default(),
        }
    }
}

impl Lanes {
    /// Takes a slot without waiting; `None` if there is none. A delivery whose turn has come takes precedence: it may use a quarter more
    /// slots, and its turn has already paced it.
    pub(super) fn enter(
        &self,
        endpoint: EndpointId,
        terms: EndpointTerms,
        has_turn: bool,
        now: Instant,
    ) -> Option<Slot> {
        let mut inside = self.inside();
        let limit = inside.limit(endpoint, terms, self.max_in_flight);
        let precedence = if has_turn { (limit / 4).max(1) } else { 0 };
        let is_full = inside.in_flight >= self.max_in_flight
            || inside.in_flight_to(endpoint) >= limit + precedence;
        if inside.lanes.len() > MAX_LANES {
            inside.lanes.retain(|_, lane| !lane.posts.is_empty());
        }
        let lane = inside.lanes.entry(endpoint).or_default();
        let paced_at = lane.paced_at.unwrap_or(now).max(now);
        if is_full || (!has_turn && paced_at > now + BURST) {
            return None;
        }
        lane.paced_at = Some(paced_at + Duration::from_secs(1) / terms.rate_per_s);
        lane.posts.push(now);
        inside.in_flight += 1;
        Some(Slot {
            lanes: self.clone(),
            endpoint,
            began: now,
        })
    }

    /// Returns the time between two turns, from the answer times so far and the age of the posts in flight.
    pub(super) fn spacing(
        &self,
        endpoint: EndpointId,
        terms: EndpointTerms,
        now: Instant,
    ) -> Duration {
        let inside = self.inside();
        let limit = inside.limit(endpoint, terms, self.max_in_flight);
        let lane = inside.lanes.get(&endpoint);
        let answered = lane.and_then(|lane| lane.answer).unwrap_or(terms.answer);
        let awaited = lane.map(|lane| lane.mean_age(now)).unwrap_or_default();
        turn_spacing(terms.rate_per_s, limit, answered.max(awaited))
    }

    /// Adds an answer's time to the smoothed one. Returns the smoothed time if it must be stored: if it affects the spacing and has changed
    /// by a factor of two.
    pub(super) fn answered(
        &self,
        endpoint: EndpointId,
        terms: EndpointTerms,
        took: Duration,
    ) -> Option<Duration> {
        let mut inside = self.inside();
        let lane = inside.lanes.entry(endpoint).or_default();
        let answer = match lane.answer {
            None if terms.answer.is_zero() => took,
            former => {
                let former = former.unwrap_or(terms.answer);
                (former * (SMOOTHING - 1) + took) / SMOOTHING
            }
        };
        lane.answer = Some(answer);
        let matters = Duration::from_secs(1) * terms.slots / terms.rate_per_s;
        let changed = answer > terms.answer * 2 || answer < terms.answer / 2;
        (changed && answer.max(terms.answer) > matters).then_some(answer)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn in_flight_to(&self, endpoint: EndpointId) -> u32 {
        let posts = self.lanes.get(&endpoint).map_or(0, |lane| lane.posts.len());
        u32::try_from(posts).unwrap_or(u32::MAX)
    }

    /// Returns the maximum number of posts to an endpoint in flight.
    fn limit(&self, endpoint: EndpointId, terms: EndpointTerms, max_in_flight: u32) -> u32 {
        let others = self.in_flight - self.in_flight_to(endpoint);
        terms
            .slots
            .min(max_in_flight.saturating_sub(others) / SHARE)
            .max(1)
    }
}

impl Lane {
    fn mean_age(&self, now: Instant) -> Duration {
        let ages = self
            .posts
            .iter()
            .map(|began| now.saturating_duration_since(*began));
        let posts = u32::try_from(self.posts.len()).unwrap_or(u32::MAX);
        ages.sum::<Duration>() / posts.max(1)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inside = self.lanes.inside();
        let Some(lane) = inside.lanes.get_mut(&self.endpoint) else {
            return;
        };
        if let Some(at) = lane.posts.iter().position(|began| *began == self.began) {
            lane.posts.swap_remove(at);
            inside.in_flight -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn terms() -> EndpointTerms {
        EndpointTerms {
            rate_per_s: 100,
            slots: 16,
            answer: Duration::ZERO,
        }
    }

    fn endpoint(n: u128) -> EndpointId {
        EndpointId(Uuid::from_u128(n))
    }

    fn fill(lanes: &Lanes, n: u128, has_turn: bool, now: Instant) -> Vec<Slot> {
        std::iter::from_fn(|| lanes.enter(endpoint(n), terms(), has_turn, now)).collect()
    }

    #[test]
    fn slow_endpoints_never_use_all_slots_however_many_they_are() {
        let (lanes, now) = (Lanes::default(), Instant::now());
        let mut held = fill(&lanes, 0, false, now);
        assert_eq!(held.len(), 16);
        for n in 1..7 {
            held.extend(fill(&lanes, n, true, now));
        }
        assert!(lanes.enter(endpoint(99), terms(), false, now).is_some());
        drop(held);
        assert_eq!(lanes.inside().in_flight, 0);
        // each of seven that start together has its share, and an eighth finds a slot
        let mut held = Vec::new();
        for _ in 0..16 {
            held.extend((0..7).filter_map(|n| lanes.enter(endpoint(n), terms(), false, now)));
        }
        let in_flight = lanes.inside().in_flight;
        assert!((35..60).contains(&in_flight), "{in_flight}");
    }

    #[test]
    fn a_due_turn_has_precedence_over_a_new_delivery() {
        let (lanes, now) = (Lanes::default(), Instant::now());
        let held = fill(&lanes, 1, false, now);
        assert!(lanes.enter(endpoint(1), terms(), false, now).is_none());
        let due = fill(&lanes, 1, true, now);
        assert_eq!(due.len(), 4);
        drop((held, due));
        assert!(lanes.enter(endpoint(1), terms(), false, now).is_some());
    }

    #[test]
    fn new_deliveries_keep_to_the_rate_after_a_burst() {
        let (lanes, now) = (Lanes::default(), Instant::now());
        let enter = |at| lanes.enter(endpoint(1), terms(), false, at).is_some();
        let burst = (0..200).take_while(|_| enter(now)).count();
        assert_eq!(burst, 101);
        assert!(enter(now + Duration::from_millis(10)));
        assert!(!enter(now + Duration::from_millis(10)));
    }

    #[test]
    fn spacing_follows_answers_and_those_that_are_awaited() {
        let (lanes, now) = (Lanes::default(), Instant::now());
        let ms = Duration::from_millis;
        let held = fill(&lanes, 1, false, now);
        assert_eq!(lanes.spacing(endpoint(1), terms(), now), ms(10));
        assert_eq!(
            lanes.spacing(endpoint(1), terms(), now + ms(8_000)),
            ms(500)
        );
        drop(held);
        assert_eq!(
            lanes.answered(endpoint(1), terms(), ms(10_000)),
            Some(ms(10_000))
        );
        assert_eq!(lanes.spacing(endpoint(1), terms(), now), ms(625));
        let stored = EndpointTerms {
            answer: ms(10_000),
            ..terms()
        };
        assert_eq!(lanes.answered(endpoint(1), stored, ms(9_000)), None);
        // an endpoint that is fast again is not spaced for long
        let mut answers = 0;
        while lanes.spacing(endpoint(1), stored, now) > ms(10) {
            lanes.answered(endpoint(1), stored, ms(20));
            answers += 1;
        }
        assert!(answers < 20, "{answers}");
        // a time that does not affect the spacing is not stored
        assert_eq!(lanes.answered(endpoint(2), terms(), ms(50)), None);
    }
}
