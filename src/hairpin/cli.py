"""The command line: one function a command. A setting that will not do is one line on stderr, and exit 2."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hairpin import console, load, migration, probe, server
from hairpin.auth import Entrance, IceServers, ice_servers, mint
from hairpin.client import AsyncClient, Client, ClientError, NotFoundError, QueryError, SeveralError
from hairpin.config import Config, ConfigError
from hairpin.config.summary import describe
from hairpin.logging import printable
from hairpin.turnclient import ArgumentError, Credentials, Target
from hairpin.version import __version__

NOT_WELL, BAD_SETTINGS, NO_SERVER = 1, 2, 3
HOUR, DAY = 3600, 86_400
MODES = (
    "pair: two clients call each other; echo: to a peer on this machine and back; up, down: one way to or from it; "
    "setups: set-ups a second, so many --sessions at a time."
)

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings, a TOML file.")]
Api = Annotated[
    str | None, typer.Option("--api", metavar="URL", help="The API; else $HAIRPIN_URL, else on 127.0.0.1:3000.")
]
ServedBy = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The server's settings: where its API is, and the token."),
]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file with the API's token, else $HAIRPIN_API_TOKEN.")
]


def main() -> None:
    """Run the command line."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hairpin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """A STUN/TURN server for WebRTC that other programs can look into and steer over HTTP."""


@app.command()
def serve(
    config: ConfigFile = None,
    address: Annotated[
        str | None, typer.Option(metavar="IP", help="Without a file: the address to listen on, else 127.0.0.1.")
    ] = None,
) -> None:
    """Run the server until it is stopped (SIGTERM)."""
    with _one_line_errors():
        if config is not None and address is not None:
            raise ConfigError("goes without --config; write turn.interfaces in the file", key="--address")
        settings = Config.load(config) if config else Config.first_run(address)
        first_run = config is None
        code = asyncio.run(server.serve(settings, config, lambda running: _announce(running, settings, first_run)))
    raise typer.Exit(code)


@app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Say what a file of settings will do, or the one line that is wrong."""
    with _one_line_errors():
        settings = Config.load(file)
        server.certificates(settings, file)
        server.look_at_policy(settings, file)
    typer.echo(f"{file} is fine.")
    for line in describe(settings):
        typer.echo(f"  {line}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="coturn's, eturnal's or turn-rs' settings.")],
    kind: Annotated[migration.Kind | None, typer.Option("--from", help="Whose they are, where it is not seen.")] = None,
) -> None:
    """Print another TURN server's settings as hairpin.toml, and on stderr what becomes of each key."""
    with _one_line_errors():
        imported = migration.import_file(file, kind)
    for line in imported.report:
        typer.echo(line, err=True)
    typer.echo(imported.toml)


@app.command()
def credentials(
    user: Annotated[str, typer.Option(help="The name that quotas and events know.")],
    ttl: Annotated[int, typer.Option(min=1, help="How many seconds they are good for.")] = DAY,
    config: ConfigFile = None,
) -> None:
    """Print credentials for a browser, made from the shared secret: an iceServers JSON."""
    with _one_line_errors():
        settings = Config.load(config) if config else Config.first_run()
        secrets = settings.auth.static_auth_secret
        if not secrets:
            raise ConfigError("is missing: credentials are made from it", "auth.static_auth_secret", config)
        username, password = mint(secrets[0].get_secret_value(), user, ttl, time.time())
        answer = ice_servers(_fixed_entrances(settings, config), username, password)
    typer.echo(json.dumps(answer, indent=2))


@app.command()
def bench(
    uri: Annotated[str, typer.Argument(metavar="URI", help="The server: turn:HOST[:PORT][?transport=udp|tcp].")],
    user: Annotated[str, typer.Option(help="Who asks; with --secret any name.")] = "",
    password: Annotated[str, typer.Option(help="The user's.")] = "",
    secret: Annotated[str, typer.Option(help="The secret to make TURN REST credentials from.")] = "",
    mode: Annotated[load.Mode, typer.Option(help=MODES)] = load.Mode.PAIR,
    sessions: Annotated[int, typer.Option(help="Allocations; in mode pair two make a call.")] = 10,
    packets: Annotated[float, typer.Option(help="Packets a second that each session sends.")] = 50,
    size: Annotated[int, typer.Option(help="Bytes of a packet.")] = 160,
    seconds: Annotated[float, typer.Option(help="How long.")] = 10,
    peer: Annotated[
        str | None, typer.Option(metavar="IP", help="Where the server's relay reaches this machine.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one object.")] = False,
) -> None:
    """Put a load on any TURN server, and say what it did with it."""
    with _one_line_errors():
        credentials = _credentials(user or ("bench" if secret else ""), password, secret, seconds)
        plan = load.Plan(Target.parse(uri), credentials, load.Load(mode, sessions, packets, size, seconds), peer)
        with load.screen(quiet=as_json) as show:
            figures = load.run(plan, show)
    judged = load.verdict(figures)
    typer.echo(json.dumps(load.report(figures, judged)) if as_json else "\n".join(judged.sentences))
    raise typer.Exit(0 if judged.well else NOT_WELL)


