//! One worker's sessions, and the commands by which Python changes them.
//!
//! Only a request with a valid nonce earns a UDP client a slot, so strangers cost nothing.

use crate::counters::{Counters, Drops};
use crate::discovery::Square;
use crate::dtls_cookie::Cookies;
use crate::flow::{Connection, Family, FiveTuple, Flow, MAX_SLOTS};
use crate::icmp::ERRORS_A_SECOND;
use crate::index::RelayIndex;
use crate::limiter::{Bucket, Buckets};
use crate::message::Message;
use crate::nonce::Nonces;
use crate::session::{Channel, Credentials, Permission, Relay, Relays, Session};
use foldhash::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a source took for the request that proved its credentials, and no more: nobody gains by proving them again.
const PROOF: u64 = 1;

/// What all workers of a server share, read only.
pub struct Context {
    /// Which flow owns which relayed transport address.
    pub index: RelayIndex,
    /// REALM.
    pub realm: Box<str>,
    /// THIRD-PARTY-AUTHORIZATION, where access tokens are taken (RFC 7635).
    pub third_party: Option<Box<str>>,
    /// Signs and checks NONCE.
    pub nonces: Nonces,
    /// Signs and checks the cookies of DTLS.
    pub cookies: Cookies,
    /// Addresses of this server that are never a peer: its listeners and its API.
    pub closed: Vec<SocketAddr>,
    /// Listeners that answer each for the other (RFC 5780); none where discovery is off.
    pub squares: Vec<Square>,
    /// Whether clients of RFC 3489 get an answer.
    pub classic: bool,
    /// Answers to one source that has proved nothing, and its requests that are handed up.
    pub sources: Buckets,
    /// Requests of one user.
    pub users: Buckets,
}

/// What Python asks of a worker, in order; `S` is the socket of a relay.
pub enum Command<S> {
    /// Send a message to the client.
    Reply(Box<[u8]>),
    /// Refuse a request: 401 with REALM and a fresh NONCE.
    Challenge(Message<Box<[u8]>>),
    /// Verify the flow's requests from now on; cap what it relays each way (bytes a second).
    InstallKey(Credentials, u64),
    /// A relay of the allocation.
    OpenRelay(Relay<S>),
    /// A new deadline for the relay of a family.
    ExtendRelay(Family, u64),
    /// Take the relay of a family away.
    CloseRelay(Family),
    /// Install or extend a permission.
    Permit(Permission),
    /// Take a permission away.
    Forbid(IpAddr),
    /// Install or extend a channel.
    BindChannel(Channel),
    /// Take a channel away.
    Unbind(u16),
    /// End the session; a TCP connection too, where asked for.
    Close {
        /// Close a TCP connection as well.
        disconnect: bool,
    },
    /// Let the session outlive its stream (RFC 8016).
    Keep,
    /// A session is to move here (RFC 8016): hold its packets from the first one on.
    Expect,
    /// Read the counters.
    Counters,
}

/// What a command leaves to do for the one who drives the table.
pub enum Outcome<S> {
    /// Nothing.
    Done,
    /// The flow was gone.
    Stale,
    /// `scratch` holds what is to be sent to the client of this slot.
    Send(u32),
    /// The session has this relay from now on.
    Opened(u32, Family),
    /// The session has this relay no more; it is to be dropped.
    Shut(Relay<S>),
    /// The session's figures.
    Counters(Counters),
    /// The session ended with these figures; the relays are to be dropped, and the connection closed where one is named.
    Closed(Counters, Relays<S>, Option<(Connection, IpAddr)>),
}

pub(crate) struct Slot<S> {
    generation: u32,
    pub(crate) session: Option<Session<S>>,
}

/// The sessions of one worker.
pub struct Table<S> {
    /// What all workers share.
    pub context: Arc<Context>,
    /// Why packets were dropped.
    pub drops: Drops,
    /// The traffic of those who proved nothing.
    pub strangers: Counters,
    /// What clients are told of ICMP errors.
    pub(crate) errors: Bucket,
    ended: Counters,
    worker: u8,
    session_rate: u32,
    pub(crate) slots: Vec<Slot<S>>,
    free: Vec<u32>,
    by_tuple: HashMap<FiveTuple, u32>,
}

