//! Datagrams that were encrypted and wait to be sent, one behind the other.

const ROOM: usize = 256 << 10;

/// Memory that does not move and does not grow; touched only when used.
pub struct Sealed {
    memory: Box<[u8]>,
    used: usize,
}

impl Sealed {
    /// Nothing waits.
    pub fn new() -> Self {
        Self { memory: vec![0; ROOM].into(), used: 0 }
    }

    /// Whether so many bytes still have room.
    pub fn fits(&self, length: usize) -> bool {
        length <= ROOM - self.used
    }

    /// All that waited was sent.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Keep a datagram that fits.
    pub fn put(&mut self, datagram: &[u8]) -> &[u8] {
        let start = self.used;
        self.used += datagram.len();
        let place = &mut self.memory[start..self.used];
        place.copy_from_slice(datagram);
        place
    }
}
