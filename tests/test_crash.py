"""The hooks' receiver goes away, hairpin is killed with SIGKILL meanwhile: no event is lost, and all are in order.

What the clients were answered is the truth that events are compared with.
"""

import hmac
import json
import sys
import threading
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from client import Client, Endpoint
from serving import Serving, free_port, start, stop, wait_until_healthy

SECRET = "whsec_" + b64encode(b"k" * 24).decode()
PATIENCE = 90
CALLERS = 4


class Receiver:
    """The receiver of events, which comes and goes on one port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.arrived: list[tuple[str, dict[str, Any]]] = []  # webhook-id and body
        self.ids: dict[tuple[str, int], str] = {}  # of sessions, by the client's address and the relay's port
        self.failures: list[BaseException | None] = []  # of the checks of what arrived
        self._kinds: dict[str, set[str]] = defaultdict(set)
        self._changed = threading.Condition()

    @contextmanager
    def there(self) -> Iterator[None]:
        """While it is there; connections are refused before and after."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # who sent it was stopped
                receiver.take(self.headers["webhook-id"], body, self.headers)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Listening(ThreadingHTTPServer):
            request_queue_size = 64  # more than hairpin has in flight

            def handle_error(self, *_: object) -> None:
                error = sys.exception()
                if not isinstance(error, ConnectionError):  # who sent it was stopped
                    receiver.failures.append(error)

        with Listening(("127.0.0.1", self.port), Handler) as server:
            serving = threading.Thread(target=server.serve_forever, args=[0.01])
            serving.start()
            try:
                yield
            finally:
                server.shutdown()
                serving.join()

    def take(self, name: str, body: bytes, headers: Any) -> None:
        """An event arrived, signed as Standard Webhooks says."""
        signed = f"{name}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.digest(b64decode(SECRET.removeprefix("whsec_")), signed, "sha256")
        assert headers["webhook-signature"] == f"v1,{b64encode(digest).decode()}", (headers, body)
        event = json.loads(body)
        with self._changed:
            self.arrived.append((name, event))
            self._kinds[event["id"]].add(event["kind"])
            if event["kind"] == "allocated":
                self.ids[event["session"]["address"], event["port"]] = event["id"]
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        """Until so many events have arrived."""
        self._wait(lambda: len(self.arrived) >= count)

    def wait_for(self, calls: list["Call"], *more: str) -> None:
        """Until all has arrived that was answered to these calls, and more kinds of events."""
        for call in calls:
            for kind in (*call.answered, *more):
                self._wait(lambda call=call, kind=kind: kind in self._kinds[self.ids.get(call.key, "")])

    def _wait(self, enough: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(enough, PATIENCE), self.arrived[-20:]

    def sessions(self) -> dict[str, list[dict[str, Any]]]:
        """The events of each session in the order of their first arrival."""
        found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for name, body in self.arrived:
            found[body["id"]].setdefault(name, body)
        return {session: list(events.values()) for session, events in found.items()}


@dataclass
class Call:
    """A session as its client knows it: what it was answered, in order."""

    client: Endpoint
    relay: Endpoint
    answered: list[str] = field(default_factory=lambda: ["allocated"])

    @property
    def key(self) -> tuple[str, int]:
        """What names it in its event `allocated`."""
        return "{}:{}".format(*self.client), self.relay[1]


class Storm:
    """Clients that call, and hang up or not, until they are told to stop or nobody answers any more."""

    def __init__(self, server: Endpoint, pause: float) -> None:
        self._server, self._pause = server, pause
        self._calls: list[Call] = []
        self._over = threading.Event()
        self._made = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._call_on) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call_on(self) -> None:
        with ExitStack() as open_ones, suppress(OSError):
            while not self._over.wait(self._pause):
                client = Client(self._server)
                open_ones.callback(client.socket.close)  # at the end: two that live share no port
                client.allocate()
                call = Call(client.address, client.relay)
                self._calls.append(call)
                self._talk(client, call, hangs_up=len(self._calls) % 3 != 0)

    def _talk(self, client: Client, call: Call, hangs_up: bool) -> None:
        peer = ("127.0.0.1", 9)
        client.permit(peer)
        call.answered.append("create_permission")
        client.bind(0x4000, peer)
        call.answered.append("channel_bind")
        client.refresh(600)
        call.answered.append("refresh")
        if hangs_up:
            client.refresh(0)
            call.answered.append("closed")
            client.socket.close()
        self._made.release()

    def wait(self, count: int) -> None:
        """Until so many more calls were made."""
        for _ in range(count):
            assert self._made.acquire(timeout=PATIENCE)

    def stop(self) -> list[Call]:
        """All sessions that there were."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return self._calls


@contextmanager
def hairpin(folder: Path) -> Iterator[Serving]:
    """A server that runs, however it ends."""
    server = start(folder, 2)
    try:
        wait_until_healthy(server)
        yield server
    finally:
        if server.process.poll() is None:
            stop(server.process)


def outage(folder: Path, receiver: Receiver, pause: float, lasts: Callable[[Storm], None]) -> list[Call]:
    """Calls while all is well; the receiver goes; hairpin is killed and comes back; then the receiver does, too.

    `lasts` is called in both halves of the outage, and returns when they are over.
    """
    with hairpin(folder) as server:
        storm = Storm(server.address, pause)
        with receiver.there():
            receiver.wait(100)
        lasts(storm)
        server.process.kill()
        calls = storm.stop()
    with hairpin(folder) as server:
        storm = Storm(server.address, pause)
        lasts(storm)
        calls += storm.stop()
        with receiver.there():
            receiver.wait_for(calls)
            stop(server.process)
    with receiver.there(), hairpin(folder):
        receiver.wait_for(calls, "closed")
    return calls


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """A receiver that servers are told of by the environment."""
    receiver = Receiver()
    settings = {"HOOKS": f"http://127.0.0.1:{receiver.port}", "HOOKS_SPOOL": str(tmp_path / "spool")}
    for name, value in {**settings, "HOOKS_SECRET": SECRET, "USAGE_INTERVAL": "1"}.items():
        monkeypatch.setenv(f"HAIRPIN_API_{name}", value)
    return receiver


def test_neither_an_outage_nor_sigkill_loses_an_event(receiver: Receiver, tmp_path: Path) -> None:
    """Each event that a client was answered for arrives at least once, in order, its session's usage and end too."""
    calls = outage(tmp_path, receiver, pause=0.02, lasts=lambda storm: storm.wait(60))
    sessions = receiver.sessions()
    assert len(calls) > 100
    assert len(calls) <= len(sessions) <= len(calls) + 2 * CALLERS  # with Allocates that nobody was answered
    assert receiver.failures == []
    reasons = dict.fromkeys(("refresh", "crash", "shutdown"), 0)
    for call in calls:
        reasons[check(call, sessions[receiver.ids[call.key]])] += 1
    assert all(reasons.values()), reasons
    said = (tmp_path / "hairpin.log").read_text()
    assert "given up" not in said
    assert "not spooled" not in said


def check(call: Call, events: list[dict[str, Any]]) -> str:
    """One session's events: all that was answered, in order, at most one more, its usage and its end; why it ended."""
    kinds = [event["kind"] for event in events if event["kind"] != "usage"]
    before = [kind for kind in call.answered if kind != "closed"]
    assert kinds[: len(before)] == before
    assert kinds[-1] == "closed"
    assert len(kinds) - len(before) in (1, 2)
    usage, closed = events[-2:]
    assert usage["kind"] == "usage"
    assert usage["reason"] == closed["reason"]
    assert closed["reason"] in (("refresh", "crash") if "closed" in call.answered else ("crash", "shutdown"))
    reason: str = closed["reason"]
    return reason
