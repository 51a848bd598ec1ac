//! A STUN message: decoding, looking at it, and proving its integrity (RFC 8489, sections 5, 6, 9 and 14).

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

use crate::attributes::{self, code, Value};
use crate::integrity;

/// The second word of every message (RFC 8489, section 5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;
/// The size of the header (RFC 8489, section 5).
pub const HEADER: usize = 20;

/// The methods of STUN and TURN (RFC 8489, section 18.2; RFC 8656, section 17; RFC 6062, section 6.1).
pub mod method {
    /// RFC 8489, section 2.
    pub const BINDING: u16 = 0x001;
    /// RFC 8656, section 7.
    pub const ALLOCATE: u16 = 0x003;
    /// RFC 8656, section 8.
    pub const REFRESH: u16 = 0x004;
    /// RFC 8656, section 11.
    pub const SEND: u16 = 0x006;
    /// RFC 8656, section 11.
    pub const DATA: u16 = 0x007;
    /// RFC 8656, section 10.
    pub const CREATE_PERMISSION: u16 = 0x008;
    /// RFC 8656, section 12.
    pub const CHANNEL_BIND: u16 = 0x009;
    /// RFC 6062, section 4.3.
    pub const CONNECT: u16 = 0x00A;
    /// RFC 6062, section 4.3.
    pub const CONNECTION_BIND: u16 = 0x00B;
    /// RFC 6062, section 4.4.
    pub const CONNECTION_ATTEMPT: u16 = 0x00C;
}

/// The class of a message (RFC 8489, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It wants an answer.
    Request = 0,
    /// It wants none.
    Indication = 1,
    /// The answer to a request that was carried out.
    Success = 2,
    /// The answer to a request that was refused.
    Error = 3,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The first two bits are not zero, or there are fewer bytes than a header has.
    Header,
    /// The magic cookie is another one.
    Cookie,
    /// The length field is no multiple of four, or not that of the bytes.
    Length,
    /// An attribute runs past the end.
    Attribute,
    /// The fingerprint is wrong or not the last attribute.
    Fingerprint,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "not a STUN header",
            Self::Cookie => "not the magic cookie",
            Self::Length => "the length is not that of the message",
            Self::Attribute => "an attribute runs past the end",
            Self::Fingerprint => "the fingerprint is wrong or not last",
        })
    }
}

impl std::error::Error for DecodeError {}

/// A message that is well-formed as a whole; its values are checked where they are read.
#[derive(Clone, Copy)]
pub struct Message<B> {
    bytes: B,
    /// Where the integrity begins that counts: MESSAGE-INTEGRITY-SHA256, else MESSAGE-INTEGRITY (RFC 8489, section 9.2.4).
    integrity: Option<u32>,
    fingerprint: bool,
}

/// What a Send or Data indication carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// To or from whom.
    pub peer: SocketAddr,
    /// Where it lies in the bytes.
    pub payload: Range<usize>,
    /// It has DONT-FRAGMENT.
    pub whole: bool,
}

impl<B: AsRef<[u8]>> Message<B> {
    /// Takes exactly one message; allocates nothing.
    ///
    /// # Errors
    ///
    /// Where the bytes are to be dropped without an answer (RFC 8489, section 6.3).
    pub fn decode(bytes: B) -> Result<Self, DecodeError> {
        let (integrity, fingerprint) = check(bytes.as_ref())?;
        Ok(Self { bytes, integrity, fingerprint })
    }

    /// A copy that keeps its own bytes.
    #[must_use]
    pub fn to_owned(&self) -> Message<Box<[u8]>> {
        Message { bytes: self.bytes().into(), integrity: self.integrity, fingerprint: self.fingerprint }
    }

