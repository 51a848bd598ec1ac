"""Certificates and their keys out of the files that the settings name."""

from pathlib import Path

from hairpin._core import Certificate
from hairpin.config import Config, ConfigError


def certificates(config: Config, source: Path | None = None) -> list[list[Certificate]]:
    """What each interface shows, in the order of the settings. ConfigError names the file that will not do."""
    return [
        [_certificate(f"turn.interfaces[{index}]", cert, key, source) for cert, key in zip(*files, strict=True)]
        for index, files in enumerate((interface.cert, interface.key) for interface in config.turn.interfaces)
    ]


def _certificate(interface: str, cert: Path, key: Path, source: Path | None) -> Certificate:
    try:
        return Certificate(cert.read_bytes(), key.read_bytes())
    except OSError as error:
        part, problem = "cert" if error.filename == str(cert) else "key", f"cannot be read: {error.strerror}"
    except ValueError as error:
        part, problem = error.args
    raise ConfigError(f"{cert if part == 'cert' else key} {problem}", f"{interface}.{part}", source)
