//! The attributes this server knows, a row each (RFC 8489, section 14; RFC 8656, section 18).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::message::MAGIC_COOKIE;

/// The form of an attribute's value on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A family, a port and an IP address in the clear (RFC 8489, section 14.1).
    Address,
    /// The same, combined with the cookie and the transaction ID (RFC 8489, section 14.2).
    XorAddress,
    /// UTF-8 text of a limited length.
    Text {
        /// The most bytes it may have.
        max_bytes: usize,
        /// The most characters it may have.
        max_chars: usize,
    },
    /// Bytes of any meaning and number.
    Bytes,
    /// A 32-bit number.
    U32,
    /// A 16-bit number and two reserved bytes (RFC 8656, section 18.1).
    Channel,
    /// A 16-bit number; that its two bytes of padding count in the length or not, RFC 5780 leaves open (section 7.5).
    Port,
    /// An 8-bit number and three reserved bytes (RFC 8656, sections 18.6 and 18.8).
    First8,
    /// One byte, whose first bit counts (RFC 8656, section 18.7).
    Bit,
    /// An error code from 300 to 699 and its reason (RFC 8489, section 14.8).
    Error,
    /// An address family before an error code and its reason (RFC 8656, section 18.12).
    FamilyError,
    /// A list of attribute codes (RFC 8489, section 14.13).
    Codes,
    /// So many bytes of any meaning.
    Exactly(usize),
    /// An HMAC-SHA256 of 16 to 32 bytes, a multiple of four (RFC 8489, section 14.6).
    IntegritySha256,
    /// A CRC-32, combined with a constant (RFC 8489, section 14.7).
    Fingerprint,
    /// The 16-bit number of a password algorithm that has no parameters (RFC 8489, section 14.12).
    Algorithm,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of the forms `U32`, `Channel`, `Port`, `First8`, `Bit` (0 or 1), `Fingerprint` and `Algorithm`.
    Number(u32),
    /// Of the form `Text`.
    Text(&'a str),
    /// Of the forms `Bytes`, `Exactly` and `IntegritySha256`.
    Bytes(&'a [u8]),
    /// Of the forms `Address` and `XorAddress`; never a v4-mapped IPv6 address.
    Address(SocketAddr),
    /// Of the form `Error`: code and reason.
    Error(u16, &'a str),
    /// Of the form `FamilyError`: family, code and reason.
    FamilyError(u8, u16, &'a str),
    /// Of the form `Codes`.
    Codes(Vec<u16>),
}

/// One attribute of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The type on the wire.
    pub code: u16,
    /// The name in the RFC, with underscores.
    pub name: &'static str,
    /// The form of the value.
    pub wire: Wire,
    /// One line on what it is for.
    pub doc: &'static str,
}

/// Text of fewer than 128 characters, which may take 763 bytes (RFC 8489, sections 14.9, 14.10 and 14.14).
const PHRASE: Wire = Wire::Text { max_bytes: 763, max_chars: 127 };
/// A user name has fewer than 509 bytes, but one of up to 763 must be parsed (RFC 8489, section 14.3).
const NAME: Wire = Wire::Text { max_bytes: 763, max_chars: 763 };
/// A DNS name has at most 255 characters (RFC 8489, section 14.16).
const DOMAIN: Wire = Wire::Text { max_bytes: 255, max_chars: 255 };

macro_rules! attributes {
    ($(($name:ident, $code:literal, $wire:expr, $doc:literal)),* $(,)?) => {
        /// The code of each attribute.
        pub mod code {
            $(#[doc = $doc] pub const $name: u16 = $code;)*
        }

        /// All rows, by ascending code.
        pub static TABLE: &[Row] = &[$(Row { code: $code, name: stringify!($name), wire: $wire, doc: $doc }),*];
    };
}

attributes! {
    (MAPPED_ADDRESS, 0x0001, Wire::Address, "The client's address as the server sees it, in the clear."),
    (CHANGE_REQUEST, 0x0003, Wire::U32, "From another IP (4) or another port (2) of the server the answer is wanted."),
    (SOURCE_ADDRESS, 0x0004, Wire::Address, "The address of the server that the answer left from (RFC 3489)."),
    (CHANGED_ADDRESS, 0x0005, Wire::Address, "The server's address with both IP and port changed (RFC 3489)."),
    (USERNAME, 0x0006, NAME, "The name of the user."),
    (MESSAGE_INTEGRITY, 0x0008, Wire::Exactly(20), "HMAC-SHA1 of the message up to here."),
    (ERROR_CODE, 0x0009, Wire::Error, "Why a request failed."),
    (UNKNOWN_ATTRIBUTES, 0x000A, Wire::Codes, "The attributes that the server had to understand and did not."),
    (CHANNEL_NUMBER, 0x000C, Wire::Channel, "The number of a channel."),
    (LIFETIME, 0x000D, Wire::U32, "Seconds that an allocation lives without a refresh."),
    (XOR_PEER_ADDRESS, 0x0012, Wire::XorAddress, "The address of a peer."),
    (DATA, 0x0013, Wire::Bytes, "The payload of a Send or Data indication."),
    (REALM, 0x0014, PHRASE, "The realm of the credentials."),
    (NONCE, 0x0015, PHRASE, "The server's challenge, sent back by the client."),
    (XOR_RELAYED_ADDRESS, 0x0016, Wire::XorAddress, "The address of an allocation."),
    (REQUESTED_ADDRESS_FAMILY, 0x0017, Wire::First8, "The family wanted for an allocation: 1 is IPv4, 2 is IPv6."),
    (EVEN_PORT, 0x0018, Wire::Bit, "An even relay port is wanted; 1: and the next one reserved."),
    (REQUESTED_TRANSPORT, 0x0019, Wire::First8, "The protocol wanted between relay and peers: 17 is UDP."),
    (DONT_FRAGMENT, 0x001A, Wire::Exactly(0), "The datagram shall not be cut into fragments."),
    (ACCESS_TOKEN, 0x001B, Wire::Bytes, "What a third party authorizes the client with."),
    (MESSAGE_INTEGRITY_SHA256, 0x001C, Wire::IntegritySha256, "HMAC-SHA256 of the message up to here."),
    (PASSWORD_ALGORITHM, 0x001D, Wire::Algorithm, "The algorithm of the key that the message is signed with."),
    (USERHASH, 0x001E, Wire::Exactly(32), "SHA-256 of the user name and the realm, instead of USERNAME."),
    (XOR_MAPPED_ADDRESS, 0x0020, Wire::XorAddress, "The client's address as the server sees it."),
    (RESERVATION_TOKEN, 0x0022, Wire::Exactly(8), "Names a relay port that is held for a later allocation."),
    (PADDING, 0x0026, Wire::Bytes, "Bytes that make a message larger than a link carries whole."),
    (RESPONSE_PORT, 0x0027, Wire::Port, "The port of the client that the answer is wanted at."),
    (CONNECTION_ID, 0x002A, Wire::U32, "The peer connection that a data connection is for."),
    (ADDITIONAL_ADDRESS_FAMILY, 0x8000, Wire::First8, "A relay of this family is wanted beside that of IPv4: 2 is IPv6."),
    (ADDRESS_ERROR_CODE, 0x8001, Wire::FamilyError, "Why there is no relay of one of two families."),
    (PASSWORD_ALGORITHMS, 0x8002, Wire::Bytes, "The algorithms that the server offers; sent back as they came."),
    (ALTERNATE_DOMAIN, 0x8003, DOMAIN, "The name in the certificate of the server in ALTERNATE-SERVER."),
    (ICMP, 0x8004, Wire::Exactly(8), "Why a datagram did not reach the peer: type, code and error data."),
    (SOFTWARE, 0x8022, PHRASE, "The name of the sender's software."),
    (ALTERNATE_SERVER, 0x8023, Wire::Address, "Another server to try."),
    (FINGERPRINT, 0x8028, Wire::Fingerprint, "CRC-32 of the message up to here."),
    (RESPONSE_ORIGIN, 0x802B, Wire::Address, "The address of the server that the answer left from."),
    (OTHER_ADDRESS, 0x802C, Wire::Address, "The server's address with both the IP and the port changed."),
    (THIRD_PARTY_AUTHORIZATION, 0x802E, DOMAIN, "The name that access tokens for this server are made for."),
    (MOBILITY_TICKET, 0x8030, Wire::Bytes, "What a client shows that comes from another address; empty: one is wanted."),
}

// `Message::malformed` has a bit for each row.
const _: () = assert!(TABLE.len() <= 64);

/// The row of a code.
#[must_use]
pub fn row(code: u16) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}

/// Whether a receiver that does not understand the attribute must refuse the message (RFC 8489, section 14).
#[must_use]
pub const fn required(code: u16) -> bool {
    code < 0x8000
}

impl Wire {
    /// Reads a value without its padding; `None` where it is malformed. Reserved bits are ignored, as the RFCs ask.
    #[must_use]
    pub fn read<'a>(&self, bytes: &'a [u8], transaction: &[u8; 12]) -> Option<Value<'a>> {
        match *self {
            Self::Address => read_address(bytes, None).map(Value::Address),
            Self::XorAddress => read_address(bytes, Some(transaction)).map(Value::Address),
            Self::Text { max_bytes, max_chars } => read_text(bytes, max_bytes, max_chars).map(Value::Text),
            Self::Bytes => Some(Value::Bytes(bytes)),
            Self::U32 | Self::Fingerprint => Some(Value::Number(u32::from_be_bytes(bytes.try_into().ok()?))),
            Self::Channel => match *bytes {
                [high, low, _, _] => Some(Value::Number(u16::from_be_bytes([high, low]).into())),
                _ => None,
            },
            Self::Port => match *bytes {
                [high, low] | [high, low, _, _] => Some(Value::Number(u16::from_be_bytes([high, low]).into())),
                _ => None,
            },
            Self::First8 => match *bytes {
                [number, _, _, _] => Some(Value::Number(number.into())),
                _ => None,
            },
            Self::Bit => match *bytes {
                [byte] => Some(Value::Number((byte >> 7).into())),
                _ => None,
            },
            Self::Error => read_error(bytes).map(|(number, reason)| Value::Error(number, reason)),
            Self::FamilyError => read_error(bytes).map(|(number, reason)| Value::FamilyError(bytes[0], number, reason)),
            Self::Codes => read_codes(bytes).map(Value::Codes),
            Self::Exactly(size) => (bytes.len() == size).then_some(Value::Bytes(bytes)),
            Self::IntegritySha256 => is_sha256(bytes).then_some(Value::Bytes(bytes)),
            Self::Algorithm => match *bytes {
                [high, low, 0, 0] => Some(Value::Number(u16::from_be_bytes([high, low]).into())),
                _ => None,
            },
        }
    }

    /// Appends a value without padding. False, and nothing written, where the value has not this form.
    #[must_use]
    pub fn write(&self, value: &Value<'_>, transaction: &[u8; 12], out: &mut Vec<u8>) -> bool {
        match (*self, value) {
            (Self::Address, Value::Address(address)) => put_address(*address, None, out),
            (Self::XorAddress, Value::Address(address)) => put_address(*address, Some(transaction), out),
            (Self::Text { max_bytes, max_chars }, Value::Text(text)) if is_within(text, max_bytes, max_chars) => {
                out.extend_from_slice(text.as_bytes());
            }
            (Self::Bytes, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
            (Self::U32 | Self::Fingerprint, Value::Number(number)) => out.extend_from_slice(&number.to_be_bytes()),
            (Self::Channel | Self::Port | Self::Algorithm, Value::Number(number @ 0..=0xFFFF)) => {
                out.extend_from_slice(&(number << 16).to_be_bytes());
            }
            (Self::First8, Value::Number(number @ 0..=0xFF)) => out.extend_from_slice(&(number << 24).to_be_bytes()),
            (Self::Bit, Value::Number(number @ 0..=1)) => out.push((*number as u8) << 7),
            (Self::Error, Value::Error(code @ 300..=699, reason)) if is_within(reason, 763, 127) => {
                out.extend_from_slice(&[0, 0, (code / 100) as u8, (code % 100) as u8]);
                out.extend_from_slice(reason.as_bytes());
            }
            (Self::FamilyError, Value::FamilyError(family, code @ 300..=699, reason))
                if is_within(reason, 763, 127) =>
            {
                out.extend_from_slice(&[*family, 0, (code / 100) as u8, (code % 100) as u8]);
                out.extend_from_slice(reason.as_bytes());
            }
            (Self::Codes, Value::Codes(codes)) => out.extend(codes.iter().flat_map(|code| code.to_be_bytes())),
            (Self::Exactly(size), Value::Bytes(bytes)) if bytes.len() == size => out.extend_from_slice(bytes),
            (Self::IntegritySha256, Value::Bytes(bytes)) if is_sha256(bytes) => out.extend_from_slice(bytes),
            _ => return false,
        }
        true
    }
}

fn is_sha256(bytes: &[u8]) -> bool {
    (16..=32).contains(&bytes.len()) && bytes.len() % 4 == 0
}

fn is_within(text: &str, max_bytes: usize, max_chars: usize) -> bool {
    text.len() <= max_bytes && (text.len() <= max_chars || text.chars().count() <= max_chars)
}

fn read_text(bytes: &[u8], max_bytes: usize, max_chars: usize) -> Option<&str> {
    if bytes.len() > max_bytes {
        return None;
    }
    std::str::from_utf8(bytes).ok().filter(|text| is_within(text, max_bytes, max_chars))
}

/// RFC 8489, section 14.8: class 3 to 6, number 0 to 99, 21 reserved bits before them.
fn read_error(bytes: &[u8]) -> Option<(u16, &str)> {
    let (&[_, _, class, number], reason) = bytes.split_first_chunk()?;
    let class = class & 0x07;
    if !(3..=6).contains(&class) || number > 99 {
        return None;
    }
    let reason = read_text(reason, 763, 127)?;
    Some((u16::from(class) * 100 + u16::from(number), reason))
}

fn read_codes(bytes: &[u8]) -> Option<Vec<u16>> {
    if bytes.len() % 2 != 0 {
        return None;
    }
    Some(bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}

/// The cookie and the transaction ID, of which an IPv4 address takes the first four bytes (RFC 8489, section 14.2).
fn mask(transaction: Option<&[u8; 12]>) -> u128 {
    let Some(transaction) = transaction else { return 0 };
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    u128::from_be_bytes(mask)
}

/// Reads an address, combined with the transaction ID where there is one; a v4-mapped address comes out as IPv4.
#[inline]
pub(crate) fn read_address(bytes: &[u8], transaction: Option<&[u8; 12]>) -> Option<SocketAddr> {
    let mask = mask(transaction);
    let (&[_, family, high, low], ip) = bytes.split_first_chunk()?;
    let ip = match family {
        1 => IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(ip.try_into().ok()?) ^ (mask >> 96) as u32)),
        2 => IpAddr::V6(Ipv6Addr::from(u128::from_be_bytes(ip.try_into().ok()?) ^ mask)),
        _ => return None,
    };
    let port = u16::from_be_bytes([high, low]) ^ (mask >> 112) as u16;
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// An address as the value of an attribute, and how many of the bytes count: 8 or 20.
pub(crate) fn address_bytes(address: SocketAddr, transaction: Option<&[u8; 12]>) -> ([u8; 20], usize) {
    let mask = mask(transaction);
    let mut bytes = [0; 20];
    bytes[2..4].copy_from_slice(&(address.port() ^ (mask >> 112) as u16).to_be_bytes());
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            bytes[1] = 1;
            bytes[4..8].copy_from_slice(&(u32::from(ip) ^ (mask >> 96) as u32).to_be_bytes());
            (bytes, 8)
        }
        IpAddr::V6(ip) => {
            bytes[1] = 2;
            bytes[4..].copy_from_slice(&(u128::from(ip) ^ mask).to_be_bytes());
            (bytes, 20)
        }
    }
}

