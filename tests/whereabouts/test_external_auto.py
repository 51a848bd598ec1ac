"""`external = "auto"` in the settings, and what a server makes of it before it binds anything."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from client import Client
from hairpin import Config, ConfigError, Server
from hairpin.config import Log, relays_for
from hairpin.config.summary import describe
from hairpin.logging import make_logger
from hairpin.server import server as module
from hairpin.server.external import with_externals
from hairpin.stun import Address
from hairpin.whereabouts import Found, StunServer, Unfound


class Finder:
    """Finds what it is told to, and remembers who asked."""

    def __init__(self, **found: str) -> None:
        self.found = {ip.replace("_", "."): public for ip, public in found.items()}
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, bind: str, stun: StunServer | None) -> Found:
        """As `hairpin.whereabouts.find`."""
        self.asked.append((bind, str(stun)))
        await asyncio.sleep(0)
        if bind not in self.found:
            raise Unfound(f"{bind} is no public IPv4 address")
        return Found(self.found[bind], "a guess")


ALL = "0.0.0.0"


def settings(*binds: str, **tables: Any) -> Config:
    """Interfaces whose external is to be found, udp and tcp in turn."""
    kinds = ("udp", "tcp")
    interfaces = [
        {"transport": kinds[number % 2], "bind": bind, "external": "auto"} for number, bind in enumerate(binds)
    ]
    turn = {"interfaces": interfaces, **tables.pop("turn", {})}
    return Config(turn=turn, api={"bind": "127.0.0.1:0"}, **tables)


def found(config: Config, finder: Finder) -> tuple[Config, list[dict[str, Any]]]:
    """The settings with what was found, and what was logged."""
    stream = io.StringIO()
    made = asyncio.run(with_externals(config, make_logger(Log(format="json"), stream), finder))
    return made, [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_interface_has_its_own_port() -> None:
    """The IP that was found, with the port that is bound; each bound IP is looked for once."""
    finder = Finder(**{"0_0_0_0": "1.2.3.4", "10_0_0_5": "5.6.7.8"})
    config, said = found(settings(f"{ALL}:3478", f"{ALL}:3478", "10.0.0.5:443"), finder)
    assert [str(interface.external) for interface in config.turn.interfaces] == ["1.2.3.4:3478"] * 2 + ["5.6.7.8:443"]
    assert finder.asked == [(ALL, "None"), ("10.0.0.5", "None")]
    assert relays_for(config).pairs == ((ALL, "1.2.3.4"), ("10.0.0.5", "5.6.7.8"))
    assert [(line["bind"], line["external"], line["found_by"]) for line in said] == [
        (f"{ALL}:3478", "1.2.3.4:3478", "a guess"),
        (f"{ALL}:3478", "1.2.3.4:3478", "a guess"),
        ("10.0.0.5:443", "5.6.7.8:443", "a guess"),
    ]


def test_relays_are_announced_by_it_too() -> None:
    """`relay.external = "auto"`: one address for each of relay.bind, by the STUN server that is named."""
    finder = Finder(**{"10_0_0_5": "1.2.3.4", "10_0_0_6": "5.6.7.8"})
    config = settings(
        "10.0.0.5:3478",
        turn={"external_from": "stun:192.0.2.1"},
        relay={"bind": "10.0.0.6", "external": "auto"},
    )
    made, said = found(config, finder)
    assert relays_for(made).pairs == (("10.0.0.6", "5.6.7.8"),)
    assert finder.asked == [("10.0.0.5", "stun:192.0.2.1:3478"), ("10.0.0.6", "stun:192.0.2.1:3478")]
    assert said[-1]["event"] == "relays are announced"


def test_nothing_is_looked_for_unasked() -> None:
    """The settings stay the same object."""
    config = Config(turn={"interfaces": [{"transport": "udp", "bind": "10.0.0.5:3478"}]})
    finder = Finder()
    made, _ = found(config, finder)
    assert made is config
    assert finder.asked == []


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (
            settings("10.0.0.5:3478"),
            'turn.interfaces[0].external: is "auto", but 10.0.0.5 is no public IPv4 address; write '
            'external = "IP:PORT", or name a STUN server that says it: turn.external_from = "stun:HOST:PORT"',
        ),
        (
            settings("10.0.0.6:3478", relay={"bind": "10.0.0.5", "external": "auto"}),
            'relay.external: is "auto", but 10.0.0.5 is no public IPv4 address; write external = "IP", '
            'or name a STUN server that says it: turn.external_from = "stun:HOST:PORT"',
        ),
    ],
)
def test_one_line_says_what_to_write(config: Config, line: str) -> None:
    """Where nothing is found."""
    with pytest.raises(ConfigError) as caught:
        found(config, Finder(**{"10_0_0_6": "1.2.3.4"}))
    assert str(caught.value) == line


def test_what_was_found_is_validated() -> None:
    """As if it had been written."""
    with pytest.raises(ConfigError, match=r"external: is IPv6, but bind is IPv4"):
        found(settings("10.0.0.5:3478"), Finder(**{"10_0_0_5": "2001:db8::1"}))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('bind = "0.0.0.0:1"\nexternal = "automatic"', "turn.interfaces[0].external: 'automatic' is no IP:PORT"),
        ('bind = "1.2.3.4:1"\n[relay]\nexternal = "auto"', 'relay.external: "auto" needs an address in relay.bind'),
        (
            'bind = "1.2.3.4:1"\n[relay]\nbind = "1.2.3.4"\nexternal = ["auto", "1.2.3.4"]',
            'relay.external: "auto" is for all of relay.bind: it stands alone',
        ),
        ('bind = "1.2.3.4:1"\n[turn]\nexternal_from = "x"', "turn.external_from: 'x' is no STUN server, such as"),
    ],
)
def test_wrong_settings(tmp_path: Path, text: str, line: str) -> None:
    """One line each."""
    file = tmp_path / "hairpin.toml"
    interface = f'[[turn.interfaces]]\ntransport = "udp"\n{text}'
    turn = interface.partition("[turn]\n")
    file.write_text(f"{turn[1]}{turn[2]}\n{turn[0]}" if turn[1] else interface)
    with pytest.raises(ConfigError) as caught:
        Config.load(file)
    assert str(caught.value).startswith(f"{file}: {line}")


def test_check_says_that_it_will_be_found() -> None:
    """For listeners and for relays."""
    sentences = list(describe(settings(f"{ALL}:3478")))
    public = "the public address, which is found at the start"
    assert sentences[0] == f"Listens on udp {ALL}:3478, which clients see as {public}."
    assert f"Relays from {ALL}, announced as {public}, ports 49152 to 65535." in sentences


async def test_a_server_announces_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound to every address: clients get relays at the address that was found, and a reload asks for no restart."""
    finder = Finder(**{"0_0_0_0": "127.0.0.1"})
    monkeypatch.setattr(module, "with_externals", lambda config, log: with_externals(config, log, finder))
    config = settings(f"{ALL}:0", auth={"static_credentials": {"user": "secret"}}, log={"format": "json"})
    async with Server(config) as server:
        port = server.listeners[0][1].port
        assert [entrance.address for entrance in server.entrances] == [f"127.0.0.1:{port}"]
        assert await asyncio.to_thread(relay_of, ("127.0.0.1", port)) == "127.0.0.1"
        stream = io.StringIO()
        server.log = make_logger(Log(format="json"), stream)
        server.reload(config)
        assert "need_a_restart" not in stream.getvalue()
        assert server.config.turn.interfaces[0].external == Address("127.0.0.1", 0)


def relay_of(server: tuple[str, int]) -> str:
    """The IP of a client's relay."""
    with Client(server, "user") as client:
        return client.allocate()[0]


async def test_nothing_is_bound_where_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server may have the port."""
    monkeypatch.setattr(module, "with_externals", lambda config, log: with_externals(config, log, Finder()))
    with pytest.raises(ConfigError, match=r'is "auto", but 127\.0\.0\.1 is no public'):
        async with Server(settings("127.0.0.1:0")):
            raise AssertionError("it must not serve")
