//! Mobility (RFC 8016): a session moves to another five-tuple, whosever worker's that is.
//!
//! A session is expected on the new flow from the Refresh on. The first data there is held, with what follows it, and Python is told;
//! it has the session's own table let go of it (`depart`), and the value that this gives is put into the new flow's (`arrive`).
//! Until then the session is where it was, and whatever peers send goes there.

use crate::counters::{Counters, Reason};
use crate::flow::{Connection, Flow};
use crate::path::Arrival;
use crate::session::{Relays, Session};
use crate::table::Table;
use std::net::SocketAddr;

/// Packets that wait for a session; what comes behind them is dropped and counted.
const HELD: usize = 64;

/// A packet that was there before its session.
pub enum Held {
    /// The client sent it.
    Client(Arrival, Box<[u8]>),
    /// Another session of this server sent this payload, from its relayed transport address.
    Inside(SocketAddr, Box<[u8]>),
}

impl<S> Table<S> {
    /// Whether a session is expected in this slot.
    pub fn expects(&self, slot: u32) -> bool {
        self.session(slot).is_some_and(|session| session.expected.is_some())
    }

    /// Hold a packet for a session that is expected; the flow where it is the first one, which Python is told.
    pub fn hold(&mut self, slot: u32, packet: Held) -> Option<Flow> {
        let held = self.session_mut(slot)?.expected.as_mut()?;
        if held.len() == HELD {
            self.drop_from(Some(slot), Reason::QueueFull);
            return None;
        }
        held.push(packet);
        (held.len() == 1).then(|| self.flow(slot))
    }

    /// A mobile client's stream is over: its session stays without one. False where it is not mobile.
    pub fn leave(&mut self, slot: u32) -> bool {
        let Some(session) = self.session_mut(slot).filter(|session| session.mobile) else { return false };
        session.connection = Some(Connection::Away);
        true
    }

    /// Make the relays of a flow another one's, for all who look for them.
    pub fn hand_over(&self, flow: Flow, to: Flow) {
        let session = self.slot(flow).and_then(|slot| self.session(slot));
        for relay in session.iter().flat_map(|session| session.relays.iter()) {
            self.context.index.hand_over(relay.external, flow, to);
        }
    }

    /// Let go of a session. Its figures until now stay in the sums of this table.
    pub fn depart(&mut self, flow: Flow) -> Option<Session<S>> {
        let slot = self.slot(flow)?;
        let mut session = self.take(slot)?;
        self.keep_figures(&session);
        session.carried = session.counters;
        Some(session)
    }

    /// Put a session where it was expected, and take what was held for it.
    pub fn arrive(&mut self, slot: u32, session: Session<S>) -> Vec<Held> {
        self.session_mut(slot).and_then(|waiting| waiting.settle(session)).unwrap_or_default()
    }

    /// The flow that a session was to move to is gone: so is the session.
    pub fn lose(&mut self, flow: Flow, session: Session<S>) -> (Counters, Relays<S>) {
        self.account(flow, session)
    }
}

