//! What the workers tell Python: a bounded queue for requests of live sessions, a small one for strangers, and notices.
//!
//! Rust threads never attach to the interpreter: they push values and write an eventfd.

use crossbeam_queue::{ArrayQueue, SegQueue};
use hairpin_proto::counters::{Counters, Reason};
use hairpin_proto::flow::Flow;
use hairpin_proto::path::Ask;
use rustix::event::{eventfd, EventfdFlags};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

const VERIFIED_PLACES: usize = 8192;
const STRANGER_PLACES: usize = 1024;
const USUAL_BATCH: usize = 64;

/// What Python is told.
pub enum Event {
    /// A request with a valid nonce.
    Request(Ask),
    /// The client's connection went away; its flow is gone.
    Closed(Flow, &'static str, Counters),
    /// A session is expected on this flow, and the first of its data came; or (true) a mobile client's stream ended, and its
    /// session stays.
    Moving(Flow, bool),
    /// What became of a TCP connection of a flow's allocation, which its peer's address names.
    Peer(Flow, SocketAddr, Change),
    /// A command with a token was carried out; no counters where the flow was gone.
    Acknowledged(u64, Option<Counters>),
    /// A worker's figures.
    Totals(Box<Totals>),
}

/// What becomes of a TCP connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A peer with a permission connected.
    Arrived,
    /// The connection that was asked for is there.
    Connected,
    /// It is not, and will not be.
    Failed,
    /// It is over.
    Closed,
}

impl Change {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Change::Arrived => "arrived",
            Change::Connected => "connected",
            Change::Failed => "failed",
            Change::Closed => "closed",
        }
    }
}

/// A worker's figures: sessions that live or lived, strangers, drops by reason.
pub struct Totals {
    /// The request for them.
    pub token: u64,
    /// Whose they are.
    pub worker: usize,
    /// All sessions.
    pub sessions: Counters,
    /// All who proved nothing.
    pub strangers: Counters,
    /// Drops by reason.
    pub drops: Vec<(Reason, u64)>,
}

/// The way up. Requests of live sessions are served first; a full queue refuses, and the client sends again.
pub struct Events {
    verified: ArrayQueue<Event>,
    strangers: ArrayQueue<Event>,
    notices: SegQueue<Event>,
    bell: Bell,
}

impl Events {
    /// Empty queues.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            verified: ArrayQueue::new(VERIFIED_PLACES),
            strangers: ArrayQueue::new(STRANGER_PLACES),
            notices: SegQueue::new(),
            bell: Bell::new()?,
        })
    }

    /// Hand a request up; false where its queue is full.
    pub fn ask(&self, ask: Ask) -> bool {
        let queue = if ask.verified { &self.verified } else { &self.strangers };
        let taken = queue.push(Event::Request(ask)).is_ok();
        self.bell.ring();
        taken
    }

    /// Say what must not be lost: one for each command with a token, one for each session that closed.
    pub fn tell(&self, event: Event) {
        self.notices.push(event);
        self.bell.ring();
    }

    /// At most `limit` events; the eventfd stays readable while there may be more.
    pub fn drain(&self, limit: usize) -> Vec<Event> {
        let next = || self.notices.pop().or_else(|| self.verified.pop()).or_else(|| self.strangers.pop());
        let mut events = Vec::with_capacity(limit.min(USUAL_BATCH));
        events.extend(std::iter::from_fn(next).take(limit));
        if events.len() < limit {
            // Silenced only now: until then nobody has to ring for one who is awake.
            self.bell.silence();
            events.extend(std::iter::from_fn(next).take(limit - events.len()));
            if events.len() == limit {
                self.bell.ring();
            }
        }
        events
    }

    /// Readable while there is something to drain.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.fd()
    }
}

/// An eventfd that is written once, however often it is rung before it is heard.
pub struct Bell {
    fd: OwnedFd,
    rung: AtomicBool,
}

impl Bell {
    /// A silent bell.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { fd, rung: AtomicBool::new(false) })
    }

    /// Wake the one who waits.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // An eventfd's counter can not run over when it is written once between two reads.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Heard: to be called before looking at what there is, so that nothing is missed.
    pub fn silence(&self) {
        let _ = rustix::io::read(&self.fd, &mut [0u8; 8]);
        self.rung.swap(false, Ordering::SeqCst);
    }

    /// Readable from `ring` to `silence`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
