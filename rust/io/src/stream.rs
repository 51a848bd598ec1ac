//! One TCP client, with TLS or without: frames cut from what it sends, and a bounded queue of frames for it.

use crate::opening::Opening;
use crate::outbox::Framed;
use crate::splice::Side;
use crate::tls::{Plain, Tls, CIPHERTEXT};
use hairpin_proto::counters::Reason;
use rustix::event::epoll::EventFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::io::{self, ErrorKind};

/// The most relayed data that waits for a slow reader; more is dropped in whole frames.
const QUEUE: usize = 512 << 10;
/// Room behind it for answers: over TCP a client does not ask again.
const ANSWERS: usize = 64 << 10;
/// A stranger proves its credentials, and a message is completed, within this time.
pub const PATIENCE: u64 = 30_000_000_000;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client went.
    Disconnected,
    /// It sent what will not do.
    Refused(Reason),
}

/// What lies between the socket's bytes and the frames.
pub enum Layer {
    /// Nothing: they are the frames.
    Plain,
    /// TLS.
    Tls(Box<Tls>),
}

/// A client's connection.
pub struct Stream {
    /// The socket.
    pub socket: OwnedFd,
    /// The client's place in the table.
    pub slot: u32,
    /// Since when it has proved nothing; None once it has.
    pub stranger_since: Option<u64>,
    /// What epoll watches it for.
    pub watched: EventFlags,
    /// What has to come before the frames.
    pub opening: Opening,
    /// What lies between them and the socket.
    pub layer: Layer,
    /// The ConnectionBind that waits for its answer: nothing is read meanwhile, for it may be raw data (RFC 6062, section 5.4).
    pub binding: Option<[u8; 12]>,
    partial: Vec<u8>,
    partial_since: u64,
    queue: Vec<u8>,
    sent: usize,
}

/// What became of reading or writing.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    /// All is well; nothing waits.
    Idle,
    /// There is more to write when the socket takes it.
    Waiting,
    /// The connection is over.
    Over(&'static str),
}

impl Stream {
    /// A connection that was accepted at `now`.
    pub fn new(socket: OwnedFd, opening: Opening, slot: u32, now: u64) -> Self {
        Self {
            socket,
            slot,
            opening,
            layer: Layer::Plain,
            stranger_since: Some(now),
            watched: EventFlags::IN,
            binding: None,
            partial: Vec::new(),
            partial_since: now,
            queue: Vec::new(),
            sent: 0,
        }
    }

    /// Read once, `limit` plain bytes at most; `spare` is memory for what has to be decrypted.
    pub fn read(&mut self, plain: &mut [u8], spare: &mut [u8], limit: usize) -> Result<Plain, End> {
        let into = match self.layer {
            Layer::Plain => &mut plain[..limit],
            Layer::Tls(_) => &mut spare[..CIPHERTEXT],
        };
        let count = match rustix::io::read(&self.socket, into) {
            Ok(0) => return Ok(Plain { count: 0, over: true }),
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return Ok(Plain { count: 0, over: true }),
        };
        match &mut self.layer {
            Layer::Plain => Ok(Plain { count, over: false }),
            Layer::Tls(tls) => tls.decrypt(&spare[..count], plain).map_err(|_| End::Refused(Reason::Tls)),
        }
    }

    /// Whether a TLS handshake is under way.
    pub fn is_handshaking(&self) -> bool {
        matches!(&self.layer, Layer::Tls(tls) if tls.is_handshaking())
    }

    /// Whether TLS has something to say by itself.
    pub fn is_waiting(&self) -> bool {
        matches!(&self.layer, Layer::Tls(tls) if tls.is_waiting())
    }

    /// Write what the socket takes at once, and that no more comes, where the layer has a word for it.
    pub fn finish(mut self) {
        if self.write() != Flow::Idle {
            return;
        }
        if let Layer::Tls(tls) = &mut self.layer {
            tls.close();
            let _ = self.write();
        }
    }

