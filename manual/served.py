"""docs/reference/api.md and metrics.md, from what a running server says of itself."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import httpx2
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

import hairpin
from manual.markdown import code, page, table

Schema: TypeAlias = Mapping[str, Any]

API = """\
The API is served on `api.bind`. `/openapi.json` describes it, and this page is written from that description, as a
server without `api.token` gives it. With a token, every request but `GET /health` brings `Authorization: Bearer TOKEN`,
or gets 401.

Every response has the headers `realm` and `nonce`. `nonce` is new at each start: a changed one means that the server
was restarted. Errors are `application/problem+json` (RFC 9457), with a sentence that tells what to do.
"""
METRICS = """\
`GET /metrics` in Prometheus' text format. Labels have values from fixed sets only, and none is a user's name: the
number of series does not grow with the users.
"""
FIXED = ("client", "what", "reason")  # labels whose values a server without clients shows already


async def served() -> dict[str, str]:
    """The pages by their file's name; it runs a server on loopback for a moment, and has it try itself once."""
    config = hairpin.Config(
        turn={"interfaces": [{"transport": "udp", "bind": "127.0.0.1:0"}], "workers": 1, "probe": 0},
        api={"bind": "127.0.0.1:0"},
        auth={"static_auth_secret": "nobody asks for it"},
        log={"level": "error"},
    )
    async with hairpin.Server(config) as server, httpx2.AsyncClient(trust_env=False) as client:
        await server.self_probe.look()  # or its metrics have no labels yet
        base = f"http://{server.api_address}"
        described = (await client.get(f"{base}/openapi.json")).json()
        measured = (await client.get(f"{base}/metrics")).text
    return {"api.md": api(described), "metrics.md": metrics(text_string_to_metric_families(measured))}


def api(document: Schema) -> str:
    """A page of an OpenAPI document."""
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    common = _common([operation for _, operation in operations])
    lines = [API, "Every request may also get one of these:", ""]
    lines += table(["status", "meaning"], ([status, meaning] for status, meaning in common.items()))
    for name, operation in operations:
        lines += _operation(name, operation, common)
    lines += ["## Values", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += _schema(name, schema)
    return page("REST API", "src/hairpin/api/", lines)


def _common(operations: Iterable[Schema]) -> dict[str, str]:
    """The responses that are the same everywhere."""
    answers = [{(status, one["description"]) for status, one in each["responses"].items()} for each in operations]
    return dict(sorted(set.intersection(*answers)))


def _operation(name: str, operation: Schema, common: Mapping[str, str]) -> Iterator[str]:
    yield from (f"## {code(name)}", "", operation.get("description", ""), "")
    fields = operation.get("parameters", [])
    yield from table(["query", "meaning"], ([code(one["name"]), one.get("description", "")] for one in fields))
    if body := operation.get("requestBody"):
        yield from (f"The body is {_content(body)}.", "")
    answers = {status: one for status, one in operation["responses"].items() if status not in common}
    yield from table(["status", "answer"], ([status, _answer(one)] for status, one in sorted(answers.items())))


def _answer(response: Schema) -> str:
    """What a response has: for an error a sentence is enough."""
    content = "application/problem+json" not in response.get("content", {}) and _content(response)
    said = response["description"]
    return content if content and said == "Successful Response" else said


def _content(holder: Schema) -> str:
    return ", ".join(_kind(one["schema"]) for one in holder.get("content", {}).values() if "schema" in one)


def _schema(name: str, schema: Schema) -> Iterator[str]:
    yield from (f"### {name}", "", schema.get("description", ""), "")
    yield from table(
        ["field", "type", "meaning"],
        ([code(key), _kind(one), one.get("description", "")] for key, one in schema.get("properties", {}).items()),
    )


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"a list of {_kind(schema.get('items', {}))}"
    return {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}.get(
        str(schema.get("type")), str(schema.get("type", "anything"))
    )


def metrics(families: Iterable[Metric]) -> str:
    """A page of the metrics; those of the process are the client library's, and are not listed."""
    rows = [
        [code(_sample(one)), one.type, _labels(one), one.documentation]
        for one in families
        if not one.name.startswith("process_")
    ]
    header = ["metric", "type", "labels", "meaning"]
    end = "`process_*` are those that every Prometheus client has: processor time, memory, descriptors."
    return page("Metrics", "src/hairpin/api/metrics.py", [METRICS, *table(header, rows), end])


def _sample(family: Metric) -> str:
    """The name that queries use."""
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return family.name if family.name.endswith(suffix) else family.name + suffix


def _labels(family: Metric) -> str:
    seen: dict[str, set[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            seen.setdefault(label, set()).add(value)
    return "; ".join(
        f"{code(label)}: {', '.join(sorted(values))}" if label in FIXED else code(label)
        for label, values in seen.items()
    )
