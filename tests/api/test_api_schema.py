"""/openapi.json against the running application: what is described is what is answered, and nothing else."""

from collections import Counter

import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from hairpin.api import create_app
from hairpin.stun import Transport

TOKEN = {"Authorization": "Bearer t\u00f6ken".encode().decode("latin-1")}
CONFIG = {
    "generation": {"max-examples": 50, "deterministic": True},
    "operations": [
        # Which sessions live is no matter of a request's form: where one is meant, a well-formed query can be too wide.
        {
            "include-path": ["/session", "/session/statistics"],
            "checks": {"positive_data_acceptance": {"expected-statuses": ["200", "400", "404"]}},
        },
        # 503 is what it says of a server that drains, as this one does after POST /drain.
        {"include-path": "/health", "checks": {"not_a_server_error": {"expected-statuses": ["200", "405", "503"]}}},
    ],
}


def findings(view, headers):
    """What the checks of schemathesis say of an application with live sessions, and how many were made, by phase."""
    view.add(1)
    view.add(2, transport=Transport.TCP)
    view.begin(3, "bob")
    view.feed.end()  # or a stream of events would have none
    view.refuse()
    config = SchemathesisConfig.from_dict({**CONFIG, "headers": headers})
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(view), headers=headers, config=config)
    bad, made = [], Counter()
    for event in engine.from_schema(schema).execute():
        if isinstance(event, NonFatalError | FatalError):
            bad.append(event)
        if isinstance(event, ScenarioFinished):
            checks = [check for each in event.recorder.checks.values() for check in each]
            made[event.phase.value] += len(checks)
            bad += [(event.recorder.label, check.failure_info.failure) for check in checks if check.failure_info]
    return bad, made


def test_with_a_token(guarded):
    """Whatever is sent to the API by one who has the token, the answer is one that the description allows."""
    bad, made = findings(guarded, TOKEN)
    assert bad == []
    assert made["coverage"] > 500
    assert made["fuzzing"] > 500


def test_without_a_token(view):
    """Whatever is sent to the API of a server without a token, the answer is one that the description allows."""
    bad, made = findings(view, {"Host": "localhost"})
    assert bad == []
    assert made["coverage"] > 500
    assert made["fuzzing"] > 500


async def test_every_response_is_described(client, ask, guarded):
    """Every route describes its headers, its errors as problems, and the token where one is asked for."""
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/info",
        "/session",
        "/session/statistics",
        "/session/events",
        "/events",
        "/session/refusals",
        "/credentials",
        "/health",
        "/drain",
        "/metrics",
        "/login",
        "/logout",
        "/dashboard/state",
        "/dashboard/sessions",
        "/dashboard/session",
        "/dashboard/trial",
    }
    for route in (route for path in document["paths"].values() for route in path.values()):
        assert {"403", "500"} <= set(route["responses"])
        for status, response in route["responses"].items():
            assert {"realm", "nonce", "Cache-Control", "X-Content-Type-Options"} == set(response["headers"])
            assert status < "400" or "HTTPValidationError" not in str(response)
    secured = (await ask(guarded, "/openapi.json", ("authorization", "Bearer t\u00f6ken"))).json()
    assert secured["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert secured["paths"]["/session"]["delete"]["security"] == [{"token": []}]
    assert "401" in secured["paths"]["/session"]["delete"]["responses"]
    assert secured["paths"]["/health"]["get"]["security"] == [{}, {"token": []}]
