//! Retry schedules: waits of deliveries, backoff, jitter.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Instant;

/// Maximum wait in seconds that an endpoint's `Retry-After` can request: 12 hours.
pub const MAX_RETRY_AFTER_S: i64 = 12 * 60 * 60;

/// 100% in basis points.
const WHOLE_BPS: i64 = 10_000;

/// Returns a share of `most` that is always the same for `seed`, a row's id.
///
/// It spreads rows that share a schedule (all boletos of a day end at the same midnight) evenly over `most`. The same row always
/// gets the same instant.
pub fn jitter(seed: Uuid, most: Duration) -> Duration {
    let (high, low) = seed.as_u64_pair();
    // SplitMix64's finalizer, because the first half of a version 7 id is a time and ids of one millisecond differ in few bits
    let mut mixed = high ^ low.rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let share = (u128::from(mixed) * most.as_millis()) >> 64;
    Duration::from_millis(u64::try_from(share).unwrap_or(u64::MAX))
}

/// Retry schedule of a delivery that an endpoint did not accept.
///
/// The default: at once, then after 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, 4 h and 8 h, then
/// every 12 h until 30 days after the first try. Each wait is up to 10 % longer, at random.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverySchedule {
    /// Waits before the first tries, in seconds. The first wait comes before the first try.
    pub delays_s: Vec<i64>,
    /// Wait before each later try, in seconds.
    pub every_s: i64,
    /// Time after the first try after which no try begins, in seconds.
    pub give_up_after_s: i64,
    /// Maximum random addition to a wait, in basis points of the wait.
    pub jitter_bps: u16,
}

impl Default for DeliverySchedule {
    fn default() -> Self {
        Self {
            delays_s: vec![0, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800],
            every_s: 43_200,
            give_up_after_s: 30 * 24 * 60 * 60,
            jitter_bps: 1_000,
        }
    }
}

/// Progress of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of tries so far.
    pub attempts: u32,
    /// Time at which the first try began. Ignored before the first try.
    pub first_at: Instant,
    /// `Retry-After` of the endpoint's last answer, in seconds.
    pub retry_after_s: Option<i64>,
}

impl DeliverySchedule {
    /// Returns the wait from `now` until the next try. `None` means that the delivery is given up.
    ///
    /// The endpoint's `Retry-After` can only lengthen the scheduled wait, to 12 hours at most. A shorter
    /// one has no effect, so that an overloaded endpoint does not get more requests. The caller draws
    /// `chance` evenly from `0..=10_000`; it too can only lengthen the wait.
    pub fn next(&self, progress: Progress, now: Instant, chance: u16) -> Option<Duration> {
        let made = usize::try_from(progress.attempts).unwrap_or(usize::MAX);
        let scheduled_s = *self.delays_s.get(made).unwrap_or(&self.every_s);
        let asked_s = progress.retry_after_s.unwrap_or(0).min(MAX_RETRY_AFTER_S);
        let wait_ms = scheduled_s.max(asked_s).max(0).checked_mul(1000)?;
        let most_ms = wait_ms.checked_mul(i64::from(self.jitter_bps))? / WHOLE_BPS;
        let jitter_ms = most_ms.checked_mul(i64::from(chance).min(WHOLE_BPS))? / WHOLE_BPS;
        let wait_ms = wait_ms.checked_add(jitter_ms)?;

        let passed_ms = match progress.attempts {
            0 => 0,
            _ => (now - progress.first_at).num_milliseconds(),
        };
        let in_time = passed_ms.checked_add(wait_ms)? <= self.give_up_after_s.checked_mul(1000)?;
        in_time.then(|| Duration::from_millis(wait_ms.unsigned_abs()))
    }
}

/// Returns the time between two scheduled deliveries to an endpoint that accepts `rate_per_s` deliveries per second, `slots` of
/// them at a time, and needs the time `answer` for each.
pub fn turn_spacing(rate_per_s: u32, slots: u32, answer: Duration) -> Duration {
    (Duration::from_secs(1) / rate_per_s.max(1)).max(answer / slots.max(1))
}

/// Backoff: waits that grow by a factor up to a limit, for all retries except deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// First wait, in milliseconds.
    pub initial_ms: u64,
    /// Factor by which each wait grows.
    pub factor: u32,
    /// Maximum wait, in milliseconds.
    pub max_ms: u64,
}

impl Backoff {
    /// Returns the wait after the n-th failure, counted from 0, in milliseconds.
    pub fn delay_ms(&self, n: u32) -> u64 {
        let factor = u64::from(self.factor).saturating_pow(n);
        self.initial_ms.saturating_mul(factor).min(self.max_ms)
    }

