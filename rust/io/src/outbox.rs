//! Frames on their way out. Neighbours on one socket leave with one system call, and neighbours of one size to one address as one
//! message that the kernel cuts into datagrams (UDP_SEGMENT). Nothing waits for more than the batch in hand.
//!
//! Order is kept on each socket. Invariants: the bytes that wait are a batch's or `Sealed`, whose memory never moves, and the worker sends
//! before it uses a place again, ends, or closes a socket that something waits for.

use crate::control::Control;
use crate::name::Name;
use crate::sockets::keep_whole;
use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;

const MESSAGES: usize = 64;
const VECTORS: usize = 1024;
const HEADS: usize = 64;
const HEAD: usize = 48;
/// As many as every kernel takes, and fewer bytes than a datagram may have.
const SEGMENTS: usize = 64;
const SEGMENTED: usize = 65_000;
/// Larger datagrams are for the kernel to cut into fragments: behind headers, they do not fit the usual link.
const LARGEST_SEGMENT: usize = 1472;
static ZEROS: [u8; 4] = [0; 4];

/// Where a frame goes, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The socket.
    pub fd: RawFd,
    /// Where to.
    pub to: SocketAddr,
    /// The source address to send from, where the socket is bound to all of them.
    pub source: Option<IpAddr>,
    /// Whose figures a refusal changes.
    pub slot: Option<u32>,
    /// Towards the client, or towards a peer.
    pub to_client: bool,
    /// Nobody may cut it into fragments on its way (RFC 8656, section 14).
    pub whole: bool,
    /// Bytes of each datagram that stand in no book.
    pub uncounted: usize,
}

/// A frame: bytes of the batch, behind a header that found no room before them, before as many zero bytes.
#[derive(Clone, Copy)]
pub struct Framed<'a> {
    /// The header, 48 bytes at most.
    pub head: &'a [u8],
    /// Bytes of the batch.
    pub body: &'a [u8],
    /// Zero bytes, 3 at most.
    pub padding: usize,
}

impl Framed<'_> {
    /// How many bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len() + self.padding
    }
}

/// A datagram that the kernel did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whose it is.
    pub slot: Option<u32>,
    /// Its bytes that stand in a book.
    pub length: usize,
    /// Towards the client, or towards a peer.
    pub to_client: bool,
}

/// What waits: towards clients by the few listeners, which gather well, and towards peers.
pub struct Outbox {
    clients: Lane,
    peers: Lane,
    /// What the kernel did not take, for the worker to enter in the books.
    pub refused: Vec<Refused>,
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Self {
        Self { clients: Lane::new(), peers: Lane::new(), refused: Vec::new() }
    }

    /// Add a frame; what waited for another socket is sent first.
    pub fn push(&mut self, route: Route, frame: Framed<'_>) {
        let lane = if route.to_client { &mut self.clients } else { &mut self.peers };
        lane.push(route, frame, &mut self.refused);
    }

    /// Send all that waits.
    pub fn flush(&mut self) {
        self.clients.send(&mut self.refused);
        self.peers.send(&mut self.refused);
    }
}

/// One message to the kernel: a datagram, or several of one size, the last perhaps shorter.
#[derive(Clone, Copy)]
struct Message {
    route: Route,
    segment: usize,
    total: usize,
    first_vector: usize,
}

impl Message {
    /// Whether a datagram may follow in the same message.
    fn takes(&self, route: &Route, length: usize) -> bool {
        let whole = self.segment != 0 && self.total % self.segment == 0;
        whole
            && (1..=self.segment.min(LARGEST_SEGMENT)).contains(&length)
            && self.segment <= LARGEST_SEGMENT
            && self.total < self.segment * SEGMENTS
            && self.total + length <= SEGMENTED
            && self.route == *route
    }

    fn segments(&self) -> usize {
        self.total.div_ceil(self.segment.max(1)).max(1)
    }
}

/// The messages that wait for one socket, as the kernel wants them.
struct Lane {
    fd: RawFd,
    merging: bool,
    messages: Vec<Message>,
    vectors: Vec<libc::iovec>,
    heads: Vec<[u8; HEAD]>,
    headers: Box<[libc::mmsghdr; MESSAGES]>,
    names: Box<[Name; MESSAGES]>,
    controls: Box<[Control; MESSAGES]>,
}

