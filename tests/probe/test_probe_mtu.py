"""What passes a narrow link, in a network of the test's own, where loopback is one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hairpin.cli import app
from running import PASSWORD, USER, configuration, running

NARROW = {"1400": ("ok", 1400), "1279": ("warning", 576)}


@pytest.mark.parametrize("mtu", NARROW)
def test_the_largest_datagram_that_passes(mtu: str) -> None:
    """The largest of those tried that is not larger than the link's MTU; below IPv6's least it is a warning."""
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a network of one's own needs CAP_SYS_ADMIN")
    script = f"ip link set lo up mtu {mtu} && exec {sys.executable} {__file__}"
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent.parent}:{os.environ.get('PYTHONPATH', '')}"}
    run = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], check=False, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    verdict, size = NARROW[mtu]
    found = json.loads(run.stdout)
    assert (found["verdict"], found["facts"]) == (verdict, {"to_peer_bytes": size, "from_peer_bytes": size})


def main() -> None:
    """The step of a probe in this network."""
    with running(configuration(("udp", "127.0.0.1:0"))) as server:
        ip, port = server.address()
        options = ["--user", USER, "--password", PASSWORD, "--json"]
        result = CliRunner().invoke(app, ["probe", f"turn:{ip}:{port}", *options])
    print(json.dumps(next(step for step in json.loads(result.stdout)["steps"] if step["step"] == "mtu")))


if __name__ == "__main__":
    main()
