"""GET /metrics: figures for Prometheus, read at the moment of the scrape. Labels come from fixed sets only."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from hairpin.api.listing import in_steps
from hairpin.api.shared import Live, errors
from hairpin.api.view import SECOND, Interface, KernelDrops, View, WorkerFigures
from hairpin.auth.ice import NAMES
from hairpin.stun import Method, Transport
from hairpin.turn.refusal import Reason

Values: TypeAlias = Iterable[tuple[Sequence[str], float]]
"""Figures, each by the values of its labels."""

router = APIRouter(tags=["server"])

_PLACE = ("transport", "interface")
_TRAFFIC = {
    "received_bytes": ("hairpin_received_bytes", "Bytes that came from clients."),
    "send_bytes": ("hairpin_sent_bytes", "Bytes that went to clients."),
    "received_pkts": ("hairpin_received_packets", "Packets that came from clients."),
    "send_pkts": ("hairpin_sent_packets", "Packets that went to clients."),
    "error_pkts": ("hairpin_error_packets", "Packets of clients that were not carried on."),
}
_PEERS = {
    "peers_received_bytes": ("hairpin_peers_received_bytes", "Bytes of payload that came from peers."),
    "peers_send_bytes": ("hairpin_peers_sent_bytes", "Bytes of payload that went to peers."),
    "peers_received_pkts": ("hairpin_peers_received_packets", "Packets that came from peers."),
    "peers_send_pkts": ("hairpin_peers_sent_packets", "Packets that went to peers."),
}


@dataclass(frozen=True, slots=True)
class Census:
    """How many sessions live, and how many of them have an allocation, by transport and interface."""

    sessions: Mapping[tuple[str, str], int]
    allocations: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Scrape(Collector):
    """One server's figures at one moment. It is made for a scrape and registered nowhere: two servers share nothing."""

    view: View
    workers: Sequence[WorkerFigures]
    census: Census
    kernel_drops: KernelDrops | None
    turn: float  # seconds that one turn of the loop took

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._state()
        yield from self._probes()
        yield from self._policy()
        yield from self._sessions()
        yield from self._control()
        yield from self._hooks()
        yield from self._traffic()
        yield from self._drops()
        yield from self._kernel()
        yield from ProcessCollector(registry=None).collect()

    def _state(self) -> Iterator[Metric]:
        view = self.view
        yield InfoMetricFamily("hairpin", "The server.", {"software": view.software, "run_id": view.run_id})
        yield GaugeMetricFamily("hairpin_draining", "1 while no new allocations are taken.", int(view.draining))
        yield GaugeMetricFamily("hairpin_loop_turn_seconds", "How long one turn of Python's loop took.", self.turn)

    def _sessions(self) -> Iterator[Metric]:
        yield _gauge("hairpin_sessions", "Sessions that live.", _PLACE, self.census.sessions.items())
        yield _gauge(
            "hairpin_allocations", "Sessions that have an allocation.", _PLACE, self.census.allocations.items()
        )
        ports = {(str(version),): both for version, both in self.view.ports().items()}
        taken, in_all = ({ip: both[index] for ip, both in ports.items()} for index in (0, 1))
        yield _gauge("hairpin_relay_ports_allocated", "Relay ports taken.", ["ip"], taken.items())
        yield _gauge("hairpin_relay_ports_capacity", "Relay ports in all.", ["ip"], in_all.items())

    def _control(self) -> Iterator[Metric]:
        control = self.view.control()
        requests = {(_method(method),): count for method, count in control.requests.items()}
        answers = {(_method(method), str(error)): count for (method, error), count in control.answers.items()}
        yield _counter("hairpin_requests", "Requests that Python judged.", ["method"], requests.items())
        yield _counter("hairpin_answers", "Answers to them; error 0 is success.", ["method", "error"], answers.items())
        logins, others = _by_reason(control.refused_logins), _by_reason(control.refused_requests)
        yield _counter("hairpin_refused_logins", "Clients that were not let in.", ["reason"], logins.items())
        yield _counter("hairpin_refused_requests", "Other requests that were refused.", ["reason"], others.items())

    def _hooks(self) -> Iterator[Metric]:
        hooks = self.view.hooks()
        given_up = {(what,): count for what, count in sorted(self.view.given_up().items())}
        yield _counter("hairpin_given_up", "Events and look-ups given up.", ["what"], given_up.items())
        if hooks is None:
            return
        yield CounterMetricFamily("hairpin_events_delivered", "Events that a hook has taken.", hooks.delivered)
        yield GaugeMetricFamily("hairpin_events_waiting", "Events that are to be delivered.", hooks.waiting)
        yield GaugeMetricFamily("hairpin_events_failing", "1 while events do not get there.", int(hooks.failing))
        yield CounterMetricFamily("hairpin_password_lookups", "Passwords that a hook was asked for.", hooks.look_ups)
        yield GaugeMetricFamily("hairpin_password_lookups_in_flight", "Look-ups under way.", hooks.look_ups_in_flight)
        yield GaugeMetricFamily("hairpin_password_lookups_waiting", "Clients that wait.", hooks.look_ups_waiting)

    def _probes(self) -> Iterator[Metric]:
        known = {(str(one.interface), one.transport): one for one in self.view.probes()}
        well = {place: int(one.problem is None) for place, one in known.items()}
        took = {place: one.seconds for place, one in known.items()}
        last = {place: one.at for place, one in known.items()}
        labels = ["interface", "transport"]
        yield _gauge("hairpin_probe_success", "1 where the server's try of itself was well.", labels, well.items())
        yield _gauge("hairpin_probe_duration_seconds", "How long that took.", labels, took.items())
        yield _gauge("hairpin_probe_timestamp_seconds", "When that was, in Unix time.", labels, last.items())

    def _policy(self) -> Iterator[Metric]:
        says, failures = "Calls of the policy without an answer.", sorted(self.view.policy_failures().items())
        yield _counter("hairpin_policy_failures", says, ["method", "why"], failures)

    def _traffic(self) -> Iterator[Metric]:
        for figure, (name, says) in _TRAFFIC.items():
            counts = {}
            for one in self.workers:
                counts[str(one.worker), "session"] = getattr(one.sessions, figure)
                counts[str(one.worker), "stranger"] = getattr(one.strangers, figure)
            yield _counter(name, says, ["worker", "client"], counts.items())
        for figure, (name, says) in _PEERS.items():  # strangers have none
            yield _counter(
                name, says, ["worker"], [([str(one.worker)], getattr(one.sessions, figure)) for one in self.workers]
            )

    def _drops(self) -> Iterator[Metric]:
        drops = {
            (str(one.worker), reason): count for one in self.workers for reason, count in sorted(one.drops.items())
        }
        yield _counter("hairpin_dropped_packets", "Packets dropped.", ["worker", "reason"], drops.items())

    def _kernel(self) -> Iterator[Metric]:
        drops = self.kernel_drops
        yield GaugeMetricFamily(
            "hairpin_kernel_drops_known", "1 where the kernel says what it dropped.", int(drops is not None)
        )
        if drops is None:
            return
        udp = [one for one in self.view.interfaces if one.transport == Transport.UDP]
        listeners = {_place(one): drops.listeners.get(one.bind, 0) for one in udp}
        says = "Datagrams for {} that did not fit into the kernel's buffer."
        yield _counter("hairpin_listener_kernel_drops", says.format("a listener"), _PLACE, listeners.items())
        yield CounterMetricFamily("hairpin_relay_kernel_drops", says.format("relays"), drops.relays)


