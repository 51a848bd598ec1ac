"""The dashboard in Chromium, over a server that runs: what stands on the page, and what never comes to it."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from client import Client, TurnError
from hairpin.stun import Address
from hairpin.turn.grant import Identity
from hairpin.turn.state import SECOND, Session
from running import Running, configuration, free_port, interface, running

PATIENCE = 60_000
TOKEN = "a-token-of-twenty-two-letters"
SECRET = "no-page-ever-sees-this"
MARKUP = "\"><img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>&lt;'`"
CONTROL = "\x00\x1b[2J\x07\r\n\u202eevil\u2066"
LONG = "\u20ac" * 166 + "ab"  # 500 bytes
NAMES = ("alice", "bob", "carol", "1795389061:dave", MARKUP, CONTROL, LONG)
PAIRS = 21
PEER = ("127.0.0.1", 4000)
expect.set_options(timeout=PATIENCE)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def settings(*binds: tuple[str, str], **tables: Any) -> Any:
    """A server with the users of NAMES."""
    users = {"static_credentials": dict.fromkeys(NAMES, SECRET)}
    return configuration(*(binds or (("udp", "127.0.0.1:0"), ("tcp", "127.0.0.1:0"))), auth=users, **tables)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server without a token."""
    with running(settings()) as made:
        yield made


def origin(server: Running) -> str:
    """Where its dashboard is."""
    return f"http://{server.server.api_address}"


@contextmanager
def opened(browser: Browser, server: Running, place: str = "", **look: Any) -> Iterator[Page]:
    """A page of the dashboard; at its end nothing has been wrong, and no answer held a password."""
    context = browser.new_context(**{"viewport": WIDE, **look})
    page, wrong, seen = context.new_page(), [], []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("requestfinished", lambda request: seen.append((request.url, body(request.response()))))
    page.goto(f"{origin(server)}/{place}")
    yield page
    assert SECRET not in page.content()
    assert page.title() in ("hairpin", "hairpin: log in")
    for url, text in seen:
        assert SECRET not in text
        assert url.startswith(origin(server))
    context.close()
    assert [one for one in wrong if "404" not in one and "401" not in one] == []


def body(response: Response | None) -> str:
    """What came; a stream has not finished."""
    return "" if response is None or response.status == 204 else response.text()


def call(server: Running, stack: ExitStack, number: int) -> tuple[Client, Client]:
    """Two clients whose relays are bound to each other."""
    ends = [
        stack.enter_context(server.client(number % 2, user=NAMES[(number + end) % len(NAMES)], password=SECRET))
        for end in (0, 1)
    ]
    for end, other in (ends, ends[::-1]):
        end.bind(0x4000, other.relay)
    return ends[0], ends[1]


@contextmanager
def load(server: Running) -> Iterator[list[tuple[Client, Client]]]:
    """Calls of all users, in which packets go both ways as long as anybody looks."""
    over = threading.Event()

    def talk() -> None:
        while not over.wait(0.02):
            for one, other in calls:
                for end in (one, other):
                    end.send_channel(0x4000, bytes(160))
                one.send_channel(0x4001, b"no channel")

    with ExitStack() as stack:
        calls = [call(server, stack, number) for number in range(PAIRS)]
        talking = threading.Thread(target=talk)
        talking.start()
        try:
            yield calls
        finally:
            over.set()
            talking.join()


def moves(page: Page, label: str) -> None:
    """Wait until the tile of that label shows a rate that is not 0."""
    tile = page.locator(".tile", has_text=label).locator("b")
    expect(tile).not_to_have_text(re.compile(r"^0 "), timeout=PATIENCE)


