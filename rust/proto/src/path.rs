//! The path of a packet: a datagram, the table and the time give a verdict. The caller does the sending.
//!
//! Here stand the checks that every packet meets: lease, permission, channel, and that an address of ours is reached only
//! through the index of live relays (RFC 8656, sections 11 and 12).

use crate::attributes::code;
use crate::channel_data;
use crate::counters::Reason;
use crate::flow::{FiveTuple, Flow, Transport};
use crate::message::{method, Kind, Message};
use crate::session::Reach;
use crate::table::Table;
use std::net::SocketAddr;
use std::ops::Range;

/// A message from a client: where it came from, and the slot of its session if it has one.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The client's address and ours.
    pub five_tuple: FiveTuple,
    /// What carried it.
    pub transport: Transport,
    /// The client's slot.
    pub slot: Option<u32>,
}

/// What is to be done with a packet from a client.
pub enum Verdict {
    /// Nothing; it is counted.
    Drop,
    /// Send the bytes in `scratch` back to where the packet came from.
    Answer,
    /// Send the payload to the peer by the relay of this slot.
    Peer(u32, SocketAddr, Range<usize>),
    /// Hand the payload to another session of this server, as coming from this relayed transport address.
    Inside(Flow, SocketAddr, Range<usize>),
    /// Hand the request up.
    Ask(Ask),
}

/// A request with a valid nonce.
pub struct Ask {
    /// The client's flow.
    pub flow: Flow,
    /// The request.
    pub message: Message<Box<[u8]>>,
    /// Where it came from.
    pub arrival: Arrival,
    /// Its integrity was proved with the key that the flow holds.
    pub verified: bool,
    /// The slot was made for this request: take it back (`Table::unask`) where the request finds no place in the queue.
    pub fresh: bool,
}

/// How data from a peer is written to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// ChannelData on this channel (RFC 8656, section 12.4).
    Channel(u16),
    /// A Data indication from this peer (RFC 8656, section 11.4).
    Data(SocketAddr),
}

impl<S> Table<S> {
    /// Judge a packet from a client.
    pub fn from_client(&mut self, arrival: &Arrival, bytes: &[u8], now: u64, scratch: &mut Vec<u8>) -> Verdict {
        self.count_arrival(arrival.slot, bytes.len());
        let judged = match bytes.first().map(|first| first >> 6) {
            Some(0b00) => self.stun(arrival, bytes, now, scratch),
            Some(0b01) => self.channel_data(arrival, bytes, now),
            _ => Err(Reason::Malformed),
        };
        match judged {
            Ok(verdict) => verdict,
            Err(reason) => {
                self.drop_from(arrival.slot, reason);
                Verdict::Drop
            }
        }
    }

    /// Judge a payload that a peer sent to a session's relay: how it goes to the client, if it may (RFC 8656, section 11.3).
    pub fn from_peer(&mut self, slot: u32, peer: SocketAddr, length: usize, now: u64) -> Option<Framing> {
        let judged = self.session_mut(slot).ok_or(Reason::NoAllocation).and_then(|session| {
            session.live_relay(now).ok_or(Reason::NoAllocation)?;
            session.permission(peer.ip(), now).ok_or(Reason::NoPermission)?;
            session.downlink.take(length as u64, now).then_some(()).ok_or(Reason::OverRate)?;
            Ok(session.number(peer, now).map_or(Framing::Data(peer), Framing::Channel))
        });
        judged.map_err(|reason| self.drops.count(reason)).ok()
    }

    /// Count a packet to the client of a slot.
    pub fn count_sent(&mut self, slot: u32, bytes: usize) {
        match self.session_mut(slot).filter(|session| session.asked) {
            Some(session) => session.counters.send(bytes),
            None => self.strangers.send(bytes),
        }
    }

    /// A packet of this client was not carried on.
    pub fn drop_from(&mut self, slot: Option<u32>, reason: Reason) {
        self.drops.count(reason);
        match slot.and_then(|slot| self.session_mut(slot)).filter(|session| session.asked) {
            Some(session) => session.counters.errors += 1,
            None => self.strangers.errors += 1,
        }
    }