    /// The whole message.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    fn leading(&self) -> u16 {
        self.bytes().first_chunk().map_or(0, |first| u16::from_be_bytes(*first))
    }

    /// The method, 12 bits (RFC 8489, section 5).
    #[must_use]
    pub fn method(&self) -> u16 {
        let first = self.leading();
        (first & 0x000F) | ((first & 0x00E0) >> 1) | ((first & 0x3E00) >> 2)
    }

    /// The class (RFC 8489, section 5).
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.leading() & 0x0110 {
            0x0000 => Kind::Request,
            0x0010 => Kind::Indication,
            0x0100 => Kind::Success,
            _ => Kind::Error,
        }
    }

    /// The transaction ID.
    #[must_use]
    pub fn transaction(&self) -> &[u8; 12] {
        self.bytes().get(8..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; 12])
    }

    /// The attributes that count, with their values without padding: after an integrity only what the RFC lets
    /// stand there (RFC 8489, sections 14.5 and 14.6).
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes { rest: self.bytes().get(HEADER..).unwrap_or_default(), stage: Stage::Plain }
    }

    /// The bytes of the first attribute of that code; later ones are ignored (RFC 8489, section 14).
    #[must_use]
    pub fn first(&self, code: u16) -> Option<&[u8]> {
        self.attributes().find(|attribute| attribute.0 == code).map(|attribute| attribute.1)
    }

    /// The value of the first attribute of that code; `None` where there is none, no row, or it is malformed.
    #[must_use]
    pub fn value(&self, code: u16) -> Option<Value<'_>> {
        attributes::row(code)?.wire.read(self.first(code)?, self.transaction())
    }

    /// The same for a text.
    #[must_use]
    pub fn text(&self, code: u16) -> Option<&str> {
        match self.value(code) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The same for a number.
    #[must_use]
    pub fn number(&self, code: u16) -> Option<u32> {
        match self.value(code) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// The same for an address.
    #[must_use]
    pub fn address(&self, code: u16) -> Option<SocketAddr> {
        match self.value(code) {
            Some(Value::Address(address)) => Some(address),
            _ => None,
        }
    }

    /// Every XOR-PEER-ADDRESS, of which a CreatePermission may have many (RFC 8656, section 10.1); `None` is a
    /// malformed one.
    pub fn peers(&self) -> impl Iterator<Item = Option<SocketAddr>> + '_ {
        let transaction = self.transaction();
        self.attributes()
            .filter(|attribute| attribute.0 == code::XOR_PEER_ADDRESS)
            .map(|attribute| attributes::read_address(attribute.1, Some(transaction)))
    }

    /// The peer of a Send or Data indication and its payload; `None` where an attribute is missing, malformed or not understood, so that it is to be dropped (RFC 8656, section 11.2; RFC 8489, 6.3.2).
    #[must_use]
    pub fn relayed(&self) -> Option<Relayed> {
        let (mut peer, mut data, mut whole, mut others) = (None, None, false, false);
        let mut walk = self.attributes();
        while let Some((code, value)) = walk.next() {
            match code {
                code::XOR_PEER_ADDRESS => {
                    let address = attributes::read_address(value, Some(self.transaction()))?;
                    peer.get_or_insert(address);
                }
                code::DATA => {
                    let end = self.bytes().len() - walk.rest.len() - padding(value.len());
                    data.get_or_insert(end - value.len()..end);
                }
                code::DONT_FRAGMENT if value.is_empty() => whole = true,
                _ => others |= attributes::required(code),
            }
        }
        if others && (self.unknown().next().is_some() || self.malformed().next().is_some()) {
            return None;
        }
        Some(Relayed { peer: peer?, payload: data?, whole })
    }

    /// Whether there is an integrity, right or wrong.
    #[must_use]
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether there is a FINGERPRINT, which then is right.
    #[must_use]
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    /// Whether the integrity was made with this key, in constant time (RFC 8489, sections 14.5 and 14.6); false without one.
    #[must_use]
    pub fn verify(&self, key: &[u8]) -> bool {
        let parts = self.integrity.and_then(|at| self.bytes().split_at_checked(at as usize));
        let Some((before, tail)) = parts else { return false };
        split(tail).is_some_and(|(code, value, _)| integrity::proves(code, value, before, key))
    }

    /// The comprehension-required codes without a row, each once, in order (RFC 8489, section 6.3.1).
    pub fn unknown(&self) -> impl Iterator<Item = u16> + '_ {
        let mut seen = Vec::new(); // a bit for each code, made for the first that is unknown
        self.attributes().map(|attribute| attribute.0).filter(move |&code| {
            if !attributes::required(code) || attributes::row(code).is_some() {
                return false;
            }
            seen.resize(0x8000 / 64, 0_u64);
            let (word, bit) = (&mut seen[usize::from(code / 64)], 1 << (code % 64));
            let new = *word & bit == 0;
            *word |= bit;
            new
        })
    }

    /// The comprehension-required codes of the table whose value does not parse, each once. The first attribute of
    /// a code counts, but every XOR-PEER-ADDRESS.
    pub fn malformed(&self) -> impl Iterator<Item = u16> + '_ {
        let transaction = self.transaction();
        let mut seen = 0_u64; // a bit for each row
        self.attributes().filter_map(move |(code, value)| {
            let index = attributes::TABLE.iter().position(|row| row.code == code)?;
            let bit = 1_u64 << index;
            if !attributes::required(code) || seen & bit != 0 {
                return None;
            }
            let good = attributes::TABLE[index].wire.read(value, transaction).is_some();
            if !good || code != code::XOR_PEER_ADDRESS {
                seen |= bit;
            }
            (!good).then_some(code)
        })
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Message<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Message");
        out.field("kind", &self.kind()).field("method", &self.method()).field("transaction", self.transaction());
        for (code, value) in self.attributes() {
            match attributes::row(code) {
                Some(row) => out.field(row.name, &row.wire.read(value, self.transaction())),
                None => out.field(&format!("{code:#06x}"), &value),
            };
        }
        out.finish()
    }
}

