//! ChannelData messages, frames on a stream, and the header of a Data indication (RFC 8656, sections 12.4, 12.5, 11.5).

use std::net::SocketAddr;
use std::ops::Range;

use crate::attributes::{self, code};
use crate::message::{padding, HEADER, MAGIC_COOKIE};

/// The most bytes that [`data_indication_header`] writes.
pub const DATA_INDICATION_HEADER: usize = HEADER + 4 + 20 + 4;

/// The channel number of a ChannelData message and where its payload lies; bytes after it are padding.
#[must_use]
#[inline]
pub fn decode(bytes: &[u8]) -> Option<(u16, Range<usize>)> {
    let (&[n0, n1, l0, l1], rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    (n0 & 0xC0 == 0x40 && length <= rest.len()).then(|| (u16::from_be_bytes([n0, n1]), 4..4 + length))
}

/// The header of a ChannelData message. A payload longer than 65535 bytes has none; its length is cut.
#[must_use]
#[inline]
pub fn header(number: u16, length: usize) -> [u8; 4] {
    let [n0, n1] = number.to_be_bytes();
    let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    [n0, n1, l0, l1]
}

/// What the first bytes of a frame on a stream say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Too few to know.
    NeedMore,
    /// The size of the whole frame, with its padding.
    Length(usize),
    /// Neither STUN nor ChannelData: the stream cannot be read any further.
    Broken,
}

/// The size of the frame that begins here (RFC 8489, section 6.2.2; RFC 8656, section 12.5).
#[must_use]
pub fn frame_length(prefix: &[u8]) -> Frame {
    match *prefix {
        [] => Frame::NeedMore,
        [first, ..] if first & 0x80 != 0 => Frame::Broken,
        [first, _, l0, l1, ref rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            if first & 0x40 != 0 {
                return Frame::Length(4 + length + padding(length));
            }
            let cookie_matches = rest.iter().zip(MAGIC_COOKIE.to_be_bytes()).all(|(&byte, cookie)| byte == cookie);
            if length % 4 != 0 || !cookie_matches {
                return Frame::Broken;
            }
            Frame::Length(HEADER + length)
        }
        _ => Frame::NeedMore,
    }
}

/// Writes the header of a Data indication, so that the payload and its padding to four bytes follow directly, and
/// returns its size; 0 where `out` is too short or the payload too long for a message (RFC 8656, section 11.5).
#[must_use]
pub fn data_indication_header(out: &mut [u8], peer: SocketAddr, length: usize, transaction: [u8; 12]) -> usize {
    let (address, address_length) = attributes::address_bytes(peer, Some(&transaction));
    let size = HEADER + 4 + address_length + 4;
    let whole = (size - HEADER).saturating_add(length).saturating_add(padding(length));
    let (Ok(whole), Ok(length), Some(out)) = (u16::try_from(whole), u16::try_from(length), out.get_mut(..size)) else {
        return 0;
    };
    let (head, tail) = out.split_at_mut(HEADER + 4);
    head[..2].copy_from_slice(&[0x00, 0x17]); // Data indication
    head[2..4].copy_from_slice(&whole.to_be_bytes());
    head[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    head[8..HEADER].copy_from_slice(&transaction);
    head[HEADER..].copy_from_slice(&header(code::XOR_PEER_ADDRESS, address_length));
    let (value, data) = tail.split_at_mut(address_length);
    value.copy_from_slice(&address[..address_length]);
    data.copy_from_slice(&header(code::DATA, length.into()));
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{method, Kind, Message};

    #[test]
    fn channel_data_is_read_and_may_be_followed_by_padding() {
        assert_eq!(decode(b"\x40\0\0\x03abc"), Some((0x4000, 4..7)));
        assert_eq!(decode(b"\x7f\xff\0\x03abc\0"), Some((0x7FFF, 4..7)));
        assert_eq!(decode(b"\x4f\xff\0\0"), Some((0x4FFF, 4..4)));
    }

    #[test]
    fn what_is_short_or_no_channel_is_refused() {
        let bytes = [&header(0x4001, 9)[..], b"123456789"].concat();
        assert!((0..bytes.len()).all(|size| decode(&bytes[..size]).is_none()));
        assert_eq!(decode(&bytes), Some((0x4001, 4..13)));
        for first in (0x00..0x40).chain(0x80..=0xFF) {
            assert_eq!(decode(&[first, 0, 0, 0]), None);
        }
    }

    #[test]
    fn a_frame_is_measured_as_soon_as_its_length_is_there() {
        for (prefix, frame) in [
            (&b""[..], Frame::NeedMore),
            (b"\x40\0\0", Frame::NeedMore),
            (b"\x40\0\0\0", Frame::Length(4)),
            (b"\x40\0\0\x01", Frame::Length(8)),
            (b"\x40\0\xff\xffxyz", Frame::Length(4 + 65536)),
            (b"\0\x01\0", Frame::NeedMore),
            (b"\0\x01\0\0", Frame::Length(20)),
            (b"\0\x01\xff\xfc\x21\x12\xa4\x42zzz", Frame::Length(65552)),
            (b"\0\x01\0\x02", Frame::Broken),
            (b"\0\x01\0\0\x21\x12\xa4", Frame::Length(20)),
            (b"\0\x01\0\0\x22", Frame::Broken),
            (b"\0\x01\0\0\x21\x12\xa4\x43", Frame::Broken),
            (b"\x80", Frame::Broken),
            (b"\xc0\0\0\0", Frame::Broken),
        ] {
            assert_eq!(frame_length(prefix), frame, "{prefix:?}");
        }
    }

    #[test]
    fn a_data_indication_is_its_header_and_the_payload() {
        for (peer, size) in [("192.0.2.1:9", 36), ("[2001:db8::9]:9", 48), ("[::ffff:192.0.2.1]:9", 36)] {
            let peer: SocketAddr = peer.parse().unwrap();
            for length in 0..9 {
                let mut out = [0xEE; DATA_INDICATION_HEADER];
                assert_eq!(data_indication_header(&mut out, peer, length, *b"transactions"), size);
                let payload = &b"12345678"[..length.min(8)];
                let mut whole = [&out[..size], payload].concat();
                whole.resize(size + length.next_multiple_of(4), 0);
                let message = Message::decode(&whole[..]).unwrap();
                assert_eq!((message.method(), message.kind()), (method::DATA, Kind::Indication));
                let found = message.relayed().unwrap();
                assert_eq!((found.peer.ip(), found.peer.port()), (peer.ip().to_canonical(), 9));
                assert_eq!((found.payload, found.whole), (size..size + length, false));
            }
        }
    }

    #[test]
    fn a_data_indication_that_does_not_fit_is_not_written() {
        let mut out = [0; DATA_INDICATION_HEADER];
        let (v4, v6) = ("192.0.2.1:9".parse().unwrap(), "[2001:db8::9]:9".parse().unwrap());
        assert_eq!(data_indication_header(&mut out[..35], v4, 1, [0; 12]), 0);
        assert_eq!(data_indication_header(&mut out[..47], v6, 1, [0; 12]), 0);
        assert_eq!(data_indication_header(&mut out, v4, 65516, [0; 12]), 36);
        assert_eq!(data_indication_header(&mut out, v4, 65517, [0; 12]), 0);
        assert_eq!(data_indication_header(&mut out, v6, 65504, [0; 12]), 48);
        assert_eq!(data_indication_header(&mut out, v6, usize::MAX, [0; 12]), 0);
    }
}
