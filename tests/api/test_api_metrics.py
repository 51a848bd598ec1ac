"""GET /metrics: what Prometheus is told of a server."""

from prometheus_client.parser import text_string_to_metric_families

from hairpin.stun import Transport
from hairpin.turn.refusal import Reason


def samples(text):
    """Every sample by its name and its sorted labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


UDP = (("interface", "192.0.2.1:3478"), ("transport", "udp"))
TCP = (("interface", "[2001:db8::1]:3478"), ("transport", "tcp"))
TLS = (("interface", "192.0.2.1:5349"), ("transport", "tls"))


async def test_metrics(client, view):
    """Figures of sessions and strangers apart, by worker, and nothing that names a client."""
    view.add(1)
    view.add(2, transport=Transport.TCP)
    view.begin(3, "bob")
    view.refuse(4, "carol")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found, worker = samples(answer.text), ("worker", "1")
    assert {
        ("hairpin_draining",): 0,
        ("hairpin_loop_turn_seconds",): 0,
        ("hairpin_sessions", *UDP): 2,
        ("hairpin_sessions", *TCP): 1,
        ("hairpin_sessions", *TLS): 0,
        ("hairpin_allocations", *UDP): 1,
        ("hairpin_allocations", *TCP): 1,
        ("hairpin_relay_ports_allocated", ("ip", "4")): 2,
        ("hairpin_relay_ports_capacity", ("ip", "6")): 16384,
        ("hairpin_requests_total", ("method", "allocate")): 7,
        ("hairpin_answers_total", ("error", "0"), ("method", "allocate")): 3,
        ("hairpin_answers_total", ("error", "401"), ("method", "allocate")): 4,
        ("hairpin_refused_logins_total", ("reason", "expired")): 4,
        ("hairpin_refused_logins_total", ("reason", "peer_denied")): 0,
        ("hairpin_refused_requests_total", ("reason", "peer_denied")): 5,
        ("hairpin_events_delivered_total",): 11,
        ("hairpin_events_waiting",): 6,
        ("hairpin_events_failing",): 1,
        ("hairpin_password_lookups_total",): 20,
        ("hairpin_password_lookups_in_flight",): 1,
        ("hairpin_password_lookups_waiting",): 2,
        ("hairpin_given_up_total", ("what", "event refresh")): 4,
        ("hairpin_received_bytes_total", ("client", "session"), worker): 10,
        ("hairpin_received_bytes_total", ("client", "stranger"), worker): 77,
        ("hairpin_peers_received_bytes_total", worker): 8,
        ("hairpin_peers_sent_packets_total", worker): 4,
        ("hairpin_sent_packets_total", ("client", "session"), worker): 2,
        ("hairpin_dropped_packets_total", ("reason", "no permission"), worker): 3,
        ("hairpin_kernel_drops_known",): 1,
        ("hairpin_listener_kernel_drops_total", *UDP): 8,
        ("hairpin_relay_kernel_drops_total",): 9,
    }.items() <= found.items()
    for name in ("alice", "bob", "carol", "198.51"):
        assert name not in answer.text


async def test_metrics_of_two_servers(view, open_to_all, ask):
    """Servers in one process share no figure."""
    view.add(1)
    here = ("host", "localhost")
    for server, count in ((view, 1), (open_to_all, 0)):
        assert samples((await ask(server, "/metrics", here)).text)["hairpin_sessions", *UDP] == count


async def test_every_reason_is_there_from_the_start(client):
    """So that a rate begins with the first refusal, and the number of series never grows by one."""
    found = samples((await client.get("/metrics")).text)
    for family in ("hairpin_refused_logins_total", "hairpin_refused_requests_total"):
        assert {key[1][1] for key in found if key[0] == family} == {reason.value for reason in Reason}


async def test_what_is_not_there_is_not_told(client, view):
    """Without hooks no figures of hooks; where the kernel does not say what it dropped that is told, and no zero."""
    view.hooked = view.lost = None
    found = samples((await client.get("/metrics")).text)
    assert found["hairpin_kernel_drops_known",] == 0
    for part in ("events", "lookups", "kernel_drops_total"):
        assert not [key for key in found if part in key[0]]
