//! DTLS listeners and clients of one worker (RFC 8656, section 2.1): a record carries what a datagram does over UDP.

use crate::association::{Association, Said, ROOM};
use crate::batch::{Received, Span};
use crate::outbox::{Framed, Route};
use crate::stream::PATIENCE;
use crate::worker::{Security, Worker};
use hairpin_proto::counters::Reason;
use hairpin_proto::dtls::{is_encrypted, record_length, ClientHello, LARGEST_PLAINTEXT};
use hairpin_proto::dtls_cookie::{write_handshake_failure, Greeting};
use hairpin_proto::flow::{Connection, FiveTuple, Transport};
use hairpin_proto::path::{Arrival, Head};

/// Memory for the outputs of associations, used again and again.
pub struct Desk {
    /// For one output.
    room: Box<[u8]>,
    /// Messages that came, one behind the other, and where each ends.
    messages: Vec<u8>,
    ends: Vec<usize>,
    /// A frame whose header lies apart.
    frame: Vec<u8>,
}

impl Desk {
    /// An empty one.
    pub fn new() -> Self {
        Self { room: vec![0; ROOM].into(), messages: Vec::new(), ends: Vec::new(), frame: Vec::new() }
    }
}

impl Worker {
    /// Datagrams of one client from a DTLS listener.
    pub(crate) fn records_from_client(&mut self, five_tuple: FiveTuple, received: Received) {
        for datagram in received.spans() {
            let mut start = 0;
            while let Some(length) = record_length(&self.batch.bytes(datagram)[start..]) {
                self.record_from_client(five_tuple, datagram.alone(start..start + length));
                start += length;
            }
            if start < datagram.len() {
                self.table.drop_from(None, Reason::Malformed);
            }
        }
    }

    fn record_from_client(&mut self, five_tuple: FiveTuple, record: Span) {
        match self.associations.find(&five_tuple) {
            Some(place) if !self.begins_anew(place, record) => self.receive_record(place, record),
            _ => self.greet(five_tuple, record),
        }
    }

    /// Whether a client begins anew where an association is already. That one stays until a cookie was brought back, so nobody
    /// ends it who only claims to be there (RFC 6347, section 4.2.8).
    fn begins_anew(&mut self, place: u32, record: Span) -> bool {
        let bytes = self.batch.bytes(record);
        if is_encrypted(bytes) {
            return false;
        }
        let known = self.associations.get(place);
        ClientHello::decode(bytes).is_some_and(|hello| known.is_some_and(|known| !known.began_with(&hello)))
    }

    fn greet(&mut self, five_tuple: FiveTuple, record: Span) {
        match self.judge_greeting(five_tuple, record) {
            Ok(Some(association)) => self.begin(association),
            Ok(None) => self.answer_greeting(five_tuple),
            Err(reason) => self.table.drop_from(None, reason),
        }
    }

    /// An association with who proved where it is; else an answer in `scratch`.
    fn judge_greeting(&mut self, five_tuple: FiveTuple, record: Span) -> Result<Option<Association>, Reason> {
        let (context, bytes, ip) = (&self.shared.context, self.batch.bytes(record), five_tuple.client.ip());
        let greeting = context.cookies.greet(bytes, five_tuple.client, self.now, &mut self.scratch)?;
        context.sources.allow_source(ip, self.now).then_some(()).ok_or(Reason::OverSource)?;
        let Greeting::Proved(hello, cookie) = greeting else { return Ok(None) };
        self.associations.admits(ip).then_some(()).ok_or(Reason::OverSource)?;
        let security = self.listener(five_tuple.listener).map(|listener| &listener.security);
        let Some(Security::Dtls(settings)) = security else { return Err(Reason::NoAssociation) };
        let times = (self.now, self.associations.instant(self.now));
        let begun = Association::begin(settings, five_tuple, (bytes, &hello, cookie), times);
        if begun.is_none() {
            self.table.drops.count(Reason::Dtls);
            write_handshake_failure(&hello, &mut self.scratch);
        }
        Ok(begun)
    }

    /// `scratch` goes to a stranger; no book counts handshakes.
    fn answer_greeting(&mut self, five_tuple: FiveTuple) {
        let answer = std::mem::take(&mut self.scratch);
        self.post(five_tuple, None, &answer, 0);
        self.scratch = answer;
    }

    fn begin(&mut self, association: Association) {
        if let Some(place) = self.associations.find(&association.five_tuple) {
            self.leaving.push((place, "disconnected"));
        }
        let place = self.associations.insert(association);
        self.carry_out(place, 0);
    }

