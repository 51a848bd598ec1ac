"""What deploy/ has for Prometheus and Grafana, and what the documentation has them read."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from monitoring.test_monitoring_metrics import scraped
from running import EVERYWHERE, configuration, running

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/hairpin.rules.yml"
TESTS = ROOT / "deploy/prometheus/hairpin.rules.test.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/hairpin.json").read_text())
PAGE = (ROOT / "docs/how-to/monitoring.md").read_text()
NAME = re.compile(r"\b(?:hairpin|process)_\w+")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
GIVEN = {"__rate_interval": "5m", "__interval": "1m", "instance": ".*"}  # by Grafana, for the variables


def promtool(*arguments: str | Path) -> str:
    """What promtool says when all is well."""
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def panels() -> list[dict[str, Any]]:
    """Rows too."""
    found: list[dict[str, Any]] = DASHBOARD["panels"]
    return found


def expressions() -> Iterator[str]:
    """Each PromQL of the dashboard, with values for its variables."""
    annotations = (one["expr"] for one in DASHBOARD["annotations"]["list"] if "expr" in one)
    for text in (*annotations, *(target["expr"] for panel in panels() for target in panel.get("targets", ()))):
        yield re.sub(r"\$(\w+)", lambda name: GIVEN[name[1]], text)


@pytest.fixture(scope="module")
def metrics() -> set[str]:
    """The names that a server with hooks tells."""
    with running(configuration(*EVERYWHERE, api={"hooks": "http://127.0.0.1:9"})) as server:
        text = scraped(server)
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def test_the_alerts_are_rules_and_do_what_they_say() -> None:
    """By promtool: their syntax, and each of them by example."""
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert f"{len(alerts)} rules found" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", TESTS)
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", TESTS.read_text())
    assert set(fired) == alerts, "each fires in an example"


def test_the_alerts_and_the_dashboard_ask_for_metrics_that_there_are(metrics: set[str]) -> None:
    """Each name stands on /metrics."""
    asked = set(NAME.findall(RULES.read_text())) | {name for text in expressions() for name in NAME.findall(text)}
    assert len(asked) > 20
    assert asked <= metrics


def test_the_page_names_every_metric(metrics: set[str]) -> None:
    """And no other; those of the process are what Prometheus' own library tells."""
    named = set(re.findall(r"`(hairpin_\w+)`", PAGE))
    assert named == {name for name in metrics if name.startswith("hairpin_")}


def test_the_dashboard_is_promql(tmp_path: Path) -> None:
    """Prometheus' own parser reads each expression, as a rule."""
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    assert len(rules) > 25
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_the_dashboard_is_one_that_grafana_provisions() -> None:
    """No id of a database, a uid, a schema that is known, inputs as variables, and plugins that are built in."""
    assert DASHBOARD["id"] is None
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert "__inputs" not in DASHBOARD, "provisioning fills in none"
    assert 30 <= DASHBOARD["schemaVersion"] <= 39
    assert {panel["type"] for panel in panels()} == {"row", "stat", "timeseries"}
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["instance"]["datasource"] == SOURCE
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used == {"datasource", *GIVEN}


def test_the_panels_of_the_dashboard_fit() -> None:
    """Each has its own id and place in 24 columns, a title, and for each query the data source and a letter."""
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in panels():
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == SOURCE
        assert panel["description"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0
        assert all(target["datasource"] == SOURCE for target in panel["targets"])
    assert not [both for both in combinations(panels(), 2) if overlap(*(panel["gridPos"] for panel in both))]


def overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    """Whether two places share a cell."""
    apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not (apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


def test_prometheus_reads_the_settings_of_the_page(tmp_path: Path) -> None:
    """The example is a whole prometheus.yml."""
    (example,) = re.findall(r"```yaml\n(# prometheus\.yml\n.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "prometheus.yml"
    file.write_text(example)
    assert "is valid prometheus config file syntax" in promtool("check", "config", "--syntax-only", file)