impl<S> Table<S> {
    /// An empty table for a worker.
    pub fn new(context: Arc<Context>, worker: u8) -> Self {
        Self {
            context,
            drops: Drops::default(),
            strangers: Counters::default(),
            errors: Bucket::new(ERRORS_A_SECOND),
            ended: Counters::default(),
            worker,
            session_rate: 0,
            slots: Vec::new(),
            free: Vec::new(),
            by_tuple: HashMap::default(),
        }
    }

    /// Requests a second of each session, of those that live too; 0 for no limit.
    pub fn set_session_rate(&mut self, rate: u32) {
        self.session_rate = rate;
        for session in self.slots.iter_mut().filter_map(|slot| slot.session.as_mut()) {
            session.requests.set_rate(u64::from(rate));
        }
    }

    /// The slot of a UDP client.
    pub fn find(&self, five_tuple: &FiveTuple) -> Option<u32> {
        self.by_tuple.get(five_tuple).copied()
    }

    /// A session by its slot.
    pub fn session(&self, slot: u32) -> Option<&Session<S>> {
        self.slots.get(slot as usize)?.session.as_ref()
    }

    /// A session by its slot, to be changed.
    pub fn session_mut(&mut self, slot: u32) -> Option<&mut Session<S>> {
        self.slots.get_mut(slot as usize)?.session.as_mut()
    }

    /// The flow that a slot holds now.
    pub fn flow(&self, slot: u32) -> Flow {
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        Flow::new(self.worker, slot, generation)
    }

    /// The slot of a flow, if it still lives.
    pub fn slot(&self, flow: Flow) -> Option<u32> {
        let slot = self.slots.get(flow.slot() as usize)?;
        (slot.session.is_some() && slot.generation == flow.generation()).then_some(flow.slot())
    }

    /// A slot for a client, None where all are taken. A stream's client is found by its connection, a UDP client by its five-tuple.
    pub fn insert(&mut self, five_tuple: FiveTuple, connection: Option<Connection>) -> Option<u32> {
        let slot = self.vacant()?;
        let rate = u64::from(self.session_rate);
        self.slots[slot as usize].session = Some(Session::new(five_tuple, connection, rate));
        if connection.is_none() {
            self.by_tuple.insert(five_tuple, slot);
        }
        Some(slot)
    }

    /// Free a slot; what the session sent and got is kept in the totals. The caller drops the relays.
    pub fn remove(&mut self, slot: u32) -> Option<(Counters, Relays<S>)> {
        let flow = self.flow(slot);
        let session = self.take(slot)?;
        Some(self.account(flow, session))
    }

    pub(crate) fn take(&mut self, slot: u32) -> Option<Session<S>> {
        let place = self.slots.get_mut(slot as usize)?;
        let session = place.session.take()?;
        place.generation = place.generation.checked_add(1).unwrap_or(1);
        self.free.push(slot);
        if session.connection.is_none() {
            self.by_tuple.remove(&session.five_tuple);
        }
        Some(session)
    }

    /// A relay of a TCP allocation, where the flow has none of its family yet; its slot.
    pub fn listen(&mut self, flow: Flow, relay: Relay<S>) -> Option<u32> {
        let slot = self.slot(flow);
        let refused = match slot.and_then(|slot| self.session_mut(slot)) {
            Some(session) => session.listen(relay),
            None => Some(relay),
        };
        match refused {
            None => slot,
            Some(relay) => {
                self.context.index.release(relay.external, flow);
                None
            }
        }
    }

