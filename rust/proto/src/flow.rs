//! A flow: one five-tuple, named by a number that is never reused by mistake.

use std::net::{IpAddr, SocketAddr};

/// What carries a client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram is one message.
    Udp,
    /// A byte stream, framed by the messages' own lengths; ChannelData is padded (RFC 8656, section 12.5).
    Tcp,
}

/// The IP version of a peer, and of the relay that speaks with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Worker (7 bits), slot (24 bits) and generation (32 bits): the name by which Python and other workers speak of a session.
/// Zero names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow(u64);

/// The most workers, and the most slots of one worker, that a flow can name.
pub const MAX_WORKERS: usize = 1 << 7;
/// See `MAX_WORKERS`.
pub const MAX_SLOTS: usize = 1 << 24;

impl Flow {
    /// The flow of a slot; generations start at 1, so no flow is 0.
    pub fn new(worker: u8, slot: u32, generation: u32) -> Self {
        Self((u64::from(worker & 0x7F) << 56) | (u64::from(slot & 0xFF_FFFF) << 32) | u64::from(generation))
    }

    /// From the number that `number` gave; None for 0 and for what fits no flow.
    pub fn from_number(number: u64) -> Option<Self> {
        (number != 0 && number >> 63 == 0).then_some(Self(number))
    }

    /// As one number, below 2^63.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The worker that owns it.
    pub fn worker(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// Its place in the owner's table.
    pub fn slot(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFF_FFFF
    }

    /// Which of the slot's tenants it is.
    pub fn generation(self) -> u32 {
        self.0 as u32
    }
}

/// What a client keeps up: a session ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// A stream, by its place.
    Stream(u32),
    /// A DTLS association, by its place.
    Association(u32),
    /// None now: the client is away, and its session waits for it to come from elsewhere.
    Away,
}

/// Where a client's message came from and arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Which listener, by its place in the settings.
    pub listener: u16,
    /// The client's address.
    pub client: SocketAddr,
    /// The address of ours that the client used.
    pub local: SocketAddr,
}
