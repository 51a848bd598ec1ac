//! A client's data connection and its peer connection, tied together (RFC 6062, sections 5.4 and 5.5).
//!
//! Invariant: nothing is read from a side before the other has taken all that was read from it, so a way holds one read at
//! most, and the kernel's windows slow the fast side down.

use crate::stream::Stream;
use crate::tls::Plain;
use rustix::fd::OwnedFd;
use rustix::net::{SendFlags, Shutdown};
use std::io::{self, ErrorKind};

/// What is read at once from a side without TLS.
const READ: usize = 64 << 10;

/// One side: what a socket does, and what TLS does over one. WouldBlock is no failure.
pub trait Side {
    /// Read what is there.
    fn receive(&mut self, input: &mut [u8]) -> io::Result<Plain>;
    /// Write what it takes.
    fn deliver(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Write what it has taken and keeps.
    fn flush(&mut self) -> io::Result<()>;
    /// Say that no more comes; to be flushed.
    fn shut(&mut self) -> io::Result<()>;
}

impl Side for OwnedFd {
    fn receive(&mut self, input: &mut [u8]) -> io::Result<Plain> {
        let count = rustix::io::read(&*self, &mut input[..READ])?;
        Ok(Plain { count, over: count == 0 })
    }

    fn deliver(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&*self, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn shut(&mut self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&*self, Shutdown::Write)?)
    }
}

/// Both ways between a client and its peer.
pub struct Splice {
    /// The data connection.
    pub client: Box<Stream>,
    /// From the client to the peer.
    pub up: Way,
    /// From the peer to the client.
    pub down: Way,
}

impl Splice {
    /// Begin with what the client has sent behind its ConnectionBind, and with the answer that it has not got yet.
    pub fn new(mut client: Box<Stream>) -> Self {
        let (received, unsent) = client.strip();
        Self { client, up: Way::new(received), down: Way::new(unsent) }
    }

    /// Whether both ways are at their end.
    pub fn is_over(&self) -> bool {
        self.up.is_over() && self.down.is_over()
    }
}

/// How many bytes a way has read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From its side.
    pub read: usize,
    /// To the other.
    pub written: usize,
}

/// The bytes from one side to the other.
pub struct Way {
    /// Whether more may be read: the lease runs, and the rate has room.
    pub open: bool,
    held: Vec<u8>,
    sent: usize,
    /// The other side keeps some of what it took.
    unflushed: bool,
    ended: bool,
    finished: bool,
}

impl Way {
    fn new(held: Vec<u8>) -> Self {
        Self { open: true, held, sent: 0, unflushed: false, ended: false, finished: false }
    }

    /// Whether it waits for its side to send.
    pub fn reads(&self) -> bool {
        self.open && !self.writes() && !self.ended
    }

    /// Whether it waits for the other side to take what is held.
    pub fn writes(&self) -> bool {
        !self.held.is_empty() || self.unflushed
    }

    fn is_over(&self) -> bool {
        self.finished && !self.unflushed
    }

    /// Carry on what is held, then one read at most. An error of either side is the end of both.
    pub fn carry(&mut self, from: &mut impl Side, to: &mut impl Side, input: &mut [u8]) -> io::Result<Carried> {
        let mut carried = Carried { read: 0, written: self.write_held(to)? };
        if self.reads() {
            let plain = attempt(from.receive(input))?.unwrap_or_default();
            self.ended = plain.over;
            carried.read = plain.count;
            self.held.extend_from_slice(&input[..plain.count]);
            carried.written += self.write_held(to)?;
        }
        if self.ended && !self.writes() && !self.finished {
            self.finished = true;
            to.shut()?;
            self.unflushed = attempt(to.flush())?.is_none();
        }
        Ok(carried)
    }

    fn write_held(&mut self, to: &mut impl Side) -> io::Result<usize> {
        let before = self.sent;
        while self.sent < self.held.len() {
            match attempt(to.deliver(&self.held[self.sent..]))? {
                Some(count) if count > 0 => self.sent += count,
                _ => return Ok(self.sent - before),
            }
        }
        let written = self.sent - before;
        (self.held, self.sent) = (Vec::new(), 0);
        self.unflushed = attempt(to.flush())?.is_none();
        Ok(written)
    }
}

