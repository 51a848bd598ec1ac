"""What the server says to a stranger, and whether it lets the user in."""

from base64 import b64decode
from ipaddress import ip_address

from hairpin.probe.scene import Scene
from hairpin.probe.steps import Fact, Finding, Verdict, failed, ok, skipped, warning
from hairpin.stun import Address, Attribute, Message
from hairpin.turnclient.client import Client
from hairpin.turnclient.failure import Cause, Failure, plain

COOKIE = "obMatJos2"  # of a nonce that says what the server can do (RFC 8489, section 9.2)
FEATURES = ("password algorithms", "user names by hash")  # by bit, the most significant first (section 18.1)
THIRD_PARTY = "access tokens"
USERS_OWN = (401, 438)  # what else an Allocate is refused with is no matter of the user's password


async def binding(scene: Scene) -> Finding:
    """Ask by which address the server sees this machine (RFC 8489, section 2)."""
    agent = scene.stranger
    failure = await agent.ask(Client.binding)
    if failure:
        return _no_binding(scene, failure)
    assert agent.client.answer is not None
    scene.binding, scene.binding_asked = agent.client.answer, agent.asked
    mapped = _mapped(scene.binding)
    if mapped is None:
        return failed("The answer to a Binding has no address in it: it is of no use to a client.")
    own = (mapped.ip, mapped.port) == agent.link.local
    between = "its own address: no NAT stands between" if own else "so there is a NAT between"
    facts: dict[str, Fact] = {"mapped": str(mapped), "nat": not own, "software": agent.client.software}
    return ok(f"This machine is seen as {mapped}, {between}.", **facts)


def _no_binding(scene: Scene, failure: Failure) -> Finding:
    if failure.cause is Cause.SILENCE and scene.target.turn:
        says = "Binding requests are not answered: the server relays, but does not help with direct calls."
        return Finding(Verdict.WARNING, says, passable=False)
    return failed(scene.explain(failure))


async def challenge(scene: Scene) -> Finding:
    """Allocate without credentials: a 401 with realm and nonce is the right answer (RFC 8489, section 9.2.4)."""
    agent = scene.stranger
    failure = await agent.ask(lambda client, now: client.allocate(scene.version, now))
    answer = agent.client.answer
    if failure is None:
        return warning("Anyone can relay here, without a user: ask for credentials.", open=True)
    if answer is None or (failure.cause, failure.code) != (Cause.ANSWER, 401):
        return failed(scene.explain(failure))
    if not (answer.realm and answer.nonce):
        return failed("The 401 has no realm or no nonce in it, so that no client can sign (RFC 8489, section 9.2.4).")
    scene.challenge, scene.challenge_asked = answer, agent.asked
    realm, features = plain(answer.realm), offered(answer)
    more = f"; offers {', '.join(features)}" if features else ""
    facts: dict[str, Fact] = {"realm": realm, "nonce": plain(answer.nonce), "features": features}
    return ok(f'Asks for credentials of the realm "{realm}" (401){more}.', **facts, software=agent.client.software)


async def credentials(scene: Scene) -> Finding:
    """Allocate with the user's credentials."""
    user = scene.credentials
    if scene.stranger.client.relay:
        scene.near = scene.stranger
        return warning("Nobody was asked for any.")
    if user is None:
        return skipped("No credentials were given: add --user and --password, or --secret.")
    scene.near = scene.agent(scene.stranger.link, user)
    failure = await scene.near.ask(lambda client, now: client.allocate(scene.version, now))
    if failure and failure.cause is Cause.SILENCE:
        return failed("Strangers are answered, but not this user: does the server's look-up of users answer?")
    if failure and (failure.cause is not Cause.ANSWER or failure.code in USERS_OWN):
        return failed(scene.explain(failure), username=plain(user.username))
    scene.refusal = failure
    return ok(f"{plain(user.username)} is let in.", username=plain(user.username))


async def allocation(scene: Scene) -> Finding:
    """What the server gave to the user."""
    relay, answer = scene.near.client.relay, scene.near.client.answer
    if scene.refusal or relay is None:
        return failed(scene.explain(scene.refusal or Failure("Allocate", Cause.ANSWER)))
    lifetime = answer.lifetime if answer else None
    facts: dict[str, Fact] = {"relayed": str(relay), "lifetime": lifetime}
    says = f"The relayed transport address is {relay}, for {lifetime} s"
    if _is_hidden(relay.ip) and not _is_hidden(scene.address[0]):
        return warning(
            f"{says}: an address that no peer on the internet reaches. Tell the server its public one (hairpin: "
            "external; coturn: external-ip).",
            **facts,
        )
    return ok(f"{says}.", **facts)


def offered(challenge: Message) -> list[str]:
    """What a server says that it can do beyond MD5 keys of named users."""
    features, nonce = [], challenge.nonce or ""
    if nonce.startswith(COOKIE):
        features = _by_bits(nonce[len(COOKIE) : len(COOKIE) + 4])
    if any(code == Attribute.THIRD_PARTY_AUTHORIZATION for code, _ in challenge.attributes()):
        features.append(THIRD_PARTY)
    return features


def _by_bits(encoded: str) -> list[str]:
    try:
        first = b64decode(encoded, validate=True)[0]
    except (ValueError, IndexError):
        return []
    return [name for bit, name in enumerate(FEATURES) if first & 0x80 >> bit]


def _mapped(message: Message) -> Address | None:
    """XOR-MAPPED-ADDRESS, or what old servers have in its place."""
    old = (value for code, value in message.attributes() if code == Attribute.MAPPED_ADDRESS)
    found = message.xor_mapped_address or next(old, None)
    return found if isinstance(found, Address) else None


def _is_hidden(ip: str) -> bool:
    return not ip_address(ip).is_global
