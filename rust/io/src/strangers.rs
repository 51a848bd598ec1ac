//! Clients that cost something and have proved nothing: bounded for each source (/32, /64), and in all.

use hairpin_proto::limiter;
use std::collections::HashMap;
use std::net::IpAddr;

/// The most of one source, and in all, for each worker.
const A_SOURCE: u32 = 256;
const IN_ALL: usize = 4096;

/// How many there are.
#[derive(Default)]
pub struct Strangers {
    sources: HashMap<u64, u32>,
    count: usize,
}

impl Strangers {
    /// Whether one more may come from anywhere.
    pub fn have_room(&self) -> bool {
        self.count < IN_ALL
    }

    /// Whether one more may come from there.
    pub fn admits(&self, ip: IpAddr) -> bool {
        self.have_room() && self.sources.get(&limiter::source(ip)).is_none_or(|count| *count < A_SOURCE)
    }

    /// One more came.
    pub fn add(&mut self, ip: IpAddr) {
        *self.sources.entry(limiter::source(ip)).or_default() += 1;
        self.count += 1;
    }

    /// One went, or proved its credentials.
    pub fn remove(&mut self, ip: IpAddr) {
        self.count -= 1;
        if let Some(count) = self.sources.get_mut(&limiter::source(ip)) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&limiter::source(ip));
            }
        }
    }

    /// One was a stranger since then, if it was, and is to be one since then, if it is: what it is now.
    pub fn change(&mut self, ip: IpAddr, was: Option<u64>, is: Option<u64>) -> Option<u64> {
        match (was, is) {
            (Some(_), None) => self.remove(ip),
            (None, Some(_)) => self.add(ip),
            _ => return was, // a login that failed gives a stranger no more time
        }
        is
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_share_and_all_have_theirs() {
        let mut strangers = Strangers::default();
        let ip = |number: u32| IpAddr::from(std::net::Ipv4Addr::from(number));
        (0..A_SOURCE).for_each(|_| strangers.add(ip(1)));
        assert!(!strangers.admits(ip(1)) && strangers.admits(ip(2)));
        (0..IN_ALL as u32 - A_SOURCE).for_each(|number| strangers.add(ip(10 + number)));
        assert!(!strangers.admits(ip(2)));
        strangers.remove(ip(1));
        assert!(strangers.admits(ip(1)) && strangers.admits(ip(2)));
    }

    #[test]
    fn a_stranger_is_counted_once_and_gets_no_more_time() {
        let mut strangers = Strangers::default();
        let ip = "192.0.2.1".parse().unwrap();
        strangers.add(ip);
        assert_eq!(strangers.change(ip, Some(5), Some(9)), Some(5));
        assert_eq!(strangers.change(ip, Some(5), None), None);
        assert_eq!((strangers.count, strangers.sources.len()), (0, 0));
        assert_eq!(strangers.change(ip, None, Some(9)), Some(9));
        assert_eq!((strangers.count, strangers.sources.len()), (1, 1));
    }
}