/// None where the socket has nothing to give, or takes nothing, for now.
fn attempt<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Gives what it was told to give, takes what it has room for, and keeps back what it is not let flush.
    #[derive(Default)]
    struct Scripted {
        gives: VecDeque<Vec<u8>>,
        broken: bool,
        room: usize,
        keeps: bool,
        taken: Vec<u8>,
        finished: usize,
    }

    impl Side for Scripted {
        fn receive(&mut self, input: &mut [u8]) -> io::Result<Plain> {
            if self.broken {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let bytes = self.gives.pop_front().ok_or(ErrorKind::WouldBlock)?;
            input[..bytes.len()].copy_from_slice(&bytes);
            Ok(Plain { count: bytes.len(), over: bytes.is_empty() })
        }

        fn deliver(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            (count > 0).then_some(count).ok_or(ErrorKind::WouldBlock.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            (!self.keeps).then_some(()).ok_or(ErrorKind::WouldBlock.into())
        }

        fn shut(&mut self) -> io::Result<()> {
            self.finished += 1;
            Ok(())
        }
    }

    fn giving(gives: &[&[u8]]) -> Scripted {
        Scripted { gives: gives.iter().map(|bytes| bytes.to_vec()).collect(), ..Scripted::default() }
    }

    fn carry(way: &mut Way, from: &mut Scripted, to: &mut Scripted) -> (usize, usize) {
        let carried = way.carry(from, to, &mut [0; 64]).unwrap();
        (carried.read, carried.written)
    }

    #[test]
    fn the_fast_side_is_not_read_until_the_slow_one_has_taken_all() {
        let (mut from, mut to) = (giving(&[b"abcdef", b"gh"]), Scripted { room: 4, ..Scripted::default() });
        let mut way = Way::new(Vec::new());
        assert_eq!(carry(&mut way, &mut from, &mut to), (6, 4));
        assert!(way.writes() && !way.reads());
        assert_eq!(carry(&mut way, &mut from, &mut to), (0, 0));
        to.room = 4;
        assert_eq!(carry(&mut way, &mut from, &mut to), (2, 4));
        assert_eq!((to.taken.as_slice(), way.reads()), (&b"abcdefgh"[..], true));
    }

    #[test]
    fn an_end_is_handed_on_once_behind_all_that_came_before() {
        let (mut from, mut to) = (giving(&[b"abc", b""]), Scripted { room: 2, ..Scripted::default() });
        let mut way = Way::new(b"held ".to_vec());
        assert_eq!(carry(&mut way, &mut from, &mut to), (0, 2));
        to.room = 6;
        assert_eq!(carry(&mut way, &mut from, &mut to), (3, 6));
        assert_eq!((carry(&mut way, &mut from, &mut to), to.finished), ((0, 0), 1));
        assert_eq!((carry(&mut way, &mut from, &mut to), to.finished), ((0, 0), 1));
        assert_eq!(to.taken, b"held abc");
    }

    #[test]
    fn a_way_that_is_not_open_delivers_what_it_holds_and_reads_nothing() {
        let (mut from, mut to) = (giving(&[b"later"]), Scripted { room: 64, ..Scripted::default() });
        let mut way = Way::new(b"now".to_vec());
        way.open = false;
        assert_eq!(carry(&mut way, &mut from, &mut to), (0, 3));
        way.open = true;
        assert_eq!((carry(&mut way, &mut from, &mut to), to.taken), ((5, 5), b"nowlater".to_vec()));
    }

    #[test]
    fn what_the_other_side_keeps_holds_up_the_way_and_its_end() {
        let (mut from, mut to) = (giving(&[b""]), Scripted { room: 64, keeps: true, ..Scripted::default() });
        let mut way = Way::new(b"a".to_vec());
        assert_eq!((carry(&mut way, &mut from, &mut to), way.reads(), way.writes()), ((0, 1), false, true));
        to.keeps = false;
        assert_eq!((carry(&mut way, &mut from, &mut to), to.finished, way.is_over()), ((0, 0), 1, true));
    }

    #[test]
    fn a_failure_of_either_side_is_told() {
        let mut broken = Scripted { broken: true, ..Scripted::default() };
        assert!(Way::new(Vec::new()).carry(&mut broken, &mut giving(&[]), &mut [0; 8]).is_err());
    }
}
