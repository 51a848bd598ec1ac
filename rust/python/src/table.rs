//! The packet path in memory: the same table, the same commands, time set by hand, datagrams in and out as values.

use crate::address::Address;
use crate::core::commands;
use crate::options::{transport, Options};
use hairpin_io::events::{Change, Event, Totals};
use hairpin_io::mailbox::PeerCommand;
use hairpin_proto::counters::Reason;
use hairpin_proto::flow::{Connection, Family, FiveTuple, Flow, Transport};
use hairpin_proto::mobility::Held;
use hairpin_proto::nonce::Nonces;
use hairpin_proto::path::{Arrival, Verdict};
use hairpin_proto::session::Relay;
use hairpin_proto::table::{self, Command, Context, Outcome};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

type Datagram = (SocketAddr, SocketAddr, Vec<u8>);
type Entries = (u64, Vec<Address>, Vec<(String, u64)>, Vec<(u16, Address, u64)>);

/// The same path and the same commands in memory, without sockets; `now` is set by hand. A client's port says whose of the
/// `workers` it is, as the kernel's draw does.
#[pyclass(module = "hairpin._core")]
pub struct Table {
    #[pyo3(get, set)]
    now: u64,
    context: Arc<Context>,
    workers: Vec<table::Table<()>>,
    listeners: Vec<(Transport, SocketAddr)>,
    connections: HashMap<FiveTuple, (usize, u32)>,
    events: VecDeque<Event>,
    sent: Vec<Datagram>,
    scratch: Vec<u8>,
}

impl Table {
    /// The worker of a flow; a number beyond the last one's is taken for its.
    fn of(&mut self, flow: Flow) -> &mut table::Table<()> {
        let last = self.workers.len() - 1;
        &mut self.workers[flow.worker().min(last)]
    }

    fn drawn(&self, client: SocketAddr) -> usize {
        usize::from(client.port()) % self.workers.len()
    }

    fn forget(&mut self, flow: Flow) {
        self.connections.retain(|_, place| *place != (flow.worker(), flow.slot()));
    }

    fn post(&mut self, flow: Flow, command: Command<()>, token: u64) {
        let installs = matches!(command, Command::InstallKey(..));
        let (now, mut scratch) = (self.now, std::mem::take(&mut self.scratch));
        let outcome = self.of(flow).apply(flow, command, now, &mut scratch);
        self.scratch = scratch;
        let counters = match outcome {
            Outcome::Send(_) => return self.send_scratch(flow),
            Outcome::Stale if installs => {
                return self.events.push_back(Event::Closed(flow, "disconnected", Default::default()));
            }
            Outcome::Counters(counters) => Some(counters),
            Outcome::Closed(counters, _, connection) => {
                if connection.is_some() {
                    self.forget(flow);
                }
                Some(counters)
            }
            Outcome::Done | Outcome::Opened(..) | Outcome::Shut(_) | Outcome::Stale => None,
        };
        if token != 0 {
            self.events.push_back(Event::Acknowledged(token, counters));
        }
    }

    /// Nothing to bind, and nothing to hold.
    fn let_go(&mut self, _bind: SocketAddr) {}

    fn relay(&mut self, flow: Flow, relay: (SocketAddr, SocketAddr), deadline: u64, _reserve: bool) -> PyResult<()> {
        let (_, external) = relay;
        if !self.context.index.claim(external, flow) {
            return Err(PyOSError::new_err((libc_in_use(), "Address already in use")));
        }
        self.post(flow, Command::OpenRelay(Relay { external, deadline, socket: () }), 0);
        Ok(())
    }

    fn let_move(&mut self, flow: Flow, to: Flow) {
        self.of(flow).hand_over(flow, to);
        let Some(session) = self.of(flow).depart(flow) else { return };
        if session.connection.is_some() {
            self.forget(flow);
        }
        let table = self.of(to);
        let Some(slot) = table.slot(to) else {
            table.lose(to, session);
            return;
        };
        for packet in table.arrive(slot, session) {
            match packet {
                Held::Client(arrival, bytes) => self.judge(&arrival, &bytes),
                Held::Inside(from, payload) => self.to_client(to, from, &payload),
            }
        }
    }

    fn listener(&mut self, flow: Flow, _: SocketAddr, external: SocketAddr, lease: (u64, usize)) -> PyResult<()> {
        if !self.context.index.claim(external, flow) {
            return Err(PyOSError::new_err((libc_in_use(), "Address already in use")));
        }
        self.of(flow).listen(flow, Relay { external, deadline: lease.0, socket: () });
        Ok(())
    }

