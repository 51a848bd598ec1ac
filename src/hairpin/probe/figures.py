"""How long an answer takes, and how much a stranger can make the server send to somebody else."""

from statistics import median

from hairpin.probe.relay import HEADERS
from hairpin.probe.scene import Scene
from hairpin.probe.steps import Fact, Finding, failed, ok, skipped, warning
from hairpin.stun import Message
from hairpin.turnclient.client import Client

SAMPLES = 5
SLOW_MS = 300.0  # ITU-T G.114: from 150 ms one way on, people talk into each other's words
MOST_TIMES = 3.0  # what hairpin allows itself


async def rtt(scene: Scene) -> Finding:
    """Time a few Bindings."""
    agent, times = scene.stranger, list[float]()
    for _ in range(SAMPLES):
        failure = await agent.ask(Client.binding)
        if failure:
            return failed(scene.explain(failure))
        times.append(round(agent.took / 1e6, 2))
    again = agent.client.repeated
    facts: dict[str, Fact] = {"median_ms": median(times), "min_ms": min(times), "max_ms": max(times), "repeated": again}
    says = f"{median(times):g} ms, {min(times):g} to {max(times):g} in {SAMPLES} samples"
    if again:
        return warning(f"{says}; {again} requests had to be sent again: datagrams are lost on the way.", **facts)
    if median(times) > SLOW_MS:
        return warning(f"{says}: too much for a conversation. Use a server that is nearer.", **facts)
    return ok(f"{says}.", **facts)


async def amplification(scene: Scene) -> Finding:
    """Compare the size of the answers to a stranger with that of his questions, IP and UDP headers counted in."""
    if not scene.datagrams:
        return skipped("A stream answers nobody who did not ask: a source address cannot be forged.")
    headers = HEADERS[scene.version]
    times = {name: _times(asked + headers, len(bytes(answer)) + headers) for name, asked, answer in _answered(scene)}
    facts: dict[str, Fact] = {f"{name.lower()}_times": value for name, value in times.items()}
    says = " and ".join(f"the answer to a stranger's {name} is {value:g} times" for name, value in times.items())
    says = f"{says[0].upper()}{says[1:]} as large as the question, IP and UDP headers counted in"
    if max(times.values()) > MOST_TIMES:
        return warning(
            f"{says}: who forges his source address can flood others through it. Shorten the realm, leave out SOFTWARE "
            "(coturn: no-software-attribute).",
            **facts,
        )
    return ok(f"{says}.", **facts)


def _answered(scene: Scene) -> list[tuple[str, int, Message]]:
    """What strangers were answered: name, size of the question, answer."""
    found = (
        ("Binding", scene.binding_asked, scene.binding),
        ("Allocate", scene.challenge_asked, scene.challenge),
    )
    return [(name, asked, answer) for name, asked, answer in found if answer is not None]


def _times(question: int, answer: int) -> float:
    return round(answer / question, 2)
