//! Who owns which relayed transport address: an index that all workers read and none locks.

use crate::flow::Flow;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

/// For each announced relay IP, the flow that owns each port.
///
/// Invariant: an address is in the index from before its client learns of it until its owner's relay is closed.
pub struct RelayIndex {
    aliases: Vec<(IpAddr, IpAddr)>,
    owners: Vec<(IpAddr, Box<[AtomicU64]>)>,
}

impl RelayIndex {
    /// From pairs of bind IP and announced IP.
    pub fn new(relays: &[(IpAddr, IpAddr)]) -> Self {
        let mut owners: Vec<(IpAddr, Box<[AtomicU64]>)> = Vec::new();
        for (_, external) in relays {
            if !owners.iter().any(|(ip, _)| ip == external) {
                owners.push((*external, (0..=u16::MAX).map(|_| AtomicU64::new(0)).collect()));
            }
        }
        let aliases = relays.iter().copied().filter(|(bind, external)| bind != external).collect();
        Self { aliases, owners }
    }

    /// A peer named by the bind IP of a relay is the same relay by its announced IP.
    pub fn canonical(&self, peer: SocketAddr) -> SocketAddr {
        let ip = peer.ip().to_canonical();
        let announced = self.aliases.iter().find(|(bind, _)| *bind == ip).map_or(ip, |(_, external)| *external);
        SocketAddr::new(announced, peer.port())
    }

    /// Take an address for a flow; false where another flow holds it or the IP is no relay's.
    pub fn claim(&self, external: SocketAddr, flow: Flow) -> bool {
        self.place(external)
            .is_some_and(|place| place.compare_exchange(0, flow.number(), Ordering::AcqRel, Ordering::Relaxed).is_ok())
    }

    /// Give an address back, if the flow holds it.
    pub fn release(&self, external: SocketAddr, flow: Flow) {
        if let Some(place) = self.place(external) {
            let _ = place.compare_exchange(flow.number(), 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Make an address another flow's, if the flow holds it.
    pub fn hand_over(&self, external: SocketAddr, flow: Flow, to: Flow) {
        if let Some(place) = self.place(external) {
            let _ = place.compare_exchange(flow.number(), to.number(), Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// The flow that owns a relayed transport address.
    pub fn owner(&self, external: SocketAddr) -> Option<Flow> {
        self.place(external).and_then(|place| Flow::from_number(place.load(Ordering::Acquire)))
    }

    fn place(&self, external: SocketAddr) -> Option<&AtomicU64> {
        let (_, ports) = self.owners.iter().find(|(ip, _)| *ip == external.ip())?;
        ports.get(usize::from(external.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_owner_and_only_it_can_let_go() {
        let index = RelayIndex::new(&[("10.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap())]);
        let (address, first, second) = ("192.0.2.1:50000".parse().unwrap(), Flow::new(0, 1, 1), Flow::new(1, 1, 1));
        assert!(index.claim(address, first));
        assert!(!index.claim(address, second));
        index.release(address, second);
        index.hand_over(address, second, second);
        assert_eq!(index.owner(address), Some(first));
        index.hand_over(address, first, second);
        assert_eq!(index.owner(address), Some(second));
        index.hand_over(address, second, first);
        index.release(address, first);
        assert_eq!(index.owner(address), None);
    }

    #[test]
    fn a_bind_address_names_the_announced_relay() {
        let index = RelayIndex::new(&[("10.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap())]);
        assert_eq!(index.canonical("10.0.0.1:7".parse().unwrap()), "192.0.2.1:7".parse().unwrap());
        assert_eq!(index.canonical("10.0.0.2:7".parse().unwrap()), "10.0.0.2:7".parse().unwrap());
        assert!(!index.claim("10.0.0.2:7".parse().unwrap(), Flow::new(0, 1, 1)));
    }
}
