//! The refusals that need no look-up, and how large an answer may be. None is signed, none keeps state.
//!
//! Over UDP an answer to a stranger is at most three times his datagram, IP and UDP headers counted in, so that the server is
//! no amplifier; the reason phrase goes first.

use crate::attributes::{code, Value};
use crate::claim;
use crate::flow::Transport;
use crate::message::{Kind, Message};
use crate::path::{Arrival, Refusal};
use crate::table::Table;
use crate::writer::Writer;
use std::net::SocketAddr;

const AMPLIFICATION: usize = 3;

impl<S> Table<S> {
    /// 401 for a request that Python refused, by the same code as 401s from here; false where it would be too large.
    pub(crate) fn challenge(
        &mut self,
        slot: u32,
        message: &Message<Box<[u8]>>,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> bool {
        let Some(session) = self.session(slot) else { return false };
        let transport = session.transport();
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
        let nonce = self.context.nonces.mint(at.proves(), now);
        let third_party = self.context.third_party.as_deref();
        let fresh = [
            (code::REALM, Value::Text(&self.context.realm)),
            (code::NONCE, Value::Text(std::str::from_utf8(&nonce).unwrap_or_default())),
            (code::PASSWORD_ALGORITHMS, Value::Bytes(&claim::OFFER)),
            (code::THIRD_PARTY_AUTHORIZATION, Value::Text(third_party.unwrap_or_default())),
        ];
        let attributes = match refusal {
            Refusal::BadRequest => &fresh[..0],
            _ if third_party.is_none() => &fresh[..3],
            _ => &fresh[..],
        };
        [reason, ""].iter().any(|reason| {
            error(message, number, reason, attributes, scratch);
            proportionate(at, message, scratch)
        })
    }
}

/// An error response, unsigned.
pub(crate) fn error<B: AsRef<[u8]>>(
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

/// Whether an answer of this size may be sent.
pub(crate) fn proportionate<B: AsRef<[u8]>>(at: &Arrival, message: &Message<B>, answer: &[u8]) -> bool {
    at.transport == Transport::Tcp || answer.len() <= allowance(at, message)
}

/// How long an answer to a datagram may be.
pub(crate) fn allowance<B: AsRef<[u8]>>(at: &Arrival, message: &Message<B>) -> usize {
    let headers = match at.five_tuple.client {
        SocketAddr::V4(_) => 20 + 8,
        SocketAddr::V6(_) => 40 + 8,
    };
    AMPLIFICATION * (message.bytes().len() + headers) - headers
}