/// What of the attributes may still follow.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Stage {
    Plain,
    AfterIntegrity,
    AfterSha256,
}

impl Stage {
    /// Whether an attribute counts at this place, and moves on.
    fn admits(&mut self, code: u16) -> bool {
        let counts = match self {
            Self::Plain => true,
            Self::AfterIntegrity => matches!(code, code::MESSAGE_INTEGRITY_SHA256 | code::FINGERPRINT),
            Self::AfterSha256 => code == code::FINGERPRINT,
        };
        match code {
            code::MESSAGE_INTEGRITY if counts => *self = Self::AfterIntegrity,
            code::MESSAGE_INTEGRITY_SHA256 if counts => *self = Self::AfterSha256,
            _ => {}
        }
        counts
    }
}

/// The attributes of a message that count.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    stage: Stage,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (code, value, rest) = split(self.rest)?;
            self.rest = rest;
            if self.stage.admits(code) {
                return Some((code, value));
            }
        }
    }
}

/// The bytes that follow a value of that length, up to a multiple of four (RFC 8489, section 14).
pub(crate) const fn padding(length: usize) -> usize {
    length.wrapping_neg() % 4
}

/// The code and value of the first attribute, and what follows its padding.
#[inline]
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&[c0, c1, l0, l1], rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let (value, rest) = rest.split_at_checked(length)?;
    Some((u16::from_be_bytes([c0, c1]), value, rest.get(padding(length)..)?))
}

/// Checks a message as a whole, and finds where its integrity begins and whether it has a fingerprint.
fn check(bytes: &[u8]) -> Result<(Option<u32>, bool), DecodeError> {
    let (header, mut rest) = bytes.split_first_chunk::<HEADER>().ok_or(DecodeError::Header)?;
    let &[t0, _, l0, l1, c0, c1, c2, c3, ..] = header;
    if t0 & 0xC0 != 0 {
        return Err(DecodeError::Header);
    }
    if u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
        return Err(DecodeError::Cookie);
    }
    let length = u16::from_be_bytes([l0, l1]);
    if length % 4 != 0 || usize::from(length) != rest.len() {
        return Err(DecodeError::Length);
    }
    let (mut integrity, mut fingerprint, mut stage) = (None, false, Stage::Plain);
    while !rest.is_empty() {
        let (code, value, next) = split(rest).ok_or(DecodeError::Attribute)?;
        let before = bytes.len() - rest.len();
        if code == code::FINGERPRINT {
            let right = bytes.get(..before).is_some_and(|bytes| value == crc(bytes).to_be_bytes());
            if !right || !next.is_empty() {
                return Err(DecodeError::Fingerprint);
            }
            fingerprint = true;
        }
        if stage.admits(code) && matches!(code, code::MESSAGE_INTEGRITY | code::MESSAGE_INTEGRITY_SHA256) {
            integrity = u32::try_from(before).ok();
        }
        rest = next;
    }
    Ok((integrity, fingerprint))
}

/// The fingerprint of the bytes before it: their CRC-32, combined with "STUN" (RFC 8489, section 14.7).
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes) ^ 0x5354_554E
}

#[cfg(test)]
mod tests;
