//! What comes up, as frozen values.

use crate::address::Address;
use crate::message::Message;
use hairpin_io::events::{self, Event};
use hairpin_proto::counters;
use hairpin_proto::flow::Transport;
use hairpin_proto::path::Ask;
use pyo3::prelude::*;
use std::collections::BTreeMap;

/// Packets and bytes of one client, as the server's socket towards that client saw them, and payloads between its relays and peers.
#[pyclass(frozen, eq, module = "hairpin._core")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Counters(pub counters::Counters);

#[pymethods]
impl Counters {
    #[new]
    fn new() -> Self {
        Self(counters::Counters::default())
    }

    #[getter]
    fn received_bytes(&self) -> u64 {
        self.0.client.received_bytes
    }

    #[getter]
    fn send_bytes(&self) -> u64 {
        self.0.client.sent_bytes
    }

    #[getter]
    fn received_pkts(&self) -> u64 {
        self.0.client.received_packets
    }

    #[getter]
    fn send_pkts(&self) -> u64 {
        self.0.client.sent_packets
    }

    #[getter]
    fn error_pkts(&self) -> u64 {
        self.0.errors
    }

    #[getter]
    fn peers_received_bytes(&self) -> u64 {
        self.0.peers.received_bytes
    }

    #[getter]
    fn peers_send_bytes(&self) -> u64 {
        self.0.peers.sent_bytes
    }

    #[getter]
    fn peers_received_pkts(&self) -> u64 {
        self.0.peers.received_packets
    }

    #[getter]
    fn peers_send_pkts(&self) -> u64 {
        self.0.peers.sent_packets
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A request with a valid nonce; `verified` where its integrity was proved with the key that the flow holds.
#[pyclass(frozen, get_all, module = "hairpin._core")]
pub struct Request {
    flow: u64,
    message: Py<Message>,
    source: Address,
    local: Address,
    listener: u16,
    transport: u8,
    verified: bool,
}

#[pymethods]
impl Request {
    #[new]
    fn new(
        flow: u64,
        message: Py<Message>,
        source: Address,
        local: Address,
        listener: u16,
        transport: u8,
        verified: bool,
    ) -> Self {
        Self { flow, message, source, local, listener, transport, verified }
    }
}

/// The client's connection went away by itself; the flow is gone already.
#[pyclass(frozen, get_all, module = "hairpin._core")]
pub struct Closed {
    flow: u64,
    reason: &'static str,
    counters: Counters,
}

/// The first data came on a flow where a session is expected, or (`away`) the stream of a mobile client ended.
#[pyclass(frozen, get_all, module = "hairpin._core")]
pub struct Moving {
    flow: u64,
    away: bool,
}

/// A TCP connection between a flow's relayed transport address and a peer: arrived, connected, failed or closed.
#[pyclass(frozen, get_all, module = "hairpin._core")]
pub struct PeerConnection {
    flow: u64,
    peer: Address,
    change: &'static str,
}

/// A command with a token was carried out, after the batch in hand; no counters where the flow was gone.
#[pyclass(frozen, get_all, module = "hairpin._core")]
pub struct Acknowledged {
    token: u64,
    counters: Option<Counters>,
}

/// One worker's figures: all sessions that live or lived, strangers apart, and drops by reason.
#[pyclass(frozen, get_all, module = "hairpin._core")]
pub struct Totals {
    token: u64,
    worker: usize,
    sessions: Counters,
    strangers: Counters,
    drops: BTreeMap<&'static str, u64>,
}

/// An event as Python sees it.
pub fn to_python(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    Ok(match event {
        Event::Request(ask) => Py::new(py, request(py, ask)?)?.into_any(),
        Event::Closed(flow, reason, figures) => {
            Py::new(py, Closed { flow: flow.number(), reason, counters: Counters(figures) })?.into_any()
        }
        Event::Moving(flow, away) => Py::new(py, Moving { flow: flow.number(), away })?.into_any(),
        Event::Peer(flow, peer, change) => {
            Py::new(py, PeerConnection { flow: flow.number(), peer: peer.into(), change: change.name() })?.into_any()
        }
        Event::Acknowledged(token, figures) => {
            Py::new(py, Acknowledged { token, counters: figures.map(Counters) })?.into_any()
        }
        Event::Totals(totals) => Py::new(py, figures(*totals))?.into_any(),
    })
}

fn request(py: Python<'_>, ask: Ask) -> PyResult<Request> {
    let tuple = ask.arrival.five_tuple;
    Ok(Request {
        flow: ask.flow.number(),
        message: Py::new(py, Message(ask.message))?,
        source: tuple.client.into(),
        local: tuple.local.into(),
        listener: tuple.listener,
        transport: u8::from(ask.arrival.transport == Transport::Tcp),
        verified: ask.verified,
    })
}

fn figures(totals: events::Totals) -> Totals {
    Totals {
        token: totals.token,
        worker: totals.worker,
        sessions: Counters(totals.sessions),
        strangers: Counters(totals.strangers),
        drops: totals.drops.into_iter().map(|(reason, count)| (reason.name(), count)).collect(),
    }
}