    /// Move what came before, an unfinished frame, to the head of `input`; returns its length.
    pub fn take_partial(&mut self, input: &mut [u8]) -> usize {
        let length = self.partial.len();
        input[..length].copy_from_slice(&self.partial);
        self.partial.clear();
        length
    }

    /// Keep an unfinished frame; its patience begins anew where a frame before it was completed.
    pub fn keep_partial(&mut self, rest: &[u8], now: u64, progress: bool) {
        if progress {
            self.partial_since = now;
        }
        self.partial.extend_from_slice(rest);
        self.partial.shrink_to(rest.len().max(2048));
    }

    /// Queue a whole frame; false where the reader is too slow for it.
    pub fn push(&mut self, frame: Framed<'_>, answer: bool) -> bool {
        let room = if answer { QUEUE + ANSWERS } else { QUEUE };
        let fits = self.queue.len() - self.sent + frame.len() <= room;
        if fits {
            self.queue.extend_from_slice(frame.head);
            self.queue.extend_from_slice(frame.body);
            self.queue.resize(self.queue.len() + frame.padding, 0);
        }
        fits
    }

    /// Write what waits.
    pub fn write(&mut self) -> Flow {
        loop {
            match self.send() {
                Ok(0) => break,
                Ok(count) => self.sent += count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return self.compact(),
                    ErrorKind::Interrupted => {}
                    _ => return Flow::Over("disconnected"),
                },
            }
        }
        self.queue.clear();
        self.queue.shrink_to(16 << 10);
        self.sent = 0;
        Flow::Idle
    }

    /// Hand the layer some of what waits; 0 when nothing is left.
    fn send(&mut self) -> io::Result<usize> {
        let bytes = &self.queue[self.sent..];
        match &mut self.layer {
            Layer::Plain if bytes.is_empty() => Ok(0),
            Layer::Plain => match rustix::net::send(&self.socket, bytes, rustix::net::SendFlags::NOSIGNAL)? {
                0 => Err(ErrorKind::WriteZero.into()),
                count => Ok(count),
            },
            Layer::Tls(tls) => tls.send_frames(&self.socket, bytes),
        }
    }

    /// What was received and not yet judged, and what is not yet sent: both belong to the data connection that this becomes.
    pub fn strip(&mut self) -> (Vec<u8>, Vec<u8>) {
        let unsent = self.queue.split_off(self.sent);
        (self.queue, self.sent) = (Vec::new(), 0);
        (std::mem::take(&mut self.partial), unsent)
    }

    /// Why the connection is to be closed at `now`, if it is.
    pub fn overdue(&self, now: u64) -> Option<&'static str> {
        if self.stranger_since.is_some_and(|since| now >= since + PATIENCE) {
            return Some("unauthenticated");
        }
        (!self.partial.is_empty() && now >= self.partial_since + PATIENCE).then_some("half message")
    }

    /// What epoll shall watch it for, after a write with this outcome.
    pub fn wants(&self, outcome: &Flow) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.binding.is_none());
        flags.set(EventFlags::OUT, *outcome == Flow::Waiting);
        flags
    }

    /// What was sent is moved out of the way once it is the larger part.
    fn compact(&mut self) -> Flow {
        if self.sent > self.queue.len() / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
        Flow::Waiting
    }
}

impl Side for Stream {
    fn receive(&mut self, input: &mut [u8]) -> io::Result<Plain> {
        match self.layer {
            Layer::Plain => self.socket.receive(input),
            Layer::Tls(_) => {
                let (plain, spare) = input.split_at_mut(input.len() - CIPHERTEXT);
                self.read(plain, spare, plain.len()).map_err(|_| ErrorKind::InvalidData.into())
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain => self.socket.deliver(bytes),
            Layer::Tls(tls) => tls.send(&self.socket, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Plain => Ok(()),
            Layer::Tls(tls) => tls.send(&self.socket, &[]).map(drop),
        }
    }

    fn shut(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Plain => self.socket.shut(),
            Layer::Tls(tls) => {
                tls.close();
                Ok(())
            }
        }
    }
}
