//! The path of a packet: a datagram, the table and the time give a verdict. The caller does the sending.
//!
//! Here stand the checks that every packet meets: lease, permission, channel, and that an address of ours is reached only
//! through the index of live relays (RFC 8656, sections 11 and 12).

use crate::channel_data;
use crate::claim::Claim;
use crate::counters::{Counters, Reason};
use crate::flow::{Family, FiveTuple, Flow, Transport};
use crate::message::{method, DecodeError, Kind, Message, Relayed};
use crate::session::Reach;
use crate::table::Table;
use std::net::SocketAddr;
use std::ops::Range;

/// What a datagram costs beside its payload, so that a cap on bytes caps empty datagrams too.
pub(crate) const DATAGRAM: usize = 28;
/// The largest payload of a UDP datagram over IPv4.
const LARGEST_DATAGRAM: usize = 65_507;
/// No request that a client makes is larger; what waits for the rules must not be.
pub const LARGEST_REQUEST: usize = 4096;

/// The methods that Python judges.
const FOR_PYTHON: [u16; 6] = [
    method::ALLOCATE,
    method::REFRESH,
    method::CREATE_PERMISSION,
    method::CHANNEL_BIND,
    method::CONNECT,
    method::CONNECTION_BIND,
];

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

impl Arrival {
    /// Whom a nonce is for. TCP's handshake has proved who is there, so a nonce is good on each connection of that IP address:
    /// a data connection (RFC 6062, section 5.4) and a client that has moved (RFC 8016) show the one that they have.
    #[must_use]
    pub fn proves(&self) -> SocketAddr {
        let client = self.five_tuple.client;
        match self.transport {
            Transport::Udp => client,
            Transport::Tcp => SocketAddr::new(client.ip(), 0),
        }
    }
}

/// What is to be done with a packet from a client.
pub enum Verdict {
    /// Nothing; it is counted.
    Drop,
    /// Send the bytes in `scratch` back to where the packet came from.
    Answer,
    /// Send the bytes in `scratch` to this address of the client, from this listener (RFC 5780, section 6.1).
    AnswerFrom(u16, SocketAddr),
    /// Send the payload to the peer by this slot's relay of the peer's family.
    Peer(u32, Relayed),
    /// Hand the payload to another session of this server, as coming from this relayed transport address.
    Inside(Flow, SocketAddr, Range<usize>),
    /// Hold the packet for the session that is to move to this slot (`Table::hold`).
    Hold(u32),
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

/// The header of a packet to a client, and the zero bytes behind its payload.
pub struct Head {
    bytes: [u8; channel_data::DATA_INDICATION_HEADER],
    size: usize,
    /// Zero bytes behind the payload.
    pub padding: usize,
}

impl Head {
    /// The header.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// How data from a peer is written to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// ChannelData on this channel (RFC 8656, section 12.4).
    Channel(u16),
    /// A Data indication from this peer (RFC 8656, section 11.4).
    Data(SocketAddr),
}

impl Framing {
    /// The header for a payload of this length; None where the whole would not fit the client's transport. ChannelData is
    /// padded on a stream (RFC 8656, section 12.5), an attribute everywhere.
    pub fn head(self, length: usize, transport: Transport, transaction: [u8; 12]) -> Option<Head> {
        let mut bytes = [0; channel_data::DATA_INDICATION_HEADER];
        let size = match self {
            Framing::Channel(number) => {
                bytes[..4].copy_from_slice(&channel_data::header(number, length));
                4
            }
            Framing::Data(peer) => channel_data::data_indication_header(&mut bytes, peer, length, transaction),
        };
        let bare = transport == Transport::Udp && matches!(self, Framing::Channel(_));
        let padding = if bare { 0 } else { length.wrapping_neg() % 4 };
        let fits = match transport {
            Transport::Udp => size + length + padding <= LARGEST_DATAGRAM,
            Transport::Tcp => length <= usize::from(u16::MAX),
        };
        (size != 0 && fits).then_some(Head { bytes, size, padding })
    }
}

impl<S> Table<S> {
    /// Judge a packet from a client.
    pub fn from_client(&mut self, arrival: &Arrival, bytes: &[u8], now: u64, scratch: &mut Vec<u8>) -> Verdict {
        self.book(arrival.slot).client.receive(bytes.len());
        let judged = match bytes.first().map(|first| first >> 6) {
            Some(0b00) => self.stun(arrival, bytes, now, scratch),
            Some(0b01) => self.channel_data(arrival, bytes, now),
            _ => Err(Reason::Malformed),
        };
        match judged {
            Ok(verdict) => verdict,
            Err(reason) => self.held_or_dropped(arrival.slot, reason, bytes.len()),
        }
    }