    /// Returns the wait after the n-th failure, counted from 0, lengthened by up to half, so that rows that failed together are not
    /// retried together. It is always the same for the same `n` and `seed`, a row's id.
    pub fn spread(&self, n: u32, seed: Uuid) -> Duration {
        let wait = Duration::from_millis(self.delay_ms(n));
        let (high, low) = seed.as_u64_pair();
        wait + jitter(Uuid::from_u64_pair(high ^ u64::from(n), low), wait / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    const HOUR_S: i64 = 3_600;

    /// Begins a delivery, fails every try at once, and returns the times at which the tries begin, in seconds.
    fn tries(schedule: &DeliverySchedule, retry_after_s: Option<i64>, chance: u16) -> Vec<i64> {
        let first_at = Instant::UNIX_EPOCH;
        let mut progress = Progress {
            attempts: 0,
            first_at,
            retry_after_s: None,
        };
        let mut now = first_at;
        let mut started = Vec::new();
        while let Some(wait) = schedule.next(progress, now, chance) {
            now += wait;
            started.push((now - first_at).num_seconds());
            progress = Progress {
                attempts: progress.attempts + 1,
                retry_after_s,
                ..progress
            };
            assert!(started.len() < 1_000, "never gives up");
        }
        started
    }

    #[test]
    fn tries_are_dense_at_first_and_go_on_for_thirty_days() {
        let started = tries(&DeliverySchedule::default(), None, 0);
        assert_eq!(started[..6], [0, 5, 35, 155, 755, 2_555]);
        assert_eq!(started[10] - started[9], 12 * HOUR_S);
        let last = *started.last().unwrap();
        assert!(
            (29 * 24 * HOUR_S..=30 * 24 * HOUR_S).contains(&last),
            "{last}"
        );
        assert_eq!(started.len(), 68);
    }

    #[test]
    fn retry_after_lengthens_a_wait_up_to_twelve_hours_and_never_shortens_it() {
        let schedule = DeliverySchedule::default();
        let now = Instant::UNIX_EPOCH;
        let wait_s = |attempts, asked| {
            let progress = Progress {
                attempts,
                first_at: now,
                retry_after_s: Some(asked),
            };
            schedule.next(progress, now, 0).map(|wait| wait.as_secs())
        };
        assert_eq!(wait_s(1, 60), Some(60));
        assert_eq!(wait_s(1, 1_000_000), Some(43_200));
        assert_eq!(wait_s(4, 1), Some(600));
        assert_eq!(wait_s(4, -5), Some(600));
    }

    #[test]
    fn chance_adds_at_most_a_tenth() {
        let schedule = DeliverySchedule::default();
        let now = Instant::UNIX_EPOCH;
        let progress = Progress {
            attempts: 4,
            first_at: now,
            retry_after_s: None,
        };
        assert_eq!(
            schedule.next(progress, now, 10_000),
            Some(Duration::from_mins(11))
        );
        assert_eq!(
            schedule.next(progress, now, 5_000),
            Some(Duration::from_secs(630))
        );
        assert_eq!(
            schedule.next(progress, now, u16::MAX),
            Some(Duration::from_mins(11))
        );
    }

    #[test]
    fn turns_are_spaced_by_the_rate_or_by_the_answers_whichever_is_slower() {
        let ms = Duration::from_millis;
        assert_eq!(turn_spacing(100, 16, ms(80)), ms(10));
        assert_eq!(turn_spacing(100, 16, ms(10_000)), ms(625));
        assert_eq!(turn_spacing(0, 0, ms(0)), ms(1_000));
    }

    #[test]
    fn a_back_off_doubles_up_to_its_limit() {
        let backoff = Backoff {
            initial_ms: 100,
            factor: 2,
            max_ms: 1_000,
        };
        let delays: Vec<_> = [0, 1, 3, 4, u32::MAX].map(|n| backoff.delay_ms(n)).into();
        assert_eq!(delays, [100, 200, 800, 1_000, 1_000]);
    }

    /// Returns ids like those generated within one millisecond.
    fn ids() -> impl Iterator<Item = Uuid> {
        (0..10_000).map(|n| Uuid::from_u64_pair(0x0193_6b2e_0000_7000, 0x8000_0000_0000_0000 | n))
    }

    #[test]
    fn rows_of_one_midnight_are_spread_evenly() {
        let most = Duration::from_mins(10);
        let mut rows_of_minute = [0_u32; 10];
        for id in ids() {
            let share = jitter(id, most);
            assert_eq!(share, jitter(id, most));
            let minute = usize::try_from(share.as_secs() / 60).unwrap();
            rows_of_minute[minute] += 1;
        }
        assert!(
            rows_of_minute.iter().all(|n| (800..=1_200).contains(n)),
            "{rows_of_minute:?}"
        );
        assert_eq!(jitter(Uuid::nil(), Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn rows_that_failed_together_do_not_come_back_together() {
        let backoff = Backoff {
            initial_ms: 1_000,
            factor: 2,
            max_ms: 300_000,
        };
        for n in [0, 1, 5, u32::MAX] {
            let wait = Duration::from_millis(backoff.delay_ms(n));
            let waits: std::collections::BTreeSet<_> =
                ids().map(|id| backoff.spread(n, id)).collect();
            assert!(waits.len() > 400, "{n}: {}", waits.len());
            assert!(*waits.first().unwrap() >= wait && *waits.last().unwrap() < wait * 3 / 2);
        }
    }

    proptest! {
        #[test]
        fn every_delivery_ends_in_time(chance in 0..=10_000_u16, asked in prop::option::of(0..100_000_i64)) {
            let started = tries(&DeliverySchedule::default(), asked, chance);
            prop_assert!(started.len() >= 50);
            prop_assert!(*started.last().unwrap() <= 30 * 24 * HOUR_S);
            prop_assert!(started.is_sorted());
        }

        #[test]
        fn no_settings_panic(
            delays_s: Vec<i64>, every_s: i64, give_up_after_s: i64, jitter_bps: u16,
            attempts: u32, retry_after_s: Option<i64>, chance: u16, passed_ms in 0..i64::MAX / 1_000_000,
        ) {
            let schedule = DeliverySchedule { delays_s, every_s, give_up_after_s, jitter_bps };
            let first_at = Instant::UNIX_EPOCH;
            let progress = Progress { attempts, first_at, retry_after_s };
            let _ = schedule.next(progress, first_at + TimeDelta::milliseconds(passed_ms), chance);
        }
    }
}
