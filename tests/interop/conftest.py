"""Debian's Chromium, for the tests that need a browser."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from certificates import authority

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=WebRtcHideLocalIpsWithMdns,OptimizationHints",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def home(certutil: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the browser finds our certificate authority, and trusts it."""
    folder = tmp_path_factory.mktemp("home")
    store = folder / ".pki" / "nssdb"
    store.mkdir(parents=True)
    trust = ["-t", "C,,", "-n", "hairpin tests", "-i", authority().cert]
    for options in (["-N", "--empty-password"], ["-A", *trust]):
        subprocess.run([certutil, "-d", f"sql:{store}", *options], check=True)
    return folder


@pytest.fixture(scope="module")  # its loop stands in the way of other tests
def browser(chromium: Path, home: Path) -> Iterator[Browser]:
    """Debian's Chromium with a fake camera."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, headless=True, args=ARGUMENTS, env={**os.environ, "HOME": str(home)}
        )
        yield running
        running.close()
