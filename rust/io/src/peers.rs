//! TCP connections between relayed transport addresses and peers (RFC 6062), all of a session's in its own worker.
//!
//! Before a data connection is bound to it nothing is read from a peer: what it sends stays in the kernel, in order and bounded.

use crate::events::{Change, Event};
use crate::mailbox::{Letter, PeerCommand};
use crate::sockets::{self, RelaySocket};
use crate::splice::Splice;
use crate::stream::Stream;
use crate::token::Token;
use crate::worker::Worker;
use hairpin_proto::counters::Reason;
use hairpin_proto::flow::{Family, Flow};
use hairpin_proto::session::{Reach, Relay};
use rustix::event::epoll::{self, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{sockopt, SocketFlags};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

const ACCEPTS: usize = 16;
/// The kernel tells a failure unasked; nothing else is of interest.
const FAILURES: EventFlags = EventFlags::ERR;

/// A connection to a peer.
struct Peer {
    slot: u32,
    address: SocketAddr,
    socket: OwnedFd,
    watched: EventFlags,
    paused: bool,
    stage: Stage,
}

enum Stage {
    /// The peer has not answered.
    Connecting,
    /// It is there, and no data connection is bound to it.
    Waiting,
    /// One is.
    Joined(Splice),
}

/// The connections, by their place; places are used again.
#[derive(Default)]
pub struct Peers {
    places: Vec<Option<Peer>>,
    free: Vec<u32>,
    relays: HashMap<u32, Listening>,
    paused: Vec<u32>,
}

/// What an allocation has, and how many connections it may have.
struct Listening {
    limit: usize,
    places: Vec<u32>,
}

impl Peers {
    /// Whether none waits for the next tick.
    pub fn is_idle(&self) -> bool {
        self.paused.is_empty()
    }

    fn get(&mut self, place: u32) -> Option<&mut Peer> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    fn find(&self, slot: u32, address: SocketAddr) -> Option<u32> {
        let places = &self.relays.get(&slot)?.places;
        let is_it = |place: &&u32| self.places[**place as usize].as_ref().is_some_and(|peer| peer.address == address);
        places.iter().find(is_it).copied()
    }

    /// Whether an allocation may have one more, to that peer.
    fn has_room(&self, slot: u32, address: SocketAddr) -> bool {
        let room = self.relays.get(&slot).is_some_and(|relay| relay.places.len() < relay.limit);
        room && self.find(slot, address).is_none()
    }

    fn insert(&mut self, peer: Peer) -> u32 {
        let slot = peer.slot;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        });
        self.places[place as usize] = Some(peer);
        if let Some(relay) = self.relays.get_mut(&slot) {
            relay.places.push(place);
        }
        place
    }

    fn take(&mut self, place: u32) -> Option<Peer> {
        let peer = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        if let Some(relay) = self.relays.get_mut(&peer.slot) {
            relay.places.retain(|other| *other != place);
        }
        Some(peer)
    }
}

impl Worker {
    /// Carry out what Python, or another worker, asks for.
    pub(crate) fn peer_command(&mut self, flow: Flow, command: PeerCommand) {
        match command {
            PeerCommand::Listen(relay, limit) => self.listen_for_peers(flow, relay, limit),
            PeerCommand::Connect(address, reach) => self.connect_peer(flow, address, reach),
            PeerCommand::Disconnect(address) => {
                if let Some(place) = self.find_peer(flow, address) {
                    self.peers.take(place);
                }
            }
            PeerCommand::Join(answer, owner, address) => self.hand_over(flow, &answer, (owner, address)),
            PeerCommand::Arrive(address, socket) => {
                if let Some(slot) = self.table.slot(flow) {
                    self.admit_peer(slot, address, socket);
                }
            }
            PeerCommand::Bind(address, stream) => self.bind_data(flow, address, stream),
        }
    }