INTRUSIONS = (
    "at => fetch(`${at}/session`, { credentials: 'include' }).then(() => 'read', () => 'refused')",
    "at => fetch(`${at}/drain`, { method: 'POST', credentials: 'include', mode: 'no-cors' }).then(() => 'sent')",
    """at => new Promise(is => {
      const source = new EventSource(`${at}/events`, { withCredentials: true });
      source.onopen = () => is('read');
      source.onerror = () => is('refused');
    })""",
)
LOOKS = [(scheme, width, size) for scheme in ("light", "dark") for width, size in (("narrow", NARROW), ("wide", WIDE))]


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Page, str], None]:
    """Takes screenshots in every look into the test's own directory; nothing is wider than the window in any."""

    def take(page: Page, name: str) -> None:
        for scheme, width, size in LOOKS:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no color on its way to another
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            file = tmp_path / f"{name}-{scheme}-{width}.png"
            page.screenshot(path=file)
            assert file.stat().st_size > 5000

    return take


def test_under_load(browser: Browser, server: Running, picture: Callable[[Page, str], None]) -> None:
    """State, rates, drops, listeners, every name as text, and a session with its life."""
    with load(server) as calls, opened(browser, server) as page:
        expect(page.locator(".tile", has_text="Health")).to_contain_text("Serving")
        expect(page.locator(".tile", has_text="Sessions").locator("b")).to_have_text(str(2 * PAIRS))
        moves(page, "Traffic")
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator(".card", has_text="Dropped packets")).to_contain_text("no channel")
        listeners = page.locator(".card", has_text="Listeners")
        for _, bound in server.server.listeners:
            expect(listeners).to_contain_text(str(bound))
        drawn(page, 5)
        picture(page, "overview")

        page.goto(f"{origin(server)}/#/sessions")
        expect(page.locator("#found")).to_have_text(f"{2 * PAIRS} sessions")
        texts = page.locator("td .name").evaluate_all("all => all.map(one => one.title)")
        assert set(texts) == {shown(name) for name in NAMES}
        expect(page.locator("tbody button").first).to_be_in_viewport(ratio=1)
        expect(page.locator("td[data-label=In]").first).to_have_text(re.compile(r"^\d.*bit/s$"))
        picture(page, "sessions")

        caller, _ = calls[4]
        caller.permit(PEER)
        caller.refresh(600)
        page.goto(f"{origin(server)}/#/session/{identity(server, caller)}")
        life = page.locator(".life li")
        expect(life).to_have_count(4)
        assert [text.split("\n")[0] for text in page.locator(".life b").all_inner_texts()] == [
            "Allocated",
            "Channel bound",
            "Permission",
            "Refresh",
        ]
        expect(page.locator(".card", has_text="Peers")).to_contain_text("127.0.0.1")
        expect(page.locator(".card", has_text="Channels")).to_contain_text("0x4000")
        drawn(page, 3)
        picture(page, "session")


def shown(name: str) -> str:
    """A user name as the page writes it: what cannot be seen is escaped."""
    return re.sub(r"[\x00-\x1f\u202e\u2066]", lambda match: f"\\u{ord(match[0]):04x}", name)


def drawn(page: Page, points: int) -> None:
    """The first chart has so many points."""
    line = page.locator(".chart svg polyline.one").first
    expect(line).to_have_attribute("points", re.compile(rf"^(\S+ ){{{points - 1},}}\S+$"))


def identity(server: Running, client: Client) -> str:
    """The id of a client's session."""
    ip, port = client.address
    status, found = server.ask("GET", "/session", address=f"{ip}:{port}", transport=int(client.tcp))
    assert (status, len(found)) == (200, 1)
    return str(found[0]["id"])


