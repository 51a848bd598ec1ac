"""The way to the server: its name, UDP or TCP, and TLS."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

from hairpin.probe import certificate
from hairpin.probe.agent import Agent
from hairpin.probe.certificate import Certificate
from hairpin.probe.link import Endpoint, Link, Stream, connect_datagrams, connect_stream
from hairpin.probe.scene import Scene
from hairpin.probe.steps import Fact, Finding, failed, failed_alone, ok, warning
from hairpin.turnclient.client import Client
from hairpin.turnclient.failure import Cause, Failure, LinkError, plain
from hairpin.turnclient.hints import explain
from hairpin.turnclient.target import place

SECONDS = 5.0  # for a name, a connection, a handshake
MOST_ADDRESSES = 8  # of a name that are tried


async def dns(scene: Scene) -> Finding:
    """Find all addresses of the host."""
    target = scene.target
    kind = socket.SOCK_DGRAM if scene.datagrams else socket.SOCK_STREAM
    try:
        async with asyncio.timeout(SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=kind)
    except TimeoutError:
        return failed(f"No answer about {plain(target.host)} within {SECONDS:g} s: does this machine's resolver work?")
    except (OSError, UnicodeError) as error:
        reason = plain(getattr(error, "strerror", None) or "it is no host name")
        return failed(f"{plain(target.host)} has no address ({reason}): is the name right?")
    ips = list(dict.fromkeys(str(one[4][0]) for one in found))
    scene.addresses = [(ip, target.port) for ip in ips[:MOST_ADDRESSES]]
    says = f"{target.host} is an address." if ips == [target.host] else f"{target.host} is {', '.join(ips)}."
    return ok(says, addresses=ips)


async def udp(scene: Scene) -> Finding:
    """Ask each address; the first one that answers, in the order of the resolver, is asked further."""
    outcomes = await asyncio.gather(*(_ask(scene, one) for one in scene.addresses))
    answering = [(one, agent) for one, agent in zip(scene.addresses, outcomes, strict=True) if isinstance(agent, Agent)]
    if answering:
        scene.address, scene.stranger = answering[0]
    return _reached(scene, outcomes, "answers")


async def _ask(scene: Scene, one: Endpoint) -> Agent | Failure:
    """A stranger's Binding; of a server that answers none, the first Allocate. Any answer will do."""
    try:
        agent = scene.agent(await connect_datagrams(one))
    except OSError as error:
        return Failure("Binding", Cause.NETWORK, 0, plain(error.strerror or ""))
    failure = await agent.ask(Client.binding)
    if failure and failure.cause is Cause.SILENCE and scene.target.turn:
        failure = await agent.ask(lambda client, now: client.allocate(6 if ":" in one[0] else 4, now))
    return failure if failure and failure.cause is not Cause.ANSWER else agent


async def tcp(scene: Scene) -> Finding:
    """Connect to each address; the first one that can be connected to is asked further."""
    outcomes = await asyncio.gather(*(_connect(scene, one) for one in scene.addresses))
    connected = [(one, link) for one, link in zip(scene.addresses, outcomes, strict=True) if isinstance(link, Stream)]
    if connected and not scene.target.secure:  # for TLS there will be a connection of its own
        scene.stranger = scene.agent(connected[0][1])
        scene.address = connected.pop(0)[0]
    for one, link in connected:
        scene.address = scene.address if scene.address[0] else one
        link.close()
    return _reached(scene, outcomes, "can be connected to")


async def _connect(scene: Scene, one: Endpoint) -> Stream | Failure:
    try:
        async with asyncio.timeout(SECONDS):
            return await connect_stream(one, scene.preface)
    except TimeoutError:
        return Failure("Connect", Cause.SILENCE)
    except OSError as error:
        return Failure("Connect", LinkError(error).cause, 0, plain(error.strerror or ""))


