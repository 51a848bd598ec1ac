"""The page of events against the events of a server that runs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

from fences import fences
from running import configuration, running

PAGE = Path(__file__).parents[2] / "docs/reference/events.md"


@contextmanager
def receiver(told: Queue[dict[str, Any]]) -> Iterator[str]:
    """A hook that takes every event; its URL."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_each_event_has_the_members_of_the_page() -> None:
    """Each kind stands on the page, and what a session brings about has those members, and no others."""
    shown = {fence.title: json.loads(fence.text) for fence in fences(PAGE) if fence.language == "json"}
    told: Queue[dict[str, Any]] = Queue()
    with receiver(told) as url:
        settings = configuration(("udp", "127.0.0.1:0"), api={"bind": "127.0.0.1:0", "hooks": url})
        with running(settings) as server, server.client() as client:
            client.permit(("127.0.0.1", 9))
            client.bind(0x4000, ("127.0.0.1", 9))
            client.refresh(600)
            client.refresh(0)
            events = [told.get(timeout=20) for _ in shown]
    assert {event["kind"] for event in events} == set(shown)
    for event in events:
        assert _members(event) == _members(shown[event["kind"]])


def _members(event: dict[str, Any]) -> dict[str, object]:
    """The names of an event's members, and those of its session."""
    return {name: sorted(value) if isinstance(value, dict) else type(value).__name__ for name, value in event.items()}