def test_search_sort_and_kill(browser: Browser, server: Running) -> None:
    """The server searches and sorts; a session is ended after a question, and its time line says so."""
    with ExitStack() as stack:
        calls = [call(server, stack, number) for number in range(7)]
        page = stack.enter_context(opened(browser, server, "#/sessions"))
        expect(page.locator("#found")).to_have_text("14 sessions")
        page.locator("#search").fill("ALICE")
        expect(page.locator("#found")).to_have_text("2 of 14 sessions")
        expect(page.locator("td .name")).to_have_text(["alice", "alice"])
        page.locator("#search").fill("")
        expect(page.locator("#found")).to_have_text("14 sessions")
        for order in ("ascending", "descending"):
            page.locator("[data-sort=address]").click()
            expect(page.locator(f"th[aria-sort={order}]")).to_contain_text("Client")
            ports = sorted((end.address[1] for pair in calls for end in pair), reverse=order == "descending")
            expect(page.locator("td[data-label=Client]")).to_have_text([f"127.0.0.1:{port}" for port in ports])
        page.locator("[data-sort=username]").click()
        expect(page.locator("th[aria-sort=ascending]")).to_contain_text("User")

        page.locator("tr", has_text="[2J").get_by_role("button").first.click()
        expect(page.locator("#ask")).to_contain_text(shown(CONTROL))
        page.keyboard.press("Escape")
        victim = calls[0][0]
        session = identity(server, victim)
        end = page.locator(f"[data-key='kill {session}']")
        end.click()
        expect(page.locator("#ask")).to_contain_text(f"127.0.0.1:{victim.address[1]}")
        page.locator("#ask").get_by_text("Cancel").click()
        expect(page.locator("#found")).to_have_text("14 sessions")
        end.click()
        page.locator("#ask-yes").click()
        expect(page.locator("#found")).to_have_text("13 sessions")
        expect(end).to_have_count(0)
        assert server.ask("GET", "/session", id=session) == (200, [])
        page.goto(f"{origin(server)}/#/session/{session}")
        expect(page.locator(".life li.closed")).to_contain_text("reason: deleted")
        expect(page.locator(".chip.bad")).to_have_text("ended")
        expect(page.locator(".card", has_text="Carried")).to_contain_text("packets")


def test_a_session_is_followed_live(browser: Browser, server: Running) -> None:
    """What it does appears by itself, in its time line and among all events; its end, too."""
    with ExitStack() as stack:
        client = stack.enter_context(server.client(user=MARKUP, password=SECRET))
        page = stack.enter_context(opened(browser, server, f"#/session/{identity(server, client)}"))
        expect(page.locator("h1")).to_have_text(MARKUP)
        expect(page.locator(".life li")).to_have_count(1)
        client.permit(PEER, ("127.0.0.2", 9))
        expect(page.locator(".life li").nth(1)).to_contain_text("for ports 9, 4000")
        expect(page.locator(".card", has_text="Peers").locator("tbody tr")).to_have_count(2)
        client.refresh(0)
        expect(page.locator(".life li.closed")).to_have_count(1)
        page.locator("nav").get_by_text("Events").click()
        expect(page.locator("tbody tr").first).to_contain_text("closed")
        expect(page.locator("tbody .name").first).to_have_attribute("title", re.compile(re.escape(MARKUP)))
    with opened(browser, server, "#/session/no%20such<b>") as page:
        expect(page.locator("main")).to_contain_text("No session of this id lives")


def test_why_one_was_refused(browser: Browser, server: Running) -> None:
    """A login with the reason that the client was not told, found by its user name; a peer in the time line."""
    with server.client(user=MARKUP, password="wrong", allocate=False) as stranger, pytest.raises(TurnError):
        stranger.allocate()
    with server.client(user="alice", password=SECRET) as client, opened(browser, server, "#/refusals") as page:
        with pytest.raises(TurnError):
            client.permit(("10.0.0.1", 9))
        row = page.locator("tbody tr", has_text="127.0.0.1").filter(has_text="allocate")
        expect(row.last).to_contain_text("the password is not the one in auth.static_credentials")
        expect(row.last.locator(".name").first).to_have_attribute("title", MARKUP)
        page.locator("#user").fill("alice")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr", has_not_text="alice")).to_have_count(0)
        expect(page.locator("tbody tr", has_text="create_permission").first).to_contain_text("403")
        page.goto(f"{origin(server)}/#/session/{identity(server, client)}")
        expect(page.locator(".life li.error")).to_contain_text("create_permission 403")
        expect(page.locator(".life li.error")).to_contain_text("10.0.0.0/8")


