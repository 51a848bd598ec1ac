"""`hairpin sessions`, `kill` and `top` against the API: what they show, what they do, and how they end."""

import io
import json
import os

import pytest
from rich.console import Console
from typer.testing import CliRunner

from apiserving import api_of
from hairpin.api import Access
from hairpin.cli import app
from hairpin.client import Client, Info, Session, Statistics
from hairpin.console import figures
from hairpin.console.figures import BYTES, PACKETS, Row, Scene, Totals, Watch
from hairpin.console.kill import NothingDoneError, Order, kill
from hairpin.console.screen import Sort, draw

ODD = [
    "<b onclick=\"x('1')\">&amp;</b>",
    "[red]markup[/red] [link=http://x]y[/link] :smile:",
    "\x1b[31mred\x1b[0m\x07\r\n\t\x00",
    "\u202eright to left\u2066",
    "=cmd|' /C calc'!A0",
    "\\x1b[31m",
    "\u00fc" * 250,
    "\U0001f600" * 125,
]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("HAIRPIN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def url(view):
    """The API of the view."""
    with api_of(view) as url:
        yield url


def hairpin(*arguments):
    """Run the command line in this process."""
    return CliRunner().invoke(app, arguments)


def one_line(result, status, start):
    """Whether a command failed as it should: with this status and one line that begins so."""
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith(f"hairpin: {start}"), result.stderr
    assert result.stderr.count("\n") == 1
    return True


def test_a_table_of_sessions(url, view):
    """A line each, with what names it and what it has, and no password."""
    view.add(1)
    view.begin(2, "bob")
    result = hairpin("sessions", "--api", url)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines() if line]
    assert lines[0] == ["ID", "USER", "CLIENT", "VIA", "INTERFACE", "RELAY", "PEERS", "CHANNELS", "ENDS", "IN"]
    alice = [
        view.live[1].id,
        "alice",
        "198.51.0.1:40000",
        "udp",
        "192.0.2.1:3478",
        "192.0.2.1:50000",
        "2",
        "2",
        "49",
        "s",
    ]
    bob = [view.live[2].id, "bob", "198.51.0.2:40000", "udp", "192.0.2.1:3478", "-", "0", "0", "49", "s"]
    assert sorted(lines[2:]) == sorted([alice, bob])
    assert "correct" not in result.stdout


def test_filters(url, view):
    """As the API has them."""
    view.add(1)
    view.add(2, "bob")
    for arguments in (
        ["--user", "bob"],
        ["--address", "198.51.0.2"],
        ["--address", "198.51.0.2:40000", "--transport", "udp"],
    ):
        (session,) = json.loads(hairpin("sessions", "--api", url, "--json", *arguments).stdout)
        assert session["username"] == "bob"
    assert json.loads(hairpin("sessions", "--api", url, "--json", "--transport", "tcp").stdout) == []
    assert len(json.loads(hairpin("sessions", "--api", url, "--json", "--limit", "1").stdout)) == 1


def test_json_is_what_the_api_says_but_for_passwords(url, view):
    """Every field under its name; a password is nowhere."""
    view.add(1)
    (session,) = json.loads(hairpin("sessions", "--api", url, "--json").stdout)
    assert session["relays"] == ["192.0.2.1:50000"]
    assert session["peers"][0] == {"address": "203.0.113.9", "expires": 59}
    assert set(session) == set(Session.model_fields) - {"password"}


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_text(url, view, name):
    """Nothing in them is markup, a formula or a control character to a terminal, and JSON gives them back."""
    view.add(1, name)
    for arguments in (["sessions"], ["sessions", "--json"], ["top", "--once", "--interval", "0.1"]):
        shown = hairpin(*arguments, "--api", url)
        assert shown.exit_code == 0
        assert all(character.isprintable() or character == "\n" for character in shown.stdout)
    assert json.loads(hairpin("sessions", "--api", url, "--json").stdout)[0]["username"] == name
    table = hairpin("sessions", "--api", url).stdout
    assert name[:20].encode("unicode_escape").decode() in table or name[:100] in table
    ended = hairpin("kill", view.live[1].id, "--api", url)
    assert ended.exit_code == 0
    assert all(character.isprintable() or character == "\n" for character in ended.stdout)


