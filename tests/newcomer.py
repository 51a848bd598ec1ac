"""The way of a newcomer, timed: clone, `make run`, and a relayed call in Chromium on the tutorial's page.

`python tests/newcomer.py` goes all of it in a fresh clone; `call COMMAND...`, a server, only its last part, in this
network. pip's and cargo's caches of downloads are those of the machine; everything is built anew.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/tutorial/call.html"
PATIENCE = 60_000  # milliseconds
# With a way out, as a machine has: without one the browser does not look for relays.
MADE = (
    "ip link set lo up && ip link add out type veth peer name far && ip address add 192.0.2.9/24 dev out"
    " && ip link set far up && ip link set out up && ip route add default dev out"
)
OWN_NETWORK = ["unshare", "--net", "sh", "-c", f'{MADE} && exec "$@"', "sh"]


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Say how long it took."""
    start = time.perf_counter()
    yield
    print(f"{name:42} {time.perf_counter() - start:7.1f} s", flush=True)


def whole() -> None:
    """From `git clone` to the call; `make run` is parted in two, as only the first needs the world's network."""
    with TemporaryDirectory(prefix="hairpin-newcomer-") as folder, timed("in all"):
        with timed("git clone"):
            subprocess.run(["git", "clone", "--quiet", ROOT, "hairpin"], cwd=folder, check=True)
        clone = Path(folder, "hairpin")
        fresh = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CARGO_TARGET_DIR")}
        with timed("make run: what it builds"):
            subprocess.run(["make", "build"], cwd=clone, env=fresh, check=True, stdout=subprocess.DEVNULL)
        last = [*OWN_NETWORK, sys.executable, __file__, "call", "make", "run"]
        subprocess.run(last, cwd=clone, env=fresh, check=True)


def call(command: Sequence[str]) -> None:
    """Start a server as a newcomer does, and make the call that the tutorial describes."""
    with timed("make run: until it says what to paste"):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert server.stdout
        pasted = next(line for line in server.stdout if "new RTCPeerConnection(" in line)
    try:
        with timed("the browser's start, and a relayed call"):
            sessions = relayed(pasted)
        used = [session["port"] for session in sessions if session["channels"] and session["received_pkts"]]
        assert len(used) >= 2, sessions
        print("relays", *used)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(20)


def relayed(pasted: str) -> list[dict[str, Any]]:
    """Paste into the page and call; the two sessions that the server has by then, with their statistics."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(PAGE.as_uri())
        page.fill("#pasted", pasted)
        page.click("#start")
        try:
            page.get_by_text("A message went there and back").wait_for()
            page.wait_for_function("document.getElementById('theirs').currentTime > 0")
        finally:
            print(page.inner_text("#steps"))
        sessions = [one | ask(f"/session/statistics?address={one['address']}") for one in ask("/session")]
        browser.close()
    return sessions


def ask(path: str) -> Any:
    """An answer of the API."""
    with urllib.request.urlopen(f"http://127.0.0.1:3000{path}", timeout=20) as response:
        return json.load(response)


if __name__ == "__main__":
    call(sys.argv[2:]) if sys.argv[1:2] == ["call"] else whole()