    /// Data that finds no allocation may be of one that is to move here (RFC 8016, section 3.2.2): it is looked at again then.
    fn held_or_dropped(&mut self, slot: Option<u32>, reason: Reason, length: usize) -> Verdict {
        match slot.filter(|slot| matches!(reason, Reason::NoAllocation | Reason::NoChannel) && self.expects(*slot)) {
            Some(place) => {
                self.book(slot).client.unreceive(length);
                Verdict::Hold(place)
            }
            None => {
                self.drop_from(slot, reason);
                Verdict::Drop
            }
        }
    }

    /// Judge a payload that a peer sent to a session's relay: how it goes to the client, if it may (RFC 8656, section 11.3).
    pub fn from_peer(&mut self, slot: u32, peer: SocketAddr, length: usize, now: u64) -> Option<Framing> {
        let judged = self.session_mut(slot).ok_or(Reason::NoAllocation).and_then(|session| {
            session.live_relay(Family::of(peer.ip()), now).ok_or(Reason::NoAllocation)?;
            session.permission(peer.ip(), now).ok_or(Reason::NoPermission)?;
            session.downlink.take((length + DATAGRAM) as u64, now).then_some(()).ok_or(Reason::OverRate)?;
            session.counters.peers.receive(length);
            Ok(session.number(peer, now).map_or(Framing::Data(peer), Framing::Channel))
        });
        judged.map_err(|reason| self.drops.count(reason)).ok()
    }

    /// The book that a packet of this client, or to it, is entered in: strangers have one together.
    pub fn book(&mut self, slot: Option<u32>) -> &mut Counters {
        let session = slot.and_then(|slot| self.slots.get_mut(slot as usize)).and_then(|slot| slot.session.as_mut());
        match session.filter(|session| session.asked) {
            Some(session) => &mut session.counters,
            None => &mut self.strangers,
        }
    }

    /// A packet of this client was not carried on.
    pub fn drop_from(&mut self, slot: Option<u32>, reason: Reason) {
        self.drops.count(reason);
        self.book(slot).errors += 1;
    }

    /// A payload that was counted as sent to a peer got nowhere.
    pub fn unsend(&mut self, slot: Option<u32>, bytes: usize, reason: Reason) {
        self.drop_from(slot, reason);
        self.book(slot).peers.unsend(bytes);
    }

    /// The kernel refused a datagram that was counted as sent: the client's packet was not carried on, or it got one less.
    pub fn refused(&mut self, slot: Option<u32>, bytes: usize, to_client: bool) {
        if !to_client {
            return self.unsend(slot, bytes, Reason::Refused);
        }
        self.drops.count(Reason::Refused);
        self.book(slot).client.unsend(bytes);
    }

    /// A request found no place in the queue.
    pub fn unask(&mut self, slot: u32, fresh: bool) {
        self.drop_from(Some(slot), Reason::QueueFull);
        if !fresh {
            return;
        }
        // Nothing came of it: the slot is free again, a stream a stranger's, and the packet in the strangers' book.
        let _ = self.close(slot, false);
    }

    fn stun(&mut self, at: &Arrival, bytes: &[u8], now: u64, scratch: &mut Vec<u8>) -> Result<Verdict, Reason> {
        let message = match Message::decode(bytes) {
            Err(DecodeError::Cookie) if self.context.classic || self.is_dtls(at) => {
                return self.without_cookie(at, bytes, now, scratch);
            }
            decoded => decoded.map_err(|_| Reason::Malformed)?,
        };
        match (message.kind(), message.method()) {
            (Kind::Indication, method::SEND) => self.send_indication(at, &message, now),
            // A client may keep its binding alive with these (RFC 8489, section 6.3.2).
            (Kind::Indication, method::BINDING) => Ok(Verdict::Drop),
            (Kind::Request, method::BINDING) => self.binding(at, &message, now, scratch),
            (Kind::Request, method) if FOR_PYTHON.contains(&method) => self.request(at, &message, now, scratch),
            _ => Err(Reason::Unexpected),
        }
    }

    /// Send (RFC 8656, section 11.2): every fault is a silent drop. DONT-FRAGMENT counts for what comes by a stream, and from IPv4
    /// to IPv4; else it is ignored (sections 13 to 15).
    fn send_indication(&mut self, at: &Arrival, message: &Message<&[u8]>, now: u64) -> Result<Verdict, Reason> {
        let mut data = message.relayed().ok_or(Reason::Malformed)?;
        data.peer = self.context.index.canonical(data.peer);
        data.whole &= at.transport == Transport::Tcp || at.five_tuple.client.is_ipv4() && data.peer.is_ipv4();
        self.towards(at, data, now)
    }

