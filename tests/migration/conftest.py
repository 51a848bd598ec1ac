"""Files of other servers, and what becomes of them."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hairpin.config import ConfigError
from hairpin.migration import Kind, import_file

Import = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import a text: the settings, and the report without the file's name."""

    def run(text: str, name: str = "turnserver.conf", kind: Kind | None = None) -> tuple[dict[str, Any], list[str]]:
        (tmp_path / name).write_text(text)
        found = import_file(tmp_path / name, kind)
        return tomllib.loads(found.toml), [line.removeprefix(f"{tmp_path / name}:") for line in found.report]

    return run


@pytest.fixture
def wrong(tmp_path: Path) -> Callable[..., str]:
    """Import a text that will not do: the line that says so, without the folder."""

    def run(text: str, name: str = "turnserver.conf", kind: Kind | None = None) -> str:
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError) as caught:
            import_file(tmp_path / name, kind)
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(f"{tmp_path}/")

    return run
