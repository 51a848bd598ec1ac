//! Answers from arithmetic alone: Binding, and the refusals that need no look-up. None is signed, none keeps state.
//!
//! Over UDP an answer to a stranger is at most three times his datagram, IP and UDP headers counted in, so that the server is
//! no amplifier; the reason phrase goes first.

use crate::attributes::{code, Value};
use crate::counters::Reason;
use crate::discovery::{Standing, CHANGE_BOTH};
use crate::flow::Transport;
use crate::message::{Kind, Message};
use crate::path::{Arrival, Refusal, Verdict};
use crate::table::Table;
use crate::writer::Writer;
use std::net::SocketAddr;

const AMPLIFICATION: usize = 3;
/// The most codes in a 420: clients look for one or two, and a request has room for 16,000 of them.
const UNKNOWN_CODES: usize = 64;
/// What an answer with PADDING holds beside it: the header, four addresses, the padding's own header, FINGERPRINT.
const UNPADDED: usize = 20 + 4 * 24 + 4 + 8;
/// IPv6 leaves a datagram as much, UDP's header aside (RFC 5780, section 7.6: 64K in all).
const LARGEST_DATAGRAM: usize = 65_535 - 40 - 8;

impl<S> Table<S> {
    /// Binding (RFC 8489, section 12; RFC 5780, section 6.1): the reflexive transport address, 400 or 420.
    pub(crate) fn binding(
        &mut self,
        at: &Arrival,
        message: &Message<&[u8]>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Verdict, Reason> {
        if !self.context.sources.allow_source(at.five_tuple.client.ip(), now) {
            return Err(Reason::OverSource);
        }
        let standing = Standing::find(&self.context.squares, at.five_tuple.listener);
        let discovery = standing.filter(|_| at.transport == Transport::Udp);
        let unknown: Vec<u16> =
            message.unknown().chain(not_offered(message, discovery.is_some())).take(UNKNOWN_CODES).collect();
        let mut verdict = Verdict::Answer;
        if !unknown.is_empty() {
            let reason = "Unknown Attribute";
            error(message, 420, reason, &[(code::UNKNOWN_ATTRIBUTES, Value::Codes(unknown))], scratch);
        } else if message.malformed().next().is_some() || contradicts_itself(message) {
            error(message, 400, "Bad Request", &[], scratch);
        } else {
            bound(at, message, standing, scratch);
            verdict = discovery.map_or(verdict, |standing| departure(at, message, standing));
        }
        proportionate(at, message, scratch).then_some(verdict).ok_or(Reason::Disproportionate)
    }

    /// 401 for a request that Python refused, by the same code as 401s from here; false where it would be too large.
    pub(crate) fn challenge(
        &mut self,
        slot: u32,
        message: &Message<Box<[u8]>>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> bool {
        let Some(session) = self.session(slot) else { return false };
        let transport = if session.connection.is_some() { Transport::Tcp } else { Transport::Udp };
        let arrival = Arrival { five_tuple: session.five_tuple, transport, slot: Some(slot) };
        self.write_refusal(Refusal::Unauthenticated, &arrival, message, now, scratch)
    }

    /// 400, 401 or 438 (RFC 8489, section 9.2.4), unsigned; false where it would be too large for this stranger.
    pub(crate) fn write_refusal<B: AsRef<[u8]>>(
        &self,
        refusal: Refusal,
        at: &Arrival,
        message: &Message<B>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> bool {
        let (number, reason) = match refusal {
            Refusal::BadRequest => (400, "Bad Request"),
            Refusal::Unauthenticated => (401, "Unauthenticated"),
            Refusal::StaleNonce => (438, "Stale Nonce"),
        };
        let nonce = self.context.nonces.mint(at.five_tuple.client, now);
        let fresh = [
            (code::REALM, Value::Text(&self.context.realm)),
            (code::NONCE, Value::Text(std::str::from_utf8(&nonce).unwrap_or_default())),
        ];
        let attributes = if refusal == Refusal::BadRequest { &fresh[..0] } else { &fresh[..] };
        [reason, ""].iter().any(|reason| {
            error(message, number, reason, attributes, scratch);
            proportionate(at, message, scratch)
        })
    }
}

/// What a request asks for of RFC 5780 and does not get here.
fn not_offered<'a>(message: &'a Message<&[u8]>, offered: bool) -> impl Iterator<Item = u16> + 'a {
    let codes = [code::CHANGE_REQUEST, code::PADDING, code::RESPONSE_PORT];
    codes.into_iter().filter(move |code| !offered && message.first(*code).is_some())
}

/// Padding is never sent where it was not asked from (RFC 5780, section 10), and port 0 is nobody's.
fn contradicts_itself(message: &Message<&[u8]>) -> bool {
    match message.number(code::RESPONSE_PORT) {
        Some(port) => port == 0 || message.first(code::PADDING).is_some(),
        None => false,
    }
}

/// The success response, with the four addresses and the padding of RFC 5780, section 6.1, from a listener that has others.
fn bound(at: &Arrival, message: &Message<&[u8]>, standing: Option<Standing<'_>>, scratch: &mut Vec<u8>) {
    let client = Value::Address(at.five_tuple.client);
    let mut writer = Writer::new(scratch, message.method(), Kind::Success, message.transaction());
    writer.put(code::XOR_MAPPED_ADDRESS, &client);
    if let Some(standing) = standing {
        let origin = standing.changed(change(message));
        writer.put(code::MAPPED_ADDRESS, &client);
        writer.put(code::RESPONSE_ORIGIN, &Value::Address(origin.announced));
        writer.put(code::OTHER_ADDRESS, &Value::Address(standing.changed(CHANGE_BOTH).announced));
        if message.first(code::PADDING).is_some() {
            let padding = vec![0; padding(at, message, origin.mtu)];
            writer.put(code::PADDING, &Value::Bytes(&padding));
        }
    }
    writer.finish(None, message.has_fingerprint());
}

/// Where the answer leaves from, and the client's port that it goes to.
fn departure(at: &Arrival, message: &Message<&[u8]>, standing: Standing<'_>) -> Verdict {
    let mut client = at.five_tuple.client;
    let port = message.number(code::RESPONSE_PORT).and_then(|port| u16::try_from(port).ok());
    client.set_port(port.unwrap_or(client.port()));
    match (standing.changed(change(message)).listener, client) {
        (listener, client) if listener == at.five_tuple.listener && client == at.five_tuple.client => Verdict::Answer,
        (listener, client) => Verdict::AnswerFrom(listener, client),
    }
}

/// The two flags of CHANGE-REQUEST (RFC 5780, section 7.2).
fn change(message: &Message<&[u8]>) -> usize {
    message.number(code::CHANGE_REQUEST).map_or(0, |flags| (flags >> 1) as usize & CHANGE_BOTH)
}

/// The MTU, rounded up to a multiple of four, or what the request has paid for (RFC 5780, section 7.6).
fn padding(at: &Arrival, message: &Message<&[u8]>, mtu: usize) -> usize {
    let room = allowance(at, message).min(LARGEST_DATAGRAM).saturating_sub(UNPADDED);
    mtu.next_multiple_of(4).min(room & !3)
}

fn error<B: AsRef<[u8]>>(
    message: &Message<B>,
    number: u16,
    reason: &str,
    attributes: &[(u16, Value<'_>)],
    scratch: &mut Vec<u8>,
) {
    let mut writer = Writer::new(scratch, message.method(), Kind::Error, message.transaction());
    writer.put(code::ERROR_CODE, &Value::Error(number, reason));
    for (code, value) in attributes {
        writer.put(*code, value);
    }
    writer.finish(None, message.has_fingerprint());
}

fn proportionate<B: AsRef<[u8]>>(at: &Arrival, message: &Message<B>, answer: &[u8]) -> bool {
    at.transport == Transport::Tcp || answer.len() <= allowance(at, message)
}

/// How long an answer may be.
fn allowance<B: AsRef<[u8]>>(at: &Arrival, message: &Message<B>) -> usize {
    let headers = match at.five_tuple.client {
        SocketAddr::V4(_) => 20 + 8,
        SocketAddr::V6(_) => 40 + 8,
    };
    AMPLIFICATION * (message.bytes().len() + headers) - headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Corner;
    use crate::flow::FiveTuple;
    use crate::index::RelayIndex;
    use crate::limiter::Buckets;
    use crate::nonce::Nonces;
    use crate::table::Context;
    use std::sync::Arc;

    const ADDRESSES: [&str; 4] = ["[2001:db8::1]:1", "[2001:db8::1]:2", "[2001:db8::2]:1", "[2001:db8::2]:2"];

    fn table(mtu: usize) -> Table<()> {
        let corner =
            |place: usize| Corner { listener: place as u16, announced: ADDRESSES[place].parse().unwrap(), mtu };
        Table::new(
            Arc::new(Context {
                index: RelayIndex::new(&[]),
                realm: "realm".into(),
                nonces: Nonces::new([0; 32]),
                closed: Vec::new(),
                squares: vec![std::array::from_fn(corner)],
                sources: Buckets::new(0, 0),
                users: Buckets::new(0, 0),
            }),
            0,
        )
    }

    fn arrival(transport: Transport) -> Arrival {
        let (client, local) = ("[2001:db8::9]:9".parse().unwrap(), ADDRESSES[0].parse().unwrap());
        Arrival { five_tuple: FiveTuple { listener: 0, client, local }, transport, slot: None }
    }

    fn request(attributes: &[(u16, Value<'_>)], fingerprint: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 1, Kind::Request, &[7; 12]);
        for (code, value) in attributes {
            writer.put(*code, value);
        }
        assert!(writer.finish(None, fingerprint));
        bytes
    }

    #[test]
    fn a_420_names_some_unknown_attributes_and_not_all() {
        let codes: Vec<u16> = (0x1000..0x1400).collect();
        let attributes: Vec<_> = codes.iter().map(|code| (*code, Value::Bytes(&[]))).collect();
        let mut answer = Vec::new();
        let verdict = table(0).from_client(&arrival(Transport::Tcp), &request(&attributes, false), 0, &mut answer);
        assert!(matches!(verdict, Verdict::Answer));
        let message = Message::decode(&answer[..]).unwrap();
        let named = Some(Value::Codes(codes[..UNKNOWN_CODES].to_vec()));
        assert_eq!(message.value(code::UNKNOWN_ATTRIBUTES), named);
    }

    #[test]
    fn padding_is_the_mtu_or_what_the_request_has_paid_for() {
        let mut answer = Vec::new();
        for (mtu, size, padding) in [
            (1500, 1500, 1500),
            (1498, 1500, 1500),
            (9000, 9000, 9000),
            (9000, 1500, 4540),
            (65_536, 65_000, 65_356),
            (1500, 0, 40),
        ] {
            for fingerprint in [false, true] {
                let request = request(&[(code::PADDING, Value::Bytes(&vec![1; size]))], fingerprint);
                let verdict = table(mtu).from_client(&arrival(Transport::Udp), &request, 0, &mut answer);
                assert!(matches!(verdict, Verdict::Answer));
                assert!(answer.len() + 48 <= 3 * (request.len() + 48) && answer.len() + 48 <= 65_535);
                let message = Message::decode(&answer[..]).unwrap();
                let got = message.first(code::PADDING).map(<[u8]>::len);
                assert!(got == Some(padding) || fingerprint && got == Some(padding + 24), "{mtu} {size} {got:?}");
            }
        }
    }

    #[test]
    fn the_verdict_says_whence_and_whereto() {
        let mut answer = Vec::new();
        for (flags, listener) in [(2, 1), (4, 2), (6, 3), (0, 0)] {
            let attributes = [(code::CHANGE_REQUEST, Value::Number(flags)), (code::RESPONSE_PORT, Value::Number(77))];
            let request = request(&attributes, true);
            match table(1500).from_client(&arrival(Transport::Udp), &request, 0, &mut answer) {
                Verdict::AnswerFrom(from, to) => {
                    assert_eq!((from, to.to_string().as_str()), (listener, "[2001:db8::9]:77"))
                }
                _ => panic!("{flags}"),
            }
            let message = Message::decode(&answer[..]).unwrap();
            assert_eq!(message.address(code::RESPONSE_ORIGIN), ADDRESSES[usize::from(listener)].parse().ok());
            assert_eq!(message.address(code::OTHER_ADDRESS), ADDRESSES[3].parse().ok());
        }
    }
}