def test_one_session_is_killed(url, view):
    """By its id, its client's address, or its IP; the sentence says whose it was."""
    for number, word in ((1, view.add(1).id), (2, "198.51.0.2:40000"), (3, "198.51.0.3")):
        session = view.live.get(number) or view.add(number)
        result = hairpin("kill", word, "--api", url)
        assert result.exit_code == 0
        assert result.stdout == f"Ended session {session.id} of alice from 198.51.0.{number}:40000.\n"
        assert view.live == {}


def test_several_match(url, view):
    """Then none is ended, and the line names their ids."""
    view.add(1)
    view.add(1 + 65536 * 2)
    result = hairpin("kill", "198.51.0.1", "--api", url)
    assert one_line(result, 1, "2 sessions match 198.51.0.1; name one by its id: ")
    assert all(session.id in result.stderr for session in view.live.values())
    assert len(view.live) == 2


@pytest.mark.parametrize("word", ["0123456789abcdef", "198.51.0.9", "198.51.0.9:1"])
def test_none_matches(url, view, word):
    """One line, and exit 1."""
    view.add(1)
    assert one_line(hairpin("kill", word, "--api", url), 1, f"no session has the id or address {word}")
    assert len(view.live) == 1


def test_a_user_is_thrown_out(url, view):
    """All of his sessions end; others' stay."""
    view.add(1)
    view.add(2)
    view.add(3, "bob")
    result = hairpin("kill", "--user", "alice", "--block", "60", "--api", url)
    assert (result.exit_code, result.stdout) == (0, "Ended 2 sessions of alice; refusing new ones for 60 s.\n")
    assert view.blocked["alice"] == 60
    assert hairpin("kill", "--user", "bob", "--api", url).stdout == "Ended 1 session of bob.\n"
    assert one_line(hairpin("kill", "--user", "bob", "--api", url), 1, "bob has no session")
    assert hairpin("kill", "--user", "bob", "--block", "5", "--api", url).exit_code == 0
    assert view.blocked["bob"] == 5


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "name a session, or --user"),
        (["x", "--user", "alice"], "name a session, or --user"),
        (["x", "--block", "5"], "--block: goes with --user"),
        (["999.1.1.1:5"], "address is '999.1.1.1:5'; write IP:PORT"),
        (["x", "--api", "localhost"], "the URL is none of an API"),
        (["x", "--token-file", "none"], "none: cannot be read: No such file"),
        (["x", "--config", "none"], "none: cannot be read: No such file"),
    ],
)
def test_arguments_that_will_not_do(url, view, arguments, line):
    """One line and exit 2; nothing is ended."""
    view.add(1)
    named = [] if "--api" in arguments else ["--api", url]
    assert one_line(hairpin("kill", *arguments, *named), 2, line)
    assert len(view.live) == 1


def test_a_no_ends_nothing(url, view):
    """The question says who it is about."""
    session, asked = view.add(1), []

    def refuses(question):
        asked.append(question)
        return False

    with Client(url) as api:
        for order in (Order(session.id), Order(user="alice", block=9)):
            with pytest.raises(NothingDoneError, match="nothing was ended"):
                kill(api, order, refuses)
    assert asked == [
        f"End session {session.id} of alice from 198.51.0.1:40000?",
        "End 1 session of alice and refuse new ones for 9 s?",
    ]
    assert (len(view.live), view.blocked) == (1, {})


@pytest.mark.parametrize("command", [["sessions"], ["kill", "x"], ["top", "--once"]])
def test_no_server(command):
    """One line with the URL, and exit 3."""
    assert one_line(hairpin(*command, "--api", "http://127.0.0.1:9"), 3, "Nothing answers at http://127.0.0.1:9: ")