def test_ten_thousand_sessions(browser: Browser, server: Running) -> None:
    """They are shown fifty at a time, and found and sorted among all."""
    flows = server.call(lambda: crowd(server, 10_000))
    try:
        with opened(browser, server, "#/sessions") as page:
            expect(page.locator("#found")).to_have_text("10,000 sessions")
            expect(page.locator("tbody tr")).to_have_count(50)
            expect(page.locator(".pages")).to_contain_text("Page 1 of 200")
            page.locator("[data-sort=username]").click()
            expect(page.locator("td .name").first).to_have_text("user00000")
            page.get_by_text("Next").click()
            expect(page.locator("td .name").first).to_have_text("user00050")
            page.locator("[data-sort=username]").click()
            expect(page.locator("td .name").first).to_have_text("user09999")
            page.locator("#search").fill("user0777")
            expect(page.locator("#found")).to_have_text("10 of 10,000 sessions")
            expect(page.get_by_text("Next")).to_be_disabled()
    finally:
        server.call(lambda: [server.server.rules.state.sessions.pop(flow) for flow in flows])


def crowd(server: Running, number: int) -> list[int]:
    """Put so many sessions into the state that have allocated nothing; their flows are none of a worker's."""
    now = server.server.clock()
    rest = {
        "interface": Address("192.0.2.1", 3478),
        "local": Address("127.0.0.1", 3478),
        "transport": 0,
        "listener": 0,
        "began": now,
        "expires": now + 3600 * SECOND,
    }
    sessions = server.server.rules.state.sessions
    flows = [(1 << 62) + index for index in range(number)]
    for index, flow in enumerate(flows):
        user = Identity(f"user{index:05}", f"user{index:05}", SECRET, b"")
        client = Address(f"198.51.{index >> 8}.{index & 255}", 5000)
        sessions[flow] = Session(
            id=f"{index:016x}", flow=flow, client=client, username=user.username, identity=user, **rest
        )
    return flows


@pytest.fixture
def guarded() -> Iterator[Running]:
    """A server with a token."""
    with running(settings(api={"token": TOKEN, "bind": f"127.0.0.1:{free_port()}"})) as made:
        yield made


def test_login_and_logout(browser: Browser, guarded: Running, picture: Callable[[Page, str], None]) -> None:
    """Without the token there is a login and nothing else; with it the cookie is no script's, the token nowhere."""
    with opened(browser, guarded, "#/sessions") as page:
        expect(page.locator("h1")).to_have_text("hairpin")
        assert page.locator("nav, table, .tile").count() == 0
        assert page.evaluate("fetch('/dashboard/state').then(answer => answer.status)") == 401
        picture(page, "login")
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("not the token")
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_have_text("0 sessions")
        expect(page.locator("#live")).to_have_text("live")
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], TOKEN in cookie["value"]) == (True, "Strict", False)
        assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
        assert TOKEN not in page.url + page.content()
        page.locator("#logout").click()
        expect(page.locator("#token")).to_be_visible()
        assert page.context.cookies() == []
        page.context.add_cookies([cookie])
        assert page.evaluate("fetch('/dashboard/state').then(answer => answer.status)") == 401


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """A page on another port of the same host: browsers send cookies there, too."""
    (tmp_path / "index.html").write_text("<title>elsewhere</title>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever).start()
        yield f"http://127.0.0.1:{web.server_port}/"
        web.shutdown()


def test_another_page_gets_nothing(browser: Browser, guarded: Running, elsewhere: str) -> None:
    """A page of another origin, in the browser that is logged in, neither reads nor changes anything."""
    with opened(browser, guarded) as page:
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator(".tile").first).to_be_visible()
        other = page.context.new_page()
        other.goto(elsewhere)
        assert [other.evaluate(script, origin(guarded)) for script in INTRUSIONS] == ["refused", "sent", "refused"]
        assert not guarded.server.rules.draining
        other.close()


