//! What must become of a packet, by plain maps; and the few addresses of the world.

use hairpin_proto::claim;
use hairpin_proto::dtls_cookie::Cookies;
use hairpin_proto::flow::{Family, Flow};
use hairpin_proto::index::RelayIndex;
use hairpin_proto::limiter::Buckets;
use hairpin_proto::nonce::Nonces;
use hairpin_proto::session::{Credentials, Reach};
use hairpin_proto::table::{Command, Context, Table};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Where the clients send.
pub const LISTENER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 3478);
const RELAYS: [&str; 2] = ["203.0.113.1", "2001:db8::1"];
const PEERS: [&str; 4] = ["192.0.2.9:1000", "192.0.2.9:1001", "[2001:db8::9]:1000", "203.0.113.1:9"];
const CLIENTS: [&str; 4] = ["198.51.100.1:1", "198.51.100.1:2", "198.51.100.2:1", "198.51.100.3:1"];

/// What becomes of a packet from a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Dropped,
    Answered,
    Asked(bool),
    Peer(SocketAddr),
    Inside(Flow),
}

/// All clients, as their commands made them.
#[derive(Default)]
pub struct Model {
    pub clients: [Client; 4],
}

/// What one client was given.
#[derive(Default)]
pub struct Client {
    /// Its stream's.
    pub slot: Option<u32>,
    pub flow: Option<Flow>,
    pub key: bool,
    relays: BTreeMap<bool, u64>,
    permissions: BTreeMap<IpAddr, (Reach, u64)>,
    channels: BTreeMap<u16, (SocketAddr, u64)>,
}

impl Model {
    /// A request went up.
    pub fn asked(&mut self, client: usize, flow: Flow) {
        assert!(self.clients[client].flow.is_none_or(|known| known == flow));
        self.clients[client].flow = Some(flow);
    }

    /// What becomes of data for a peer.
    pub fn fate(&self, client: usize, peer: SocketAddr, now: u64) -> Fate {
        let known = &self.clients[client];
        let permission = known.permissions.get(&peer.ip()).filter(|(_, deadline)| now < *deadline);
        let (true, Some((reach, _))) = (self.relays(client, peer, now), permission) else { return Fate::Dropped };
        match (reach, self.owner(peer)) {
            (Reach::Outside, _) => Fate::Peer(peer),
            (_, Some(flow)) => Fate::Inside(flow),
            (Reach::Inside, None) => Fate::Dropped,
            (Reach::Both, None) if peer == LISTENER => Fate::Dropped,
            (Reach::Both, None) => Fate::Peer(peer),
        }
    }

    /// Whether data from a peer reaches the client.
    pub fn receives(&self, client: usize, peer: SocketAddr, now: u64) -> bool {
        let permitted = self.clients[client].permissions.get(&peer.ip()).is_some_and(|(_, deadline)| now < *deadline);
        self.relays(client, peer, now) && permitted
    }

    /// The peer that a channel stands for now.
    pub fn channel(&self, client: usize, number: u16, now: u64) -> Option<SocketAddr> {
        let (peer, deadline) = self.clients[client].channels.get(&number)?;
        (now < *deadline).then_some(*peer)
    }

    /// The channel that stands for a peer now.
    pub fn number(&self, client: usize, peer: SocketAddr, now: u64) -> Option<u16> {
        let mut channels = self.clients[client].channels.iter();
        channels.find(|(_, (bound, deadline))| *bound == peer && now < *deadline).map(|(number, _)| *number)
    }

    /// What a command for the client's flow changes.
    pub fn command(&mut self, client: usize, command: &Command<()>) {
        let known = &mut self.clients[client];
        match command {
            Command::InstallKey(..) => known.key = true,
            Command::OpenRelay(relay) => {
                known.relays.insert(relay.external.is_ipv6(), relay.deadline);
            }
            Command::ExtendRelay(family, deadline) => {
                known.relays.entry(*family == Family::V6).and_modify(|known| *known = *deadline);
            }
            Command::CloseRelay(family) => {
                known.relays.remove(&(*family == Family::V6));
            }
            Command::Permit(permission) => {
                let reach = permission.reaches[0].2;
                known.permissions.insert(permission.ip, (reach, permission.deadline));
            }
            Command::Forbid(ip) => {
                known.permissions.remove(ip);
            }
            Command::BindChannel(channel) => {
                known.channels.retain(|_, (peer, _)| *peer != channel.peer);
                known.channels.insert(channel.number, (channel.peer, channel.deadline));
            }
            Command::Unbind(number) => {
                known.channels.remove(number);
            }
            // A stream that is not cut goes on as a stranger's, by the name that it had.
            Command::Close { disconnect: false } if known.slot.is_some() => {
                *known = Client { slot: known.slot, flow: known.flow, ..Client::default() };
            }
            Command::Close { .. } => *known = Client::default(),
            _ => {}
        }
    }

    fn relays(&self, client: usize, peer: SocketAddr, now: u64) -> bool {
        self.clients[client].relays.get(&peer.is_ipv6()).is_some_and(|deadline| now < *deadline)
    }

    /// Whose relay a peer is, also one whose lease has run out: it is somebody's until it is closed.
    fn owner(&self, peer: SocketAddr) -> Option<Flow> {
        let six = peer.is_ipv6();
        let place = (0..CLIENTS.len()).find(|&client| relay(client, six) == peer)?;
        self.clients[place].relays.contains_key(&six).then_some(self.clients[place].flow)?
    }
}

thread_local! {
    /// One for all runs: a run gives back the relays that it took.
    static CONTEXT: Arc<Context> = Arc::new(context());
}

/// A table that knows one listener, and relays of both families.
pub fn table() -> Table<()> {
    Table::new(CONTEXT.with(Arc::clone), 0)
}

fn context() -> Context {
    let relays = RELAYS.map(|ip| (parse(ip), parse(ip)));
    Context {
        index: RelayIndex::new(&relays),
        realm: "realm".into(),
        third_party: None,
        nonces: Nonces::new([9; 32]),
        cookies: Cookies::new([9; 32]),
        closed: vec![LISTENER],
        sources: Buckets::new(0, 0),
        users: Buckets::new(0, 0),
        squares: Vec::new(),
        classic: false,
    }
}

/// Whom the key belongs to.
pub fn credentials() -> Credentials {
    Credentials { username: "user".into(), algorithm: claim::MD5, key: super::KEY.into() }
}

/// A client by its number.
pub fn client(number: usize) -> SocketAddr {
    parse(CLIENTS[number])
}

/// A peer by a number: somebody outside, another port of ours, the listener, or the relay of a client.
pub fn peer(number: u8) -> SocketAddr {
    let number = usize::from(number) % 13;
    match number.checked_sub(PEERS.len()) {
        None => parse(PEERS[number]),
        Some(0) => LISTENER,
        Some(place) => relay((place - 1) % CLIENTS.len(), place > CLIENTS.len()),
    }
}

/// The relay that a client has when it has one of the family.
pub fn relay(client: usize, six: bool) -> SocketAddr {
    SocketAddr::new(parse(RELAYS[usize::from(six)]), 50_000 + client as u16)
}

/// A channel number: three of them, so that they meet.
pub fn channel(number: u8) -> u16 {
    0x4000 + u16::from(number % 3)
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("an address of ours")
}