def _reached(scene: Scene, outcomes: Sequence[object], how: str) -> Finding:
    """Every address has to do: a client takes any of them."""
    tried = zip(scene.addresses, outcomes, strict=True)
    reasons = [explain(bad, place(*one), scene.target.transport) for one, bad in tried if isinstance(bad, Failure)]
    if not scene.address[0]:
        return failed(" ".join(reasons))
    where = place(*scene.address)
    if reasons:
        return warning(" ".join([f"{where} {how}.", *reasons]), address=where)
    more = len(outcomes) - 1
    return ok(f"{where} {how}{f', and so do {more} more' if more else ''}.", address=where)


async def tls(scene: Scene) -> Finding:
    """Shake hands, and judge the certificate: its dates, its name, its issuer, each by itself."""
    try:
        link = await _shake_hands(scene, certificate.unverified())
    except OSError as error:
        return failed(f"No TLS handshake: {_reason(error)}. Does TLS run on this port?")
    scene.stranger = scene.agent(link)
    spoken = link.transport.get_extra_info("ssl_object")
    version, cipher, der = plain(spoken.version()), spoken.cipher()[0], spoken.getpeercert(binary_form=True)
    if scene.trusted:
        return ok(f"{version} is spoken.", version=version)
    try:
        shown = certificate.read(der)
    except ValueError as error:
        return failed_alone(f"{version} is spoken, but the certificate cannot be read: {plain(str(error))}.")
    problems = await _problems(scene, der, shown)
    return _judge(shown, problems, f"{version} is spoken", version=version, cipher=cipher)


async def _problems(scene: Scene, der: bytes, shown: Certificate) -> list[str]:
    """What is wrong with it, each with what to do."""
    out_of_time = shown.time_problem(certificate.utc_now())
    problems = [out_of_time] if out_of_time else []
    by_name = await _refusal(scene, certificate.of_its_name(der))
    if by_name and not certificate.is_about_time(by_name):
        problems.append(f"is not for {plain(scene.target.host)}, but for {', '.join(shown.names) or 'nobody'}")
    by_issuer = await _refusal(scene, certificate.of_known_issuers())
    if by_issuer and not certificate.is_about_time(by_issuer):
        problems.append(certificate.ISSUER)
    elif by_issuer and not out_of_time:
        problems.append(certificate.CHAIN)
    return problems


async def _refusal(scene: Scene, context: ssl.SSLContext) -> ssl.SSLCertVerificationError | None:
    """What a client that verifies in this way has against the certificate."""
    try:
        (await _shake_hands(scene, context)).close()
    except ssl.SSLCertVerificationError as error:
        return error
    except OSError:
        return None  # the network's, which is no matter of the certificate
    return None


async def connect_again(scene: Scene) -> Link:
    """One link more to the address that answered; OSError where there is none to be had."""
    if scene.datagrams:
        return await connect_datagrams(scene.address)
    if scene.target.secure:
        return await _shake_hands(scene, certificate.unverified())
    async with asyncio.timeout(SECONDS):
        return await connect_stream(scene.address, scene.preface)


async def _shake_hands(scene: Scene, context: ssl.SSLContext) -> Stream:
    async with asyncio.timeout(SECONDS):
        return await connect_stream(scene.address, scene.preface, context, scene.target.host)


def _judge(shown: Certificate, problems: list[str], spoken: str, **facts: str) -> Finding:
    left = shown.days_left(certificate.utc_now())
    found: dict[str, Fact] = {
        **facts,
        "names": list(shown.names),
        "issuer": shown.issuer,
        "begins": shown.begins.isoformat(),
        "ends": shown.ends.isoformat(),
        "days_left": left,
        "problems": problems,
    }
    until = f"the certificate for {', '.join(shown.names)} of {shown.issuer} ends on {shown.ends:%Y-%m-%d}"
    if problems:
        return failed_alone(f"{spoken}, but the certificate {'; it '.join(problems)}.", **found)
    until += f", in {certificate.days(left)}"
    if left < certificate.SOON:
        return warning(f"{spoken}; {until}: renew it.", **found)
    return ok(f"{spoken}; {until}.", **found)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {SECONDS:g} s"
    if isinstance(error, ssl.SSLError):
        return plain((error.reason or "it failed").lower().replace("_", " "))
    return plain(error.strerror or "the connection ended")
