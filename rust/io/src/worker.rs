//! One worker thread: it waits, judges what is there, and sends what came of it. No lock and no interpreter on the way.

use crate::association::Settings;
use crate::associations::Associations;
use crate::batch::{Batch, Received};
use crate::clock;
use crate::dtls::Desk;
use crate::errors;
use crate::events::{Event, Events, Totals};
use crate::mailbox::{Letter, Mailbox};
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::sealed::Sealed;
use crate::sockets::RelaySocket;
use crate::streams::{Streams, INPUT};
use crate::token::Token;
use hairpin_proto::flow::{Connection, Family, FiveTuple, Flow, Transport};
use hairpin_proto::path::Arrival;
use hairpin_proto::table::{Command, Context, Outcome, Table};
use rustix::event::{epoll, Timespec};
use rustix::fd::OwnedFd;
use socket2::Socket;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

const CLIENT_BATCH: usize = 32;
const RELAY_BATCH: usize = 32;
const ERRORS: usize = 32;
const EVENTS: usize = 256;
/// A signature takes as long as a thousand packets; sockets that are passed over are ready again in the next round.
const HANDSHAKES: usize = 4;
const PACKETS_OF_OTHERS: usize = 1024;
const TICK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What all threads of a server share.
pub struct Shared {
    /// The packet path's constants and the index of relays.
    pub context: Arc<Context>,
    /// The way up.
    pub events: Events,
    /// The way down, one for each worker.
    pub mailboxes: Vec<Mailbox>,
}

/// A worker's own socket on a listener's address.
pub struct Listener {
    /// Which of the settings' listeners it is.
    pub index: u16,
    /// The address it is bound to.
    pub address: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// What handshakes are made with.
    pub security: Security,
    /// Whether it speaks TCP without TLS, too.
    pub plain: bool,
    /// Whose connections begin with a header of the PROXY protocol.
    pub proxies: Proxies,
    /// The socket.
    pub socket: Socket,
}

impl Listener {
    /// Whether an address is a proxy's.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&ip))
    }
}

/// Networks, by their first and last addresses.
pub type Proxies = Arc<[RangeInclusive<IpAddr>]>;

/// What a listener's handshakes are made with.
#[derive(Clone)]
pub enum Security {
    /// There are none.
    None,
    /// TLS, over TCP.
    Tls(Arc<rustls::ServerConfig>),
    /// DTLS, over UDP.
    Dtls(Arc<Settings>),
}

/// A worker's world.
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: Table<RelaySocket>,
    pub(crate) epoll: OwnedFd,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) streams: Streams,
    pub(crate) peers: Peers,
    pub(crate) associations: Associations,
    pub(crate) desk: Desk,
    pub(crate) sealed: Sealed,
    pub(crate) leaving: Vec<(u32, &'static str)>,
    pub(crate) batch: Batch,
    pub(crate) outbox: Outbox,
    pub(crate) scratch: Vec<u8>,
    pub(crate) input: Box<[u8]>,
    pub(crate) now: u64,
    /// How many handshakes may be moved on before others have their turn.
    pub(crate) handshakes: usize,
    pub(crate) indications: u128,
    pub(crate) awaited: HashMap<Flow, Vec<(Command<RelaySocket>, u64)>>,
    resting: Vec<Token>,
    number: usize,
    ticked: u64,
}

impl Worker {
    /// A worker with its listeners.
    pub fn new(shared: Arc<Shared>, number: usize, listeners: Vec<Listener>) -> io::Result<Self> {
        let worker = Self {
            table: Table::new(Arc::clone(&shared.context), number as u8),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            shared,
            listeners,
            streams: Streams::default(),
            peers: Peers::default(),
            associations: Associations::new(clock::now()),
            desk: Desk::new(),
            sealed: Sealed::new(),
            leaving: Vec::new(),
            batch: Batch::new(),
            outbox: Outbox::new(),
            scratch: Vec::new(),
            input: vec![0; INPUT].into(),
            now: clock::now(),
            handshakes: 0,
            indications: (u128::from(clock::now()) << 64) | ((number as u128) << 56),
            awaited: HashMap::new(),
            resting: Vec::new(),
            number,
            ticked: 0,
        };
        epoll::add(&worker.epoll, worker.mailbox().bell.fd(), Token::Mailbox.data(), epoll::EventFlags::IN)?;
        for (listener, place) in worker.listeners.iter().zip(0..) {
            let token = match listener.security {
                Security::Dtls(_) => Token::DtlsListener(place),
                Security::None | Security::Tls(_) => Token::Listener(place),
            };
            epoll::add(&worker.epoll, &listener.socket, token.data(), epoll::EventFlags::IN)?;
        }
        Ok(worker)
    }

