//! The PROXY protocol, versions 1 and 2: a header before all else on a connection, by which a proxy says whose it is.
//!
//! As in HAProxy's `proxy-protocol.txt`, sections 2.1 and 2.2. What it says of a client is taken; the rest is skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// "PROXY UNKNOWN" and two IPv6 addresses with their ports: no line of version 1 is longer.
const LONGEST_LINE: usize = 107;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// A header of version 2 with all its extensions.
pub const LONGEST: usize = 4096;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The beginning of a header.
    NeedMore,
    /// A header of this size, for this client; None where the connection is the proxy's own, or it does not know whose.
    Whole(usize, Option<SocketAddr>),
    /// No header.
    Broken,
}

/// Read a header.
#[must_use]
pub fn read(bytes: &[u8]) -> Header {
    if begins(bytes, &SIGNATURE) {
        return read_binary(bytes);
    }
    if !begins(bytes, b"PROXY ") {
        return Header::Broken;
    }
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    match line.windows(2).position(|pair| pair == b"\r\n") {
        Some(length) => match read_line(&line[..length]) {
            Some(client) => Header::Whole(length + 2, client),
            None => Header::Broken,
        },
        None if line.len() == LONGEST_LINE => Header::Broken,
        None => Header::NeedMore,
    }
}

/// Whether the bytes are, or may become, what begins with these.
fn begins(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.iter().zip(wanted).all(|(byte, wanted)| byte == wanted)
}

/// Version 1: `PROXY TCP4 source destination port port`; None where it is no such line.
fn read_line(line: &[u8]) -> Option<Option<SocketAddr>> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let words: Vec<&str> = text.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = words[..] else { return None };
    let (source, destination) = (source.parse::<IpAddr>().ok()?, destination.parse::<IpAddr>().ok()?);
    let six = match family {
        "TCP4" => false,
        "TCP6" => true,
        _ => return None,
    };
    number(destination_port)?;
    let alike = source.is_ipv6() == six && destination.is_ipv6() == six;
    alike.then_some(Some(SocketAddr::new(source.to_canonical(), number(source_port)?)))
}

/// A port as it has to be written: digits, none too many.
fn number(text: &str) -> Option<u16> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// Version 2: the signature, version and command, family and protocol, the length of what follows.
fn read_binary(bytes: &[u8]) -> Header {
    let Some((&fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Header::NeedMore };
    let [.., command, family, l0, l1] = fixed;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if FIXED + length > LONGEST {
        return Header::Broken;
    }
    let Some(rest) = rest.get(..length) else { return Header::NeedMore };
    let client = match (command, family) {
        (0x20, _) | (0x21, 0x00) => Some(None),
        (0x21, 0x11) => read_v4(rest).map(Some),
        (0x21, 0x21) => read_v6(rest).map(Some),
        _ => None,
    };
    client.map_or(Header::Broken, |client| Header::Whole(FIXED + length, client))
}

/// Source and destination address, source and destination port; extensions behind them are skipped.
fn read_v4(rest: &[u8]) -> Option<SocketAddr> {
    let &[a, b, c, d, _, _, _, _, p0, p1, _, _] = rest.first_chunk()?;
    Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([p0, p1])))
}

fn read_v6(rest: &[u8]) -> Option<SocketAddr> {
    let rest: &[u8; 36] = rest.first_chunk()?;
    let source: &[u8; 16] = rest.first_chunk()?;
    Some(SocketAddr::new(Ipv6Addr::from(*source).to_canonical(), u16::from_be_bytes([rest[32], rest[33]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn six() -> Vec<u8> {
        let (source, destination): (Ipv6Addr, Ipv6Addr) =
            ("2001:db8::7".parse().unwrap(), "2001:db8::1".parse().unwrap());
        [&source.octets()[..], &destination.octets(), &[0x12, 0x34, 0x0D, 0x96]].concat()
    }

    const FOUR: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x0D, 0x96];

    #[test]
    fn a_header_says_whose_the_connection_is() {
        let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 3478\r\n".to_vec(), Some("192.0.2.7:4660")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 4660 0\r\n".to_vec(), Some("[2001:db8::7]:4660")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4660 1\r\n".to_vec(), Some("192.0.2.7:4660")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (format!("PROXY UNKNOWN {long} {long} 65535 65535\r\n").into_bytes(), None),
            (binary(0x21, 0x11, FOUR), Some("192.0.2.7:4660")),
            (binary(0x21, 0x11, &[FOUR, &[7; 500]].concat()), Some("192.0.2.7:4660")),
            (binary(0x21, 0x21, &six()), Some("[2001:db8::7]:4660")),
            (binary(0x20, 0x11, FOUR), None),
            (binary(0x20, 0x00, b""), None),
            (binary(0x21, 0x00, &[1; 3]), None),
            (binary(0x21, 0x11, &[FOUR, &[7; LONGEST - FIXED - 12]].concat()), Some("192.0.2.7:4660")),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            let behind = [&header[..], b"\x16\x03"].concat();
            assert_eq!(read(&behind), Header::Whole(header.len(), client), "{header:?}");
            assert!((0..header.len()).all(|cut| read(&header[..cut]) == Header::NeedMore), "{header:?} byte by byte");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for header in [
            &b"\x16\x03\x01"[..],
            b"\0\x01\0\0",
            b"GET / HTTP/1.1\r\n",
            b"PROXY\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4660\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 3478 1\r\n",
            b"PROXY TCP4  192.0.2.7 10.0.0.1 4660 3478\r\n",
            b"PROXY TCP4 2001:db8::7 2001:db8::1 4660 3478\r\n",
            b"PROXY TCP6 192.0.2.7 10.0.0.1 4660 3478\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +4660 3478\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 04660 3478\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 65536\r\n",
            b"PROXY TCP4 192.0.2.7.1 10.0.0.1 4660 3478\r\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 4660 3478\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY \xff\r\n",
            &[b"PROXY UNKNOWN ", &[b'x'; LONGEST_LINE][..]].concat(),
            &binary(0x11, 0x11, FOUR),
            &binary(0x22, 0x11, FOUR),
            &binary(0x21, 0x12, FOUR),
            &binary(0x21, 0x31, &[0; 216]),
            &binary(0x21, 0x11, &FOUR[..11]),
            &binary(0x21, 0x21, &six()[..35]),
            &binary(0x20, 0x00, &[0; LONGEST - FIXED + 1]),
        ] {
            assert_eq!(read(header), Header::Broken, "{header:?}");
        }
    }
}
