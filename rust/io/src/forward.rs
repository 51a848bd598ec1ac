//! What becomes of a packet: the verdict of the path, carried out.

use crate::batch::Span;
use crate::mailbox::Packet;
use crate::outbox::{Framed, Route};
use crate::worker::Worker;
use hairpin_proto::counters::Reason;
use hairpin_proto::flow::{Connection, Family, FiveTuple, Flow, Transport};
use hairpin_proto::icmp::Icmp;
use hairpin_proto::message::{method, Relayed};
use hairpin_proto::mobility::Held;
use hairpin_proto::path::{Arrival, Ask, Framing, Head, Verdict};
use hairpin_proto::session::Session;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

impl Worker {
    /// A frame of a stream takes a place as if it had been received.
    pub(crate) fn packet_from_elsewhere(&mut self, arrival: &Arrival, bytes: &[u8]) {
        self.make_room(1);
        match self.batch.put(bytes) {
            Some(span) => self.packet_from_client(arrival, span),
            None => self.table.drop_from(arrival.slot, Reason::TooLarge),
        }
    }

    /// Judge a packet of a client, and carry the verdict out.
    pub(crate) fn packet_from_client(&mut self, arrival: &Arrival, packet: Span) {
        let bytes = self.batch.bytes(packet);
        match self.table.from_client(arrival, bytes, self.now, &mut self.scratch) {
            Verdict::Drop => {}
            Verdict::Answer => self.answer(arrival, packet),
            Verdict::AnswerFrom(listener, client) => {
                let five_tuple = FiveTuple { listener, client, ..arrival.five_tuple };
                self.answer_at_once(&Arrival { five_tuple, ..*arrival });
            }
            Verdict::Peer(slot, data) => self.send_to_peer(slot, data, packet),
            Verdict::Inside(to, from, payload) => self.send_inside(arrival.slot, to, from, packet.part(payload)),
            Verdict::Hold(slot) => self.hold(slot, Held::Client(*arrival, self.batch.bytes(packet).into())),
            Verdict::Ask(ask) => self.ask(ask),
        }
    }

    /// Judge a payload for a session's relay, and send it on to the client.
    pub(crate) fn packet_from_peer(&mut self, slot: u32, peer: SocketAddr, payload: Span) {
        if let Some(framing) = self.table.from_peer(slot, peer, payload.len(), self.now) {
            self.send_to_client(slot, framing, payload);
        }
    }

    /// Judge an ICMP error that a datagram of a session met, and tell the client.
    pub(crate) fn error_from_network(&mut self, slot: u32, error: (SocketAddr, Icmp)) {
        let transaction = self.next_indication();
        if !self.table.icmp(slot, error, transaction, self.now, &mut self.scratch) {
            return;
        }
        self.make_room(1);
        if let Some(indication) = self.batch.put(&self.scratch) {
            self.send_frame(slot, None, indication, false);
        }
    }

    /// A payload from another worker's session. One whose sender has ended meanwhile is not delivered.
    pub(crate) fn packet_from_worker(&mut self, packet: &Packet) {
        let (sender, from) = packet.from;
        if self.shared.context.index.owner(from) != Some(sender) {
            return;
        }
        let Some(slot) = self.table.slot(packet.to) else { return self.table.drops.count(Reason::NoRelay) };
        if self.table.expects(slot) {
            return self.hold(slot, Held::Inside(from, packet.payload.clone()));
        }
        self.payload_from_elsewhere(slot, from, &packet.payload);
    }

    /// A payload that lies elsewhere takes a place as if it had been received.
    pub(crate) fn payload_from_elsewhere(&mut self, slot: u32, from: SocketAddr, payload: &[u8]) {
        self.make_room(1);
        if let Some(payload) = self.batch.put(payload) {
            self.packet_from_peer(slot, from, payload);
        }
    }

    /// `scratch` goes to the client of a slot.
    pub(crate) fn send_scratch(&mut self, slot: u32) {
        self.make_room(1);
        if let Some(answer) = self.batch.put(&self.scratch) {
            self.send_frame(slot, None, answer, true);
        }
    }

    fn ask(&mut self, ask: Ask) {
        let (slot, fresh) = (ask.flow.slot(), ask.fresh);
        let binding = (ask.message.method() == method::CONNECTION_BIND).then(|| *ask.message.transaction());
        match (self.shared.events.ask(ask), binding) {
            (true, Some(transaction)) => self.hold_stream(slot, transaction),
            (true, None) => {}
            (false, _) => self.table.unask(slot, fresh),
        }
    }

    /// `scratch` goes back to where the packet came from, in the packet's own place; where others lie behind it, at once.
    fn answer(&mut self, arrival: &Arrival, packet: Span) {
        match (self.batch.replace(packet, &self.scratch), arrival.slot) {
            (Some(answer), Some(slot)) => self.send_frame(slot, None, answer, true),
            (Some(answer), None) => {
                self.table.book(None).client.send(answer.len());
                let Some(route) = self.route(arrival) else { return };
                self.outbox.push(route, Framed { head: &[], body: self.batch.bytes(answer), padding: 0 });
            }
            (None, _) => self.answer_at_once(arrival),
        }
    }