    /// The kernel refused a datagram that was counted as sent: the client's packet was not carried on, or it got one less.
    pub fn refused(&mut self, slot: Option<u32>, bytes: usize, to_client: bool) {
        if !to_client {
            return self.drop_from(slot, Reason::Refused);
        }
        self.drops.count(Reason::Refused);
        match slot.and_then(|slot| self.session_mut(slot)).filter(|session| session.asked) {
            Some(session) => session.counters.unsend(bytes),
            None => self.strangers.unsend(bytes),
        }
    }

    /// A request found no place in the queue.
    pub fn unask(&mut self, slot: u32, fresh: bool) {
        self.drop_from(Some(slot), Reason::QueueFull);
        if !fresh {
            return;
        }
        match self.session_mut(slot) {
            Some(session) if session.connection.is_some() => session.asked = false,
            _ => drop(self.remove(slot)),
        }
    }

    fn count_arrival(&mut self, slot: Option<u32>, bytes: usize) {
        match slot.and_then(|slot| self.session_mut(slot)).filter(|session| session.asked) {
            Some(session) => session.counters.receive(bytes),
            None => self.strangers.receive(bytes),
        }
    }

    fn stun(&mut self, at: &Arrival, bytes: &[u8], now: u64, scratch: &mut Vec<u8>) -> Result<Verdict, Reason> {
        let message = Message::decode(bytes).map_err(|_| Reason::Malformed)?;
        match (message.kind(), message.method()) {
            (Kind::Indication, method::SEND) => self.send_indication(at, &message, now),
            // A client may keep its binding alive with these (RFC 8489, section 6.3.2).
            (Kind::Indication, method::BINDING) => Ok(Verdict::Drop),
            (Kind::Request, method::BINDING) => self.binding(at, &message, now, scratch),
            (Kind::Request, method::ALLOCATE | method::REFRESH | method::CREATE_PERMISSION | method::CHANNEL_BIND) => {
                self.request(at, &message, now, scratch)
            }
            _ => Err(Reason::Unexpected),
        }
    }

    /// Send (RFC 8656, section 11.2): every fault is a silent drop.
    fn send_indication(&mut self, at: &Arrival, message: &Message<&[u8]>, now: u64) -> Result<Verdict, Reason> {
        let (peer, payload) = message.relayed().ok_or(Reason::Malformed)?;
        self.towards(at, self.context.index.canonical(peer), payload, now)
    }

    /// ChannelData (RFC 8656, section 12.6).
    fn channel_data(&mut self, at: &Arrival, bytes: &[u8], now: u64) -> Result<Verdict, Reason> {
        let (number, payload) = channel_data::decode(bytes).ok_or(Reason::Malformed)?;
        let session = at.slot.and_then(|slot| self.session(slot)).ok_or(Reason::NoAllocation)?;
        let channel = session.channel(number, now).ok_or(Reason::NoChannel)?;
        self.towards(at, channel.peer, payload, now)
    }

    fn towards(&mut self, at: &Arrival, peer: SocketAddr, payload: Range<usize>, now: u64) -> Result<Verdict, Reason> {
        let slot = at.slot.ok_or(Reason::NoAllocation)?;
        let session = self.session_mut(slot).ok_or(Reason::NoAllocation)?;
        let relay = session.live_relay(now).ok_or(Reason::NoAllocation)?.external;
        let permission = session.permission(peer.ip(), now).ok_or(Reason::NoPermission)?;
        let reach = permission.reach(peer.port()).ok_or(Reason::NoPermission)?;
        if !session.uplink.take(payload.len() as u64, now) {
            return Err(Reason::OverRate);
        }
        match self.destination(reach, peer)? {
            Some(flow) => Ok(Verdict::Inside(flow, relay, payload)),
            None => Ok(Verdict::Peer(slot, peer, payload)),
        }
    }

    /// An address of ours is a live relay or nothing; only `Both` lets its other ports be peers, and never a closed one.
    fn destination(&self, reach: Reach, peer: SocketAddr) -> Result<Option<Flow>, Reason> {
        if reach == Reach::Outside {
            return Ok(None);
        }
        let owner = self.context.index.owner(peer);
        let closed = || self.context.closed.iter().any(|closed| covers(closed, peer));
        if owner.is_none() && (reach == Reach::Inside || closed()) {
            return Err(Reason::NoRelay);
        }
        Ok(owner)
    }

