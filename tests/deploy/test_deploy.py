"""What stands in deploy/: checked as far as it can be without Docker, a booted systemd and a cluster."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from conftest import tool
from hairpin import Config
from hairpin.config.sources import environment
from running import configuration, running
from serving import HAIRPIN

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "hairpin.service").read_text()
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes/hairpin.yaml").read_text()))


@dataclass(frozen=True)
class Instruction:
    """A line of the Dockerfile."""

    word: str
    rest: str


def stages() -> list[list[Instruction]]:
    """The Dockerfile's instructions, by stage."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found: list[list[Instruction]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append(Instruction(word, " ".join(rest.split())))
    return found


def last(word: str) -> str:
    """What the last instruction of that name says in the image that is made."""
    return [one.rest for one in stages()[-1] if one.word == word][-1]


def test_what_the_image_is_built_of_is_in_the_tree() -> None:
    """Each source of COPY; and what they bring is what the build of a wheel names."""
    copies = [shlex.split(one.rest) for one in stages()[0] if one.word == "COPY"]
    sources = {source for copy in copies for source in copy[:-1]}
    assert all((ROOT / source).exists() for source in sources)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = {
        project["project"]["readme"],
        project["tool"]["maturin"]["python-source"],
        "rust",
        "Cargo.toml",
        "Cargo.lock",
    }
    assert named | {"pyproject.toml", "LICENSE"} == sources


def test_the_image_is_nobodys_root() -> None:
    """Its user is a number, as Kubernetes wants it, and the one that the manifests name; only built wheels come in."""
    assert int(last("USER")) > 0
    assert daemon_set()["securityContext"]["runAsUser"] == int(last("USER"))
    assert all(one.rest.startswith("--from=build ") for one in stages()[-1] if one.word == "COPY")
    assert [stage[0].rest.partition(":")[0] for stage in stages()] == ["rust", "python"]


def test_the_image_serves() -> None:
    """Entry point and command are a command line that is taken: it misses only the file."""
    assert json.loads(last("ENTRYPOINT")) == [HAIRPIN.name]
    ended = subprocess.run([HAIRPIN, *json.loads(last("CMD"))], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == "hairpin: /etc/hairpin/hairpin.toml: cannot be read: No such file or directory\n"


def health(port: int) -> int:
    """The exit status of the image's health check, asked of another port."""
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python3"
    asked = [part.replace(str(Config.model_fields["api"].default.bind.port), str(port)) for part in command[1:]]
    return subprocess.run([sys.executable, *asked], capture_output=True, timeout=60).returncode


def test_the_health_check() -> None:
    """0 while the server serves; 1 while it drains, and when nobody is there."""
    with running(configuration(("udp", "127.0.0.1:0"), limits={"drain": 60})) as server:
        port = server.server.api_address.port
        with server.client():
            assert health(port) == 0
            assert server.ask("POST", "/drain")[0] == 202
            assert health(port) == 1
    assert health(port) == 1


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the hairpin that is here."""
    path = tmp_path / "hairpin.service"
    path.write_text(UNIT.replace("/opt/hairpin/bin/hairpin", str(HAIRPIN)))
    return path


def test_systemd_takes_the_unit(unit: Path) -> None:
    """Nothing to say about any line."""
    analyze = tool("systemd-analyze", "systemd")
    ended = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    about_it = [line for line in ended.stderr.splitlines() if "hairpin" in line]
    assert about_it == []


def test_systemd_finds_the_unit_little_exposed(unit: Path) -> None:
    """At most 2.0 of 10, by its own measure."""
    command = [tool("systemd-analyze", "systemd"), "security", "--offline=true", "--threshold=20", unit]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_systemd_is_told_what_the_unit_waits_for() -> None:
    """Type notify and a watchdog are what `hairpin.server.notify` speaks; wrong settings are not tried again."""
    said = dict(line.split("=", 1) for line in UNIT.splitlines() if "=" in line and not line.startswith("#"))
    assert (said["Type"], said["WatchdogSec"], said["RestartPreventExitStatus"]) == ("notify", "30", "2")


def test_kubernetes_takes_the_manifests() -> None:
    """By the schemas of its API, strictly."""
    assert [one["kind"] for one in KUBERNETES] == ["Namespace", "Secret", "ConfigMap", "DaemonSet"]
    for manifest in KUBERNETES:
        kubernetes_validate.validate(manifest, desired_version="1.30", strict=True)


def daemon_set() -> dict[str, Any]:
    """The pods' specification."""
    found: dict[str, Any] = KUBERNETES[-1]["spec"]["template"]["spec"]
    return found


def settings(tmp_path: Path) -> Config:
    """The settings that the pods have."""
    (tmp_path / "hairpin.toml").write_text(KUBERNETES[2]["data"]["hairpin.toml"])
    return Config.load(tmp_path / "hairpin.toml")


def test_the_pods_settings_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the secret, by the name of its variable; an empty one, as it stands there, is refused."""
    (container,) = daemon_set()["containers"]
    (variable,) = container["env"]
    reference = variable["valueFrom"]["secretKeyRef"]
    monkeypatch.setenv(variable["name"], "north")
    assert [secret.get_secret_value() for secret in settings(tmp_path).auth.static_auth_secret] == ["north"]
    assert environment(Config.model_fields) == {"auth": {"static_auth_secret": "north"}}
    assert KUBERNETES[1]["stringData"] == {reference["key"]: ""}
    monkeypatch.setenv(variable["name"], "")
    with pytest.raises(ValueError, match="must not be empty"):
        settings(tmp_path)


def test_the_pods_are_asked_where_the_api_is(tmp_path: Path) -> None:
    """And are given longer to end than a drain takes."""
    config, pod = settings(tmp_path), daemon_set()
    (container,) = pod["containers"]
    for probe, kind in (("startupProbe", "httpGet"), ("readinessProbe", "httpGet"), ("livenessProbe", "tcpSocket")):
        asked = container[probe][kind]
        assert f"{asked['host']}:{asked['port']}" == str(config.api.bind)
        assert asked.get("path", "/health") == "/health"
    assert pod["terminationGracePeriodSeconds"] > config.limits.drain
    assert container["args"] == json.loads(last("CMD"))
    assert container["volumeMounts"][0]["mountPath"] == str(Path(container["args"][-1]).parent)