    /// There is nobody to connect to: whoever may be reached is there. A client that is joined to one is gone.
    fn tell(&mut self, flow: Flow, command: PeerCommand) {
        let now = self.now;
        let table = self.of(flow);
        let Some(slot) = table.slot(flow) else { return };
        match command {
            PeerCommand::Connect(peer, reach) => {
                let session = table.session(slot);
                let relay = session.and_then(|session| session.live_tcp_relay(Family::of(peer.ip()), now));
                let there = relay.is_some() && table.destination(reach, peer).is_ok();
                let change = if there { Change::Connected } else { Change::Failed };
                self.events.push_back(Event::Peer(flow, peer, change));
            }
            PeerCommand::Join(answer, ..) => {
                self.scratch = answer.into();
                self.send_scratch(flow);
                self.forget(flow);
                self.of(flow).remove(slot);
            }
            _ => {}
        }
    }

    fn ask_totals(&mut self, token: u64) {
        self.events.extend(self.workers.iter().enumerate().map(|(worker, table)| {
            Event::Totals(Box::new(Totals {
                token,
                worker,
                sessions: table.totals(),
                strangers: table.strangers,
                drops: table.drops.iter().collect(),
            }))
        }));
    }

    /// Nobody is to be woken: every command is carried out at once.
    fn set_held(&mut self, _held: bool) {}

    fn nonces(&self) -> &Nonces {
        &self.context.nonces
    }

    fn change_rates(&mut self, source: u32, session: u32, user: u32) {
        self.context.sources.set_rate(source);
        self.context.users.set_rate(user);
        self.workers.iter_mut().for_each(|table| table.set_session_rate(session));
    }

    fn events(&mut self, limit: usize) -> Vec<Event> {
        self.events.drain(..limit.min(self.events.len())).collect()
    }

    fn judge(&mut self, arrival: &Arrival, data: &[u8]) {
        let worker = self.drawn(arrival.five_tuple.client);
        let table = &mut self.workers[worker];
        match table.from_client(arrival, data, self.now, &mut self.scratch) {
            Verdict::Drop => {}
            Verdict::Answer => {
                table.book(arrival.slot).client.send(self.scratch.len());
                self.sent.push((arrival.five_tuple.local, arrival.five_tuple.client, self.scratch.clone()));
            }
            Verdict::AnswerFrom(listener, client) => {
                let Some((_, from)) = self.listeners.get(usize::from(listener)) else { return };
                table.book(arrival.slot).client.send(self.scratch.len());
                self.sent.push((*from, client, self.scratch.clone()));
            }
            Verdict::Peer(slot, sent) => {
                let family = Family::of(sent.peer.ip());
                let relay = table.session(slot).and_then(|session| session.relays.get(family));
                if let Some(relay) = relay {
                    self.sent.push((relay.external, sent.peer, data[sent.payload].to_vec()));
                }
            }
            Verdict::Inside(flow, from, payload) => self.to_client(flow, from, &data[payload]),
            Verdict::Hold(slot) => {
                let first = table.hold(slot, Held::Client(*arrival, data.into()));
                self.events.extend(first.map(|flow| Event::Moving(flow, false)));
            }
            Verdict::Ask(ask) => self.events.push_back(Event::Request(ask)),
        }
    }

    fn to_client(&mut self, flow: Flow, from: SocketAddr, payload: &[u8]) {
        let now = self.now;
        let table = self.of(flow);
        let Some(slot) = table.slot(flow) else { return };
        let Some(framing) = table.from_peer(slot, from, payload.len(), now) else { return };
        let Some(session) = table.session(slot) else { return };
        let transport = session.transport();
        let tuple = session.five_tuple;
        let Some(head) = framing.head(payload.len(), transport, [0; 12]) else {
            return table.drops.count(Reason::TooLarge);
        };
        let bytes = [head.bytes(), payload, &[0; 3][..head.padding]].concat();
        table.book(Some(slot)).client.send(bytes.len());
        self.sent.push((tuple.local, tuple.client, bytes));
    }

    fn send_scratch(&mut self, flow: Flow) {
        let size = self.scratch.len();
        let table = self.of(flow);
        let Some(slot) = table.slot(flow) else { return };
        let Some(tuple) = table.session(slot).map(|session| session.five_tuple) else { return };
        table.book(Some(slot)).client.send(size);
        self.sent.push((tuple.local, tuple.client, self.scratch.clone()));
    }

