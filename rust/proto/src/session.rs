//! What the packet path knows of one client: a projection of Python's state, on lease.
//!
//! Invariant: an entry forwards only while `now < deadline`. Nothing is removed here because time passed.

use crate::counters::Counters;
use crate::flow::{Connection, Family, FiveTuple, Transport};
use crate::limiter::Bucket;
use crate::mobility::Held;
use std::net::{IpAddr, SocketAddr};

/// Where data for a permitted address may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Out by the relay's socket.
    Outside,
    /// To a live relay of this server, and nowhere else.
    Inside,
    /// To a live relay of this server, else out by the relay's socket.
    Both,
}

/// The user of a session, and the key that its messages are verified with.
pub struct Credentials {
    /// USERNAME as the client sends it.
    pub username: Box<str>,
    /// What the key was made with (RFC 8489, section 18.5.1).
    pub algorithm: u16,
    /// The long-term key (RFC 8489, section 9.2.2).
    pub key: Box<[u8]>,
}

/// A relayed transport address; `socket` is what the caller sends with.
pub struct Relay<S> {
    /// The address that clients and peers know.
    pub external: SocketAddr,
    /// The allocation's lease.
    pub deadline: u64,
    /// The caller's handle.
    pub socket: S,
}

impl<S> Relay<S> {
    /// Its own, and that of the peers that it speaks with.
    pub fn family(&self) -> Family {
        Family::of(self.external.ip())
    }
}

/// The relays of a session, one of each family at most (RFC 8656, section 7.2).
pub struct Relays<S>([Option<Relay<S>>; 2]);

impl<S> Relays<S> {
    /// That of a family.
    pub fn get(&self, family: Family) -> Option<&Relay<S>> {
        self.0[family as usize].as_ref()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Relay<S>> {
        self.0.iter().flatten()
    }
}

/// A permission (RFC 8656, section 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The peer's IP.
    pub ip: IpAddr,
    /// Where data for it may go: first port, last port, reach. A port in none of them goes nowhere.
    pub reaches: Box<[(u16, u16, Reach)]>,
    /// The lease.
    pub deadline: u64,
}

impl Permission {
    /// Where data for a port may go, if anywhere.
    pub fn reach(&self, port: u16) -> Option<Reach> {
        self.reaches.iter().find(|(first, last, _)| (*first..=*last).contains(&port)).map(|(_, _, reach)| *reach)
    }
}

/// A channel (RFC 8656, section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its number, 0x4000 and up.
    pub number: u16,
    /// The peer it stands for.
    pub peer: SocketAddr,
    /// The lease.
    pub deadline: u64,
}

/// One client by its five-tuple.
pub struct Session<S> {
    /// The client's transport address and ours.
    pub five_tuple: FiveTuple,
    /// By which the client came, where it is more than a UDP socket.
    pub connection: Option<Connection>,
    /// A request of it was handed up: from then on its packets count as a session's.
    pub asked: bool,
    /// Set once Python knows who it is.
    pub credentials: Option<Credentials>,
    /// There once it has allocated.
    pub relays: Relays<S>,
    /// There instead where it is a TCP allocation (RFC 6062): packets find no relay then.
    pub tcp_relays: Relays<S>,
    /// Its traffic.
    pub counters: Counters,
    /// Requests a second.
    pub requests: Bucket,
    /// Bytes a second towards peers.
    pub uplink: Bucket,
    /// Bytes a second towards the client.
    pub downlink: Bucket,
    /// It outlives its stream, for its client may come from elsewhere (RFC 8016).
    pub mobile: bool,
    /// Packets for a session that is to move here.
    pub expected: Option<Vec<Held>>,
    /// What of its traffic other tables count, where it was before.
    pub carried: Counters,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    numbers: Vec<(SocketAddr, u16)>,
}

