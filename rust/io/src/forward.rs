//! What becomes of a packet: the verdict of the path, carried out.

use crate::batch::HEADROOM;
use crate::mailbox::Packet;
use crate::outbox::Datagram;
use crate::worker::Worker;
use hairpin_proto::counters::Reason;
use hairpin_proto::flow::{Flow, Transport};
use hairpin_proto::path::{Arrival, Ask, Framing, Verdict};
use std::net::SocketAddr;

/// Bytes of a place of the batch: place, start, length.
type Bytes = (usize, usize, usize);

impl Worker {
    /// A frame of a stream or of the interpreter takes a place as if it had been received.
    pub(crate) fn packet_from_elsewhere(&mut self, arrival: &Arrival, bytes: &[u8]) {
        self.make_room(1);
        match self.batch.put(bytes) {
            Some(place) => self.packet_from_client(arrival, place, bytes.len()),
            None => self.table.drop_from(arrival.slot, Reason::TooLarge),
        }
    }

    /// Judge a packet of a client that lies in a place.
    pub(crate) fn packet_from_client(&mut self, arrival: &Arrival, place: usize, length: usize) {
        let bytes = self.batch.bytes(place, HEADROOM, length);
        match self.table.from_client(arrival, bytes, self.now, &mut self.scratch) {
            Verdict::Drop => {}
            Verdict::Answer => self.answer(arrival, place),
            Verdict::Peer(slot, peer, payload) => {
                self.send_to_peer(slot, peer, (place, HEADROOM + payload.start, payload.len()));
            }
            Verdict::Inside(to, from, payload) => {
                self.send_inside(arrival.slot, to, from, (place, HEADROOM + payload.start, payload.len()));
            }
            Verdict::Ask(ask) => self.ask(ask),
        }
    }

    /// Judge a payload for a session's relay, and send it on to the client.
    pub(crate) fn packet_from_peer(&mut self, slot: u32, peer: SocketAddr, payload: Bytes) {
        if let Some(framing) = self.table.from_peer(slot, peer, payload.2, self.now) {
            self.send_to_client(slot, framing, payload);
        }
    }

    /// A payload from another worker's session. One whose sender has ended meanwhile is not delivered.
    pub(crate) fn packet_from_worker(&mut self, packet: &Packet) {
        let (sender, from) = packet.from;
        if self.shared.context.index.owner(from) != Some(sender) {
            return;
        }
        let Some(slot) = self.table.slot(packet.to) else { return self.table.drops.count(Reason::NoRelay) };
        self.make_room(1);
        if let Some(place) = self.batch.put(&packet.payload) {
            self.packet_from_peer(slot, from, (place, HEADROOM, packet.payload.len()));
        }
    }

    /// `scratch` goes to the client of a slot.
    pub(crate) fn send_scratch(&mut self, slot: u32) {
        let bytes = std::mem::take(&mut self.scratch);
        self.make_room(1);
        if let Some(place) = self.batch.put(&bytes) {
            self.send_frame(slot, (place, HEADROOM, bytes.len()), true);
        }
        self.scratch = bytes;
    }

    fn ask(&mut self, ask: Ask) {
        let (slot, fresh) = (ask.flow.slot(), ask.fresh);
        if !self.shared.events.ask(ask) {
            self.table.unask(slot, fresh);
        }
    }

    /// `scratch` goes back to where the packet came from, in the packet's own place.
    fn answer(&mut self, arrival: &Arrival, place: usize) {
        let length = self.scratch.len();
        self.batch.bytes_mut(place, HEADROOM, length).copy_from_slice(&self.scratch);
        let bytes = (place, HEADROOM, length);
        match arrival.slot {
            Some(slot) => self.send_frame(slot, bytes, true),
            None => self.push_datagram(arrival, bytes),
        }
    }

    fn send_to_peer(&mut self, slot: u32, peer: SocketAddr, (place, start, length): Bytes) {
        let Some(relay) = self.table.session(slot).and_then(|session| session.relay.as_ref()) else { return };
        let fd = relay.socket.raw();
        let slot = Some(slot);
        self.outbox.push(Datagram { fd, to: peer, source: None, place, start, length, slot, to_client: false });
    }

    /// Two clients of this server meet: within a worker at once, between workers through the owner's ring.
    fn send_inside(&mut self, sender: Option<u32>, to: Flow, from: SocketAddr, payload: Bytes) {
        let Some(slot) = sender else { return };
        if to.worker() == self.number() {
            return match self.table.slot(to) {
                Some(slot) => self.packet_from_peer(slot, from, payload),
                None => self.table.drop_from(Some(slot), Reason::NoRelay),
            };
        }
        let sender = self.table.flow(slot);
        let bytes = self.batch.bytes(payload.0, payload.1, payload.2).into();
        let passed = match self.shared.mailboxes.get(to.worker()) {
            Some(mailbox) => mailbox.pass(Packet { to, from: (sender, from), payload: bytes }),
            None => false,
        };
        if !passed {
            self.table.drop_from(Some(slot), Reason::RingFull);
        }
    }

    /// Give a payload its header where it lies, and send it to the client (RFC 8656, sections 11.3 and 12.7).
    fn send_to_client(&mut self, slot: u32, framing: Framing, (place, start, length): Bytes) {
        let transaction = self.next_indication();
        let Some(transport) = self.transport(slot) else { return };
        let Some(head) = framing.head(length, transport, transaction) else {
            return self.table.drops.count(Reason::TooLarge);
        };
        let size = head.bytes().len();
        self.batch.bytes_mut(place, start - size, size).copy_from_slice(head.bytes());
        self.batch.bytes_mut(place, start + length, head.padding).fill(0);
        self.send_frame(slot, (place, start - size, size + length + head.padding), false);
    }

    /// A whole frame to the client. An answer finds room in a queue that is full of relayed data.
    fn send_frame(&mut self, slot: u32, (place, start, length): Bytes, answer: bool) {
        let Some(session) = self.table.session(slot) else { return };
        let Some(connection) = session.connection else {
            let arrival = Arrival { five_tuple: session.five_tuple, transport: Transport::Udp, slot: Some(slot) };
            return self.push_datagram(&arrival, (place, start, length));
        };
        if self.streams.push(connection, self.batch.bytes(place, start, length), answer) {
            self.table.book(Some(slot)).send(length);
        } else {
            self.table.drops.count(Reason::SlowReader);
        }
    }

    fn transport(&self, slot: u32) -> Option<Transport> {
        let stream = self.table.session(slot)?.connection.is_some();
        Some(if stream { Transport::Tcp } else { Transport::Udp })
    }

    /// The answer goes out from the address and port that the client used (RFC 8489, section 6.3.1.1).
    fn push_datagram(&mut self, arrival: &Arrival, (place, start, length): Bytes) {
        self.table.book(arrival.slot).send(length);
        let Some(listener) = self.listener(arrival.five_tuple.listener) else { return };
        let source = listener.address.ip().is_unspecified().then(|| arrival.five_tuple.local.ip());
        let (fd, to) = (std::os::fd::AsRawFd::as_raw_fd(&listener.socket), arrival.five_tuple.client);
        self.outbox.push(Datagram { fd, to, source, place, start, length, slot: arrival.slot, to_client: true });
    }

    /// Indications need no answer, so their transaction ids need only differ.
    fn next_indication(&mut self) -> [u8; 12] {
        self.indications = self.indications.wrapping_add(1);
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&self.indications.to_be_bytes()[4..]);
        transaction
    }
}