fn put_address(address: SocketAddr, transaction: Option<&[u8; 12]>, out: &mut Vec<u8>) {
    let (bytes, length) = address_bytes(address, transaction);
    out.extend_from_slice(&bytes[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 12] = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";

    fn write(wire: Wire, value: &Value<'_>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        wire.write(value, &ID, &mut out).then_some(out)
    }

    #[test]
    fn the_table_is_sorted_and_every_code_has_its_row() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
        for entry in TABLE {
            assert_eq!(row(entry.code), Some(entry));
        }
        assert_eq!(row(0x0024), None);
        assert_eq!(row(code::LIFETIME).map(|row| row.name), Some("LIFETIME"));
    }

    #[test]
    fn every_form_comes_back_as_it_was_written() {
        let values = [
            (Wire::Address, Value::Address("192.0.2.1:32853".parse().unwrap())),
            (Wire::Address, Value::Address("[2001:db8::1]:1".parse().unwrap())),
            (Wire::XorAddress, Value::Address("192.0.2.1:32853".parse().unwrap())),
            (Wire::XorAddress, Value::Address("[2001:db8::1]:65535".parse().unwrap())),
            (PHRASE, Value::Text("マトリックス")),
            (Wire::Bytes, Value::Bytes(b"")),
            (Wire::U32, Value::Number(u32::MAX)),
            (Wire::Channel, Value::Number(0x4FFF)),
            (Wire::Port, Value::Number(0xFFFF)),
            (Wire::First8, Value::Number(17)),
            (Wire::Error, Value::Error(300, "")),
            (Wire::Error, Value::Error(699, "reason")),
            (Wire::FamilyError, Value::FamilyError(2, 440, "reason")),
            (Wire::Codes, Value::Codes(vec![0x1234, 0x7FFF, 0])),
            (Wire::Exactly(20), Value::Bytes(&[1; 20])),
            (Wire::IntegritySha256, Value::Bytes(&[1; 16])),
            (Wire::Fingerprint, Value::Number(7)),
        ];
        for (wire, value) in values {
            let bytes = write(wire, &value).unwrap();
            assert_eq!(wire.read(&bytes, &ID), Some(value), "{wire:?}");
        }
    }

    #[test]
    fn fixed_forms_take_their_exact_size_only() {
        let sizes: [(Wire, &[usize]); 9] = [
            (Wire::U32, &[4]),
            (Wire::Channel, &[4]),
            (Wire::Port, &[2, 4]),
            (Wire::First8, &[4]),
            (Wire::Fingerprint, &[4]),
            (Wire::Exactly(20), &[20]),
            (Wire::IntegritySha256, &[16, 20, 24, 28, 32]),
            (Wire::Address, &[]),
            (Wire::XorAddress, &[]),
        ];
        for (wire, good) in sizes {
            for size in 0..40 {
                assert_eq!(wire.read(&[0; 40][..size], &ID).is_some(), good.contains(&size), "{wire:?} {size}");
            }
        }
        for (family, good) in [(0, 99), (1, 8), (2, 20), (3, 99)] {
            for size in 2..40 {
                let mut bytes = vec![0xEE; size];
                bytes[1] = family;
                assert_eq!(Wire::XorAddress.read(&bytes, &ID).is_some(), size == good, "{family} {size}");
            }
        }
    }

    #[test]
    fn reserved_bits_are_ignored() {
        assert_eq!(Wire::Channel.read(&[0x40, 1, 0xAA, 0xBB], &ID), Some(Value::Number(0x4001)));
        assert_eq!(Wire::First8.read(&[17, 1, 2, 3], &ID), Some(Value::Number(17)));
        assert_eq!(Wire::Error.read(b"\xff\xff\xfc\x01no", &ID), Some(Value::Error(401, "no")));
        assert_eq!(
            Wire::Address.read(&[9, 1, 0, 5, 127, 0, 0, 1], &ID),
            Some(Value::Address("127.0.0.1:5".parse().unwrap()))
        );
    }

    #[test]
    fn a_mapped_address_is_ipv4_both_ways() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:9".parse().unwrap();
        let plain = Value::Address("192.0.2.1:9".parse().unwrap());
        assert_eq!(write(Wire::Address, &Value::Address(mapped)).unwrap().len(), 8);
        let mut wire = vec![0, 2, 0, 9];
        wire.extend(mapped.ip().to_string().parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(Wire::Address.read(&wire, &ID), Some(plain));
    }

    #[test]
    fn bad_errors_codes_and_texts_are_malformed() {
        for bytes in [&b""[..], b"\0\0\x04", b"\0\0\x02\0", b"\0\0\x07\0", b"\0\0\x04\x64", b"\0\0\x04\x01\xff"] {
            assert_eq!(Wire::Error.read(bytes, &ID), None);
        }
        assert_eq!(Wire::Codes.read(&[1, 2, 3], &ID), None);
        assert_eq!(PHRASE.read(b"\xc3\x28", &ID), None);
    }

    #[test]
    fn texts_have_the_limits_of_the_rfc() {
        for (wire, text, good) in [
            (NAME, "a".repeat(763), true),
            (NAME, "a".repeat(764), false),
            (PHRASE, "a".repeat(127), true),
            (PHRASE, "a".repeat(128), false),
            (PHRASE, "\u{10FFFF}".repeat(127), true),
            (PHRASE, "\u{10FFFF}".repeat(128), false),
        ] {
            assert_eq!(wire.read(text.as_bytes(), &ID).is_some(), good);
            assert_eq!(write(wire, &Value::Text(&text)).is_some(), good);
        }
    }

    #[test]
    fn a_value_of_another_form_is_not_written() {
        for (wire, value) in [
            (Wire::Channel, Value::Number(0x1_0000)),
            (Wire::First8, Value::Number(256)),
            (Wire::Error, Value::Error(299, "")),
            (Wire::Error, Value::Error(700, "")),
            (Wire::FamilyError, Value::Error(440, "")),
            (Wire::U32, Value::Text("1")),
            (Wire::Exactly(20), Value::Bytes(&[0; 19])),
            (Wire::IntegritySha256, Value::Bytes(&[0; 18])),
        ] {
            assert_eq!(write(wire, &value), None, "{wire:?}");
        }
    }

    #[test]
    fn an_algorithm_has_no_parameters() {
        assert_eq!(Wire::Algorithm.read(&[0, 2, 0, 0], &ID), Some(Value::Number(2)));
        assert_eq!(write(Wire::Algorithm, &Value::Number(2)), Some(vec![0, 2, 0, 0]));
        for bytes in [&[0, 2][..], &[0, 2, 0, 4, 0, 0, 0, 0], &[0, 2, 0, 1]] {
            assert_eq!(Wire::Algorithm.read(bytes, &ID), None);
        }
    }
}