@pytest.mark.parametrize("command", [["sessions"], ["kill", "x"], ["top", "--once"]])
def test_a_wrong_token(guarded, command, tmp_path):
    """One line without it, and exit 3."""
    guarded.access = Access("open-sesame")
    wrong = tmp_path / "token"
    wrong.write_text("shut-sesame\n")
    with api_of(guarded) as url:
        result = hairpin(*command, "--api", url, "--token-file", str(wrong))
        assert one_line(result, 3, "Send `Authorization: Bearer TOKEN` with api.token.")
        assert "shut-sesame" not in result.stderr


def test_where_the_api_and_its_token_are_found(guarded, tmp_path, monkeypatch):
    """In arguments, the server's settings, the environment; the token never in an argument."""
    guarded.access = Access("open-sesame")
    token, settings = tmp_path / "token", tmp_path / "hairpin.toml"
    token.write_text("open-sesame\n")
    with api_of(guarded) as url:
        interface = '[[turn.interfaces]]\ntransport = "udp"\nbind = "127.0.0.1:3478"'
        settings.write_text(f'[api]\nbind = "{url.removeprefix("http://")}"\ntoken = "open-sesame"\n{interface}\n')
        assert hairpin("sessions", "--api", url, "--token-file", str(token)).exit_code == 0
        assert hairpin("sessions", "--config", str(settings)).exit_code == 0
        settings.write_text(settings.read_text().replace("127.0.0.1:", "0.0.0.0:", 1))
        assert hairpin("sessions", "--config", str(settings)).exit_code == 0
        monkeypatch.setenv("HAIRPIN_URL", url)
        monkeypatch.setenv("HAIRPIN_API_TOKEN", "open-sesame")
        assert hairpin("sessions").exit_code == 0
        assert hairpin("sessions", "--api", "http://127.0.0.1:9").exit_code == 3
    token.write_text("\n")
    assert one_line(hairpin("sessions", "--token-file", str(token)), 2, f"{token}: is empty")
    token.write_bytes(b"\xff")
    assert one_line(hairpin("sessions", "--token-file", str(token)), 2, f"{token}: is no token")


def session(name, number=1):
    """A session of that user."""
    return Session(
        id=f"{number:016x}",
        address=f"198.51.100.{number}:4000",
        interface="192.0.2.1:3478",
        transport=0,
        username=name,
        password="",
        channels=(),
        expires=60,
        permissions=(),
        relays=(f"192.0.2.1:{50000 + number}",),
        peers=(),
    )


def statistics(received=0, sent=0, errors=0):
    """Figures of a session."""
    return Statistics(received_bytes=received, send_bytes=sent, received_pkts=0, send_pkts=0, error_pkts=errors)


def test_rates_of_sessions():
    """Are what the figures grew by, over the seconds between two answers; nothing is kept of who has gone."""
    watch, alice, bob = Watch(), session("alice", 1), session("bob", 2)
    watch.saw(alice, statistics(1000, 50), 10.0)
    assert [(row.received, row.sent) for row in watch.rows([alice, bob])] == [(0, 0)]
    watch.saw(bob, statistics(), 11.0)
    watch.saw(alice, statistics(5000, 60), 12.0)
    assert [(row.received, row.sent) for row in watch.rows([alice, bob])] == [(2000, 5), (0, 0)]
    assert watch.rows([bob])[0].session is bob
    assert [row.session for row in watch.rows([alice, bob])] == [bob]


def test_whose_figures_are_due(monkeypatch):
    """Those that were never asked for, then those that were asked for longest ago."""
    monkeypatch.setattr(figures, "ASKED", 2)
    watch, some = Watch(), [session("x", number) for number in range(5)]
    order = []
    for _ in range(5):
        for one in watch.due(some):
            watch.saw(one, statistics(), float(len(order)))
            order.append(one.id)
    assert order == [some[index % 5].id for index in range(10)]


