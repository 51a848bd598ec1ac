//! Many datagrams for one system call: the buffers that a worker receives into and sends from.
//!
//! A place holds what the kernel hands over at once: a datagram, or several of one size from one sender, one behind the other
//! (UDP_GRO). It has headroom, so that a packet is given its new header where it lies. Invariant: memory, headers, vectors, names and
//! control blocks are boxed and never move; header `i` points to place `i` for good.

use crate::control::{self, Control, CONTROL};
use crate::name;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::RawFd;

/// Room before a datagram for the largest header (a Data indication with an IPv6 peer takes 48 bytes).
const HEADROOM: usize = 64;
/// The largest frame: a STUN message of 65,535 bytes behind its header.
pub const DATA: usize = 65_556;
const STRIDE: usize = HEADROOM + DATA + 64;
/// How many datagrams a worker holds at once.
pub const PLACES: usize = 128;

/// The places, and what the kernel needs to fill them.
pub struct Batch {
    memory: Box<[u8]>,
    headers: Box<[libc::mmsghdr]>,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    _vectors: Box<[libc::iovec]>,
    used: usize,
}

/// What a place received: one datagram, or several.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    place: usize,
    length: usize,
    segment: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// The address of ours that it was sent to, where the socket tells.
    pub to: Option<IpAddr>,
}

impl Received {
    /// The datagrams, in the order in which they came.
    pub fn spans(self) -> impl Iterator<Item = Span> {
        let (place, length, segment) = (self.place, self.length, self.segment);
        (0..length.max(1)).step_by(segment).map(move |begin| {
            let end = (begin + segment).min(length);
            let first = if begin == 0 { 0 } else { HEADROOM + begin };
            let last = if end == length { STRIDE } else { HEADROOM + end };
            Span { place, start: HEADROOM + begin, length: end - begin, free: (first, last) }
        })
    }
}

/// Bytes of a place, and how far before and behind them the place is free to be written.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    place: usize,
    start: usize,
    length: usize,
    free: (usize, usize),
}

impl Span {
    /// How many bytes.
    pub fn len(self) -> usize {
        self.length
    }

    /// A part of them; the rest is free.
    pub fn part(self, range: Range<usize>) -> Self {
        Self { start: self.start + range.start, length: range.len(), ..self }
    }

    /// A part of them that has others of the same datagram beside it.
    pub fn alone(self, range: Range<usize>) -> Self {
        let part = self.part(range);
        let own = (part.start, part.start + part.length);
        Self { free: if part.length == self.length { self.free } else { own }, ..part }
    }

    /// Wider by so many bytes before and behind; None where they are another's.
    fn widened(self, before: usize, behind: usize) -> Option<Self> {
        let (start, length) = (self.start.checked_sub(before)?, before + self.length + behind);
        (self.free.0 <= start && start + length <= self.free.1).then_some(Self { start, length, ..self })
    }
}

impl Batch {
    /// Empty places; memory is only touched when used.
    pub fn new() -> Self {
        let mut memory = vec![0u8; STRIDE * PLACES].into_boxed_slice();
        // SAFETY: all-zero bytes are a valid value of these C structures.
        let (header, name) =
            unsafe { (std::mem::zeroed::<libc::mmsghdr>(), std::mem::zeroed::<libc::sockaddr_storage>()) };
        let mut names = vec![name; PLACES].into_boxed_slice();
        let mut controls = vec![Control([0; CONTROL]); PLACES].into_boxed_slice();
        let mut vectors: Box<[libc::iovec]> = memory
            .chunks_exact_mut(STRIDE)
            .map(|place| libc::iovec { iov_base: place[HEADROOM..].as_mut_ptr().cast(), iov_len: DATA })
            .collect();
        let mut headers = vec![header; PLACES].into_boxed_slice();
        for (index, header) in headers.iter_mut().enumerate() {
            header.msg_hdr.msg_name = (&raw mut names[index]).cast();
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = (&raw mut controls[index]).cast();
        }
        Self { memory, headers, names, controls, _vectors: vectors, used: 0 }
    }

    /// How many places are free.
    pub fn room(&self) -> usize {
        PLACES - self.used
    }

    /// All places are free again: whatever was to be sent has been.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Take a place for bytes that come from elsewhere, and copy them there; None where no place is free or they are too many.
    pub fn put(&mut self, bytes: &[u8]) -> Option<Span> {
        if self.used == PLACES || bytes.len() > DATA {
            return None;
        }
        let span = Span { place: self.used, start: HEADROOM, length: bytes.len(), free: (0, STRIDE) };
        self.used += 1;
        self.bytes_mut(span).copy_from_slice(bytes);
        Some(span)
    }