@app.command("probe")
def probe_server(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="turn:HOST[:PORT][?transport=udp|tcp]; turns, stun, stuns.")
    ],
    user: Annotated[str, typer.Option(help="Who asks; with --secret any name.")] = "",
    password: Annotated[str, typer.Option(help="The user's.")] = "",
    secret: Annotated[str, typer.Option(help="The secret to make TURN REST credentials from.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as one object.")] = False,
) -> None:
    """Try any STUN or TURN server as a client, one step after another, and say what is wrong and what to do."""
    with _one_line_errors():
        target = Target.parse(uri)
        given = user or password or secret
        credentials = _credentials(user or ("probe" if secret else ""), password, secret, HOUR) if given else None
        shown = Console(soft_wrap=True, quiet=as_json)
        steps = asyncio.run(probe.probe(target, credentials, lambda step: shown.print(probe.line(step))))
    typer.echo(json.dumps(probe.report(target, steps)) if as_json else probe.verdict(steps))
    raise typer.Exit(0 if probe.well(steps) else NOT_WELL)


@app.command()
def sessions(
    api: Api = None,
    config: ServedBy = None,
    token_file: TokenFile = None,
    user: Annotated[str | None, typer.Option(help="Of this user alone.")] = None,
    address: Annotated[str | None, typer.Option(metavar="IP[:PORT]", help="Of this client alone.")] = None,
    interface: Annotated[str | None, typer.Option(metavar="IP:PORT", help="On this interface alone.")] = None,
    transport: Annotated[str | None, typer.Option(metavar="udp|tcp", help="Over this transport alone.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
) -> None:
    """List the sessions of a running server."""
    with _one_line_errors(), console.connect(Client, api, config, token_file) as hairpin:
        found = hairpin.sessions(limit, username=user, address=address, interface=interface, transport=transport)
        console.show_sessions(found, as_json=as_json)


@app.command()
def kill(
    session: Annotated[str | None, typer.Argument(help="Its id, or its client's IP:PORT or IP.")] = None,
    user: Annotated[str | None, typer.Option(help="All sessions of this user.")] = None,
    block: Annotated[int | None, typer.Option(min=1, metavar="SECONDS", help="Refuse the user meanwhile.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    api: Api = None,
    config: ServedBy = None,
    token_file: TokenFile = None,
) -> None:
    """End a session of a running server, or all sessions of a user."""
    with _one_line_errors():
        order = console.Order(session, user, block)
        with console.connect(Client, api, config, token_file) as hairpin:
            typer.echo(console.kill(hairpin, order, _asks if sys.stdin.isatty() and not yes else lambda _: True))


@app.command()
def top(
    api: Api = None,
    config: ServedBy = None,
    token_file: TokenFile = None,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="Between two looks.")] = 2,
    sort: Annotated[console.Sort, typer.Option(help="What comes first.")] = console.Sort.RATE,
    once: Annotated[bool, typer.Option("--once", help="Print one interval and end, as where no terminal is.")] = False,
) -> None:
    """Show a running server live: sessions by rate, totals, drops, ports."""
    with _one_line_errors():
        console.top(console.connect(AsyncClient, api, config, token_file), console.Options(interval, sort, once))


def _asks(question: str) -> bool:
    return typer.confirm(question, err=True)


def _credentials(user: str, password: str, secret: str, seconds: float) -> Credentials:
    if bool(password) == bool(secret):
        raise ArgumentError("--password or --secret: one of them, and not both")
    if secret:
        return Credentials(*mint(secret, user, int(seconds) + HOUR, time.time()))
    return Credentials(user, password)


# The first that fits counts.
_STATUSES: dict[type[Exception], int] = {
    ConfigError: BAD_SETTINGS,
    ArgumentError: BAD_SETTINGS,
    UnicodeEncodeError: BAD_SETTINGS,  # an argument that is no UTF-8
    console.NothingDoneError: NOT_WELL,
    QueryError: BAD_SETTINGS,
    NotFoundError: NOT_WELL,
    SeveralError: NOT_WELL,
    ClientError: NO_SERVER,
}


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except tuple(_STATUSES) as error:
        said = printable(str(error)) if isinstance(error, ClientError) else str(error)
        typer.echo(f"hairpin: {said}", err=True)
        raise typer.Exit(next(status for kind, status in _STATUSES.items() if isinstance(error, kind))) from None


def _fixed_entrances(settings: Config, config: Path | None) -> list[Entrance]:
    for index, interface in enumerate(settings.turn.interfaces):
        if isinstance(interface.external, str):
            problem = 'is "auto", which only the server knows: ask its API (POST /credentials)'
            raise ConfigError(problem, f"turn.interfaces[{index}].external", config)
        if not interface.external.port:
            raise ConfigError("has port 0, which is known only to the server", f"turn.interfaces[{index}].bind", config)
    return [entrance for interface in settings.turn.interfaces for entrance in interface.entrances(interface.bind)]


def _announce(running: server.Server, settings: Config, first_run: bool) -> None:
    """Say where the server listens; on a first run, also how a page uses it."""
    typer.echo(f"hairpin {__version__}")
    for entrance in running.entrances:
        typer.echo(f"  {entrance.scheme:5} {entrance.address} ({entrance.name})")
    typer.echo(f"  API   http://{running.api_address}")
    for user, password in settings.auth.static_credentials.items() if first_run else ():
        _show_page(running, ice_servers(running.entrances, user, password.get_secret_value()))


def _show_page(running: server.Server, configuration: IceServers) -> None:
    typer.echo(f"\nTry it in a browser: http://{running.api_address}/#/test")
    typer.echo("\nPaste this into your page, or into the console of a browser:\n")
    typer.echo(f"  new RTCPeerConnection({json.dumps(configuration)})\n")
    if all(ip_address(address.ip).is_loopback for _, address in running.listeners):
        typer.echo("Firefox takes no TURN server on loopback: `hairpin serve --address IP` listens on another address.")
