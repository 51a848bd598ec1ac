//! A session that moves to another five-tuple (RFC 8016) goes by value from its worker to the new one's, relay sockets and all.
//!
//! What peers send meanwhile waits in the sockets, what other workers and the client send is held where the session is expected,
//! and so are Python's commands, so that their order stays.

use crate::events::Event;
use crate::mailbox::Letter;
use crate::sockets::RelaySocket;
use crate::worker::Worker;
use hairpin_proto::flow::{Family, Flow};
use hairpin_proto::mobility::Held;
use hairpin_proto::session::Session;
use hairpin_proto::table::{Command, Outcome};
use rustix::event::epoll;
use std::os::fd::AsFd;

impl Worker {
    /// A packet for a session that is not here yet; Python is told of the first.
    pub(crate) fn hold(&mut self, slot: u32, packet: Held) {
        if let Some(flow) = self.table.hold(slot, packet) {
            self.shared.events.tell(Event::Moving(flow, false));
        }
    }

    /// Let a session go to another flow; the client's connection here is over.
    pub(crate) fn depart(&mut self, flow: Flow, to: Flow) {
        self.table.hand_over(flow, to);
        self.read_ring(); // what other workers sent here before that
        self.flush(); // no packet waits for a socket that goes
        let session = self.table.depart(flow);
        if let Some(session) = &session {
            for relay in session.relays.iter() {
                let _ = epoll::delete(&self.epoll, relay.socket.0.as_fd());
            }
            self.drop_connection(session.connection, session.five_tuple.client.ip());
        }
        if let Some(mailbox) = self.shared.mailboxes.get(to.worker()) {
            mailbox.post(Letter::Arrive(to, session.map(Box::new)));
        }
    }

    /// A session comes from elsewhere, or has ended there; then what it was told on the way is done.
    pub(crate) fn arrive(&mut self, flow: Flow, session: Option<Box<Session<RelaySocket>>>) {
        match (self.table.slot(flow), session) {
            (Some(slot), Some(session)) => self.settle(slot, *session),
            (Some(_), None) => self.end(flow),
            (None, Some(session)) => drop(self.table.lose(flow, *session)),
            (None, None) => {}
        }
        for (command, token) in self.awaited.remove(&flow).unwrap_or_default() {
            self.command(flow, command, token);
        }
    }

    fn settle(&mut self, slot: u32, session: Session<RelaySocket>) {
        let held = self.table.arrive(slot, session);
        for family in [Family::V4, Family::V6] {
            self.watch_relay(slot, family);
        }
        for packet in held {
            match packet {
                Held::Client(arrival, bytes) => self.packet_from_elsewhere(&arrival, &bytes),
                Held::Inside(from, payload) => self.payload_from_elsewhere(slot, from, &payload),
            }
        }
    }

    fn end(&mut self, flow: Flow) {
        let close = Command::Close { disconnect: true };
        if let Outcome::Closed(counters, _, connection) = self.table.apply(flow, close, self.now, &mut self.scratch) {
            self.closed(flow.slot(), connection);
            self.shared.events.tell(Event::Closed(flow, "disconnected", counters));
        }
    }
}