impl<S> Session<S> {
    /// A client of which nothing is known but its five-tuple.
    pub fn new(five_tuple: FiveTuple, connection: Option<Connection>, request_rate: u64) -> Self {
        Self {
            five_tuple,
            connection,
            asked: false,
            credentials: None,
            relays: Relays([None, None]),
            tcp_relays: Relays([None, None]),
            counters: Counters::default(),
            requests: Bucket::new(request_rate),
            uplink: Bucket::new(0),
            downlink: Bucket::new(0),
            mobile: false,
            expected: None,
            carried: Counters::default(),
            permissions: Vec::new(),
            channels: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// The client's stream, by its place.
    pub fn stream(&self) -> Option<u32> {
        match self.connection {
            Some(Connection::Stream(place)) => Some(place),
            Some(Connection::Association(_) | Connection::Away) | None => None,
        }
    }

    /// What carries the client's messages; each of DTLS is a datagram.
    pub fn transport(&self) -> Transport {
        match self.connection {
            Some(Connection::Stream(_) | Connection::Away) => Transport::Tcp,
            Some(Connection::Association(_)) | None => Transport::Udp,
        }
    }

    /// The relay of a family while its lease runs.
    pub fn live_relay(&self, family: Family, now: u64) -> Option<&Relay<S>> {
        self.relays.get(family).filter(|relay| now < relay.deadline)
    }

    /// Install a relay; one whose family has a relay already comes back.
    pub fn open(&mut self, relay: Relay<S>) -> Option<Relay<S>> {
        let place = &mut self.relays.0[relay.family() as usize];
        if place.is_some() {
            return Some(relay);
        }
        *place = Some(relay);
        None
    }

    /// Give the relay of a family another deadline.
    pub fn extend(&mut self, family: Family, deadline: u64) {
        for relays in [&mut self.relays, &mut self.tcp_relays] {
            if let Some(relay) = &mut relays.0[family as usize] {
                relay.deadline = deadline;
            }
        }
    }

    /// Take the relay of a family away.
    pub fn shut(&mut self, family: Family) -> Option<Relay<S>> {
        let place = family as usize;
        self.relays.0[place].take().or_else(|| self.tcp_relays.0[place].take())
    }

    /// Install a TCP relay; one whose family has a relay already comes back.
    pub fn listen(&mut self, relay: Relay<S>) -> Option<Relay<S>> {
        let place = relay.family() as usize;
        if self.relays.0[place].is_some() || self.tcp_relays.0[place].is_some() {
            return Some(relay);
        }
        self.tcp_relays.0[place] = Some(relay);
        None
    }

    /// The TCP relay of a family while its lease runs.
    pub fn live_tcp_relay(&self, family: Family, now: u64) -> Option<&Relay<S>> {
        self.tcp_relays.get(family).filter(|relay| now < relay.deadline)
    }

    /// The permission for a peer while its lease runs.
    pub fn permission(&self, ip: IpAddr, now: u64) -> Option<&Permission> {
        let place = self.permissions.binary_search_by_key(&ip, |permission| permission.ip).ok()?;
        Some(&self.permissions[place]).filter(|permission| now < permission.deadline)
    }

    /// The channel of a number while its lease runs.
    pub fn channel(&self, number: u16, now: u64) -> Option<Channel> {
        let place = self.channels.binary_search_by_key(&number, |channel| channel.number).ok()?;
        Some(self.channels[place]).filter(|channel| now < channel.deadline)
    }

    /// The number that a peer is bound to, while the lease runs.
    pub fn number(&self, peer: SocketAddr, now: u64) -> Option<u16> {
        let place = self.numbers.binary_search_by_key(&peer, |(bound, _)| *bound).ok()?;
        self.channel(self.numbers[place].1, now).map(|channel| channel.number)
    }

    /// Install or extend a permission.
    pub fn permit(&mut self, permission: Permission) {
        match self.permissions.binary_search_by_key(&permission.ip, |known| known.ip) {
            Ok(place) => self.permissions[place] = permission,
            Err(place) => self.permissions.insert(place, permission),
        }
    }

    /// Take a permission away.
    pub fn forbid(&mut self, ip: IpAddr) {
        self.permissions.retain(|permission| permission.ip != ip);
    }

    /// Install or extend a channel; what the number or the peer was bound to before is gone.
    pub fn bind(&mut self, channel: Channel) {
        match self.channels.binary_search_by_key(&channel.number, |known| known.number) {
            Ok(place) if self.channels[place].peer == channel.peer => self.channels[place] = channel,
            _ => self.rebind(channel),
        }
    }

    /// Take a channel away.
    pub fn unbind(&mut self, number: u16) {
        self.channels.retain(|channel| channel.number != number);
        self.numbers.retain(|(_, bound)| *bound != number);
    }

    /// All permissions and channels, lapsed ones too, in order.
    pub fn entries(&self) -> (&[Permission], &[Channel]) {
        (&self.permissions, &self.channels)
    }

    fn rebind(&mut self, channel: Channel) {
        self.unbind(channel.number);
        if let Ok(place) = self.numbers.binary_search_by_key(&channel.peer, |(bound, _)| *bound) {
            self.unbind(self.numbers[place].1);
        }
        let place = self.channels.partition_point(|known| known.number < channel.number);
        self.channels.insert(place, channel);
        let place = self.numbers.partition_point(|(bound, _)| *bound < channel.peer);
        self.numbers.insert(place, (channel.peer, channel.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session<()> {
        let any = "192.0.2.1:1".parse().unwrap();
        Session::new(FiveTuple { listener: 0, client: any, local: any }, None, 0)
    }

    #[test]
    fn a_session_has_one_relay_of_each_family_and_each_its_own_lease() {
        let mut session = session();
        let relay = |external: &str, deadline| Relay { external: external.parse().unwrap(), deadline, socket: () };
        assert!(
            session.open(relay("192.0.2.1:1", 10)).is_none() && session.open(relay("[2001:db8::1]:2", 10)).is_none()
        );
        assert_eq!(session.open(relay("192.0.2.1:3", 10)).map(|relay| relay.external.port()), Some(3));
        session.extend(Family::V6, 20);
        assert!(session.live_relay(Family::V4, 10).is_none() && session.live_relay(Family::V6, 10).is_some());
        assert_eq!(session.shut(Family::V6).map(|relay| relay.external.port()), Some(2));
        assert_eq!(session.relays.iter().map(|relay| relay.external.port()).collect::<Vec<_>>(), [1]);
    }

    fn reaches() -> Box<[(u16, u16, Reach)]> {
        Box::new([(0, 52, Reach::Outside), (54, u16::MAX, Reach::Outside)])
    }

    #[test]
    fn a_port_that_no_range_names_goes_nowhere() {
        let permission = Permission { ip: "192.0.2.9".parse().unwrap(), reaches: reaches(), deadline: 1 };
        let ports = [0, 52, 53, 54, u16::MAX];
        let outside = Some(Reach::Outside);
        assert_eq!(ports.map(|port| permission.reach(port)), [outside, outside, None, outside, outside]);
    }

    fn channel(number: u16, peer: &str, deadline: u64) -> Channel {
        Channel { number, peer: peer.parse().unwrap(), deadline }
    }

    #[test]
    fn a_lapsed_entry_forwards_nothing_and_an_extension_revives_it() {
        let mut session = session();
        let ip = "192.0.2.9".parse().unwrap();
        session.permit(Permission { ip, reaches: reaches(), deadline: 10 });
        assert!(session.permission(ip, 9).is_some());
        assert!(session.permission(ip, 10).is_none());
        session.permit(Permission { ip, reaches: reaches(), deadline: 20 });
        assert!(session.permission(ip, 10).is_some());
    }

    #[test]
    fn a_number_stands_for_one_peer_and_a_peer_for_one_number() {
        let mut session = session();
        session.bind(channel(0x4001, "192.0.2.9:1", 10));
        session.bind(channel(0x4000, "192.0.2.9:2", 10));
        session.bind(channel(0x4001, "192.0.2.9:2", 20));
        assert_eq!(session.entries().1, &[channel(0x4001, "192.0.2.9:2", 20)]);
        assert_eq!(session.number("192.0.2.9:2".parse().unwrap(), 19), Some(0x4001));
        assert_eq!(session.number("192.0.2.9:1".parse().unwrap(), 0), None);
        assert_eq!(session.number("192.0.2.9:2".parse().unwrap(), 20), None);
    }
}