    /// A TURN request: what can be refused from arithmetic is refused here (RFC 8489, section 9.2.4), the rest goes up.
    fn request(
        &mut self,
        at: &Arrival,
        message: &Message<&[u8]>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Verdict, Reason> {
        if let Some(error) = self.arithmetic(at, message, now) {
            return self.refuse_with(error, at, message, now, scratch);
        }
        let known = at.slot.and_then(|slot| self.session(slot)).and_then(|session| session.credentials.as_ref());
        let own = known.filter(|credentials| message.text(code::USERNAME) == Some(&*credentials.username));
        match own {
            Some(credentials) if message.verify(&credentials.key) => self.ask_verified(at, message, now),
            Some(_) => self.refuse_with(Refusal::Unauthenticated, at, message, now, scratch),
            None => self.ask_stranger(at, message, now),
        }
    }

    fn arithmetic(&self, at: &Arrival, message: &Message<&[u8]>, now: u64) -> Option<Refusal> {
        if !message.has_integrity() {
            return Some(Refusal::Unauthenticated);
        }
        let (Some(_), Some(realm), Some(nonce)) =
            (message.text(code::USERNAME), message.text(code::REALM), message.text(code::NONCE))
        else {
            return Some(Refusal::BadRequest);
        };
        if !self.context.nonces.fresh(nonce, at.five_tuple.client, now) {
            return Some(Refusal::StaleNonce);
        }
        (realm != &*self.context.realm).then_some(Refusal::Unauthenticated)
    }

    fn ask_verified(&mut self, at: &Arrival, message: &Message<&[u8]>, now: u64) -> Result<Verdict, Reason> {
        let slot = at.slot.ok_or(Reason::NoAllocation)?;
        let session = self.session_mut(slot).ok_or(Reason::NoAllocation)?;
        if !session.requests.take(1, now) {
            return Err(Reason::OverRequests);
        }
        let user = session.credentials.as_ref().map_or(0, |credentials| hash(&credentials.username));
        if !self.users.allow_key(user, now) {
            return Err(Reason::OverRequests);
        }
        Ok(self.ask(slot, at, message, Trust { verified: true, fresh: false }))
    }

    fn ask_stranger(&mut self, at: &Arrival, message: &Message<&[u8]>, now: u64) -> Result<Verdict, Reason> {
        if !self.sources.allow_source(at.five_tuple.client.ip(), now) {
            return Err(Reason::OverSource);
        }
        let slot = match at.slot {
            Some(slot) => slot,
            None => self.insert(at.five_tuple, None).ok_or(Reason::QueueFull)?,
        };
        let session = self.session_mut(slot).ok_or(Reason::QueueFull)?;
        let fresh = !session.asked;
        if fresh {
            // A session's figures begin with the request that proves the credentials.
            session.asked = true;
            session.counters = Default::default();
            session.counters.receive(message.bytes().len());
            self.strangers.unreceive(message.bytes().len());
        }
        Ok(self.ask(slot, at, message, Trust { verified: false, fresh }))
    }

    fn ask(&self, slot: u32, at: &Arrival, message: &Message<&[u8]>, trust: Trust) -> Verdict {
        Verdict::Ask(Ask {
            flow: self.flow(slot),
            message: message.to_owned(),
            arrival: *at,
            verified: trust.verified,
            fresh: trust.fresh,
        })
    }

    fn refuse_with(
        &mut self,
        refusal: Refusal,
        at: &Arrival,
        message: &Message<&[u8]>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Verdict, Reason> {
        if !self.sources.allow_source(at.five_tuple.client.ip(), now) {
            return Err(Reason::OverSource);
        }
        self.write_refusal(refusal, at, message, now, scratch).then_some(Verdict::Answer).ok_or(Reason::OverSource)
    }
}

/// What is refused without asking Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400
    BadRequest,
    /// 401
    Unauthenticated,
    /// 438
    StaleNonce,
}

struct Trust {
    verified: bool,
    fresh: bool,
}

/// A closed address with an unspecified IP closes its port on every address.
fn covers(closed: &SocketAddr, peer: SocketAddr) -> bool {
    closed.port() == peer.port() && (closed.ip() == peer.ip() || closed.ip().is_unspecified())
}

fn hash(text: &str) -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::FixedState::default().hash_one(text)
}