def _gauge(name: str, says: str, labels: Sequence[str], values: Values) -> Metric:
    return _filled(GaugeMetricFamily(name, says, labels=labels), values)


def _counter(name: str, says: str, labels: Sequence[str], values: Values) -> Metric:
    return _filled(CounterMetricFamily(name, says, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _method(method: int) -> str:
    return Method(method).name.lower()


def _by_reason(counts: Mapping[Reason, int]) -> dict[tuple[str, ...], int]:
    """Every reason, also those that did not come yet: a rate begins at 0."""
    return {(reason.value,): counts.get(reason, 0) for reason in Reason}


def _place(one: Interface) -> tuple[str, str]:
    """The transport as the settings name it, and what clients are told."""
    return NAMES[Transport(one.transport), one.tls], str(one.external)


async def census(view: View) -> Census:
    """Count the sessions, in small steps so that the loop never waits for it."""
    places = [_place(one) for one in view.interfaces]
    sessions, allocations = Counter(dict.fromkeys(places, 0)), Counter(dict.fromkeys(places, 0))
    async for some in in_steps(view):
        sessions.update(places[one.listener] for one in some)
        allocations.update(places[one.listener] for one in some if one.allocation)
    return Census(sessions, allocations)


async def turn(view: View) -> float:
    """How long the loop takes to come round, in seconds."""
    begin = view.now()
    await asyncio.sleep(0)
    return (view.now() - begin) / SECOND


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus text format.", "content": {"text/plain": {}}}, **errors(503)},
    operation_id="metrics",
)
async def metrics(view: Live) -> Response:
    """All figures in Prometheus' text format."""
    kernel, workers = await view.kernel_drops(), await view.totals()
    scrape = Scrape(view, workers, await census(view), kernel, await turn(view))
    return Response(generate_latest(scrape), media_type=CONTENT_TYPE_PLAIN_0_0_4)
