//! When a failed call is tried again: one fixed schedule per channel, with full jitter that the delivery's id seeds.

use std::time::Duration;

use revisit_core::Timestamp;
use uuid::Uuid;

use super::kind::Channel;

/// Reminders: tried for about three quarters of an hour; later they are worth nothing.
const REMINDER: [Duration; 5] = [seconds(5), seconds(30), minutes(2), minutes(10), minutes(30)];

/// Webhooks: the schedule of Standard Webhooks, a little over 75 hours in all.
const WEBHOOK: [Duration; 9] =
    [seconds(5), minutes(5), minutes(30), hours(2), hours(5), hours(10), hours(14), hours(20), hours(24)];

/// A provider that asks for more patience than this is not believed.
pub const THROTTLE_MAX: Duration = hours(24);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}
const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// The waits of a channel, one per failed try.
pub const fn schedule(channel: Channel) -> &'static [Duration] {
    match channel {
        Channel::Inbox | Channel::Email => &REMINDER,
        Channel::Webhook => &WEBHOOK,
    }
}

/// When to try again after `tries` calls have failed; none when all tries are spent.
pub fn next_try(channel: Channel, seed: Uuid, tries: u32, now: Timestamp) -> Option<Timestamp> {
    let wait = *schedule(channel).get(usize::try_from(tries.checked_sub(1)?).ok()?)?;
    Some(now + jitter(seed, tries, wait))
}

/// A span between nothing and `span`, the same for the same delivery and try: retries of a crowd spread out, and a
/// run with the same ids repeats.
pub fn jitter(seed: Uuid, draw: u32, span: Duration) -> Duration {
    let mut hasher = blake3::Hasher::new_derive_key("revisit notification jitter");
    hasher.update(seed.as_bytes());
    hasher.update(&draw.to_be_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    // The remainder's bias is far below a microsecond for spans of hours.
    Duration::from_micros(u64::from_be_bytes(bytes) % micros.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_tried_for_seventy_five_hours() {
        let total: Duration = schedule(Channel::Webhook).iter().sum();
        assert!(total > hours(75) && total < hours(76), "{total:?}");
    }

    #[test]
    fn jitter_fills_the_whole_span_and_repeats() {
        let span = seconds(5);
        let draws: Vec<_> = (0..1_000_u128).map(|id| jitter(Uuid::from_u128(id), 1, span)).collect();
        assert!(draws.iter().all(|draw| *draw <= span));
        let low = draws.iter().filter(|draw| **draw < span / 2).count();
        assert!((400..600).contains(&low), "{low} of 1000 lie in the first half");
        assert_eq!(draws[7], jitter(Uuid::from_u128(7), 1, span));
    }

    #[test]
    fn tries_end_with_the_schedule() {
        let now = Timestamp::from_seconds(1_000);
        let last = u32::try_from(schedule(Channel::Email).len()).expect("short");
        assert!(next_try(Channel::Email, Uuid::nil(), last, now).is_some());
        assert!(next_try(Channel::Email, Uuid::nil(), last + 1, now).is_none());
        assert!(next_try(Channel::Email, Uuid::nil(), 0, now).is_none(), "nothing has failed yet");
    }
}
