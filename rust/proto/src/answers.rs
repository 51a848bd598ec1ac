//! Answers from arithmetic alone: Binding, and the refusals that need no look-up. None is signed, none keeps state.
//!
//! Over UDP an answer to a stranger is at most three times his datagram, IP and UDP headers counted in, so that the server is
//! no amplifier; the reason phrase goes first.

use crate::attributes::{code, Value};
use crate::counters::Reason;
use crate::flow::Transport;
use crate::message::{Kind, Message};
use crate::path::{Arrival, Refusal, Verdict};
use crate::table::Table;
use crate::writer::Writer;
use std::net::SocketAddr;

const AMPLIFICATION: usize = 3;
/// The most codes in a 420: clients look for one or two, and a request has room for 16,000 of them.
const UNKNOWN_CODES: usize = 64;

impl<S> Table<S> {
    /// Binding (RFC 8489, section 12): the reflexive transport address, or 420.
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
        let unknown: Vec<u16> = message.unknown().take(UNKNOWN_CODES).collect();
        if !unknown.is_empty() {
            let reason = "Unknown Attribute";
            error(message, 420, reason, &[(code::UNKNOWN_ATTRIBUTES, Value::Codes(unknown))], scratch);
        } else if message.malformed().next().is_some() {
            error(message, 400, "Bad Request", &[], scratch);
        } else {
            let mut writer = Writer::new(scratch, message.method(), Kind::Success, message.transaction());
            writer.put(code::XOR_MAPPED_ADDRESS, &Value::Address(at.five_tuple.client));
            writer.finish(None, message.has_fingerprint());
        }
        proportionate(at, message, scratch).then_some(Verdict::Answer).ok_or(Reason::Disproportionate)
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
    let headers = match at.five_tuple.client {
        SocketAddr::V4(_) => 20 + 8,
        SocketAddr::V6(_) => 40 + 8,
    };
    at.transport == Transport::Tcp || answer.len() + headers <= AMPLIFICATION * (message.bytes().len() + headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FiveTuple;
    use crate::index::RelayIndex;
    use crate::limiter::Buckets;
    use crate::nonce::Nonces;
    use crate::table::Context;
    use std::sync::Arc;

    #[test]
    fn a_420_names_some_unknown_attributes_and_not_all() {
        let any = "192.0.2.1:1".parse().unwrap();
        let context = Context {
            index: RelayIndex::new(&[]),
            realm: "realm".into(),
            nonces: Nonces::new([0; 32]),
            closed: Vec::new(),
            sources: Buckets::new(0, 0),
            users: Buckets::new(0, 0),
        };
        let mut table = Table::<()>::new(Arc::new(context), 0);
        let codes: Vec<u16> = (0x1000..0x1400).collect();
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        request.extend([0, 1]);
        request.extend(u16::try_from(4 * codes.len()).unwrap().to_be_bytes());
        request.extend([0x21, 0x12, 0xA4, 0x42]);
        request.extend([7; 12]);
        request.extend(codes.iter().flat_map(|code| (u32::from(*code) << 16).to_be_bytes()));
        let five_tuple = FiveTuple { listener: 0, client: any, local: any };
        let arrival = Arrival { five_tuple, transport: Transport::Tcp, slot: None };
        assert!(matches!(table.from_client(&arrival, &request, 0, &mut answer), Verdict::Answer));
        let message = Message::decode(&answer[..]).unwrap();
        let named = Some(Value::Codes(codes[..UNKNOWN_CODES].to_vec()));
        assert_eq!(message.value(code::UNKNOWN_ATTRIBUTES), named);
    }
}
