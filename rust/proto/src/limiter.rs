//! Token buckets: one, or as many as there are sources, in fixed memory.

use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;

const SECOND: u64 = 1_000_000_000;
const SLOTS: usize = 4096;

/// A bucket of requests for each key, of one second's worth, in memory that does not grow; all workers share it and none locks.
///
/// A key has two slots out of 4096 and shares them with strangers; it is refused only where both are empty, so one
/// flood seldom hurts another source, and no source gets more than its rate. A slot holds the time at which it
/// will be full again.
pub struct Buckets {
    /// Nanoseconds that a request takes, 0 for no limit.
    interval: AtomicU64,
    hash: FixedState,
    slots: Box<[AtomicU64]>,
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl Buckets {
    /// Buckets of `rate` requests a second, 0 for no limit; the seed makes who shares with whom unpredictable.
    #[must_use]
    pub fn new(rate: u32, seed: u64) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        let buckets = Self { interval: AtomicU64::new(0), hash: FixedState::with_seed(seed), slots };
        buckets.set_rate(rate);
        buckets
    }

    /// Another rate from now on.
    pub fn set_rate(&self, rate: u32) {
        self.interval.store(SECOND.checked_div(rate.into()).unwrap_or(0), Ordering::Relaxed);
    }

    /// Takes one request of a source.
    pub fn allow_source(&self, ip: IpAddr, now: u64) -> bool {
        self.allow_key(source(ip), now)
    }

    /// Gives a source back what it took to prove who it is, so that more honest clients may share one address.
    pub fn give_back(&self, ip: IpAddr, requests: u64) {
        let gift = self.interval.load(Ordering::Relaxed).saturating_mul(requests);
        for place in self.places(source(ip)) {
            self.slots[place]
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full| Some(full.saturating_sub(gift)))
                .ok();
        }
    }

    /// Takes one request of a key. Two workers that ask at once may both be let through: no more than that.
    pub fn allow_key(&self, key: u64, now: u64) -> bool {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return true;
        }
        let places = self.places(key);
        let [one, two] = places.map(|place| self.slots[place].load(Ordering::Relaxed));
        let next = one.min(two).max(now).saturating_add(interval);
        if next > now.saturating_add(SECOND) {
            return false;
        }
        for place in places {
            self.slots[place].fetch_max(next, Ordering::Relaxed);
        }
        true
    }

    fn places(&self, key: u64) -> [usize; 2] {
        let hash = self.hash.hash_one(key);
        [hash as usize % SLOTS, (hash >> 32) as usize % SLOTS]
    }
}

/// What limits count as one source: an IPv4 address, or the /64 of an IPv6 address.
#[must_use]
pub fn source(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        // beside the /64 prefixes: 0:ffff::/32 is no address of anybody
        IpAddr::V4(ip) => 0x0000_FFFF_0000_0000 | u64::from(u32::from(ip)),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
    }
}

/// One bucket of bytes or requests, of one second's worth.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: u64,
    /// What is left, times 10^9; below zero after an amount larger than the bucket.
    level: i128,
    at: u64,
}