METRICS = """
hairpin_received_bytes_total{{client="session",worker="0"}} {0}
hairpin_received_bytes_total{{client="session",worker="1"}} {0}
hairpin_received_bytes_total{{client="stranger",worker="0"}} 999
hairpin_received_packets_total{{client="session",worker="0"}} {0}
hairpin_error_packets_total{{client="session",worker="0"}} {0}
hairpin_dropped_packets_total{{reason="no permission",worker="0"}} {0}
hairpin_dropped_packets_total{{reason="no permission",worker="1"}} 0
hairpin_dropped_packets_total{{reason="other",worker="0"}} 0
"""
INFO = Info(software="hairpin/1", uptime=90_061, port_allocated=2, port_capacity=100, interfaces=())


def scene(*rows, before=None, problem=""):
    """A server with these sessions."""
    return Scene(INFO, len(rows), rows, Totals.read(METRICS.format(3000), 12.0), before, problem)


def test_rates_of_the_server():
    """Are summed over workers, for sessions alone; none at the first look."""
    now = scene(before=Totals.read(METRICS.format(1000), 10.0))
    assert (now.rate(BYTES["in"]), now.rate(PACKETS["in"]), now.rate(BYTES["out"])) == (2000, 1000, 0)
    assert now.drop_rate("no permission") == 1000
    assert scene().rate(BYTES["in"]) == 0


def drawn(what, sort=Sort.RATE, room=None):
    """The lines of the screen."""
    shown = Console(file=io.StringIO(), width=200, markup=False)
    shown.print(draw(what, sort, "http://127.0.0.1:3000", room))
    return [line.rstrip() for line in shown.file.getvalue().splitlines()]


def test_the_screen():
    """Says what the server is, how full, how much passes, what was dropped, and what is wrong."""
    lines = drawn(scene(before=Totals.read(METRICS.format(1000), 10.0), problem="Nobody answers."))
    assert lines[:5] == [
        "hairpin/1 at http://127.0.0.1:3000, up 1 day, 1:01:01",
        "0 sessions, 2 of 100 relay ports",
        "in 16.0 kbit/s (1000 packets/s), out 0 bit/s (0 packets/s), 1000 errors/s",
        "dropped: no permission 3000 (1000/s)",
        "Nobody answers.",
    ]


def test_the_order_of_rows():
    """The largest first, or by name; as many as there is room for, and then the keys."""
    rows = [
        Row(session("carol", 1), statistics(900, 100, 5), 10, 0),
        Row(session("alice", 2), statistics(5_000_000, 0, 1), 0, 5),
        Row(session("bob", 3), statistics(100, 0, 3), 1e9, 1e9),
    ]
    wanted = {
        Sort.RATE: ["bob", "carol", "alice"],
        Sort.TOTAL: ["alice", "carol", "bob"],
        Sort.ERRORS: ["carol", "bob", "alice"],
        Sort.USER: ["alice", "bob", "carol"],
    }
    for sort, names in wanted.items():
        lines = drawn(scene(*rows), sort)
        assert [line.split()[1] for line in lines if line.startswith("0000")] == names
    assert "8.0 Gbit/s" in "".join(drawn(scene(*rows)))
    assert "5.0 MB" in "".join(drawn(scene(*rows)))
    lines = drawn(scene(*rows), Sort.RATE, room=11)
    assert [line.split()[1] for line in lines if line.startswith("0000")] == ["bob", "carol"]
    assert lines[-1] == "q ends; sorted by rate: r rate, t total, e errors, u user"
    assert len(lines) <= 11


@pytest.mark.parametrize("arguments", [["--once"], []])
def test_top_prints_once_where_no_terminal_is(url, view, arguments):
    """And ends by itself."""
    view.add(1)
    view.add(2, "bob")
    result = hairpin("top", "--api", url, "--interval", "0.1", *arguments)
    assert result.exit_code == 0
    assert f"hairpin/0.1.0 at {url}, up 0:01:35" in result.stdout
    assert "2 sessions, 2 of 16384 relay ports" in result.stdout
    assert "dropped: no permission 6 (0/s)" in result.stdout
    assert "alice" in result.stdout
    assert "q ends" not in result.stdout
