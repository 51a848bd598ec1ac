"""Where the command line finds the API, and its token: from a file or the environment, for everyone sees arguments."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from hairpin.config import Config, ConfigError
from hairpin.stun import Address

CLIENT = TypeVar("CLIENT")
TOKEN_LIMIT = 4096  # bytes


def connect(make: Callable[..., CLIENT], url: str | None, config: Path | None, token_file: Path | None) -> CLIENT:
    """A client of the API at `url`, else of the one that the settings in `config` serve, else as the environment says.

    ConfigError for a URL, a file or a token that will not do.
    """
    served = Config.load(config).api if config else None
    token = served.token.get_secret_value() if served and served.token else None
    token = _read(token_file) if token_file else token
    try:
        return make(url or (_url(served.bind) if served else None), token=token)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _url(bind: Address) -> str:
    """Of an API that is bound there, as this machine reaches it."""
    if ip_address(bind.ip).is_unspecified:
        bind = Address("127.0.0.1" if bind.version == 4 else "::1", bind.port)
    return f"http://{bind}"


def _read(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            token = opened.read(TOKEN_LIMIT).strip()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=file) from None
    except UnicodeDecodeError:
        raise ConfigError("is no token: it must be visible ASCII characters", source=file) from None
    if not token:
        raise ConfigError("is empty: it must hold the token", source=file)
    return token