impl Bucket {
    /// A full bucket of `rate` a second, 0 for no limit.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self { rate, level: i128::from(rate) * i128::from(SECOND), at: 0 }
    }

    /// Another rate from now on; what is left is left.
    pub fn set_rate(&mut self, rate: u64) {
        if self.rate != rate {
            *self = Self { at: self.at, ..Self::new(rate) };
        }
    }

    /// Takes an amount. One that is larger than the bucket is let through when it is full, and paid for afterwards.
    pub fn take(&mut self, amount: u64, now: u64) -> bool {
        if self.rate == 0 {
            return true;
        }
        let full = i128::from(self.rate) * i128::from(SECOND);
        let gained = i128::from(self.rate).saturating_mul(i128::from(now.saturating_sub(self.at)));
        self.level = self.level.saturating_add(gained).min(full);
        self.at = self.at.max(now);
        let cost = i128::from(amount) * i128::from(SECOND);
        let pays = self.level >= cost.min(full);
        if pays {
            self.level -= cost;
        }
        pays
    }

    /// Takes what was used before its amount was known; what is missing is paid for afterwards.
    pub fn spend(&mut self, amount: u64) {
        if self.rate != 0 {
            self.level -= i128::from(amount) * i128::from(SECOND);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn allowed(buckets: &Buckets, source: &str, now: u64) -> usize {
        (0..1000).filter(|_| buckets.allow_source(ip(source), now)).count()
    }

    #[test]
    fn a_source_has_its_rate_and_no_more() {
        let buckets = Buckets::new(10, 1);
        let now = 77 * SECOND;
        assert_eq!(allowed(&buckets, "192.0.2.1", now), 10);
        assert_eq!(allowed(&buckets, "192.0.2.1", now + SECOND / 10), 1);
        assert_eq!(allowed(&buckets, "192.0.2.1", now + 9 * SECOND), 10);
        assert_eq!(allowed(&buckets, "192.0.2.1", now), 0);
    }

    #[test]
    fn who_proves_himself_leaves_room_for_another() {
        let buckets = Buckets::new(10, 1);
        let now = 77 * SECOND;
        assert_eq!(allowed(&buckets, "192.0.2.1", now), 10);
        buckets.give_back(ip("192.0.2.1"), 2);
        assert_eq!(allowed(&buckets, "192.0.2.1", now), 2);
        (0..1000).for_each(|_| buckets.give_back(ip("192.0.2.1"), 2));
        assert_eq!(allowed(&buckets, "192.0.2.1", now), 10, "no more than a full bucket");
    }

    #[test]
    fn a_source_is_an_address_or_a_subnet() {
        let buckets = Buckets::new(1, 1);
        assert!(buckets.allow_source(ip("192.0.2.1"), 0));
        assert!(!buckets.allow_source(ip("::ffff:192.0.2.1"), 0));
        assert!(buckets.allow_source(ip("192.0.2.2"), 0));
        assert!(buckets.allow_source(ip("2001:db8::1"), 0));
        assert!(!buckets.allow_source(ip("2001:db8::ffff:ffff:ffff:ffff"), 0));
        assert!(buckets.allow_source(ip("2001:db8:0:1::1"), 0));
    }

    #[test]
    fn a_rate_of_zero_limits_nothing() {
        assert_eq!(allowed(&Buckets::new(0, 1), "192.0.2.1", 0), 1000);
        assert!(Bucket::new(0).take(u64::MAX, 0));
    }

    #[test]
    fn a_hundred_floods_leave_nearly_all_others_alone() {
        let buckets = Buckets::new(5, 9);
        for key in 0..100 {
            assert_eq!((0..50).filter(|_| buckets.allow_key(key, 0)).count(), 5);
        }
        let served = (1000..2000).filter(|&key| buckets.allow_key(key, 0)).count();
        assert!(served > 980, "{served}");
    }

    #[test]
    fn any_rate_and_time_is_taken() {
        for rate in [1, 3, u32::MAX] {
            let buckets = Buckets::new(rate, 0);
            assert!(buckets.allow_key(1, 0));
            buckets.allow_key(1, u64::MAX);
        }
        let mut bucket = Bucket::new(u64::MAX);
        assert!(bucket.take(u64::MAX, u64::MAX));
        assert!(!bucket.take(1, u64::MAX));
    }

    #[test]
    fn a_bucket_fills_at_its_rate() {
        let mut bucket = Bucket::new(1000);
        assert!(bucket.take(600, SECOND) && bucket.take(400, SECOND) && !bucket.take(1, SECOND));
        assert!(bucket.take(500, SECOND + SECOND / 2));
        assert!(!bucket.take(1, SECOND), "time went back");
        assert!(!bucket.take(1, SECOND + SECOND / 2));
        assert!(bucket.take(1, SECOND + SECOND / 2 + SECOND / 1000));
    }

    #[test]
    fn more_than_a_bucket_passes_when_it_is_full_and_is_paid_for() {
        let mut bucket = Bucket::new(1000);
        assert!(bucket.take(3000, 0));
        assert!(!bucket.take(1, 2 * SECOND));
        assert!(bucket.take(1000, 3 * SECOND));
        assert!(!bucket.take(3000, 4 * SECOND - 1));
    }
}