    fn receive_record(&mut self, place: u32, record: Span) {
        let instant = self.associations.instant(self.now);
        let Some(association) = self.associations.get(place) else { return };
        let (five_tuple, handshaking) = (association.five_tuple, association.slot.is_none());
        let received = association.receive(self.batch.bytes(record), instant);
        self.carry_out(place, 0);
        self.judge_messages(place, five_tuple, record);
        if received.is_none() {
            if handshaking {
                self.table.drops.count(Reason::Dtls);
            }
            self.leaving.push((place, "disconnected"));
        }
    }

    /// Messages are judged where their record lay. Several come out of one only at the end of a handshake.
    fn judge_messages(&mut self, place: u32, five_tuple: FiveTuple, record: Span) {
        let (messages, ends) = (std::mem::take(&mut self.desk.messages), std::mem::take(&mut self.desk.ends));
        let mut start = 0;
        for &end in &ends {
            if start != 0 {
                self.outbox.flush();
            }
            let slot = self.associations.get(place).and_then(|association| association.slot);
            let arrival = Arrival { five_tuple, transport: Transport::Udp, slot };
            match self.batch.replace(record, &messages[start..end]) {
                Some(message) if slot.is_some() => self.packet_from_client(&arrival, message),
                _ => self.table.drop_from(None, Reason::NoAssociation), // its session was deleted
            }
            start = end;
        }
        (self.desk.messages, self.desk.ends) = (messages, ends);
    }

    /// Encrypt a frame for a client, and send it.
    pub(crate) fn seal(&mut self, place: u32, head: Option<&Head>, body: Span) {
        let frame = &mut self.desk.frame;
        frame.clear();
        frame.extend_from_slice(head.map_or(&[], Head::bytes));
        frame.extend_from_slice(self.batch.bytes(body));
        frame.resize(frame.len() + head.map_or(0, |head| head.padding), 0);
        let length = frame.len();
        let Some(association) = self.associations.get(place) else { return };
        let slot = association.slot;
        if length > LARGEST_PLAINTEXT || association.send(frame).is_none() {
            return self.table.drops.count(Reason::TooLarge);
        }
        self.table.book(slot).client.send(length);
        self.carry_out(place, length);
    }

    /// Carry out what an association has to say; of a datagram that goes, so many bytes stand in a book.
    fn carry_out(&mut self, place: u32, counted: usize) {
        let Some(mut association) = self.associations.lend(place) else { return };
        let mut room = std::mem::take(&mut self.desk.room);
        self.desk.messages.clear();
        self.desk.ends.clear();
        while let Some(said) = association.poll(&mut room) {
            match said {
                Said::Datagram(datagram) => self.post(association.five_tuple, association.slot, datagram, counted),
                Said::Message(message) => {
                    self.desk.messages.extend_from_slice(message);
                    self.desk.ends.push(self.desk.messages.len());
                }
                Said::Connected => {
                    association.slot = self.table.insert(association.five_tuple, Some(Connection::Association(place)));
                }
                Said::Closed => self.leaving.push((place, "disconnected")),
                Said::Other => {}
            }
        }
        self.desk.room = room;
        self.associations.give_back(place, association);
    }

    /// End associations that took too long, and send again what was not answered.
    pub(crate) fn tick_associations(&mut self) {
        let instant = self.associations.instant(self.now);
        for (place, since) in self.associations.strangers() {
            let Some(association) = self.associations.get(place) else { continue };
            let handshaking = association.slot.is_none();
            let lively = self.now < since + PATIENCE && association.tick(instant).is_some();
            if !lively {
                association.close();
                self.leaving.push((place, "unauthenticated"));
            }
            if !lively && handshaking {
                self.table.drops.count(Reason::DtlsStalled);
            }
            self.carry_out(place, 0);
        }
        self.flush();
        self.close_leaving();
    }

    /// Associations that are over end, their sessions with them.
    pub(crate) fn close_leaving(&mut self) {
        while let Some((place, reason)) = self.leaving.pop() {
            if let Some(slot) = self.associations.remove(place).and_then(|association| association.slot) {
                self.end_session(slot, reason);
            }
        }
    }

    /// The session ended: its association, too.
    pub(crate) fn drop_association(&mut self, place: u32) {
        if let Some(association) = self.associations.get(place) {
            association.close();
            association.slot = None;
            self.carry_out(place, 0);
        }
        self.leaving.push((place, "disconnected"));
    }

    fn post(&mut self, five_tuple: FiveTuple, slot: Option<u32>, datagram: &[u8], counted: usize) {
        let arrival = Arrival { five_tuple, transport: Transport::Udp, slot };
        let Some(route) = self.route(&arrival) else { return };
        if !self.sealed.fits(datagram.len()) {
            self.outbox.flush();
            self.sealed.clear();
        }
        let uncounted = datagram.len().saturating_sub(counted);
        let frame = Framed { head: &[], body: self.sealed.put(datagram), padding: 0 };
        self.outbox.push(Route { uncounted, ..route }, frame);
    }
}
