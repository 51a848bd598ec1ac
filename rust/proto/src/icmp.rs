//! ICMP errors that datagrams to peers met, for the client that sent them (RFC 8656, sections 11.5 and 18.13).

use crate::attributes::{code, Value};
use crate::counters::Reason;
use crate::flow::Family;
use crate::message::{method, Kind};
use crate::path::DATAGRAM;
use crate::table::Table;
use crate::writer::Writer;
use std::net::SocketAddr;

/// What a worker tells its clients in a second: errors are rare, unless somebody makes them up.
pub const ERRORS_A_SECOND: u64 = 1000;

/// What an ICMP packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    kind: u8,
    code: u8,
    mtu: u32,
}

impl Icmp {
    /// An error of a type that clients are told of: 3 and 11 of ICMPv4, 1, 2 and 3 of ICMPv6. An MTU counts where the packet was too
    /// big for the next link.
    pub fn new(family: Family, kind: u8, code: u8, mtu: u32) -> Option<Self> {
        let (told, too_big) = match family {
            Family::V4 => (matches!(kind, 3 | 11), (kind, code) == (3, 4)),
            Family::V6 => (matches!(kind, 1..=3), kind == 2),
        };
        told.then_some(Self { kind, code, mtu: if too_big { mtu } else { 0 } })
    }

    /// A packet that was too big for the first link already: what a router would have said.
    pub fn too_big(family: Family, mtu: u32) -> Self {
        let (kind, code) = match family {
            Family::V4 => (3, 4),
            Family::V6 => (2, 0),
        };
        Self { kind, code, mtu }
    }

    /// As the attribute has it: two reserved bytes, type, code, error data.
    fn bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.mtu.to_be_bytes();
        [0, 0, self.kind, self.code, a, b, c, d]
    }
}

impl<S> Table<S> {
    /// Judge an ICMP error that a datagram of this session met on its way to the peer: the Data indication in `scratch` is to be sent
    /// to the client, if any. As the RFC asks, the permission that counts is the peer's, not that of who sent the error.
    pub fn icmp(
        &mut self,
        slot: u32,
        (peer, icmp): (SocketAddr, Icmp),
        transaction: [u8; 12],
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> bool {
        let judged = self.session_mut(slot).ok_or(Reason::NoAllocation).and_then(|session| {
            session.live_relay(Family::of(peer.ip()), now).ok_or(Reason::NoAllocation)?;
            session.permission(peer.ip(), now).ok_or(Reason::NoPermission)?;
            session.downlink.take(DATAGRAM as u64, now).then_some(()).ok_or(Reason::OverRate)
        });
        let judged = judged.and_then(|()| self.errors.take(1, now).then_some(()).ok_or(Reason::OverRate));
        if let Err(reason) = judged {
            self.drops.count(reason);
            return false;
        }
        Writer::new(scratch, method::DATA, Kind::Indication, &transaction)
            .put(code::XOR_PEER_ADDRESS, &Value::Address(peer))
            .put(code::ICMP, &Value::Bytes(&icmp.bytes()))
            .finish(None, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls_cookie::Cookies;
    use crate::flow::FiveTuple;
    use crate::index::RelayIndex;
    use crate::limiter::Buckets;
    use crate::message::Message;
    use crate::nonce::Nonces;
    use crate::session::{Permission, Reach, Relay};
    use crate::table::Context;
    use std::sync::Arc;

    const PEER: &str = "192.0.2.9:4000";
    const ID: [u8; 12] = *b"transactions";

    /// A session with a relay of IPv4 and a permission, both until 10.
    fn table() -> (Table<()>, u32) {
        let context = Context {
            index: RelayIndex::new(&[]),
            realm: "realm".into(),
            third_party: None,
            nonces: Nonces::new([0; 32]),
            cookies: Cookies::new([0; 32]),
            closed: Vec::new(),
            squares: Vec::new(),
            classic: false,
            sources: Buckets::new(0, 0),
            users: Buckets::new(0, 0),
        };
        let (mut table, any) = (Table::new(Arc::new(context), 0), "192.0.2.1:1".parse().unwrap());
        let slot = table.insert(FiveTuple { listener: 0, client: any, local: any }, None).unwrap();
        let session = table.session_mut(slot).unwrap();
        session.open(Relay { external: any, deadline: 10, socket: () });
        let peer: SocketAddr = PEER.parse().unwrap();
        let reaches = Box::new([(0, u16::MAX, Reach::Outside)]);
        session.permit(Permission { ip: peer.ip(), reaches, deadline: 10 });
        (table, slot)
    }

    fn told(table: &mut Table<()>, slot: u32, peer: &str, now: u64) -> Option<Vec<u8>> {
        let (peer, mut scratch) = (peer.parse().unwrap(), Vec::new());
        let error = Icmp::new(Family::of(SocketAddr::ip(&peer)), 3, 3, 0).unwrap();
        table.icmp(slot, (peer, error), ID, now, &mut scratch).then_some(scratch)
    }

    #[test]
    fn a_client_is_told_of_peers_that_it_may_reach() {
        let (mut table, slot) = table();
        let bytes = told(&mut table, slot, PEER, 9).unwrap();
        let message = Message::decode(&bytes[..]).unwrap();
        assert_eq!((message.method(), message.kind(), message.transaction()), (method::DATA, Kind::Indication, &ID));
        assert_eq!(message.address(code::XOR_PEER_ADDRESS), Some(PEER.parse().unwrap()));
        assert_eq!(message.attributes().count(), 2);
        for (peer, now) in [("192.0.2.8:4000", 9), ("[2001:db8::9]:4000", 9), (PEER, 10)] {
            assert_eq!(told(&mut table, slot, peer, now), None, "{peer} {now}");
        }
        assert_eq!(told(&mut table, slot + 1, PEER, 9), None);
    }

    #[test]
    fn what_is_told_in_a_second_is_bounded() {
        let (mut table, slot) = table();
        let count = (0..5000).filter(|_| told(&mut table, slot, PEER, 9).is_some()).count();
        assert_eq!(count as u64, ERRORS_A_SECOND);
        let dropped = table.drops.iter().find(|(reason, _)| *reason == Reason::OverRate);
        assert_eq!(dropped, Some((Reason::OverRate, 4000)));
    }

    #[test]
    fn types_that_a_client_is_told_of() {
        for (family, kinds) in [(Family::V4, &[3, 11][..]), (Family::V6, &[1, 2, 3])] {
            let told: Vec<u8> = (0..=255).filter(|kind| Icmp::new(family, *kind, 0, 0).is_some()).collect();
            assert_eq!(told, kinds);
        }
    }

    #[test]
    fn error_data_is_an_mtu_or_zero() {
        let bytes = |family, kind, code| Icmp::new(family, kind, code, 1280).map(Icmp::bytes);
        assert_eq!(bytes(Family::V4, 3, 4), Some([0, 0, 3, 4, 0, 0, 5, 0]));
        assert_eq!(bytes(Family::V4, 3, 3), Some([0, 0, 3, 3, 0, 0, 0, 0]));
        assert_eq!(bytes(Family::V6, 2, 0), Some([0, 0, 2, 0, 0, 0, 5, 0]));
        assert_eq!(bytes(Family::V6, 1, 4), Some([0, 0, 1, 4, 0, 0, 0, 0]));
        assert_eq!(Icmp::too_big(Family::V4, 1280).bytes(), [0, 0, 3, 4, 0, 0, 5, 0]);
    }
}