    /// `scratch` goes to the client now: it is written over by the next answer.
    fn answer_at_once(&mut self, arrival: &Arrival) {
        self.table.book(arrival.slot).client.send(self.scratch.len());
        let Some(route) = self.route(arrival) else { return };
        self.outbox.push(route, Framed { head: &[], body: &self.scratch, padding: 0 });
        self.outbox.flush();
    }

    fn send_to_peer(&mut self, slot: u32, data: Relayed, packet: Span) {
        let (to, whole, payload) = (data.peer, data.whole, packet.part(data.payload));
        let family = Family::of(to.ip());
        let Some(relay) = self.table.session(slot).and_then(|session| session.relays.get(family)) else { return };
        let fd = relay.socket.raw();
        let route = Route { fd, to, source: None, slot: Some(slot), to_client: false, whole, uncounted: 0 };
        self.outbox.push(route, Framed { head: &[], body: self.batch.bytes(payload), padding: 0 });
    }

    /// Two clients of this server meet: within a worker at once, between workers through the owner's ring.
    fn send_inside(&mut self, sender: Option<u32>, to: Flow, from: SocketAddr, payload: Span) {
        let Some(slot) = sender else { return };
        if to.worker() == self.number() {
            return match self.table.slot(to) {
                Some(slot) if self.table.expects(slot) => {
                    self.hold(slot, Held::Inside(from, self.batch.bytes(payload).into()));
                }
                Some(slot) => self.packet_from_peer(slot, from, payload),
                None => self.table.unsend(Some(slot), payload.len(), Reason::NoRelay),
            };
        }
        let sender = self.table.flow(slot);
        let bytes = self.batch.bytes(payload).into();
        let passed = match self.shared.mailboxes.get(to.worker()) {
            Some(mailbox) => mailbox.pass(Packet { to, from: (sender, from), payload: bytes }),
            None => false,
        };
        if !passed {
            self.table.unsend(Some(slot), payload.len(), Reason::RingFull);
        }
    }

    /// Frame a payload and send it to the client (RFC 8656, sections 11.3 and 12.7), where it lies if there is room before it.
    fn send_to_client(&mut self, slot: u32, framing: Framing, payload: Span) {
        let transaction = self.next_indication();
        let Some(transport) = self.table.session(slot).map(Session::transport) else { return };
        let Some(head) = framing.head(payload.len(), transport, transaction) else {
            return self.table.drops.count(Reason::TooLarge);
        };
        match self.batch.frame(payload, head.bytes(), head.padding) {
            Some(frame) => self.send_frame(slot, None, frame, false),
            None => self.send_frame(slot, Some(&head), payload, false),
        }
    }

    /// A frame to the client, its header before it or apart. An answer finds room in a queue that is full of relayed data.
    fn send_frame(&mut self, slot: u32, head: Option<&Head>, body: Span, answer: bool) {
        let Some(session) = self.table.session(slot) else { return };
        let (bytes, padding) = head.map_or((&[][..], 0), |head| (head.bytes(), head.padding));
        let frame = Framed { head: bytes, body: self.batch.bytes(body), padding };
        match session.connection {
            Some(Connection::Stream(place)) => {
                if !self.streams.push(place, frame, answer) {
                    return self.table.drops.count(Reason::SlowReader);
                }
            }
            Some(Connection::Association(place)) => return self.seal(place, head, body),
            Some(Connection::Away) => return self.table.drops.count(Reason::Away),
            None => {
                let arrival = Arrival { five_tuple: session.five_tuple, transport: Transport::Udp, slot: Some(slot) };
                let Some(route) = self.route(&arrival) else { return };
                self.outbox.push(route, frame);
            }
        }
        self.table.book(Some(slot)).client.send(frame.len());
    }

    /// What goes to a client leaves from the address and port that the client used (RFC 8489, section 6.3.1.1).
    pub(crate) fn route(&self, arrival: &Arrival) -> Option<Route> {
        let listener = self.listener(arrival.five_tuple.listener)?;
        let source = listener.address.ip().is_unspecified().then(|| arrival.five_tuple.local.ip());
        let (fd, to) = (listener.socket.as_raw_fd(), arrival.five_tuple.client);
        Some(Route { fd, to, source, slot: arrival.slot, to_client: true, whole: false, uncounted: 0 })
    }

    /// Indications need no answer, so their transaction ids need only differ.
    fn next_indication(&mut self) -> [u8; 12] {
        self.indications = self.indications.wrapping_add(1);
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&self.indications.to_be_bytes()[4..]);
        transaction
    }
}