    /// ChannelData (RFC 8656, section 12.6).
    fn channel_data(&mut self, at: &Arrival, bytes: &[u8], now: u64) -> Result<Verdict, Reason> {
        let (number, payload) = channel_data::decode(bytes).ok_or(Reason::Malformed)?;
        let session = at.slot.and_then(|slot| self.session(slot)).ok_or(Reason::NoAllocation)?;
        let channel = session.channel(number, now).ok_or(Reason::NoChannel)?;
        self.towards(at, Relayed { peer: channel.peer, payload, whole: false }, now)
    }

    fn towards(&mut self, at: &Arrival, data: Relayed, now: u64) -> Result<Verdict, Reason> {
        let peer = data.peer;
        let slot = at.slot.ok_or(Reason::NoAllocation)?;
        let session = self.session_mut(slot).ok_or(Reason::NoAllocation)?;
        let relay = session.live_relay(Family::of(peer.ip()), now).ok_or(Reason::NoAllocation)?.external;
        let permission = session.permission(peer.ip(), now).ok_or(Reason::NoPermission)?;
        let reach = permission.reach(peer.port()).ok_or(Reason::NoPermission)?;
        if !session.uplink.take((data.payload.len() + DATAGRAM) as u64, now) {
            return Err(Reason::OverRate);
        }
        let destination = self.destination(reach, peer)?;
        self.book(at.slot).peers.send(data.payload.len());
        match destination {
            Some(flow) => Ok(Verdict::Inside(flow, relay, data.payload)),
            None => Ok(Verdict::Peer(slot, data)),
        }
    }

    /// An address of ours is a live relay or nothing; only `Both` lets its other ports be peers, and never a closed one.
    pub fn destination(&self, reach: Reach, peer: SocketAddr) -> Result<Option<Flow>, Reason> {
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
        if message.bytes().len() > LARGEST_REQUEST {
            return Err(Reason::TooLarge);
        }
        let claim = match Claim::read(message) {
            Ok(claim) => claim,
            Err(refusal) => return self.refuse_with(refusal, at, message, now, scratch),
        };
        let known = at.slot.and_then(|slot| self.session(slot)).and_then(|session| session.credentials.as_ref());
        let own = known.filter(|credentials| claim.is_of(credentials));
        let proved = own.map(|credentials| message.verify(&credentials.key));
        let stale = !self.context.nonces.fresh(claim.nonce, at.proves(), now);
        match proved {
            // Its answer is its own matter: what strangers at the same address do must not touch it.
            Some(true) if stale => {
                self.take_request(at, now)?;
                Ok(self.refuse(Refusal::StaleNonce, at, message, now, scratch))
            }
            _ if stale => self.refuse_with(Refusal::StaleNonce, at, message, now, scratch),
            // Every nonce of ours has the feature "password algorithms", so this comes for all of them.
            _ if claim.algorithm.is_none() => self.refuse_with(Refusal::BadRequest, at, message, now, scratch),
            _ if claim.realm != &*self.context.realm => {
                self.refuse_with(Refusal::Unauthenticated, at, message, now, scratch)
            }
            Some(true) => self.ask_verified(at, message, now),
            Some(false) => self.refuse_with(Refusal::Unauthenticated, at, message, now, scratch),
            None => self.ask_stranger(at, message, now),
        }
    }

    fn ask_verified(&mut self, at: &Arrival, message: &Message<&[u8]>, now: u64) -> Result<Verdict, Reason> {
        let slot = self.take_request(at, now)?;
        Ok(self.ask(slot, at, message, Trust { verified: true, fresh: false }))
    }

    /// A request of the session's own user counts against what the session and the user may ask.
    fn take_request(&mut self, at: &Arrival, now: u64) -> Result<u32, Reason> {
        let slot = at.slot.ok_or(Reason::NoAllocation)?;
        let session = self.session_mut(slot).ok_or(Reason::NoAllocation)?;
        let user = session.credentials.as_ref().map_or(0, |credentials| hash(&credentials.username));
        let allowed = session.requests.take(1, now) && self.context.users.allow_key(user, now);
        allowed.then_some(slot).ok_or(Reason::OverRequests)
    }

    fn ask_stranger(&mut self, at: &Arrival, message: &Message<&[u8]>, now: u64) -> Result<Verdict, Reason> {
        if !self.context.sources.allow_source(at.five_tuple.client.ip(), now) {
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
            session.counters.client.receive(message.bytes().len());
            self.strangers.client.unreceive(message.bytes().len());
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
        if !self.context.sources.allow_source(at.five_tuple.client.ip(), now) {
            return Err(Reason::OverSource);
        }
        Ok(self.refuse(refusal, at, message, now, scratch))
    }

    fn refuse(
        &mut self,
        refusal: Refusal,
        at: &Arrival,
        message: &Message<&[u8]>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Verdict {
        if self.write_refusal(refusal, at, message, now, scratch) {
            return Verdict::Answer;
        }
        self.drop_from(at.slot, Reason::Disproportionate);
        Verdict::Drop
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
