"""How `hairpin top` looks."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum

from rich.console import Group, RenderableType
from rich.text import Text

from hairpin.console.figures import BYTES, ERRORS, PACKETS, Row, Scene
from hairpin.console.sessions import TRANSPORTS
from hairpin.console.text import cell, counted, table

ABOVE = 9  # lines above and below the rows
HEADINGS = ("ID", "USER", "CLIENT", "VIA", "RELAY", "IN", "OUT", "IN TOTAL", "OUT TOTAL", "ERRORS")
_BIT = 8


class Sort(StrEnum):
    """What the rows are sorted by; the first letter is its key."""

    RATE = "rate"
    TOTAL = "total"
    ERRORS = "errors"
    USER = "user"


_ORDERS: dict[Sort, Callable[[Row], tuple[float, str]]] = {
    Sort.RATE: lambda row: (-row.received - row.sent, row.session.id),
    Sort.TOTAL: lambda row: (-row.statistics.received_bytes - row.statistics.send_bytes, row.session.id),
    Sort.ERRORS: lambda row: (-row.statistics.error_pkts, row.session.id),
    Sort.USER: lambda row: (0, f"{row.session.username}\0{row.session.id}"),
}
HELP = "q ends; sorted by {sort}: " + ", ".join(f"{one[0]} {one}" for one in Sort)


def draw(scene: Scene, sort: Sort, url: str, room: int | None = None) -> RenderableType:
    """The whole screen; at most `room` lines high, where it has an end."""
    rows = table(HEADINGS, numbers=HEADINGS[5:])
    shown = sorted(scene.rows, key=_ORDERS[sort])
    for row in shown if room is None else shown[: max(1, room - ABOVE)]:
        rows.add_row(*map(cell, _cells(row)))
    return Group(*_head(scene, url), rows, *([cell(HELP.format(sort=sort))] if room is not None else ()))


def _head(scene: Scene, url: str) -> Iterator[Text]:
    info = scene.info
    yield cell(f"{info.software} at {url}, up {timedelta(seconds=info.uptime)}")
    yield cell(f"{counted(scene.sessions, 'session')}, {info.port_allocated} of {info.port_capacity} relay ports")
    yield cell(", ".join(f"{way} {_traffic(scene, way)}" for way in BYTES) + f", {scene.rate(ERRORS):.0f} errors/s")
    yield cell(f"dropped: {_drops(scene)}")
    if scene.problem:
        yield Text.assemble(cell(scene.problem), style="red")


def _traffic(scene: Scene, way: str) -> str:
    return f"{_bits(scene.rate(BYTES[way]))} ({scene.rate(PACKETS[way]):.0f} packets/s)"


def _drops(scene: Scene) -> str:
    counts = sorted((reason, count) for reason, count in scene.totals.drops.items() if count)
    told = (f"{reason} {count:.0f} ({scene.drop_rate(reason):.0f}/s)" for reason, count in counts)
    return ", ".join(told) or "nothing"


def _cells(row: Row) -> tuple[object, ...]:
    session, figures = row.session, row.statistics
    return (
        session.id,
        session.username,
        session.address,
        TRANSPORTS[session.transport],
        session.relays[0] if session.relays else "-",
        _bits(row.received),
        _bits(row.sent),
        _scaled(figures.received_bytes, "B"),
        _scaled(figures.send_bytes, "B"),
        figures.error_pkts,
    )


def _bits(bytes_a_second: float) -> str:
    return _scaled(bytes_a_second * _BIT, "bit/s")


def _scaled(value: float, unit: str) -> str:
    """In thousands, with one digit behind the point."""
    for prefix in ("", "k", "M", "G"):
        if value < 1000:
            return f"{value:.1f} {prefix}{unit}" if prefix else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} T{unit}"
