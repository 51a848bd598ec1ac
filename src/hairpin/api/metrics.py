"""GET /metrics: figures for Prometheus, read at the moment of the scrape. Labels come from fixed sets only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from hairpin.api.shared import Live, errors
from hairpin.api.view import View, WorkerFigures

router = APIRouter(tags=["server"])

_TRAFFIC = {
    "received_bytes": ("hairpin_received_bytes", "Bytes that came from clients."),
    "send_bytes": ("hairpin_sent_bytes", "Bytes that went to clients."),
    "received_pkts": ("hairpin_received_packets", "Packets that came from clients."),
    "send_pkts": ("hairpin_sent_packets", "Packets that went to clients."),
    "error_pkts": ("hairpin_error_packets", "Packets of clients that were not carried on."),
}


@dataclass(frozen=True, slots=True)
class Scrape(Collector):
    """One server's figures at one moment. It is made for a scrape and registered nowhere: two servers share nothing."""

    view: View
    workers: Sequence[WorkerFigures]

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._state()
        yield from self._probes()
        yield from self._policy()
        yield from self._traffic()
        yield from self._drops()
        yield from ProcessCollector(registry=None).collect()

    def _state(self) -> Iterator[Metric]:
        view = self.view
        yield InfoMetricFamily("hairpin", "The server.", {"software": view.software, "run_id": view.run_id})
        yield GaugeMetricFamily("hairpin_draining", "1 while no new allocations are taken.", int(view.draining))
        yield GaugeMetricFamily("hairpin_sessions", "Sessions that live.", len(view.sessions()))
        taken = GaugeMetricFamily("hairpin_relay_ports_allocated", "Relay ports taken.", labels=["ip"])
        in_all = GaugeMetricFamily("hairpin_relay_ports_capacity", "Relay ports in all.", labels=["ip"])
        for version, (allocated, capacity) in view.ports().items():
            taken.add_metric([str(version)], allocated)
            in_all.add_metric([str(version)], capacity)
        yield from (taken, in_all)

    def _probes(self) -> Iterator[Metric]:
        labels = ["interface", "transport"]
        well = GaugeMetricFamily("hairpin_probe_success", "1 where the server's try of itself was well.", labels=labels)
        took = GaugeMetricFamily("hairpin_probe_duration_seconds", "How long that took.", labels=labels)
        last = GaugeMetricFamily("hairpin_probe_timestamp_seconds", "When that was, in Unix time.", labels=labels)
        for one in self.view.probes():
            known = [str(one.interface), one.transport]
            well.add_metric(known, int(one.problem is None))
            took.add_metric(known, one.seconds)
            last.add_metric(known, one.at)
        yield from (well, took, last)

    def _policy(self) -> Iterator[Metric]:
        says = "Calls of the policy without an answer."
        failures = CounterMetricFamily("hairpin_policy_failures", says, labels=["method", "why"])
        for labels, count in sorted(self.view.policy_failures().items()):
            failures.add_metric(labels, count)
        yield failures

    def _traffic(self) -> Iterator[Metric]:
        for figure, (name, says) in _TRAFFIC.items():
            family = CounterMetricFamily(name, says, labels=["worker", "client"])
            for one in self.workers:
                family.add_metric([str(one.worker), "session"], getattr(one.sessions, figure))
                family.add_metric([str(one.worker), "stranger"], getattr(one.strangers, figure))
            yield family

    def _drops(self) -> Iterator[Metric]:
        dropped = CounterMetricFamily("hairpin_dropped_packets", "Packets dropped.", labels=["worker", "reason"])
        for one in self.workers:
            for reason, count in sorted(one.drops.items()):
                dropped.add_metric([str(one.worker), reason], count)
        given_up = CounterMetricFamily("hairpin_given_up", "Events and look-ups given up.", labels=["what"])
        for what, count in sorted(self.view.given_up().items()):
            given_up.add_metric([what], count)
        yield from (dropped, given_up)


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus text format.", "content": {"text/plain": {}}}, **errors(503)},
    operation_id="metrics",
)
async def metrics(view: Live) -> Response:
    """All figures in Prometheus' text format."""
    text = generate_latest(Scrape(view, await view.totals()))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
