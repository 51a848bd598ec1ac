//! TCP and TLS listeners and clients of one worker.

use crate::opening::Opening;
use crate::outbox::Framed;
use crate::strangers::Strangers;
use crate::stream::{End, Flow as Outcome, Stream};
use crate::tls::CIPHERTEXT;
use crate::token::Token;
use crate::worker::Worker;
use hairpin_proto::channel_data::{frame_length, Frame};
use hairpin_proto::counters::Reason;
use hairpin_proto::flow::{Connection, FiveTuple, Flow, Transport};
use hairpin_proto::path::{Arrival, LARGEST_REQUEST};
use hairpin_proto::session::Session;
use rustix::event::epoll;
use std::net::IpAddr;
use std::os::fd::AsFd;

/// A stranger has nothing to relay, and no request is this long.
const STRANGERS_FRAME: usize = LARGEST_REQUEST;
/// Room for an unfinished frame and one read behind it, and for what is to be decrypted.
pub const INPUT: usize = PLAIN + CIPHERTEXT;
const PLAIN: usize = 2 * READ;
const READ: usize = 66 << 10;
const ACCEPTS: usize = 64;

/// The clients, by their place; places are used again.
#[derive(Default)]
pub struct Streams {
    places: Vec<Option<Stream>>,
    free: Vec<u32>,
    pub strangers: Strangers,
    waiting: Vec<u32>,
}

impl Streams {
    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// A client by its place.
    pub fn get(&mut self, place: u32) -> Option<&mut Stream> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    /// Queue a frame, to be written after the batch in hand; false where the reader is too slow.
    pub fn push(&mut self, place: u32, frame: Framed<'_>, answer: bool) -> bool {
        let Some(stream) = self.get(place) else { return false };
        let taken = stream.push(frame, answer);
        let waits = stream.watched.contains(epoll::EventFlags::OUT); // the socket will say when it takes more
        if !waits && self.waiting.last() != Some(&place) {
            self.waiting.push(place);
        }
        taken
    }

    /// The client proved its credentials, or ended its session and is a stranger again.
    pub fn set_stranger(&mut self, place: u32, ip: IpAddr, since: Option<u64>) {
        if let Some(stream) = self.places.get_mut(place as usize).and_then(Option::as_mut) {
            stream.stranger_since = self.strangers.change(ip, stream.stranger_since, since);
        }
    }

    fn vacant(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        })
    }

    fn take(&mut self, place: u32, ip: IpAddr) -> Option<Stream> {
        let stream = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        if stream.stranger_since.is_some() {
            self.strangers.remove(ip);
        }
        Some(stream)
    }
}

