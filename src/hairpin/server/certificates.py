"""Certificates and their keys out of the files that the settings name, and again when those change."""

from collections.abc import Iterable
from pathlib import Path

from hairpin._core import Certificate
from hairpin.config import Config, ConfigError


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
