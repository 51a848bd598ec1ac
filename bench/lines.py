"""The lines of the table: what the load does, which figure counts, and what is asked of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

FLOORS = ("plain", "mmsg", "gro", "uring", "hairpin", "hairpingro")
Against: TypeAlias = Literal["coturn", "shared port", "floor", "itself"]
Who: TypeAlias = Literal["all", "coturn", "hairpin"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a sample: its field, its unit, and which way is better."""

    field: str
    unit: str
    less_is_better: bool = True


CORE = Figure("core", "us/packet")
OWN = Figure("own", "us/packet, own")
PACKETS = Figure("rate", "packets/s", less_is_better=False)
SETUPS = Figure("rate", "set-ups/s", less_is_better=False)
BINDINGS = Figure("rate", "Bindings/s", less_is_better=False)
P50 = Figure("p50", "us")
P99 = Figure("p99", "us")
KIB = Figure("kib", "KiB")
LOSS = Figure("lost", "packets lost")
CAPACITY = Figure("capacity", "packets/s", less_is_better=False)
GROWTH = Figure("growth", "% growth")
SESSIONS = Figure("up", "sessions", less_is_better=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: another's cost over hairpin's at least, hairpin's over another's at most, or itself."""

    against: Against
    bound: float
    most: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line; those of one group are measured on one start of a server, one after the other."""

    name: str
    group: str
    load: tuple[str, ...]
    figure: Figure
    asks: tuple[Ask, ...] = ()
    floors: tuple[str, ...] = ()
    place: str = "loopback"
    cores: str = "0"
    threads: tuple[int, ...] = (1,)
    inside: bool = False  # from client to client
    shared_port: bool = False
    long: bool = False
    who: Who = "all"


MODES = ("peer", "down", "pair")
NEAR_FLOOR = Ask("floor", 1.15, most=True)
LATENCY = (Ask("coturn", 1.1, most=True),)
PACED = ("-m", "echo", "-n", "100", "-r", "20000")


def lines() -> list[Line]:
    """All of them, in the order of the table."""
    return [*_single(), *_merged(), *_veth(), *_control(), *_latency(), *_long()]


def _single() -> Iterator[Line]:
    asked = {"peer": (1.03, 1.3), "down": (1.1, 1.6), "pair": (2.4, 3.3)}
    floors = {"peer": ("plain", "mmsg", "uring"), "down": ("mmsg", "uring"), "pair": ("hairpin",)}
    for mode in MODES:
        for sessions, ratio in zip((100, 1000), asked[mode], strict=True):
            yield Line(
                f"{mode} 160 B, {sessions} sessions",
                "single",
                ("-m", mode, "-l", "160", "-n", str(sessions)),
                CORE,
                (Ask("coturn", ratio), NEAR_FLOOR),
                floors[mode],
                inside=mode == "pair",
            )


def _merged() -> Iterator[Line]:
    """A peer for each session: coturn's shared port allows no other way."""
    for receivers, flags in (("", ()), (", GRO receivers", ("-g",))):
        for mode in MODES:
            inside = mode == "pair"
            asks = (Ask("coturn", 6),) if inside else (Ask("coturn", 3), Ask("shared port", 1.6))
            yield Line(
                f"{mode} 16 x 1200 B as GSO{receivers}",
                "merged",
                ("-m", mode, "-l", "1200", "-n", "100", "-b", "16", "-G", "-k", "0", *flags),
                CORE,
                (*asks, NEAR_FLOOR),
                ("hairpingro",) if inside else ("gro",),
                inside=inside,
                shared_port=not inside,
            )


def _veth() -> Iterator[Line]:
    for mode in MODES:
        inside = mode == "pair"
        yield Line(
            f"{mode} 16 x 1200 B apart, veth",
            "veth",
            ("-m", mode, "-l", "1200", "-n", "100", "-b", "16"),
            CORE,
            (Ask("coturn", 3.0 if inside else 1.3), NEAR_FLOOR),
            ("hairpingro",) if inside else ("gro",),
            place="veth",
            inside=inside,
        )


def _control() -> Iterator[Line]:
    setup = ("-m", "alloc")
    yield Line("set-ups, one core", "control", setup, SETUPS, (Ask("coturn", 1.0),), threads=(1, 2))
    yield Line("Bindings, one core", "control", ("-m", "bind", "-n", "100"), BINDINGS, (Ask("coturn", 1.2),))
    two = (Ask("coturn", 1.5),)
    yield Line("set-ups, two cores", "two cores", setup, SETUPS, two, cores="0,1", threads=(1, 2))


def _latency() -> Iterator[Line]:
    for name, figure in (("p50", P50), ("p99", P99)):
        yield Line(f"round trip at 20,000/s, {name}", "latency", PACED, figure, LATENCY)


def _long() -> Iterator[Line]:
    """What takes minutes: measured once, with --long; `bench/long.py` has those that are more than one run."""
    yield Line(
        "memory a session, 1,000 to 10,000", "memory", (), KIB, (Ask("itself", 6, most=True),), long=True, who="coturn"
    )
    minute = (*PACED, "-d", "60")
    for name, figure in (("p50", P50), ("p99", P99)):
        yield Line(f"round trip, 60 s, {name}", "minute", minute, figure, LATENCY, long=True, who="coturn")
    for name, figure in (("p50", P50), ("p99", P99)):
        busy = f"round trip while busy, 60 s, {name}"
        yield Line(busy, "busy", (), figure, LATENCY, cores="0,1", threads=(2,), long=True, who="coturn")
    yield Line("carried for 60 s without loss", "loss", (), CAPACITY, long=True, who="coturn")
    yield Line("lost in 60 s at 90 % load", "loss", (), LOSS, (Ask("itself", 0, most=True),), long=True, who="coturn")
    yield Line(
        "memory over 5 min at 80 % load", "steady", (), GROWTH, (Ask("itself", 1, most=True),), long=True, who="hairpin"
    )
    many = ("-m", "peer", "-n", "18000")
    yield Line("18,000 sessions, held", "many", many, SESSIONS, (Ask("itself", 18_000),), long=True, who="coturn")
    yield Line("peer 160 B, 18,000 sessions", "many", many, CORE, long=True, who="coturn")
    flat = ("-m", "peer", "-n", "200", "-d", "5")
    for threads, name in ((1, "1 worker"), (2, "2 workers")):
        for figure in (OWN, PACKETS):
            yield Line(
                f"sharing two cores with the load, {name}, {figure.unit}",
                "scale",
                flat,
                figure,
                cores="0,1",
                threads=(threads,),
                long=True,
                who="coturn",
            )
