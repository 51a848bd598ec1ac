//! NAT behaviour discovery (RFC 5780): four listeners on two IPs with the same two ports, so that an answer can leave from
//! another address than the request was sent to.

use std::net::SocketAddr;

/// The flags "change IP" and "change port" of CHANGE-REQUEST, the first bit aside (RFC 5780, section 7.2).
pub const CHANGE_BOTH: usize = 0b11;

/// One of the four listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corner {
    /// Which of the settings' listeners it is.
    pub listener: u16,
    /// Its address as clients know it.
    pub announced: SocketAddr,
    /// The MTU of the interface that it sends by.
    pub mtu: usize,
}

/// Four listeners, in the order A1:P1, A1:P2, A2:P1, A2:P2: the second bit of a place is its IP, the first one its port.
pub type Square = [Corner; 4];

/// A listener that stands in a square.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    square: &'a Square,
    place: usize,
}

impl<'a> Standing<'a> {
    /// Where a listener stands, if it does.
    pub fn find(squares: &'a [Square], listener: u16) -> Option<Self> {
        let place = |square: &Square| square.iter().position(|corner| corner.listener == listener);
        squares.iter().find_map(|square| Some(Self { square, place: place(square)? }))
    }

    /// The listener with its IP or its port changed, or both (RFC 5780, table 1).
    pub fn changed(&self, change: usize) -> &'a Corner {
        &self.square[(self.place ^ change) & CHANGE_BOTH]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_change_what_they_name() {
        let corner =
            |listener: u16, announced: &str| Corner { listener, announced: announced.parse().unwrap(), mtu: 1500 };
        let addresses = ["192.0.2.1:3478", "192.0.2.1:3479", "192.0.2.2:3478", "192.0.2.2:3479"];
        let square: Square = std::array::from_fn(|place| corner(place as u16 + 5, addresses[place]));
        for (from, place) in addresses.iter().zip(0..) {
            let squares = [square];
            let standing = Standing::find(&squares, place + 5).unwrap();
            let from: SocketAddr = from.parse().unwrap();
            for change in 0..4 {
                let to = standing.changed(change).announced;
                assert_eq!((to.ip() != from.ip(), to.port() != from.port()), (change & 2 != 0, change & 1 != 0));
            }
        }
        assert!(Standing::find(&[square], 4).is_none() && Standing::find(&[], 5).is_none());
    }
}