    /// Accept who knocks at a relayed transport address. Without descriptors it rests until the next tick.
    pub(crate) fn accept_peers(&mut self, slot: u32, family: Family) {
        for _ in 0..ACCEPTS {
            let Some(relay) = self.table.session(slot).and_then(|session| session.tcp_relays.get(family)) else {
                return;
            };
            match rustix::net::acceptfrom_with(&relay.socket.0, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, Some(address))) => {
                    let Ok(address) = SocketAddr::try_from(address) else { continue };
                    let _ = sockopt::set_tcp_nodelay(&socket, true); // a little slower without
                    self.admit_peer(slot, SocketAddr::new(address.ip(), address.port()), socket);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    return self.rest(Token::TcpRelay(slot, family));
                }
                _ => {}
            }
        }
    }

    /// A peer's socket is ready.
    pub(crate) fn serve_peer(&mut self, place: u32, flags: EventFlags) {
        match self.peers.get(place).map(|peer| &peer.stage) {
            Some(Stage::Connecting) => self.connected(place),
            Some(Stage::Waiting) if flags.contains(EventFlags::ERR) => self.close_peer(place, Change::Closed),
            // All was sent, and the sender has left: it stays in the kernel. The 30 s to be bound run.
            Some(Stage::Waiting) => self.watch_peer(place, EventFlags::empty()),
            Some(Stage::Joined(_)) => self.carry(place, (flags.contains(EventFlags::OUT), is_readable(flags))),
            None => {}
        }
    }

    /// A data connection's socket is ready.
    pub(crate) fn serve_data(&mut self, place: u32, flags: EventFlags) {
        if let Some(Stage::Joined(_)) = self.peers.get(place).map(|peer| &peer.stage) {
            self.carry(place, (is_readable(flags), flags.contains(EventFlags::OUT)));
        }
    }

    /// Try again what the lease or the rate held up.
    pub(crate) fn carry_paused(&mut self) {
        for place in std::mem::take(&mut self.peers.paused) {
            if let Some(peer) = self.peers.get(place) {
                peer.paused = false;
                self.carry(place, (true, true));
            }
        }
    }

    /// The session is over, and its connections with it (RFC 6062, section 5.5).
    pub(crate) fn end_peers(&mut self, slot: u32) {
        for place in self.peers.relays.remove(&slot).map_or_else(Vec::new, |relay| relay.places) {
            self.peers.take(place);
        }
    }

    fn find_peer(&self, flow: Flow, address: SocketAddr) -> Option<u32> {
        self.peers.find(self.table.slot(flow)?, address)
    }

    fn listen_for_peers(&mut self, flow: Flow, relay: Relay<RelaySocket>, limit: usize) {
        let family = relay.family();
        let Some(slot) = self.table.listen(flow, relay) else { return };
        self.peers.relays.entry(slot).or_insert(Listening { limit, places: Vec::new() });
        if let Some(relay) = self.table.session(slot).and_then(|session| session.tcp_relays.get(family)) {
            self.watch(relay.socket.0.as_fd(), Token::TcpRelay(slot, family), EventFlags::IN);
        }
    }

    /// An incoming connection is closed at once where its peer has no permission (RFC 6062, section 5.3).
    fn admit_peer(&mut self, slot: u32, address: SocketAddr, socket: OwnedFd) {
        let now = self.now;
        let admitted = self.table.session_mut(slot).ok_or(Reason::NoAllocation).and_then(|session| {
            session.live_tcp_relay(Family::of(address.ip()), now).ok_or(Reason::NoAllocation)?;
            session.permission(address.ip(), now).ok_or(Reason::NoPermission)?;
            // Python hears of each of them, so they are its requests.
            (session.requests.take(1, now) && self.peers.has_room(slot, address))
                .then_some(())
                .ok_or(Reason::OverRequests)
        });
        match admitted {
            Ok(()) => {
                let place = self.peers.insert(Peer::new(slot, address, socket, Stage::Waiting));
                self.watch_peer(place, FAILURES);
                self.tell_peer(slot, address, Change::Arrived);
            }
            Err(reason) => self.table.drops.count(reason),
        }
    }

    /// Connect from the relayed transport address (RFC 6062, section 5.2), or to a client of this server without leaving it.
    fn connect_peer(&mut self, flow: Flow, address: SocketAddr, reach: Reach) {
        let Some(slot) = self.table.slot(flow) else { return };
        let Ok((socket, stage)) = self.socket_towards(slot, address, reach) else {
            return self.tell_peer(slot, address, Change::Failed);
        };
        let there = matches!(stage, Stage::Waiting);
        let place = self.peers.insert(Peer::new(slot, address, socket, stage));
        self.watch_peer(place, if there { FAILURES } else { EventFlags::OUT });
        if there {
            self.tell_peer(slot, address, Change::Connected);
        }
    }

    fn socket_towards(&self, slot: u32, address: SocketAddr, reach: Reach) -> io::Result<(OwnedFd, Stage)> {
        let refused = io::ErrorKind::ConnectionRefused;
        let (session, family) = (self.table.session(slot).ok_or(refused)?, Family::of(address.ip()));
        let relay = session.live_tcp_relay(family, self.now).ok_or(refused)?;
        if !self.peers.has_room(slot, address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let Some(owner) = self.table.destination(reach, address).map_err(|_| refused)? else {
            return Ok((sockets::connect(&relay.socket, address)?, Stage::Connecting));
        };
        let (ours, theirs) = sockets::pair()?;
        let mailbox = self.shared.mailboxes.get(owner.worker()).ok_or(refused)?;
        mailbox.post(Letter::Peers(owner, PeerCommand::Arrive(relay.external, theirs)));
        Ok((ours, Stage::Waiting))
    }

    fn connected(&mut self, place: u32) {
        let Some(peer) = self.peers.get(place) else { return };
        let (slot, address) = (peer.slot, peer.address);
        match (sockopt::socket_error(&peer.socket), rustix::net::getpeername(&peer.socket)) {
            (Ok(Ok(())), Ok(_)) => {
                peer.stage = Stage::Waiting;
                self.watch_peer(place, FAILURES);
                self.tell_peer(slot, address, Change::Connected);
            }
            (Ok(Ok(())), Err(_)) => {} // the event was meant for the one who had this place before
            _ => self.close_peer(place, Change::Failed),
        }
    }

    /// A client's stream goes to the worker that holds the peer connection, with all that was received and not yet sent.
    fn hand_over(&mut self, client: Flow, answer: &[u8], to: (Flow, SocketAddr)) {
        let stream = self.take_stream(client, answer);
        if let Some(mailbox) = self.shared.mailboxes.get(to.0.worker()) {
            mailbox.post(Letter::Peers(to.0, PeerCommand::Bind(to.1, stream)));
        }
    }

    fn bind_data(&mut self, flow: Flow, address: SocketAddr, stream: Option<Box<Stream>>) {
        let Some(place) = self.find_peer(flow, address) else { return };
        match (self.peers.get(place), stream) {
            (Some(peer), Some(stream)) if matches!(peer.stage, Stage::Waiting) => {
                peer.stage = Stage::Joined(Splice::new(stream));
                self.carry(place, (true, true));
            }
            _ => self.close_peer(place, Change::Closed),
        }
    }

    /// Carry bytes from the client, to it, or both.
    fn carry(&mut self, place: u32, ways: (bool, bool)) {
        let mut input = std::mem::take(&mut self.input);
        let over = self.carry_ways(place, ways, &mut input);
        self.input = input;
        match over {
            Ok(false) => self.watch_splice(place),
            Ok(true) | Err(_) => self.close_peer(place, Change::Closed),
        }
    }

    fn carry_ways(&mut self, place: u32, (up, down): (bool, bool), input: &mut [u8]) -> io::Result<bool> {
        let Some(peer) = self.peers.get(place) else { return Ok(false) };
        let (Stage::Joined(splice), Some(session)) = (&mut peer.stage, self.table.session_mut(peer.slot)) else {
            return Ok(true);
        };
        let live = session.live_tcp_relay(Family::of(peer.address.ip()), self.now).is_some();
        if up {
            splice.up.open = live && session.uplink.take(0, self.now);
            let carried = splice.up.carry(&mut *splice.client, &mut peer.socket, input)?;
            session.uplink.spend(carried.read as u64);
            session.counters.client.receive_some(carried.read);
            session.counters.peers.send_some(carried.written);
        }
        if down || splice.client.is_waiting() {
            splice.down.open = live && session.downlink.take(0, self.now);
            let carried = splice.down.carry(&mut peer.socket, &mut *splice.client, input)?;
            session.downlink.spend(carried.read as u64);
            session.counters.peers.receive_some(carried.read);
            session.counters.client.send_some(carried.written);
        }
        Ok(splice.is_over())
    }

    /// Wait for what both sides can do next.
    fn watch_splice(&mut self, place: u32) {
        let Some(Peer { socket, watched, paused, stage: Stage::Joined(splice), .. }) = self.peers.get(place) else {
            return;
        };
        let (up, down) = (&splice.up, &splice.down);
        let pauses = !std::mem::replace(paused, !(up.open && down.open)) && *paused;
        let (to_peer, to_client) = (flags(down.reads(), up.writes()), flags(up.reads(), down.writes()));
        let client = &mut splice.client;
        let watches = rewatch(&self.epoll, socket.as_fd(), Token::Peer(place), watched, to_peer).and_then(|()| {
            rewatch(&self.epoll, client.socket.as_fd(), Token::Data(place), &mut client.watched, to_client)
        });
        if pauses {
            self.peers.paused.push(place);
        }
        if watches.is_err() {
            self.close_peer(place, Change::Closed);
        }
    }

    /// Deaf where the kernel has no memory for it: then time ends it.
    fn watch_peer(&mut self, place: u32, wanted: EventFlags) {
        if let Some(peer) = self.peers.get(place) {
            let _ = rewatch(&self.epoll, peer.socket.as_fd(), Token::Peer(place), &mut peer.watched, wanted);
        }
    }

    fn close_peer(&mut self, place: u32, change: Change) {
        if let Some(peer) = self.peers.take(place) {
            self.tell_peer(peer.slot, peer.address, change);
        }
    }

    fn tell_peer(&self, slot: u32, address: SocketAddr, change: Change) {
        self.shared.events.tell(Event::Peer(self.table.flow(slot), address, change));
    }
}

impl Peer {
    fn new(slot: u32, address: SocketAddr, socket: OwnedFd, stage: Stage) -> Self {
        Self { slot, address, socket, watched: EventFlags::empty(), paused: false, stage }
    }
}

fn flags(reads: bool, writes: bool) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, reads);
    flags.set(EventFlags::OUT, writes);
    flags
}

fn is_readable(flags: EventFlags) -> bool {
    flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
}

/// Who waits for nothing is not watched at all: of a connection that is over the kernel would tell without end.
fn rewatch(
    epoll: &OwnedFd,
    socket: BorrowedFd<'_>,
    token: Token,
    watched: &mut EventFlags,
    wanted: EventFlags,
) -> Result<(), Errno> {
    match (watched.is_empty(), wanted.is_empty()) {
        _ if *watched == wanted => {}
        (true, _) => epoll::add(epoll, socket, token.data(), wanted)?,
        (_, true) => epoll::delete(epoll, socket)?,
        _ => epoll::modify(epoll, socket, token.data(), wanted)?,
    }
    *watched = wanted;
    Ok(())
}