    /// Carry out a command for a flow.
    pub fn apply(&mut self, flow: Flow, command: Command<S>, now: u64, scratch: &mut Vec<u8>) -> Outcome<S> {
        let Some(slot) = self.slot(flow) else { return self.discard(flow, command) };
        match command {
            Command::Close { disconnect } => return self.close(slot, disconnect),
            Command::Challenge(message) => {
                return if self.challenge(slot, &message, now, scratch) { Outcome::Send(slot) } else { Outcome::Done };
            }
            _ => {}
        }
        let Some(session) = self.session_mut(slot) else { return Outcome::Stale };
        match command {
            Command::Reply(bytes) => {
                scratch.clear();
                scratch.extend_from_slice(&bytes);
                return Outcome::Send(slot);
            }
            Command::InstallKey(credentials, rate) => {
                session.uplink.set_rate(rate);
                session.downlink.set_rate(rate);
                let source = session.five_tuple.client.ip();
                if session.credentials.replace(credentials).is_none() {
                    self.context.sources.give_back(source, PROOF);
                }
            }
            Command::OpenRelay(relay) => {
                let family = relay.family();
                return match session.open(relay) {
                    None => Outcome::Opened(slot, family),
                    Some(another) => self.discard(flow, Command::OpenRelay(another)),
                };
            }
            Command::ExtendRelay(family, deadline) => session.extend(family, deadline),
            Command::CloseRelay(family) => {
                let Some(relay) = session.shut(family) else { return Outcome::Done };
                self.context.index.release(relay.external, flow);
                return Outcome::Shut(relay);
            }
            Command::Permit(permission) => session.permit(permission),
            Command::Forbid(ip) => session.forbid(ip),
            Command::BindChannel(channel) => session.bind(channel),
            Command::Unbind(number) => session.unbind(number),
            Command::Keep => session.mobile = true,
            Command::Expect => {
                session.expected.get_or_insert_default();
            }
            Command::Counters => return Outcome::Counters(session.counters),
            Command::Close { .. } | Command::Challenge(_) => {}
        }
        Outcome::Done
    }

    /// The figures of all sessions that live or lived; one that has proved nothing yet is in no sum, so sums only grow.
    pub fn totals(&self) -> Counters {
        let mut sum = self.ended;
        self.iter()
            .filter(|(_, session)| session.credentials.is_some())
            .for_each(|(_, session)| sum.add(&session.counters.since(&session.carried)));
        sum
    }

    /// Every session and its slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Session<S>)> {
        self.slots.iter().zip(0..).filter_map(|(slot, number)| Some((number, slot.session.as_ref()?)))
    }

    fn vacant(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = u32::try_from(self.slots.len()).ok().filter(|slot| (*slot as usize) < MAX_SLOTS)?;
        self.slots.push(Slot { generation: 1, session: None });
        Some(slot)
    }

    /// A relay that was opened for a flow that is gone gives its address back.
    fn discard(&self, flow: Flow, command: Command<S>) -> Outcome<S> {
        if let Command::OpenRelay(relay) = command {
            self.context.index.release(relay.external, flow);
        }
        Outcome::Stale
    }

    pub(crate) fn close(&mut self, slot: u32, disconnect: bool) -> Outcome<S> {
        let Some((five_tuple, connection)) = self.session(slot).map(|session| (session.five_tuple, session.connection))
        else {
            return Outcome::Stale;
        };
        if connection.is_some_and(|kept| kept != Connection::Away) && !disconnect {
            return self.reset(slot, five_tuple, connection);
        }
        match self.remove(slot) {
            Some((counters, relays)) => {
                Outcome::Closed(counters, relays, connection.map(|place| (place, five_tuple.client.ip())))
            }
            None => Outcome::Stale,
        }
    }

    /// The session ends, its stream goes on as a stranger's. The flow stays: it names the connection, and requests that the
    /// client sent behind the last one are judged as a stranger's.
    fn reset(&mut self, slot: u32, five_tuple: FiveTuple, connection: Option<Connection>) -> Outcome<S> {
        let fresh = Session::new(five_tuple, connection, u64::from(self.session_rate));
        let flow = self.flow(slot);
        let Some(session) = self.session_mut(slot).map(|session| std::mem::replace(session, fresh)) else {
            return Outcome::Stale;
        };
        let (counters, relays) = self.account(flow, session);
        Outcome::Closed(counters, relays, None)
    }

    pub(crate) fn account(&mut self, flow: Flow, session: Session<S>) -> (Counters, Relays<S>) {
        for relay in session.relays.iter().chain(session.tcp_relays.iter()) {
            self.context.index.release(relay.external, flow);
        }
        self.keep_figures(&session);
        (session.counters, session.relays)
    }

    pub(crate) fn keep_figures(&mut self, session: &Session<S>) {
        let book = if session.credentials.is_some() { &mut self.ended } else { &mut self.strangers };
        book.add(&session.counters.since(&session.carried));
    }
}