// SAFETY: the raw pointers inside point to memory of the lane itself, or of the batch that goes where the lane goes.
unsafe impl Send for Lane {}
// SAFETY: a shared lane gives nothing away.
unsafe impl Sync for Lane {}

impl Lane {
    fn new() -> Self {
        Self {
            fd: -1,
            merging: true,
            messages: Vec::with_capacity(MESSAGES),
            vectors: Vec::with_capacity(VECTORS),
            heads: Vec::with_capacity(HEADS),
            // SAFETY: all-zero bytes are a valid value of this C structure.
            headers: Box::new(unsafe { zeroed() }),
            names: Box::new([Name::NONE; MESSAGES]),
            controls: Box::new([Control::EMPTY; MESSAGES]),
        }
    }

    fn push(&mut self, route: Route, frame: Framed<'_>, refused: &mut Vec<Refused>) {
        let full = self.vectors.len() + 3 > VECTORS || self.heads.len() == HEADS;
        let turns = self.messages.last().is_some_and(|last| last.route.whole != route.whole);
        if self.fd != route.fd || full || turns {
            self.send(refused);
        }
        let length = frame.len();
        match self.messages.last_mut().filter(|last| self.merging && last.takes(&route, length)) {
            Some(last) => last.total += length,
            None => {
                if self.messages.len() == MESSAGES {
                    self.send(refused);
                }
                self.fd = route.fd;
                let first_vector = self.vectors.len();
                self.messages.push(Message { route, segment: length, total: length, first_vector });
            }
        }
        self.add(frame);
    }

    /// Heads and vectors are never pushed beyond their capacity, so that pointers to them stay true.
    fn add(&mut self, frame: Framed<'_>) {
        if !frame.head.is_empty() {
            let mut head = [0; HEAD];
            head[..frame.head.len()].copy_from_slice(frame.head);
            if self.heads.last() != Some(&head) {
                self.heads.push(head);
            }
            if let Some(head) = self.heads.last().map(|head| head.as_ptr()) {
                self.vectors.push(libc::iovec { iov_base: head.cast_mut().cast(), iov_len: frame.head.len() });
            }
        }
        self.add_body(frame.body);
        if frame.padding != 0 {
            self.vectors.push(vector(&ZEROS[..frame.padding]));
        }
    }

    /// Bytes that directly follow the last ones of the same message are one vector with them.
    fn add_body(&mut self, body: &[u8]) {
        let first = self.messages.last().map_or(0, |message| message.first_vector);
        match self.vectors[first..].last_mut() {
            Some(last) if last.iov_base.wrapping_byte_add(last.iov_len) == body.as_ptr().cast_mut().cast() => {
                last.iov_len += body.len();
            }
            _ => self.vectors.push(vector(body)),
        }
    }

    /// Whether fragments may be made is a matter of the socket, so that it is changed for as long as such frames leave, which are few.
    fn send(&mut self, refused: &mut Vec<Refused>) {
        let whole = self.messages.first().map(|first| first.route).filter(|route| route.whole);
        if let Some(route) = whole {
            keep_whole(route.fd, route.to, true);
        }
        self.send_all(refused);
        if let Some(route) = whole {
            keep_whole(route.fd, route.to, false);
        }
    }

    fn send_all(&mut self, refused: &mut Vec<Refused>) {
        match (&self.messages[..], &self.vectors[..]) {
            ([], _) => return,
            ([one], [vector]) if one.route.source.is_none() && one.segments() == 1 => {
                if send_one(&one.route, *vector).is_err() {
                    refused.push(refusal(one, one.total));
                }
            }
            _ => self.send_many(refused),
        }
        self.messages.clear();
        self.vectors.clear();
        self.heads.clear();
    }

