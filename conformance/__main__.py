"""`python -m conformance`: run the suite, and write its page."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from conformance import checks, servers
from conformance.clauses import Check, Outcome, Result, in_order
from conformance.client import Credentials
from conformance.report import PAGE, Run, page
from conformance.runner import MOMENT, run
from conformance.scene import Target
from conformance.stun import Endpoint

assert checks.__all__, "importing the package registers the checks"


@dataclass(frozen=True)
class Column:
    """A server to try: how it is started, and its version."""

    name: str
    version: str
    start: Callable[[Path], AbstractContextManager[Target]]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where no MUST fails without a reason that the page names, 1 otherwise, 2 for a server that did not start."""
    options = parser().parse_args(arguments)
    try:
        runs = tried(columns(options), limit=options.limit, only=options.only)
    except servers.StartError as error:
        print(error, file=sys.stderr)
        return 2
    text = page(runs, when=datetime.now(UTC).date().isoformat())
    if not options.only:
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.write_text(text)
        print(f"written: {options.page}")
    broken = [name for one in runs[:1] for name in one.broken()]
    for name in broken:
        print(f"{runs[0].name} breaks a MUST: {name}: {runs[0].results[name].why}")
    return 1 if broken else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m conformance", description="Try a STUN and TURN server by its RFCs.")
    made.add_argument("--server", metavar="HOST:PORT", help="a server that runs; without it hairpin and coturn start")
    made.add_argument("--user", default="")
    made.add_argument("--password", default="")
    made.add_argument("--other-user", default="", help="a second user, for what one must not do to another's")
    made.add_argument("--other-password", default="")
    made.add_argument("--tls", metavar="PORT", type=int, help="where it speaks TLS")
    made.add_argument("--dtls", metavar="PORT", type=int, help="where it speaks DTLS")
    made.add_argument("--limit", type=int, default=MOMENT, metavar="SECONDS", help="leave out what takes longer")
    made.add_argument("--only", metavar="TEXT", help="only checks whose name holds this; no page is written")
    made.add_argument("--page", type=Path, help="where the page is written")
    made.set_defaults(page=None)
    return made


def columns(options: argparse.Namespace) -> list[Column]:
    """The servers to try, and where their page goes."""
    if not options.server:
        options.page = options.page or PAGE
        return [
            Column("hairpin", servers.hairpin_version(), servers.hairpin),
            Column("coturn", servers.coturn_version(), servers.coturn),
        ]
    options.page = options.page or Path(".build/conformance.md")
    target = named(options)
    return [Column(options.server, "as it runs there", lambda _: nullcontext(target))]


def named(options: argparse.Namespace) -> Target:
    """The server of the command line."""
    host, _, port = options.server.rpartition(":")
    other = Credentials(options.other_user, options.other_password) if options.other_user else None

    def beside(number: int | None) -> Endpoint | None:
        return None if number is None else (host.strip("[]"), number)

    return Target(
        name=options.server,
        address=(host.strip("[]"), int(port)),
        user=Credentials(options.user, options.password),
        other=other,
        tls=beside(options.tls),
        dtls=beside(options.dtls),
    )


def tried(found: Sequence[Column], *, limit: int, only: str | None) -> list[Run]:
    """Run all columns at once."""
    chosen = [one for one in in_order() if only is None or only in one.name]
    with ThreadPoolExecutor(max_workers=len(found)) as threads:
        return list(threads.map(lambda column: _column(column, chosen, limit=limit), found))


def _column(column: Column, chosen: Sequence[Check], *, limit: int) -> Run:
    def progress(check: Check, result: Result) -> None:
        if result.outcome is not Outcome.PASS:
            print(f"{column.name}: {result.outcome}: {check.name}: {result.why}", flush=True)

    with tempfile.TemporaryDirectory() as folder, column.start(Path(folder)) as target:
        return Run(column.name, column.version, run(target, chosen, limit=limit, progress=progress), limit)


if __name__ == "__main__":
    sys.exit(main())
