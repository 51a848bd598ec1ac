//! Control messages: what the kernel tells beside a datagram, and what it is told.
//!
//! By their layout: a header of 16 bytes (length, level, kind), the value, padding to 8.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Room for a packet's address and a segment's size.
pub const CONTROL: usize = 64;
const HEADER: usize = 16;

/// Memory for control messages, aligned as they want it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct Control(pub [u8; CONTROL]);

impl Control {
    /// No message.
    pub const EMPTY: Self = Self([0; CONTROL]);

    /// Write what a message wants said; how many bytes that took.
    pub fn write(&mut self, source: Option<IpAddr>, to: SocketAddr, segment: Option<u16>) -> usize {
        let mut used = 0;
        match source {
            Some(IpAddr::V4(ip)) => {
                let mut value = [0; 12];
                value[4..8].copy_from_slice(&ip.octets());
                used = self.add(used, (libc::IPPROTO_IP, libc::IP_PKTINFO), &value);
            }
            Some(IpAddr::V6(ip)) => {
                let link = if let SocketAddr::V6(to) = to { to.scope_id() } else { 0 };
                let mut value = [0; 20];
                value[..16].copy_from_slice(&ip.octets());
                value[16..].copy_from_slice(&link.to_ne_bytes());
                used = self.add(used, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), &value);
            }
            None => {}
        }
        match segment {
            Some(size) => self.add(used, (libc::SOL_UDP, libc::UDP_SEGMENT), &size.to_ne_bytes()),
            None => used,
        }
    }

    fn add(&mut self, at: usize, (level, kind): (i32, i32), value: &[u8]) -> usize {
        let message = &mut self.0[at..];
        message[..8].copy_from_slice(&usize::to_ne_bytes(HEADER + value.len()));
        message[8..12].copy_from_slice(&level.to_ne_bytes());
        message[12..HEADER].copy_from_slice(&kind.to_ne_bytes());
        message[HEADER..][..value.len()].copy_from_slice(value);
        at + HEADER + value.len().next_multiple_of(8)
    }
}

/// What the kernel told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The address of ours that the datagram was sent to.
    pub destination: Option<IpAddr>,
    /// Several datagrams of this size, the last perhaps shorter.
    pub segment: Option<usize>,
}

/// Read IP_PKTINFO, IPV6_PKTINFO and UDP_GRO.
pub fn read(control: &[u8]) -> Told {
    let mut told = Told::default();
    for message in messages(control) {
        match message {
            (libc::IPPROTO_IP, libc::IP_PKTINFO, &[_, _, _, _, _, _, _, _, a, b, c, d]) => {
                told.destination = Some(Ipv4Addr::new(a, b, c, d).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, value) => {
                told.destination = value.first_chunk().map(|ip: &[u8; 16]| Ipv6Addr::from(*ip).into());
            }
            (libc::SOL_UDP, libc::UDP_GRO, &[a, b, c, d]) => {
                told.segment = usize::try_from(i32::from_ne_bytes([a, b, c, d])).ok();
            }
            _ => {}
        }
    }
    told
}

/// An error out of a socket's error queue (`struct sock_extended_err`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// As a system call would tell it.
    pub errno: u32,
    /// Who told it.
    pub origin: u8,
    /// The ICMP type.
    pub kind: u8,
    /// The ICMP code.
    pub code: u8,
    /// The MTU, where it is one of size.
    pub info: u32,
}

/// Read IP_RECVERR and IPV6_RECVERR.
pub fn trouble(control: &[u8]) -> Option<Trouble> {
    messages(control).find_map(|message| match message {
        (libc::IPPROTO_IP, libc::IP_RECVERR, value) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, value) => {
            let &[e0, e1, e2, e3, origin, kind, code, _, i0, i1, i2, i3] = value.first_chunk()?;
            let (errno, info) = (u32::from_ne_bytes([e0, e1, e2, e3]), u32::from_ne_bytes([i0, i1, i2, i3]));
            Some(Trouble { errno, origin, kind, code, info })
        }
        _ => None,
    })
}

/// Level, kind and value of each message that is there whole.
fn messages(mut control: &[u8]) -> impl Iterator<Item = (i32, i32, &[u8])> {
    std::iter::from_fn(move || {
        let (header, rest) = control.split_first_chunk::<HEADER>()?;
        let word = |at: usize| i32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = header.first_chunk().map_or(0, |length| usize::from_ne_bytes(*length).saturating_sub(HEADER));
        control = rest.get(length.next_multiple_of(8)..).unwrap_or(&[]);
        Some((word(8), word(12), rest.get(..length)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str, to: &str, segment: Option<u16>) -> Told {
        let mut control = Control::EMPTY;
        let used = control.write(Some(source.parse().unwrap()), to.parse().unwrap(), segment);
        assert!(used <= CONTROL && used % 8 == 0);
        // What is written names the source where the kernel tells the destination, and a segment of two bytes instead of four.
        if let Some(size) = segment {
            assert_eq!(control.0[used - 8..used - 6], size.to_ne_bytes());
        }
        read(&control.0[..used])
    }

    #[test]
    fn an_address_is_written_as_it_is_read() {
        let six: IpAddr = "2001:db8::7".parse().unwrap();
        assert_eq!(told("2001:db8::7", "[2001:db8::9]:9", None), Told { destination: Some(six), segment: None });
        assert_eq!(told("2001:db8::7", "[2001:db8::9]:9", Some(1200)).destination, Some(six));
    }

    #[test]
    fn an_error_is_read_with_its_mtu() {
        let mut bytes = Vec::new();
        bytes.extend((HEADER + 32).to_ne_bytes());
        bytes.extend(libc::IPPROTO_IP.to_ne_bytes());
        bytes.extend(libc::IP_RECVERR.to_ne_bytes());
        bytes.extend(90u32.to_ne_bytes());
        bytes.extend([2, 3, 4, 0]);
        bytes.extend(1280u32.to_ne_bytes());
        bytes.extend([0; 20]);
        let wanted = Some(Trouble { errno: 90, origin: 2, kind: 3, code: 4, info: 1280 });
        assert_eq!(trouble(&bytes), wanted);
        assert!((0..bytes.len()).all(|cut| trouble(&bytes[..cut]).is_none()), "cut short");
    }

    #[test]
    fn a_segment_is_read_beside_an_address() {
        let mut bytes = Vec::new();
        for (level, kind, value) in [
            (libc::IPPROTO_IP, libc::IP_PKTINFO, &[1, 0, 0, 0, 9, 9, 9, 9, 192, 0, 2, 1][..]),
            (libc::SOL_UDP, libc::UDP_GRO, &1200i32.to_ne_bytes()),
        ] {
            bytes.extend((HEADER + value.len()).to_ne_bytes());
            bytes.extend(level.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let wanted = Told { destination: Some("192.0.2.1".parse().unwrap()), segment: Some(1200) };
        assert_eq!(read(&bytes), wanted);
        assert!((0..bytes.len() - 4).all(|cut| read(&bytes[..cut]) != wanted), "cut short");
    }
}