impl<S> Session<S> {
    /// Become the session that was expected here, at this five-tuple and with these credentials; what was held for it.
    fn settle(&mut self, session: Self) -> Option<Vec<Held>> {
        let waiting = std::mem::replace(self, session);
        self.five_tuple = waiting.five_tuple;
        self.connection = waiting.connection;
        self.credentials = waiting.credentials;
        self.requests = waiting.requests;
        self.counters.add(&waiting.counters);
        waiting.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls_cookie::Cookies;
    use crate::flow::{FiveTuple, Transport};
    use crate::index::RelayIndex;
    use crate::limiter::Buckets;
    use crate::nonce::Nonces;
    use crate::session::{Credentials, Relay};
    use crate::table::{Command, Context};
    use std::sync::Arc;

    const RELAY: &str = "192.0.2.1:50000";

    fn context() -> Arc<Context> {
        let ip = "192.0.2.1".parse().unwrap();
        Arc::new(Context {
            index: RelayIndex::new(&[(ip, ip)]),
            realm: "realm".into(),
            third_party: None,
            nonces: Nonces::new([0; 32]),
            cookies: Cookies::new([0; 32]),
            closed: Vec::new(),
            squares: Vec::new(),
            classic: false,
            sources: Buckets::new(0, 0),
            users: Buckets::new(0, 0),
        })
    }

    fn client(table: &mut Table<()>, address: &str) -> (u32, Flow, Arrival) {
        let five_tuple =
            FiveTuple { listener: 0, client: address.parse().unwrap(), local: "192.0.2.1:1".parse().unwrap() };
        let slot = table.insert(five_tuple, None).unwrap();
        let flow = table.flow(slot);
        let credentials = Credentials { username: "user".into(), algorithm: crate::claim::MD5, key: (*b"key").into() };
        table.apply(flow, Command::InstallKey(credentials, 0), 0, &mut Vec::new());
        table.session_mut(slot).unwrap().asked = true;
        (slot, flow, Arrival { five_tuple, transport: Transport::Udp, slot: Some(slot) })
    }

    fn sums(table: &Table<()>) -> (u64, u64) {
        let totals = table.totals();
        (totals.client.received_bytes, totals.peers.sent_bytes)
    }

    #[test]
    fn a_session_goes_from_table_to_table_with_its_relay_and_its_figures() {
        let context = context();
        let (mut one, mut two) = (Table::<()>::new(Arc::clone(&context), 0), Table::<()>::new(Arc::clone(&context), 1));
        let (old_slot, old, _) = client(&mut one, "192.0.2.9:1");
        let (slot, new, arrival) = client(&mut two, "192.0.2.9:2");
        let relay: SocketAddr = RELAY.parse().unwrap();
        assert!(context.index.claim(relay, old));
        let command = Command::OpenRelay(Relay { external: relay, deadline: 9, socket: () });
        one.apply(old, command, 0, &mut Vec::new());
        one.book(Some(old_slot)).client.receive(100);
        one.book(Some(old_slot)).peers.send(96);
        two.apply(new, Command::Expect, 0, &mut Vec::new());
        let data = [0x40, 0, 0, 0];
        for number in 0..=HELD {
            let verdict = two.from_client(&arrival, &data, 0, &mut Vec::new());
            assert!(matches!(verdict, crate::path::Verdict::Hold(held) if held == slot));
            let first = two.hold(slot, Held::Client(arrival, data.into()));
            assert_eq!(first, (number == 0).then_some(new));
        }
        assert!(two.drops.iter().any(|drop| drop == (Reason::QueueFull, 1)));

        one.hand_over(old, new);
        assert_eq!(context.index.owner(relay), Some(new));
        let session = one.depart(old).unwrap();
        assert!(one.slot(old).is_none() && one.depart(old).is_none());
        assert_eq!(two.arrive(slot, session).len(), HELD);
        assert!(!two.expects(slot) && two.session(slot).unwrap().relays.iter().next().is_some());
        assert_eq!(two.session(slot).unwrap().five_tuple, arrival.five_tuple);
        let figures = two.session(slot).unwrap().counters;
        assert_eq!((figures.client.received_bytes, figures.peers.sent_bytes), (100, 96));
        assert_eq!((sums(&one), sums(&two)), ((100, 96), (0, 0)));
        two.book(Some(slot)).client.receive(7);
        two.book(Some(slot)).peers.send(3);
        two.remove(slot);
        assert_eq!((sums(&one), sums(&two)), ((100, 96), (7, 3)));
        assert_eq!(context.index.owner(relay), None);
    }

    #[test]
    fn a_session_whose_flow_is_gone_gives_its_relay_back() {
        let context = context();
        let mut table = Table::<()>::new(Arc::clone(&context), 0);
        let (slot, old, _) = client(&mut table, "192.0.2.9:1");
        let relay: SocketAddr = RELAY.parse().unwrap();
        assert!(context.index.claim(relay, old) && !table.leave(slot));
        table.apply(old, Command::OpenRelay(Relay { external: relay, deadline: 9, socket: () }), 0, &mut Vec::new());
        let gone = Flow::new(1, 7, 7);
        table.hand_over(old, gone);
        let session = table.depart(old).unwrap();
        table.lose(gone, session);
        assert_eq!(context.index.owner(relay), None);
    }
}
