//! Binding (RFC 8489, section 12): what a client's address looks like from here, and what its NAT does (RFC 5780), to clients of
//! RFC 3489 too where the settings ask for it. Answered from arithmetic alone, unsigned, without state.

use crate::answers::{allowance, error, proportionate};
use crate::attributes::{code, Value};
use crate::counters::Reason;
use crate::discovery::{Standing, CHANGE_BOTH};
use crate::flow::{Connection, Transport};
use crate::message::{method, Kind, Message, MAGIC_COOKIE};
use crate::path::{Arrival, Verdict};
use crate::table::Table;
use crate::writer::Writer;

/// The most codes in a 420: clients look for one or two, and a request has room for 16,000 of them.
const UNKNOWN_CODES: usize = 64;
/// What an answer with PADDING holds beside it: the header, four addresses, the padding's own header, FINGERPRINT.
const UNPADDED: usize = 20 + 4 * 24 + 4 + 8;
/// IPv6 leaves a datagram as much, UDP's header aside (RFC 5780, section 7.6: 64K in all).
const LARGEST_DATAGRAM: usize = 65_535 - 40 - 8;

/// What the versions of Binding call things, and what of discovery they have.
#[derive(PartialEq, Eq)]
struct Dialect {
    /// The client's address.
    mapped: u16,
    /// The same, beside it, from a listener that has others.
    also_mapped: Option<u16>,
    origin: u16,
    other: u16,
    asked: &'static [u16],
}

/// RFC 8489 and RFC 5780.
const PRESENT: Dialect = Dialect {
    mapped: code::XOR_MAPPED_ADDRESS,
    also_mapped: Some(code::MAPPED_ADDRESS),
    origin: code::RESPONSE_ORIGIN,
    other: code::OTHER_ADDRESS,
    asked: &[code::CHANGE_REQUEST, code::PADDING, code::RESPONSE_PORT],
};
/// RFC 3489, of which RESPONSE-ADDRESS is refused: it sends answers to others.
const CLASSIC: Dialect = Dialect {
    mapped: code::MAPPED_ADDRESS,
    also_mapped: None,
    origin: code::SOURCE_ADDRESS,
    other: code::CHANGED_ADDRESS,
    asked: &[code::CHANGE_REQUEST],
};

