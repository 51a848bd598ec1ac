"""Certificates and their keys out of the files that the settings name, and again when those change."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from hairpin._core import Certificate
from hairpin.config import Config, ConfigError
from hairpin.logging import Logger
from hairpin.probe import certificate as dated


def certificates(config: Config, source: Path | None = None) -> list[list[Certificate]]:
    """What each interface shows, in the order of the settings. ConfigError names the file that will not do."""
    return [
        [
            _certificate(f"turn.interfaces[{index}]", interface.transport == "dtls", cert, key, source)
            for cert, key in zip(interface.cert, interface.key, strict=True)
        ]
        for index, interface in enumerate(config.turn.interfaces)
    ]


class Watch:
    """Files that are looked at now and then. What is being written is left alone until two looks find it the same."""

    def __init__(self, files: Iterable[Path]) -> None:
        """What is there now counts as known."""
        self.files = tuple(files)
        self._known = self._seen = self._look()

    def changed(self) -> bool:
        """Whether there is something else than before, and has been since the last look; said once."""
        before, self._seen = self._seen, self._look()
        if self._seen != before or self._seen == self._known:
            return False
        self._known = self._seen
        return True

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(file) for file in self.files]


class Dates:
    """Says in time that certificates end: two weeks before, and when they have."""

    def __init__(self, log: Logger, wall: Callable[[], float]) -> None:
        """Nothing is known yet; `wall` is the time in Unix seconds."""
        self._log = log
        self._wall = wall
        self._known: dict[Path, dated.Certificate] = {}
        self._told: dict[Path, str] = {}

    def read(self, config: Config) -> None:
        """Note the dates in the files of these settings, in place of those before."""
        files = (file for interface in config.turn.interfaces for file in interface.cert)
        self._known = {file: known for file in dict.fromkeys(files) if (known := _read(file))}

    def warnings(self) -> list[str]:
        """A sentence for each certificate that ends soon, has ended or is not valid yet."""
        return [f"{file} {says}." for file, says in self._problems().items()]

    def tell(self) -> None:
        """Log what was not logged before."""
        problems = self._problems()
        for file, says in problems.items():
            kind = says.split()[0]  # the days left change every day: not what it is about
            if self._told.get(file) != kind:
                self._told[file] = kind
                self._log.warning(f"{file} {says}.")
        self._told = {file: kind for file, kind in self._told.items() if file in problems}

    def _problems(self) -> dict[Path, str]:
        now = datetime.fromtimestamp(self._wall(), UTC)
        judged = ((file, _problem(known, now)) for file, known in self._known.items())
        return {file: says for file, says in judged if says}


def _read(file: Path) -> dated.Certificate | None:
    try:
        return dated.read_pem(file.read_bytes())
    except (OSError, ValueError):
        return None  # whether it can be served is not to be judged here


def _problem(known: dated.Certificate, now: datetime) -> str | None:
    left = known.days_left(now)
    soon = f"ends on {known.ends:%Y-%m-%d}, in {dated.days(left)}: renew it" if left < dated.SOON else None
    return known.time_problem(now) or soon


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _certificate(interface: str, dtls: bool, cert: Path, key: Path, source: Path | None) -> Certificate:
    try:
        certificate = Certificate(cert.read_bytes(), key.read_bytes())
        if certificate.serves_dtls or not dtls:
            return certificate
        part, problem = "key", "is not for ECDSA with P-256 or P-384, which dtls needs"
    except OSError as error:
        part, problem = "cert" if error.filename == str(cert) else "key", f"cannot be read: {error.strerror}"
    except ValueError as error:
        part, problem = error.args
    raise ConfigError(f"{cert if part == 'cert' else key} {problem}", f"{interface}.{part}", source)