    /// The bytes.
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.memory[span.place * STRIDE + span.start..][..span.length]
    }

    /// Give bytes a header, and zero bytes behind, where they lie; None where there is no room.
    pub fn frame(&mut self, span: Span, header: &[u8], padding: usize) -> Option<Span> {
        let whole = span.widened(header.len(), padding)?;
        let bytes = self.bytes_mut(whole);
        bytes[..header.len()].copy_from_slice(header);
        bytes[header.len() + span.length..].fill(0);
        Some(whole)
    }

    /// Other bytes where these lie; None where there is no room.
    pub fn replace(&mut self, span: Span, bytes: &[u8]) -> Option<Span> {
        let whole = Span { length: 0, ..span }.widened(0, bytes.len())?;
        self.bytes_mut(whole).copy_from_slice(bytes);
        Some(whole)
    }

    fn bytes_mut(&mut self, span: Span) -> &mut [u8] {
        &mut self.memory[span.place * STRIDE + span.start..][..span.length]
    }

    /// Receive at most `limit` datagrams that are already there; returns the first place and how many.
    pub fn receive(&mut self, fd: RawFd, limit: usize) -> (usize, usize) {
        let first = self.used;
        let limit = limit.min(self.room());
        for header in &mut self.headers[first..first + limit] {
            header.msg_hdr.msg_namelen = std::mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = CONTROL;
        }
        let start = self.headers[first..].as_mut_ptr();
        // SAFETY: `limit` headers from `start` are in bounds; each points to memory of `self` that does not move, with its true sizes.
        let count =
            unsafe { libc::recvmmsg(fd, start, limit as libc::c_uint, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        let count = usize::try_from(count).unwrap_or(0);
        self.used += count;
        (first, count)
    }

    /// What lies in a place after `receive`; None for an address family that we do not know or a datagram that did not fit.
    pub fn received(&self, place: usize) -> Option<Received> {
        let header = &self.headers[place];
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let length = header.msg_len as usize;
        let from = name::read(&self.names[place])?;
        let told = match header.msg_hdr.msg_controllen {
            0 => control::Told::default(),
            some => control::read(&self.controls[place].0[..some.min(CONTROL)]),
        };
        let segment = told.segment.unwrap_or(length).max(1);
        Some(Received { place, length, segment, from, to: told.destination })
    }
}

// SAFETY: the raw pointers inside point only to memory that the batch itself owns.
unsafe impl Send for Batch {}
// SAFETY: a shared batch is only read.
unsafe impl Sync for Batch {}

#[cfg(test)]
mod tests {
    use super::*;

    fn several(batch: &mut Batch, bytes: &[u8], segment: usize) -> Vec<Span> {
        let Span { place, length, .. } = batch.put(bytes).unwrap();
        let from = SocketAddr::from(([192, 0, 2, 1], 1));
        Received { place, length, segment, from, to: None }.spans().collect()
    }

    #[test]
    fn a_place_is_cut_into_its_datagrams() {
        let mut batch = Batch::new();
        for (length, segment, wanted) in
            [(0, 1, vec![0]), (5, 5, vec![5]), (6, 3, vec![3, 3]), (7, 3, vec![3, 3, 1]), (2, 3, vec![2])]
        {
            let bytes: Vec<u8> = (0..length).collect();
            let spans = several(&mut batch, &bytes, segment);
            assert_eq!(spans.iter().map(|span| span.len()).collect::<Vec<_>>(), wanted);
            assert_eq!(spans.iter().flat_map(|span| batch.bytes(*span).to_vec()).collect::<Vec<_>>(), bytes);
        }
    }

    #[test]
    fn a_header_is_written_only_where_nobody_else_lies() {
        let mut batch = Batch::new();
        let spans = several(&mut batch, b"aaaabbbbcccc", 4);
        let first = batch.frame(spans[0], b"HHHH", 0).unwrap();
        assert_eq!(batch.bytes(first), b"HHHHaaaa");
        assert!(batch.frame(spans[0], b"", 1).is_none());
        assert!(batch.frame(spans[1], b"H", 0).is_none() && batch.frame(spans[1], b"", 1).is_none());
        let inner = batch.frame(spans[1].part(2..3), b"H", 1).unwrap();
        assert_eq!(batch.bytes(inner), b"Hb\0");
        let last = batch.frame(spans[2].part(1..4), b"H", 3).unwrap();
        assert_eq!(batch.bytes(last), b"Hccc\0\0\0");
        assert!(batch.frame(spans[0], &[b'H'; HEADROOM + 1], 0).is_none());
        assert_eq!((batch.bytes(spans[0]), batch.bytes(spans[2])), (&b"aaaa"[..], &b"Hccc"[..]));
    }

    #[test]
    fn other_bytes_take_a_place_only_where_they_fit() {
        let mut batch = Batch::new();
        let spans = several(&mut batch, b"aaaabbbb", 4);
        assert!(batch.replace(spans[0], b"longer").is_none());
        let (shorter, longer) = (batch.replace(spans[0], b"xyz").unwrap(), batch.replace(spans[1], b"longer").unwrap());
        assert_eq!((batch.bytes(shorter), batch.bytes(longer)), (&b"xyz"[..], &b"longer"[..]));
    }
}