    fn send_many(&mut self, refused: &mut Vec<Refused>) {
        self.write_headers();
        let (mut done, mut told) = (0, false);
        while done < self.messages.len() {
            let rest = (self.messages.len() - done) as libc::c_uint;
            // SAFETY: `rest` headers from `done` are written and point to values that live through the call; the kernel only
            // reads them. The descriptor is open (see the head of this file).
            let sent = unsafe { libc::sendmmsg(self.fd, self.headers[done..].as_mut_ptr(), rest, libc::MSG_DONTWAIT) };
            if let Ok(sent @ 1..) = usize::try_from(sent) {
                (done, told) = (done + sent, false);
                continue;
            }
            let error = io::Error::last_os_error();
            if !is_of_another(&error, &mut told) {
                self.was_refused(done, &error, refused);
                (done, told) = (done + 1, false);
            }
        }
    }

    fn write_headers(&mut self) {
        let mut end = self.vectors.len();
        for (index, message) in self.messages.iter().enumerate().rev() {
            let (name, length) = Name::new(message.route.to);
            self.names[index] = name;
            let segment = (message.segments() > 1).then_some(message.segment as u16);
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = length;
            header.msg_iov = self.vectors[message.first_vector..].as_mut_ptr();
            header.msg_iovlen = end - message.first_vector;
            header.msg_controllen = self.controls[index].write(message.route.source, message.route.to, segment);
            header.msg_control = (&raw mut self.controls[index]).cast();
            end = message.first_vector;
        }
    }

    /// A message of several datagrams that is refused may be one that the way out can not cut: they are sent apart, and where it
    /// can cut none (EIO), none are put together any more.
    fn was_refused(&mut self, index: usize, error: &io::Error, refused: &mut Vec<Refused>) {
        let message = self.messages[index];
        if message.segments() == 1 {
            return refused.push(refusal(&message, message.total));
        }
        self.merging &= error.raw_os_error() != Some(libc::EIO);
        let bytes = self.gathered(index);
        for datagram in bytes.chunks(message.segment) {
            if self.send_apart(index, datagram).is_err() {
                refused.push(refusal(&message, datagram.len()));
            }
        }
    }

    fn gathered(&self, index: usize) -> Vec<u8> {
        let header = &self.headers[index].msg_hdr;
        let first = self.messages[index].first_vector;
        let vectors = &self.vectors[first..first + header.msg_iovlen];
        // SAFETY: each vector points to bytes that live until they are sent (see the head of this file).
        let parts = vectors.iter().map(|v| unsafe { std::slice::from_raw_parts(v.iov_base.cast::<u8>(), v.iov_len) });
        parts.flatten().copied().collect()
    }

    fn send_apart(&mut self, index: usize, datagram: &[u8]) -> io::Result<()> {
        let route = self.messages[index].route;
        let mut header = self.headers[index].msg_hdr;
        let mut vector = vector(datagram);
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_controllen = self.controls[index].write(route.source, route.to, None);
        // SAFETY: the header points to values that live through the call; the descriptor is open (see the head of this file).
        uninterrupted(|| unsafe { libc::sendmsg(route.fd, &raw const header, libc::MSG_DONTWAIT) })
    }
}

fn send_one(route: &Route, bytes: libc::iovec) -> io::Result<()> {
    let (name, length) = Name::new(route.to);
    let name = (&raw const name).cast();
    // SAFETY: buffer and name live through the call, with their true lengths; the descriptor is open (see the head of this file).
    uninterrupted(|| unsafe { libc::sendto(route.fd, bytes.iov_base, bytes.iov_len, libc::MSG_DONTWAIT, name, length) })
}

fn uninterrupted(send: impl Fn() -> isize) -> io::Result<()> {
    let mut told = false;
    loop {
        if send() >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if !is_of_another(&error, &mut told) {
            return Err(error);
        }
    }
}

/// Whether a call may have failed for what is not its own matter, and did nothing: it was interrupted, or an ICMP error that an earlier
/// datagram met was told to it. So it is made once more, where the kernel has room.
fn is_of_another(error: &io::Error, told: &mut bool) -> bool {
    match error.raw_os_error() {
        Some(libc::EINTR) => true,
        Some(libc::EAGAIN | libc::ENOBUFS) => false,
        _ => !std::mem::replace(told, true),
    }
}

fn refusal(message: &Message, length: usize) -> Refused {
    let Route { slot, to_client, uncounted, .. } = message.route;
    Refused { slot, length: length.saturating_sub(uncounted), to_client }
}

fn vector(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

#[cfg(test)]
mod tests;