    /// Serve until told to stop.
    pub fn run(mut self) {
        let mut ready = Vec::with_capacity(EVENTS);
        loop {
            let quiet = self.streams.is_empty() && self.associations.is_empty();
            let idle = quiet && self.resting.is_empty() && self.peers.is_idle();
            let timeout = if idle { None } else { Some(&TICK) };
            ready.clear();
            // Interrupted: nothing is ready, and the next round asks again.
            let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), timeout);
            if ready.is_empty() {
                self.now = clock::now(); // a tick has its time, too
            }
            self.handshakes = HANDSHAKES;
            for event in &ready {
                self.now = clock::now();
                if !self.serve(Token::read(event.data), event.flags) {
                    return;
                }
            }
            self.flush();
            self.close_leaving();
            self.write_streams();
            self.tick();
        }
    }

    fn serve(&mut self, token: Token, flags: epoll::EventFlags) -> bool {
        match token {
            Token::Mailbox => return self.read_mailbox(),
            Token::Listener(place) => match self.listeners.get(place as usize).map(|listener| listener.transport) {
                Some(Transport::Udp) => self.receive_clients(place as usize, Self::packets_from_client),
                Some(Transport::Tcp) => self.accept(place as usize),
                None => {}
            },
            Token::DtlsListener(place) => self.receive_clients(place as usize, Self::records_from_client),
            Token::Relay(slot, family) => {
                if flags.contains(epoll::EventFlags::ERR) {
                    self.receive_errors(slot, family);
                }
                self.receive_peers(slot, family);
            }
            Token::Stream(place) => {
                if flags.contains(epoll::EventFlags::OUT) {
                    self.write_stream(place);
                }
                if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                    self.read_stream(place);
                }
            }
            Token::TcpRelay(slot, family) => self.accept_peers(slot, family),
            Token::Peer(place) => self.serve_peer(place, flags),
            Token::Data(place) => self.serve_data(place, flags),
        }
        true
    }

    fn receive_clients(&mut self, place: usize, judge: impl Fn(&mut Self, FiveTuple, Received)) {
        self.make_room(CLIENT_BATCH);
        let Some(listener) = self.listeners.get(place) else { return };
        let (index, address) = (listener.index, listener.address);
        let (first, count) = self.batch.receive(listener.socket.as_raw_fd(), CLIENT_BATCH);
        for place in first..first + count {
            let Some(received) = self.batch.received(place) else { continue };
            let local = received.to.map_or(address, |ip| SocketAddr::new(ip, address.port()));
            judge(self, FiveTuple { listener: index, client: received.from, local }, received);
        }
    }

    fn packets_from_client(&mut self, five_tuple: FiveTuple, received: Received) {
        let mut arrival = Arrival { five_tuple, transport: Transport::Udp, slot: None };
        for packet in received.spans() {
            // A slot that is found here is not freed before the next command.
            arrival.slot = arrival.slot.or_else(|| self.table.find(&five_tuple));
            self.packet_from_client(&arrival, packet);
        }
    }

    fn receive_peers(&mut self, slot: u32, family: Family) {
        self.make_room(RELAY_BATCH);
        let Some(relay) = self.table.session(slot).and_then(|session| session.relays.get(family)) else { return };
        let (first, count) = self.batch.receive(relay.socket.raw(), RELAY_BATCH);
        for place in first..first + count {
            let Some(received) = self.batch.received(place) else { continue };
            let from = SocketAddr::new(received.from.ip(), received.from.port()); // as permissions name it
            for payload in received.spans() {
                self.packet_from_peer(slot, from, payload);
            }
        }
    }

    /// What ICMP said of datagrams to peers (RFC 8656, section 11.5). What is left is told of again.
    fn receive_errors(&mut self, slot: u32, family: Family) {
        for _ in 0..ERRORS {
            let Some(relay) = self.table.session(slot).and_then(|session| session.relays.get(family)) else { return };
            let Some(report) = errors::next(relay.socket.raw()) else { return };
            if let Some(error) = report.icmp() {
                self.error_from_network(slot, error);
            }
        }
    }

    /// Free places for a batch; what waits in them is sent first.
    pub(crate) fn make_room(&mut self, places: usize) {
        if self.batch.room() < places {
            self.flush();
        }
    }

    /// Send what waits. To be called before a socket is closed, too.
    pub(crate) fn flush(&mut self) {
        self.outbox.flush();
        self.batch.clear();
        self.sealed.clear();
        for refused in self.outbox.refused.drain(..) {
            self.table.refused(refused.slot, refused.length, refused.to_client);
        }
    }

    fn read_mailbox(&mut self) -> bool {
        self.mailbox().bell.silence();
        while let Some(letter) = self.mailbox().letter() {
            match letter {
                Letter::Command(flow, command, token) => self.command(flow, command, token),
                Letter::Depart(flow, to) => self.depart(flow, to),
                Letter::Await(flow) => {
                    self.awaited.entry(flow).or_default();
                }
                Letter::Arrive(flow, session) => self.arrive(flow, session),
                Letter::Peers(flow, command) => self.peer_command(flow, command),
                Letter::Totals(token) => self.tell_totals(token),
                Letter::SessionRate(rate) => self.table.set_session_rate(rate),
                Letter::Security(index, security) => self.set_security(index, security),
                Letter::Stop => {
                    self.flush();
                    self.write_streams();
                    return false;
                }
            }
        }
        if !self.read_ring() {
            self.mailbox().bell.ring();
        }
        true
    }

    /// Packets of other workers; false where there may be more.
    pub(crate) fn read_ring(&mut self) -> bool {
        for _ in 0..PACKETS_OF_OTHERS {
            let Some(packet) = self.mailbox().packet() else { return true };
            self.packet_from_worker(&packet);
        }
        false
    }

    pub(crate) fn command(&mut self, flow: Flow, command: Command<RelaySocket>, token: u64) {
        if let Some(waiting) = self.awaited.get_mut(&flow) {
            return waiting.push((command, token));
        }
        let session = self.table.slot(flow).and_then(|slot| self.table.session(slot));
        let relaying = session.is_some_and(|session| session.relays.iter().next().is_some());
        let closes = matches!(command, Command::Close { .. } | Command::CloseRelay(_));
        if matches!(command, Command::Counters) || relaying && closes {
            self.flush(); // what was counted as sent has been, and no socket closes with packets waiting
        }
        let (installs, answered) = (matches!(command, Command::InstallKey(..)), answered(&command));
        let outcome = self.table.apply(flow, command, self.now, &mut self.scratch);
        let counters = match outcome {
            Outcome::Opened(slot, family) => return self.watch_relay(slot, family),
            Outcome::Done if installs => return self.set_stranger(flow.slot(), None),
            Outcome::Done | Outcome::Shut(_) => None,
            Outcome::Send(slot) => {
                self.send_scratch(slot);
                return self.resume_stream(slot, answered);
            }
            Outcome::Counters(counters) => Some(counters),
            Outcome::Closed(counters, _relays, connection) => {
                self.closed(flow.slot(), connection);
                Some(counters)
            }
            // The client went away while Python decided: the session that it made ends at once.
            Outcome::Stale if installs => {
                return self.shared.events.tell(Event::Closed(flow, "disconnected", Default::default()));
            }
            Outcome::Stale => None,
        };
        if token != 0 {
            self.shared.events.tell(Event::Acknowledged(token, counters));
        }
    }

    /// After a session ended: its connection is closed too, or begins again as a stranger's.
    pub(crate) fn closed(&mut self, slot: u32, connection: Option<(Connection, IpAddr)>) {
        self.end_peers(slot);
        match connection {
            Some((connection, ip)) => self.drop_connection(Some(connection), ip),
            None => {
                self.set_stranger(slot, Some(self.now));
                self.resume_stream(slot, None);
            }
        }
    }

    pub(crate) fn drop_connection(&mut self, connection: Option<Connection>, ip: IpAddr) {
        match connection {
            Some(Connection::Stream(place)) => self.drop_stream(place, ip),
            Some(Connection::Association(place)) => self.drop_association(place),
            Some(Connection::Away) | None => {}
        }
    }

    fn set_stranger(&mut self, slot: u32, since: Option<u64>) {
        let Some(session) = self.table.session(slot) else { return };
        let ip = session.five_tuple.client.ip();
        match session.connection {
            Some(Connection::Stream(place)) => self.streams.set_stranger(place, ip, since),
            Some(Connection::Association(place)) => self.associations.set_stranger(place, ip, since),
            Some(Connection::Away) | None => {}
        }
    }

    pub(crate) fn watch_relay(&mut self, slot: u32, family: Family) {
        if let Some(relay) = self.table.session(slot).and_then(|session| session.relays.get(family)) {
            // Unwatched it is deaf, which its client finds out as it would with a peer that is silent.
            self.watch(relay.socket.0.as_fd(), Token::Relay(slot, family), epoll::EventFlags::IN);
        }
    }

    /// False where the kernel has no memory for it.
    pub(crate) fn watch(&self, socket: BorrowedFd<'_>, token: Token, flags: epoll::EventFlags) -> bool {
        epoll::add(&self.epoll, socket, token.data(), flags).is_ok()
    }

    /// Who listens rests until the next tick.
    pub(crate) fn rest(&mut self, token: Token) {
        if let Some(socket) = self.listening(token) {
            let _ = epoll::delete(&self.epoll, socket);
            self.resting.push(token);
        }
    }

    fn listening(&self, token: Token) -> Option<BorrowedFd<'_>> {
        match token {
            Token::Listener(place) => self.listeners.get(place as usize).map(|listener| listener.socket.as_fd()),
            Token::TcpRelay(slot, family) => Some(self.table.session(slot)?.tcp_relays.get(family)?.socket.0.as_fd()),
            _ => None,
        }
    }

    fn tick(&mut self) {
        if self.now < self.ticked + 1_000_000_000 {
            return;
        }
        self.ticked = self.now;
        self.close_overdue();
        self.tick_associations();
        self.carry_paused();
        for token in std::mem::take(&mut self.resting) {
            let Some(socket) = self.listening(token) else { continue };
            if !self.watch(socket, token, epoll::EventFlags::IN) {
                self.resting.push(token);
            }
        }
    }

    fn tell_totals(&mut self, token: u64) {
        self.flush();
        self.shared.events.tell(Event::Totals(Box::new(Totals {
            token,
            worker: self.number,
            sessions: self.table.totals(),
            strangers: self.table.strangers,
            drops: self.table.drops.iter().collect(),
        })));
    }

    /// New handshakes are made with these; connections keep what they were made with.
    fn set_security(&mut self, index: u16, security: Security) {
        if let Some(listener) = self.listeners.get_mut(usize::from(index)) {
            listener.security = security;
        }
    }

    /// What carried a session is over: it waits for its client where that may move, else it ends, and Python is told where it
    /// knows of it.
    pub(crate) fn end_session(&mut self, slot: u32, reason: &'static str) {
        self.flush();
        let flow = self.table.flow(slot);
        if self.table.leave(slot) {
            return self.shared.events.tell(Event::Moving(flow, true));
        }
        self.end_peers(slot);
        let known = self.table.session(slot).is_some_and(|session| session.credentials.is_some());
        if let Some((counters, _relays)) = self.table.remove(slot) {
            if known {
                self.shared.events.tell(Event::Closed(flow, reason, counters));
            }
        }
    }

    /// Which worker this is.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The worker's socket on a listener's address.
    pub(crate) fn listener(&self, index: u16) -> Option<&Listener> {
        self.listeners.get(usize::from(index)).filter(|listener| listener.index == index)
    }

    fn mailbox(&self) -> &Mailbox {
        &self.shared.mailboxes[self.number]
    }
}

/// The transaction that a command answers.
fn answered<S>(command: &Command<S>) -> Option<[u8; 12]> {
    match command {
        Command::Reply(bytes) => bytes.get(8..20)?.try_into().ok(),
        Command::Challenge(message) => Some(*message.transaction()),
        _ => None,
    }
}
