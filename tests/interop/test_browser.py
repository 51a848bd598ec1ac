"""Headless Chromium: two RTCPeerConnections that may only relay, watched and ended over the REST API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from serving import PASSWORD, USER, Serving

SIZE = 20_000_000
URL = "http://localhost/call.html"  # answered by the test itself; a camera needs a secure context, which localhost is
PATIENCE = 120_000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """call.html, open."""
    context = browser.new_context(permissions=["camera"])
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    body = Path(__file__).with_name("call.html").read_text()
    opened.route("**/*", lambda route: route.fulfill(body=body, content_type="text/html"))
    opened.goto(URL)
    yield opened
    opened.evaluate("hangUp()")
    context.close()


def sessions_of(server: Serving, stats: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sessions of the two ends, found by the port of their relay candidates."""
    by_port = {session.get("port"): session for session in server.sessions()}
    return by_port[stats["caller"]["local"]["port"]], by_port[stats["callee"]["local"]["port"]]


def statistics(server: Serving, session: dict[str, Any]) -> dict[str, int]:
    """The answer to GET /session/statistics for that session."""
    names = ("address", "interface", "transport")
    status, found = server.ask("GET", "/session/statistics", **{name: session[name] for name in names})
    assert status == 200, found
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_relayed_call_is_seen_and_ended(server: Serving, page: Page, transport: str) -> None:
    """A file and a camera go through two relays, the API counts them, and after DELETE's 200 nothing arrives."""
    uri = f"turn:127.0.0.1:{server.port}?transport={transport}"
    if transport == "tls":
        uri = f"turns:127.0.0.1:{server.secure}?transport=tcp"
    ice = [{"urls": uri, "username": USER, "credential": PASSWORD}]
    page.evaluate("servers => call(servers)", ice)
    stats = page.evaluate("both()")
    for end in stats.values():
        assert (end["local"]["candidateType"], end["remote"]["candidateType"]) == ("relay", "relay")
        assert end["local"]["relayProtocol"] == transport

    caller, callee = sessions_of(server, stats)
    sent, received = statistics(server, caller), statistics(server, callee)
    page.evaluate("size => begin(size)", SIZE)
    assert {session["username"] for session in sessions_of(server, stats)} == {USER}
    page.evaluate("frames(theirs, 30)")
    hashes = page.evaluate("sending")
    assert hashes[0] == hashes[1]
    assert page.evaluate("both()")["callee"]["decoded"] >= stats["callee"]["decoded"] + 30
    assert statistics(server, caller)["received_bytes"] - sent["received_bytes"] >= SIZE
    assert statistics(server, callee)["send_bytes"] - received["send_bytes"] >= SIZE

    status, answer = server.ask("DELETE", "/session", address=caller["address"], transport=caller["transport"])
    assert status == 200, answer
    assert caller["id"] not in {session["id"] for session in server.sessions()}
    silent_from_now_on(page)


def silent_from_now_on(page: Page) -> None:
    """Neither end receives a packet while the camera takes 60 frames more."""
    # What the kernel held for Chromium at the moment of the 200 is read first; its figures are up to 50 ms old, too.
    page.evaluate("frames(mine, 6)")
    before = page.evaluate("both()")
    page.evaluate("frames(mine, 60)")
    after = page.evaluate("both()")
    for end in ("caller", "callee"):
        assert after[end]["received"] == before[end]["received"]