def test_by_keyboard(browser: Browser, server: Running) -> None:
    """Every step can be taken with keys alone, and the focus is seen and never lost."""
    with server.client(user="alice", password=SECRET), opened(browser, server) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.locator("nav a", has_text="Sessions").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_have_text("1 session")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "search"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("th[aria-sort]")).to_contain_text("User")
        assert page.evaluate("document.activeElement.dataset.sort") == "username"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.locator("[data-key^=kill]").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#ask")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#ask")).to_be_hidden()
        expect(page.locator("[data-key^=kill]")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_have_text("0 sessions")


def test_the_browser_test_passes(browser: Browser, picture: Callable[[Page, str], None]) -> None:
    """Over UDP, TCP and TLS a relay, a call and data; DTLS is skipped, and nothing stays behind."""
    binds = tuple((kind, "127.0.0.1:0") for kind in ("udp", "tcp", "tls", "dtls"))
    turn = {"realm": "hairpin.test", "interfaces": [interface(*bind) for bind in binds]}
    with running(settings(turn=turn, peers={"allow": ()})) as server, opened(browser, server, "#/test") as page:
        page.locator("#start").click()
        expect(page.locator("#verdict")).to_have_text("All is well: 3 of 3 ways in work from here.", timeout=PATIENCE)
        for kind in ("udp", "tcp", "tls"):
            card = page.locator(f"[data-transport={kind}]")
            expect(card.locator("h2 .chip")).to_have_text("works")
            expect(card.locator("li .chip")).to_have_text(["ok", "ok", "ok"])
            expect(card.locator("li").nth(0)).to_contain_text("Relayed transport address 127.0.0.1:")
            expect(card.locator("li").nth(2)).to_contain_text("20 messages of 1000 bytes came back unchanged")
        expect(page.locator("[data-transport=dtls]")).to_contain_text("do not speak DTLS")
        picture(page, "test-passes")
        page.goto(f"{origin(server)}/#/sessions")
        expect(page.locator("#found")).to_have_text("0 sessions", timeout=PATIENCE)


def test_the_browser_test_fails(browser: Browser, picture: Callable[[Page, str], None]) -> None:
    """Where clients are told a port that nobody serves, or no port is left, it says so, and what to do about it."""
    nowhere, only = f"127.0.0.1:{free_port()}", free_port()
    interfaces = [interface("udp", "127.0.0.1:0"), interface("tcp", "127.0.0.1:0", external=nowhere)]
    turn = {"realm": "hairpin.test", "interfaces": interfaces}
    with (
        running(settings(turn=turn, relay={"ports": f"{only}-{only}"})) as server,
        opened(browser, server, "#/test") as page,
    ):
        page.locator("#start").click()
        expect(page.locator("#verdict")).to_have_text("0 of 2 ways in work from here.", timeout=PATIENCE)
        udp, tcp = page.locator("[data-transport=udp]"), page.locator("[data-transport=tcp]")
        expect(udp.locator("li .chip")).to_have_text(["ok", "failed"])
        expect(udp.locator(".advice")).to_contain_text("no relay port left")
        expect(tcp.locator("li .chip")).to_have_text(["failed"])
        expect(tcp.locator(".advice")).to_contain_text("No connection could be made by TCP")
        expect(tcp.locator("h2 .chip")).to_have_text("fails")
        picture(page, "test-fails")


def test_relays_that_do_not_meet(browser: Browser) -> None:
    """Where the settings deny this server's own relays, the call fails, and the advice names the setting."""
    denied = {"allow": (), "deny": ["127.0.0.1/32"]}
    with running(settings(("udp", "127.0.0.1:0"), peers=denied)) as server, opened(browser, server, "#/test") as page:
        page.locator("#start").click()
        expect(page.locator("#verdict")).to_have_text("0 of 1 ways in work from here.", timeout=PATIENCE)
        expect(page.locator("li .chip")).to_have_text(["ok", "failed"])
        expect(page.locator(".advice")).to_contain_text("peers.deny")
