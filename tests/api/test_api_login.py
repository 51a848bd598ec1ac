"""Browsers: the token for a cookie, what the cookie opens, and what it does not."""

import json

import pytest

from hairpin.api import create_app
from hairpin.api.logins import LIFE, LOGINS, PAUSE, SOURCES, TRIES, Attempts, Logins

SECOND = 10**9
TOKEN = "t\u00f6ken"
HOST = "turn.example:3000"
ORIGIN = ("origin", f"http://{HOST}")


class Browser:
    """One that keeps its cookie, and sends an Origin with what is no GET."""

    def __init__(self, view, host=HOST):
        self.app, self.host, self.cookie, self.answered = create_app(view), host, None, None

    async def ask(self, method, path, *headers, body=None, peer="192.0.2.7"):
        """A request: status, and the text of the body."""
        sent = [("host", self.host), ("content-type", "application/json"), *headers]
        if self.cookie:
            sent.append(("cookie", f"other=1; {self.cookie}"))
        path, _, query = path.partition("?")
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path}
        scope |= {"raw_path": path.encode(), "query_string": query.encode(), "scheme": "http", "root_path": ""}
        scope |= {"headers": [(name.encode(), value.encode()) for name, value in sent], "client": (peer, 5)}
        came, chunks = [{"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}], []

        async def receive():
            return came.pop() if came else {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                self.answered = {name.decode().lower(): value.decode() for name, value in message["headers"]}
                self.status = message["status"]
            else:
                chunks.append(message.get("body", b""))

        await self.app(scope, receive, send)
        return self.status, b"".join(chunks).decode()

    async def log_in(self, token=TOKEN, *headers, peer="192.0.2.7"):
        """Trade a token for a cookie: the status."""
        status, _ = await self.ask("POST", "/login", *(headers or (ORIGIN,)), body={"token": token}, peer=peer)
        if status == 204:
            self.cookie = self.answered["set-cookie"].partition(";")[0]
        return status


async def test_a_stranger_sees_a_login_and_nothing_else(guarded):
    """The page asks for the token; what belongs to the dashboard is 401."""
    browser = Browser(guarded)
    status, page = await browser.ask("GET", "/")
    assert (status, 'id="token"' in page, "app.js" in page) == (200, True, False)
    for name in ("login.js", "style.css", "icon.svg"):
        assert (await browser.ask("GET", f"/page/{name}"))[0] == 200
    for name in ("app.js", "dom.js", "nothing", "index.html"):
        assert (await browser.ask("GET", f"/page/{name}"))[0] == 401
    for name in ("state", "sessions", "session?id=x", "nothing"):
        assert (await browser.ask("GET", f"/dashboard/{name}"))[0] == 401
    for path in ("/events", "/session", "/session/events?id=x", "/logout"):
        assert (await browser.ask("GET", path))[0] == 401
    assert (await browser.ask("POST", "/dashboard/trial"))[0] == 401
    assert (await browser.ask("POST", "/logout"))[0] == 401


async def test_a_login(guarded):
    """The cookie is no token, out of reach of scripts and of other sites; with it the dashboard opens."""
    browser = Browser(guarded)
    assert await browser.log_in() == 204
    cookie = browser.answered["set-cookie"]
    assert TOKEN not in cookie
    assert cookie.partition("=")[0] == "hairpin-3000"
    assert set(cookie.split("; ")[1:]) == {f"Max-Age={LIFE}", "Path=/", "HttpOnly", "SameSite=Strict"}
    assert len(cookie.partition("=")[2].partition(";")[0]) >= 40
    status, page = await browser.ask("GET", "/")
    assert (status, "app.js" in page, 'id="token"' in page) == (200, True, False)
    assert (await browser.ask("GET", "/dashboard/state"))[0] == 200


@pytest.mark.parametrize(
    ("origin", "secure"), [("https://turn.example:3000", True), ("http://turn.example:3000", False)]
)
async def test_the_cookie_is_secure_where_the_page_is(guarded, origin, secure):
    """Also behind a proxy that ends TLS: the browser's Origin says how it came."""
    browser = Browser(guarded)
    await browser.log_in(TOKEN, ("origin", origin))
    assert ("; Secure" in browser.answered["set-cookie"]) == secure


@pytest.mark.parametrize(
    ("host", "name"), [("a:1", "hairpin-1"), ("[::1]:80", "hairpin-80"), ("[::1]", "hairpin"), ("a", "hairpin")]
)
async def test_servers_on_one_host_share_no_login(guarded, host, name):
    """Cookies are for all ports of a host, so their names tell them apart."""
    browser = Browser(guarded, host)
    await browser.log_in(TOKEN, ("origin", f"http://{host}"))
    assert browser.cookie.partition("=")[0] == name
    assert (await browser.ask("GET", "/info"))[0] == 200


@pytest.mark.parametrize(
    "origin", [None, "http://evil.example", "null", "http://turn.example:8080", "http://turn.example"]
)
async def test_what_changes_something_comes_from_our_own_page(guarded, origin):
    """A cookie without our Origin changes nothing."""
    browser = Browser(guarded)
    await browser.log_in()
    guarded.add(1)
    headers = [("origin", origin)] if origin else []
    for method, path in (("DELETE", "/session"), ("POST", "/drain"), ("POST", "/dashboard/trial"), ("POST", "/logout")):
        assert (await browser.ask(method, path, *headers))[0] == 403
    assert (set(guarded.live), guarded.draining) == ({1}, False)
    assert (await browser.ask("GET", "/info", *headers))[0] == (403 if origin else 200)
    assert (await browser.ask("DELETE", "/session", ORIGIN))[0] == 200


async def test_a_wrong_bearer_is_not_helped_by_a_cookie(guarded):
    """Who sends an Authorization is judged by it."""
    browser = Browser(guarded)
    await browser.log_in()
    assert (await browser.ask("GET", "/info", ("authorization", "Bearer x")))[0] == 401


async def test_a_cookie_shows_no_password(guarded):
    """Not even by the route that lists them."""
    browser = Browser(guarded)
    await browser.log_in()
    guarded.add(1)
    for path in ("/session", "/dashboard/sessions", f"/dashboard/session?id={guarded.live[1].id}", "/dashboard/state"):
        status, text = await browser.ask("GET", path)
        assert (status, "correct horse" in text) == (200, False)
    bearer = ("authorization", f"Bearer {TOKEN}")
    assert "correct horse" in (await Browser(guarded).ask("GET", "/session", bearer))[1]


async def test_logout(guarded):
    """The cookie is taken from the browser, and is good no more wherever it was copied to."""
    browser = Browser(guarded)
    await browser.log_in()
    assert (await browser.ask("POST", "/logout", ORIGIN))[0] == 204
    assert browser.answered["set-cookie"].startswith("hairpin-3000=; Max-Age=0; Path=/")
    assert (await browser.ask("GET", "/info"))[0] == 401


@pytest.mark.parametrize("cookie", ["hairpin-3000=x", "hairpin-3000=", "hairpin=x", "hairpin-3000", ";;=;", "\u00ff"])
async def test_cookies_that_nobody_was_given(guarded, cookie):
    """They open nothing, whatever they look like."""
    browser = Browser(guarded)
    browser.cookie = cookie
    assert (await browser.ask("GET", "/info"))[0] == 401
    await browser.log_in()
    assert (await browser.ask("GET", "/info", ("cookie", browser.cookie)))[0] == 401  # two of them: none counts


async def test_wrong_tokens_have_to_wait(guarded):
    """Of one address; a right one has to wait as well, so that nobody learns anything meanwhile."""
    browser = Browser(guarded)
    assert [await browser.log_in("wrong") for _ in range(TRIES)] == [401] * TRIES
    assert [await browser.log_in(token) for token in ("wrong", TOKEN)] == [429, 429]
    assert browser.answered["retry-after"] == str(PAUSE)
    assert await browser.log_in(peer="198.51.100.1") == 204
    guarded.clock += PAUSE * SECOND
    assert await browser.log_in() == 204


@pytest.mark.parametrize("body", [None, {}, {"token": 1}, {"token": "x" * 1025}, {"token": "x", "more": 1}, []])
async def test_bad_logins(guarded, body):
    """What is no login is 422 and no cookie."""
    browser = Browser(guarded)
    assert (await browser.ask("POST", "/login", ORIGIN, body=body))[0] == 422
    assert "set-cookie" not in browser.answered


async def test_no_token_no_login(client, view):
    """Where none is asked for, there is nothing to log in with, and the dashboard opens at once."""
    assert (await client.post("/login", json={"token": "x"})).status_code == 409
    answer = await client.get("/")
    assert (answer.status_code, "app.js" in answer.text) == (200, True)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"


def test_logins_are_so_many_and_so_long():
    """The oldest goes for one more, and each ends by itself."""
    clock = [0]
    drawn = iter(range(1000))
    logins = Logins(lambda: clock[0], lambda: str(next(drawn)))
    cookies = [logins.admit() for _ in range(LOGINS + 1)]
    assert [logins.knows(cookie) for cookie in cookies[:3]] == [False, True, True]
    clock[0] = LIFE * SECOND - 1
    assert logins.knows(cookies[-1])
    clock[0] += 1
    assert not logins.knows(cookies[-1])


def test_attempts_are_remembered_of_so_many_sources():
    """An IPv6 /64 is one source; the one that was longest quiet is forgotten for one more."""
    clock = [0]
    attempts = Attempts(lambda: clock[0])
    for number in range(TRIES):
        attempts.failed(f"2001:db8::{number:x}")
    assert (attempts.wait("2001:db8::ffff"), attempts.wait("2001:db8:0:1::1"), attempts.wait("fe80::1%eth0")) == (
        PAUSE,
        0,
        0,
    )
    for number in range(SOURCES):
        attempts.failed(f"10.0.{number >> 8}.{number & 255}")
    assert attempts.wait("2001:db8::1") == 0


def test_attempts_of_ipv4_are_told_apart_where_ipv6_takes_them():
    """A v4-mapped address is its IPv4 address; where there is no address, all are one source."""
    attempts = Attempts(lambda: 0)
    for _ in range(TRIES):
        attempts.failed("::ffff:10.0.0.1")
        attempts.failed("")
    waits = {address: attempts.wait(address) for address in ("10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.2", "")}
    assert waits == {"10.0.0.1": PAUSE, "::ffff:10.0.0.1": PAUSE, "::ffff:10.0.0.2": 0, "": PAUSE}
