//! What reaches a worker from outside its thread: Python's commands, first in, first out, and packets of other workers.

use crate::events::Bell;
use crate::sockets::RelaySocket;
use crate::stream::Stream;
use crate::worker::Security;
use crossbeam_queue::{ArrayQueue, SegQueue};
use hairpin_proto::flow::Flow;
use hairpin_proto::session::{Reach, Relay, Session};
use hairpin_proto::table::Command;
use rustix::fd::OwnedFd;
use std::io;
use std::net::SocketAddr;

const RING_PLACES: usize = 4096;

/// A letter to a worker.
pub enum Letter {
    /// A command for a flow; a token that is not 0 is acknowledged.
    Command(Flow, Command<RelaySocket>, u64),
    /// A session is to move from the first of these flows to the second, and away from here.
    Depart(Flow, Flow),
    /// Commands for this flow wait until its session has arrived.
    Await(Flow),
    /// A session moves to this flow; none where it ended before.
    Arrive(Flow, Option<Box<Session<RelaySocket>>>),
    /// A command about TCP connections to peers.
    Peers(Flow, PeerCommand),
    /// Read the worker's figures.
    Totals(u64),
    /// Requests a second of each session.
    SessionRate(u32),
    /// What a listener's new handshakes are made with.
    Security(u16, Security),
    /// End the thread.
    Stop,
}

/// What concerns a TCP allocation, or a connection of it, which its peer's address names (RFC 6062).
pub enum PeerCommand {
    /// The allocation's relay, and how many connections it may have.
    Listen(Relay<RelaySocket>, usize),
    /// Connect to a peer.
    Connect(SocketAddr, Reach),
    /// Close a connection.
    Disconnect(SocketAddr),
    /// Answer the client, and hand its stream over to a connection of another flow.
    Join(Box<[u8]>, Flow, SocketAddr),
    /// A client of this server connects, as from its relayed transport address.
    Arrive(SocketAddr, OwnedFd),
    /// A data connection for a peer; None where its client has left.
    Bind(SocketAddr, Option<Box<Stream>>),
}

/// A payload for a session of another worker, whose owner makes its own checks.
pub struct Packet {
    /// Whose it is.
    pub to: Flow,
    /// Whose relay sent it, and its address.
    pub from: (Flow, SocketAddr),
    /// The payload alone.
    pub payload: Box<[u8]>,
}

/// One worker's mailbox.
pub struct Mailbox {
    letters: SegQueue<Letter>,
    ring: ArrayQueue<Packet>,
    /// Readable while something waits.
    pub bell: Bell,
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        Ok(Self { letters: SegQueue::new(), ring: ArrayQueue::new(RING_PLACES), bell: Bell::new()? })
    }

    /// Post a letter.
    pub fn post(&self, letter: Letter) {
        self.drop_in(letter);
        self.bell.ring();
    }

    /// Post a letter without waking the worker, for whom more are coming: `deliver` does it.
    pub fn drop_in(&self, letter: Letter) {
        self.letters.push(letter);
    }

    /// Wake the worker for letters that it has not taken yet.
    pub fn deliver(&self) {
        if !self.letters.is_empty() {
            self.bell.ring();
        }
    }

    /// Hand over a packet; false where the ring is full.
    pub fn pass(&self, packet: Packet) -> bool {
        let taken = self.ring.push(packet).is_ok();
        self.bell.ring();
        taken
    }

    /// The next letter.
    pub fn letter(&self) -> Option<Letter> {
        self.letters.pop()
    }

    /// The next packet.
    pub fn packet(&self) -> Option<Packet> {
        self.ring.pop()
    }
}
