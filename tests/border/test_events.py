"""GET /events and GET /session/events of a server that runs: while it serves, and when it stops."""

import http.client
import json
from contextlib import ExitStack, closing
from typing import Any

from running import LOOPBACK, Running, configuration, running

PEER = ("127.0.0.1", 4000)


class Listener:
    """One that reads /events."""

    def __init__(self, server: Running) -> None:
        api = server.server.api_address
        self.connection = http.client.HTTPConnection(api.ip, api.port, timeout=20)
        self.connection.request("GET", "/events")
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert str(self.response.getheader("content-type")).startswith("text/event-stream")
        assert self.response.readline().startswith(b"retry: ")

    def close(self) -> None:
        """Go away."""
        self.connection.close()

    def next(self) -> dict[str, Any]:
        """The next event."""
        while line := self.response.readline():
            if line.startswith(b"data: "):
                event: dict[str, Any] = json.loads(line[6:])
                return event
        raise AssertionError("the stream has ended")


def test_what_a_client_does_is_told_live_and_kept() -> None:
    """Each control message, in order, as hooks are told it; the session's life says the same, and after its end."""
    with running(configuration(("udp", "127.0.0.1:0"))) as server, closing(Listener(server)) as listener:
        with server.client() as client:
            client.permit(PEER)
            client.bind(0x4000, PEER)
            client.refresh(600)
            told = [listener.next() for _ in range(4)]
            assert [event["kind"] for event in told] == ["allocated", "create_permission", "channel_bind", "refresh"]
            identity = told[0]["id"]
            status, life = server.ask("GET", "/session/events", id=identity)
            assert (status, life["ended"], life["forgotten"]) == (200, False, 0)
            assert life["events"] == [
                {name: value for name, value in event.items() if name not in ("id", "session", "username")}
                for event in told
            ]
            assert server.ask("DELETE", "/session", id=identity) == (200, {"deleted": 1})
        usage, closed = listener.next(), listener.next()
        assert (usage["kind"], usage["reason"], usage["client"]["received_pkts"] >= 4) == ("usage", "deleted", True)
        assert (closed["kind"], closed["reason"]) == ("closed", "deleted")
        status, life = server.ask("GET", "/session/events", id=identity)
        assert (status, life["ended"], life["events"][-1]["reason"]) == (200, True, closed["reason"])
        assert life["statistics"]["received_pkts"] >= 4
        assert server.ask("DELETE", "/session", id=identity)[0] == 404


def test_a_stop_tells_the_last_events_and_ends_the_stream() -> None:
    """`closed` with the reason, then the end of the body; nobody who listens holds it up."""
    with ExitStack() as stack:
        server = stack.enter_context(running(configuration(("udp", "127.0.0.1:0"), peers={"allow": LOOPBACK})))
        listeners = [stack.enter_context(closing(Listener(server))) for _ in range(3)]
        client = server.client()
        server.wait(server.server.__aexit__(None, None, None))
        for listener in listeners:
            assert [listener.next()["kind"] for _ in range(2)] == ["allocated", "usage"]
            assert (listener.next()["reason"], listener.response.read()) == ("shutdown", b"\n")
        client.__exit__()