impl Worker {
    /// Accept who waits. Without descriptors the listener rests until the next tick, or epoll would not let us go.
    pub(crate) fn accept(&mut self, listener: usize) {
        for _ in 0..ACCEPTS {
            let accepted = match self.listeners.get(listener) {
                Some(listener) => listener.socket.accept(),
                None => return,
            };
            match accepted {
                Ok((socket, address)) => {
                    if let Some(client) = address.as_socket() {
                        self.welcome(listener, socket, client);
                    }
                }
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => {
                    return self.rest(Token::Listener(listener as u32));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn welcome(&mut self, listener: usize, socket: socket2::Socket, client: std::net::SocketAddr) {
        let ip = client.ip().to_canonical();
        let local = socket.local_addr().ok().and_then(|address| address.as_socket());
        let ready = socket.set_nonblocking(true).and_then(|()| socket.set_tcp_nodelay(true)).is_ok();
        let Some(opening) = self.listeners.get(listener).map(|listener| Opening::of(listener, ip)) else { return };
        // Behind a proxy are many sources.
        let admitted = match opening {
            Opening::Header(_) => self.streams.strangers.have_room(),
            _ => self.streams.strangers.admits(ip),
        };
        let (Some(local), true, true) = (local, ready, admitted) else {
            self.table.drop_from(None, Reason::OverSource);
            return;
        };
        let client = std::net::SocketAddr::new(ip, client.port());
        let place = self.streams.vacant();
        let five_tuple = FiveTuple { listener: self.listeners[listener].index, client, local };
        let Some(slot) = self.table.insert(five_tuple, Some(Connection::Stream(place))) else {
            self.streams.free.push(place);
            return;
        };
        self.watch(socket.as_fd(), Token::Stream(place), epoll::EventFlags::IN);
        self.streams.places[place as usize] = Some(Stream::new(socket.into(), opening, slot, self.now));
        self.streams.strangers.add(ip);
    }

    /// Read once, judge the whole frames, keep the rest.
    pub(crate) fn read_stream(&mut self, place: u32) {
        let mut input = std::mem::take(&mut self.input);
        let read = self.read_frames(place, &mut input);
        self.input = input;
        if let Err(end) = read {
            self.end_stream(place, end);
        }
    }

    fn end_stream(&mut self, place: u32, end: End) {
        match end {
            End::Disconnected => self.close_stream(place, "disconnected"),
            End::Refused(reason) => {
                let slot = self.streams.get(place).map(|stream| stream.slot);
                self.table.drop_from(slot, reason);
                self.close_stream(place, reason.name());
            }
        }
    }

    fn read_frames(&mut self, place: u32, input: &mut [u8]) -> Result<(), End> {
        if !self.open(place, input)? {
            return Ok(());
        }
        let Some(stream) = self.streams.get(place) else { return Ok(()) };
        if stream.binding.is_some() {
            return Err(End::Disconnected); // it was not to be read: the kernel says that nobody is there any more
        }
        if stream.is_handshaking() {
            let Some(left) = self.handshakes.checked_sub(1) else { return Ok(()) };
            self.handshakes = left;
        }
        let (input, spare) = input.split_at_mut(PLAIN);
        let kept = stream.take_partial(input);
        let slot = stream.slot;
        let plain = stream.read(&mut input[kept..], spare, READ)?;
        let whole = &input[..kept + plain.count];
        let used = self.judge_frames(place, slot, whole)?;
        self.keep_partial(place, &whole[used..], used > 0 || kept == 0);
        if self.streams.get(place).is_some_and(|stream| stream.is_waiting()) {
            self.streams.waiting.push(place);
        }
        if plain.over {
            return Err(End::Disconnected);
        }
        Ok(())
    }

    fn keep_partial(&mut self, place: u32, rest: &[u8], progress: bool) {
        let now = self.now;
        if let Some(stream) = self.streams.get(place) {
            stream.keep_partial(rest, now, progress);
        }
    }

    fn judge_frames(&mut self, place: u32, slot: u32, whole: &[u8]) -> Result<usize, End> {
        let Some(five_tuple) = self.table.session(slot).map(|session| session.five_tuple) else { return Ok(0) };
        let arrival = Arrival { five_tuple, transport: Transport::Tcp, slot: Some(slot) };
        let mut used = 0;
        loop {
            match self.next_frame(place, &whole[used..]) {
                Frame::Length(length) if used + length <= whole.len() => {
                    self.packet_from_elsewhere(&arrival, &whole[used..used + length]);
                    used += length;
                }
                Frame::NeedMore | Frame::Length(_) => return Ok(used),
                Frame::Broken => return Err(End::Refused(Reason::Malformed)),
            }
        }
    }

    /// The frame that begins here. A stranger's is broken where it is no request: ChannelData (as HTTP looks here), or too much.
    fn next_frame(&mut self, place: u32, rest: &[u8]) -> Frame {
        let next = frame_length(rest);
        let Some(stream) = self.streams.get(place).filter(|stream| stream.stranger_since.is_some()) else {
            return next;
        };
        let channel_data = rest.first().is_some_and(|first| first >> 6 == 1);
        match next {
            _ if stream.binding.is_some() => Frame::NeedMore,
            _ if channel_data => Frame::Broken,
            Frame::Length(length) if length > STRANGERS_FRAME => Frame::Broken,
            next => next,
        }
    }

    /// Judge nothing behind a stranger's ConnectionBind until that is answered: it may be raw data (RFC 6062, section 5.4).
    pub(crate) fn hold_stream(&mut self, slot: u32, transaction: [u8; 12]) {
        let Some(place) = self.table.session(slot).and_then(Session::stream) else { return };
        if let Some(stream) = self.streams.get(place).filter(|stream| stream.stranger_since.is_some()) {
            stream.binding = Some(transaction);
            self.write_stream(place);
        }
    }

    /// The ConnectionBind was refused: what is behind it are frames. None answers whatever was asked.
    pub(crate) fn resume_stream(&mut self, slot: u32, answered: Option<[u8; 12]>) {
        let Some(place) = self.table.session(slot).and_then(Session::stream) else { return };
        let Some(stream) = self.streams.get(place) else { return };
        if stream.binding.is_none() || answered.is_some_and(|transaction| stream.binding != Some(transaction)) {
            return;
        }
        stream.binding = None;
        let mut input = std::mem::take(&mut self.input);
        let kept = stream.take_partial(&mut input);
        match self.judge_frames(place, slot, &input[..kept]) {
            Ok(used) => self.keep_partial(place, &input[used..kept], true),
            Err(end) => self.end_stream(place, end),
        }
        self.input = input;
        self.write_stream(place);
    }

    /// Take a stream out whose ConnectionBind is answered with success: it is a data connection from here on.
    pub(crate) fn take_stream(&mut self, client: Flow, answer: &[u8]) -> Option<Box<Stream>> {
        let slot = self.table.slot(client)?;
        let (five_tuple, place) = self.table.session(slot).map(|session| (session.five_tuple, session.stream()))?;
        self.streams.get(place?)?.binding.take()?;
        let mut stream = self.streams.take(place?, five_tuple.client.ip())?;
        let _ = epoll::delete(&self.epoll, &stream.socket);
        stream.watched = epoll::EventFlags::empty();
        stream.push(Framed { head: &[], body: answer, padding: 0 }, true);
        self.table.book(Some(slot)).client.send(answer.len());
        self.table.remove(slot);
        Some(Box::new(stream))
    }

    /// Write to a client that could not take all before.
    pub(crate) fn write_stream(&mut self, place: u32) {
        let Some(stream) = self.streams.get(place) else { return };
        let outcome = stream.write();
        let flags = stream.wants(&outcome);
        if let Outcome::Over(reason) = outcome {
            return self.close_stream(place, reason);
        }
        if stream.watched != flags {
            stream.watched = flags;
            let data = Token::Stream(place).data();
            let _ = epoll::modify(&self.epoll, &stream.socket, data, flags);
        }
    }

    /// Write what the batch in hand queued.
    pub(crate) fn write_streams(&mut self) {
        let mut waiting = std::mem::take(&mut self.streams.waiting);
        for place in waiting.drain(..) {
            self.write_stream(place);
        }
        self.streams.waiting = waiting;
    }

    /// Close those whose time is over.
    pub(crate) fn close_overdue(&mut self) {
        let now = self.now;
        let places = self.streams.places.iter().zip(0..);
        let overdue: Vec<(u32, &'static str)> =
            places.filter_map(|(stream, place)| Some((place, stream.as_ref()?.overdue(now)?))).collect();
        for (place, reason) in overdue {
            if let Some(slot) = self.streams.get(place).filter(|one| one.is_handshaking()).map(|one| one.slot) {
                self.table.drop_from(Some(slot), Reason::TlsStalled);
            }
            self.close_stream(place, reason);
        }
    }

    /// The connection is over: the session with it, and Python is told where it knows of it.
    pub(crate) fn close_stream(&mut self, place: u32, reason: &'static str) {
        let Some(slot) = self.streams.get(place).map(|stream| stream.slot) else { return };
        let Some(client) = self.table.session(slot).map(|session| session.five_tuple.client) else { return };
        self.flush();
        self.drop_stream(place, client.ip());
        self.end_session(slot, reason);
    }

    /// The connection ends; what was queued before goes out if the socket takes it at once.
    pub(crate) fn drop_stream(&mut self, place: u32, ip: IpAddr) {
        if let Some(stream) = self.streams.take(place, ip) {
            stream.finish();
        }
    }
}