impl<S> Table<S> {
    /// Binding (RFC 8489, section 12; RFC 5780, section 6.1): the reflexive transport address, 400 or 420.
    pub(crate) fn binding(
        &self,
        at: &Arrival,
        message: &Message<&[u8]>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Verdict, Reason> {
        self.bind_as(&PRESENT, (at, message), now, scratch)
    }

    /// Binding of RFC 3489, which has no cookie (RFC 5389, section 12.2): it is read as if it had one, and the answer has the
    /// sixteen bytes of its own id. Over UDP only, as RFC 3489 was; over DTLS all requests get 500 (RFC 8489, section 11).
    pub(crate) fn without_cookie(
        &self,
        at: &Arrival,
        bytes: &[u8],
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Verdict, Reason> {
        let mut present = bytes.to_vec();
        let (Some(cookie), Some(id)) = (present.get_mut(4..8), bytes.get(4..20)) else { return Err(Reason::Malformed) };
        cookie.copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        let message = Message::decode(&present[..]).map_err(|_| Reason::Malformed)?;
        let verdict = match (message.kind(), message.method()) {
            (Kind::Request, _) if self.is_dtls(at) => self.invalid(at, &message, now, scratch)?,
            (Kind::Request, method::BINDING) if self.context.classic && at.transport == Transport::Udp => {
                self.bind_as(&CLASSIC, (at, &message), now, scratch)?
            }
            _ => return Err(Reason::Malformed),
        };
        scratch[4..20].copy_from_slice(id);
        Ok(verdict)
    }

    /// Whether it came by a DTLS association.
    pub(crate) fn is_dtls(&self, at: &Arrival) -> bool {
        let session = at.slot.and_then(|slot| self.session(slot));
        session.is_some_and(|session| matches!(session.connection, Some(Connection::Association(_))))
    }

    fn invalid(
        &self,
        at: &Arrival,
        message: &Message<&[u8]>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Verdict, Reason> {
        if !self.context.sources.allow_source(at.five_tuple.client.ip(), now) {
            return Err(Reason::OverSource);
        }
        error(message, 500, "Server Error", &[], scratch);
        Ok(Verdict::Answer)
    }

    fn bind_as(
        &self,
        dialect: &'static Dialect,
        (at, message): (&Arrival, &Message<&[u8]>),
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Verdict, Reason> {
        if !self.context.sources.allow_source(at.five_tuple.client.ip(), now) {
            return Err(Reason::OverSource);
        }
        let standing = Standing::find(&self.context.squares, at.five_tuple.listener);
        let can_choose = standing.is_some() && at.transport == Transport::Udp && !self.is_dtls(at);
        let verdict = Binding { at, message, dialect, standing, can_choose }.answer(scratch);
        proportionate(at, message, scratch).then_some(verdict).ok_or(Reason::Disproportionate)
    }
}

/// A Binding request, and where its listener stands among others.
struct Binding<'a> {
    at: &'a Arrival,
    message: &'a Message<&'a [u8]>,
    dialect: &'static Dialect,
    standing: Option<Standing<'a>>,
    /// What comes by a connection is answered by it, and so is what no other listener stands for.
    can_choose: bool,
}

impl Binding<'_> {
    fn answer(&self, scratch: &mut Vec<u8>) -> Verdict {
        let unknown = self.unknown();
        if !unknown.is_empty() {
            let named = [(code::UNKNOWN_ATTRIBUTES, Value::Codes(unknown))];
            error(self.message, 420, self.reason("Unknown Attribute"), &named, scratch);
        } else if self.message.malformed().next().is_some() || self.contradicts_itself() {
            error(self.message, 400, self.reason("Bad Request"), &[], scratch);
        } else {
            self.succeed(scratch);
            return self.departure();
        }
        Verdict::Answer
    }

    /// Codes that are not understood, and those of discovery that are not offered here. RFC 3489 has no padding: where they are
    /// odd in number, the last one stands there twice (its section 11.2.10).
    fn unknown(&self) -> Vec<u16> {
        let discovery = [code::CHANGE_REQUEST, code::PADDING, code::RESPONSE_PORT];
        let asked = discovery.into_iter().filter(|code| self.message.first(*code).is_some());
        let refused = asked.filter(|code| !(self.can_choose && self.dialect.asked.contains(code)));
        let mut codes: Vec<u16> = self.message.unknown().chain(refused).take(UNKNOWN_CODES).collect();
        if self.is_classic() && codes.len() % 2 == 1 {
            codes.extend(codes.last().copied());
        }
        codes
    }

    /// A phrase of a length that RFC 3489 allows, which is a multiple of four (section 11.2.9).
    fn reason(&self, phrase: &'static str) -> &'static str {
        if self.is_classic() {
            ""
        } else {
            phrase
        }
    }

    fn is_classic(&self) -> bool {
        *self.dialect == CLASSIC
    }

    /// Padding is never sent where it was not asked from (RFC 5780, section 10), and port 0 is nobody's.
    fn contradicts_itself(&self) -> bool {
        match self.message.number(code::RESPONSE_PORT) {
            Some(port) => port == 0 || self.message.first(code::PADDING).is_some(),
            None => false,
        }
    }

    /// The success response; with the addresses and the padding of RFC 5780, section 6.1, from a listener that has others.
    fn succeed(&self, scratch: &mut Vec<u8>) {
        let (message, dialect, client) = (self.message, self.dialect, Value::Address(self.at.five_tuple.client));
        let mut writer = Writer::new(scratch, message.method(), Kind::Success, message.transaction());
        writer.put(dialect.mapped, &client);
        if let Some(standing) = self.standing {
            let origin = standing.changed(self.change());
            if let Some(code) = dialect.also_mapped {
                writer.put(code, &client);
            }
            writer.put(dialect.origin, &Value::Address(origin.announced));
            writer.put(dialect.other, &Value::Address(standing.changed(CHANGE_BOTH).announced));
            if message.first(code::PADDING).is_some() {
                let padding = vec![0; self.padding(origin.mtu)];
                writer.put(code::PADDING, &Value::Bytes(&padding));
            }
        }
        writer.finish(None, message.has_fingerprint());
    }

    /// Where the answer leaves from, and the client's port that it goes to.
    fn departure(&self) -> Verdict {
        let here = self.at.five_tuple;
        let listener = self.standing.map_or(here.listener, |standing| standing.changed(self.change()).listener);
        let mut client = here.client;
        if let Some(port) = self.message.number(code::RESPONSE_PORT).and_then(|port| u16::try_from(port).ok()) {
            client.set_port(port);
        }
        if (listener, client) == (here.listener, here.client) {
            return Verdict::Answer;
        }
        Verdict::AnswerFrom(listener, client)
    }

    /// The two flags of CHANGE-REQUEST (RFC 5780, section 7.2).
    fn change(&self) -> usize {
        self.message.number(code::CHANGE_REQUEST).map_or(0, |flags| (flags >> 1) as usize & CHANGE_BOTH)
    }

    /// The MTU, rounded up to a multiple of four, or what the request has paid for (RFC 5780, section 7.6).
    fn padding(&self, mtu: usize) -> usize {
        let room = allowance(self.at, self.message).min(LARGEST_DATAGRAM).saturating_sub(UNPADDED);
        mtu.next_multiple_of(4).min(room & !3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Corner;
    use crate::dtls_cookie::Cookies;
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
                third_party: None,
                nonces: Nonces::new([0; 32]),
                cookies: Cookies::new([0; 32]),
                closed: Vec::new(),
                squares: vec![std::array::from_fn(corner)],
                classic: true,
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
    #[test]
    fn a_classic_client_gets_its_whole_id_and_addresses_in_the_clear() {
        let mut answer = Vec::new();
        let mut ask = |attributes: &[(u16, Value<'_>)], transport| {
            let mut request = request(attributes, false);
            request[4..20].copy_from_slice(b"a classic id: 16");
            let verdict = table(1500).from_client(&arrival(transport), &request, 0, &mut answer);
            if !matches!(verdict, Verdict::Drop) {
                assert_eq!(&answer[4..20], b"a classic id: 16");
                answer[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            }
            (verdict, answer.clone())
        };
        let (verdict, bytes) = ask(&[(code::CHANGE_REQUEST, Value::Number(6))], Transport::Udp);
        assert!(matches!(verdict, Verdict::AnswerFrom(3, _)));
        let message = Message::decode(&bytes[..]).unwrap();
        let found: Vec<u16> = message.attributes().map(|(code, _)| code).collect();
        assert_eq!(found, [code::MAPPED_ADDRESS, code::SOURCE_ADDRESS, code::CHANGED_ADDRESS]);
        assert_eq!(message.address(code::MAPPED_ADDRESS), Some(arrival(Transport::Udp).five_tuple.client));
        assert_eq!(message.address(code::SOURCE_ADDRESS), ADDRESSES[3].parse().ok());

        let (_, bytes) = ask(&[(0x0002, Value::Bytes(&[0; 8]))], Transport::Udp);
        let message = Message::decode(&bytes[..]).unwrap();
        assert_eq!(message.value(code::ERROR_CODE), Some(Value::Error(420, "")));
        assert_eq!(message.value(code::UNKNOWN_ATTRIBUTES), Some(Value::Codes(vec![2, 2])));
        assert!(matches!(ask(&[], Transport::Tcp).0, Verdict::Drop));
    }
}
