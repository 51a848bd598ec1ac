//! What a worker waits for, by the number that epoll gives back.

use hairpin_proto::flow::Family;
use rustix::event::epoll;

/// What epoll says is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The mailbox.
    Mailbox,
    /// A listener, by its place.
    Listener(u32),
    /// A listener of DTLS, by its place.
    DtlsListener(u32),
    /// A relay of a slot.
    Relay(u32, Family),
    /// A TCP client, by its place.
    Stream(u32),
    /// A TCP relay of a slot.
    TcpRelay(u32, Family),
    /// A TCP connection to a peer, by its place.
    Peer(u32),
    /// The data connection that is bound to one, by its place.
    Data(u32),
}

impl Token {
    /// As epoll carries it.
    pub fn data(self) -> epoll::EventData {
        let (kind, place) = match self {
            Token::Mailbox => (0, 0),
            Token::Listener(place) => (1, place),
            Token::Relay(slot, Family::V4) => (2, slot),
            Token::Relay(slot, Family::V6) => (3, slot),
            Token::Stream(place) => (4, place),
            Token::TcpRelay(slot, Family::V4) => (5, slot),
            Token::TcpRelay(slot, Family::V6) => (6, slot),
            Token::Peer(place) => (7, place),
            Token::Data(place) => (8, place),
            Token::DtlsListener(place) => (9, place),
        };
        epoll::EventData::new_u64((kind << 32) | u64::from(place))
    }

    /// As epoll carried it.
    pub fn read(data: epoll::EventData) -> Self {
        let place = data.u64() as u32;
        match data.u64() >> 32 {
            1 => Token::Listener(place),
            2 => Token::Relay(place, Family::V4),
            3 => Token::Relay(place, Family::V6),
            4 => Token::Stream(place),
            5 => Token::TcpRelay(place, Family::V4),
            6 => Token::TcpRelay(place, Family::V6),
            7 => Token::Peer(place),
            8 => Token::Data(place),
            9 => Token::DtlsListener(place),
            _ => Token::Mailbox,
        }
    }
}
