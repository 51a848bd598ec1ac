"""Certificates and their keys out of the files that the settings name."""

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