    fn arrival(&mut self, listener: usize, client: SocketAddr) -> PyResult<Arrival> {
        let place = self.listeners.get(listener).ok_or_else(|| PyValueError::new_err("no such listener"))?;
        let (transport, local) = *place;
        let five_tuple = FiveTuple { listener: listener as u16, client, local };
        let slot = match transport {
            Transport::Udp => self.workers[self.drawn(client)].find(&five_tuple),
            Transport::Tcp => Some(self.connection(five_tuple)?),
        };
        Ok(Arrival { five_tuple, transport, slot })
    }

    /// A TCP client is connected from its first frame on.
    fn connection(&mut self, five_tuple: FiveTuple) -> PyResult<u32> {
        if let Some((_, slot)) = self.connections.get(&five_tuple) {
            return Ok(*slot);
        }
        let worker = self.drawn(five_tuple.client);
        let slot = self.workers[worker]
            .insert(five_tuple, Some(Connection::Stream(0)))
            .ok_or_else(|| PyValueError::new_err("no slot left"))?;
        self.connections.insert(five_tuple, (worker, slot));
        Ok(slot)
    }

    fn take_sent(&mut self, py: Python<'_>) -> Vec<(Address, Address, Py<PyBytes>)> {
        let python = |(from, to, bytes): Datagram| (from.into(), to.into(), PyBytes::new(py, &bytes).unbind());
        self.sent.drain(..).map(python).collect()
    }
}

/// EADDRINUSE, as Python's OSError knows it.
fn libc_in_use() -> i32 {
    98
}

commands!(Table {
    #[new]
    #[pyo3(signature = (options, listeners, workers = 1))]
    fn new(options: &Options, listeners: Vec<(u8, Address)>, workers: u8) -> PyResult<Self> {
        let addresses = listeners.iter().map(|(number, address)| Ok((transport(*number)?, address.0)));
        let listeners = addresses.collect::<PyResult<Vec<_>>>()?;
        let bound: Vec<SocketAddr> = listeners.iter().map(|(_, address)| *address).collect();
        let context = Arc::new(options.context(&bound));
        Ok(Self {
            now: 0,
            workers: (0..workers.max(1)).map(|worker| table::Table::new(Arc::clone(&context), worker)).collect(),
            context,
            listeners,
            connections: HashMap::new(),
            events: VecDeque::new(),
            sent: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// A client's datagram or frame arrives; returns what is sent for it: from, to, bytes.
    fn from_client(
        &mut self,
        py: Python<'_>,
        listener: usize,
        source: &Address,
        data: &[u8],
    ) -> PyResult<Vec<(Address, Address, Py<PyBytes>)>> {
        let arrival = self.arrival(listener, source.0)?;
        self.judge(&arrival, data);
        Ok(self.take_sent(py))
    }

    /// A peer's datagram arrives at a relayed transport address; returns what is sent for it.
    fn from_peer(
        &mut self,
        py: Python<'_>,
        relay: &Address,
        source: &Address,
        data: &[u8],
    ) -> Vec<(Address, Address, Py<PyBytes>)> {
        if let Some(flow) = self.context.index.owner(relay.0) {
            self.to_client(flow, source.0, data);
        }
        self.take_sent(py)
    }

    /// What commands sent since the last time.
    fn outputs(&mut self, py: Python<'_>) -> Vec<(Address, Address, Py<PyBytes>)> {
        self.take_sent(py)
    }

    /// Live entries: flow, relays, permissions (IP, deadline) and channels (number, peer, deadline).
    fn entries(&self) -> Vec<Entries> {
        let live = |(flow, session): (Flow, &hairpin_proto::session::Session<()>)| {
            let (permissions, channels) = session.entries();
            let relays = session.relays.iter().chain(session.tcp_relays.iter()).filter(|relay| self.now < relay.deadline);
            let permissions = permissions.iter().filter(|permission| self.now < permission.deadline);
            let channels = channels.iter().filter(|channel| self.now < channel.deadline);
            (
                flow.number(),
                relays.map(|relay| relay.external.into()).collect(),
                permissions.map(|permission| (permission.ip.to_string(), permission.deadline)).collect(),
                channels.map(|channel| (channel.number, channel.peer.into(), channel.deadline)).collect(),
            )
        };
        let sessions = self.workers.iter().flat_map(|table| table.iter().map(|(slot, session)| (table.flow(slot), session)));
        sessions.map(live).collect()
    }
});
