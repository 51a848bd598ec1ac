"""Clouds' metadata services: each row is how one is asked for the public IPv4 address of this machine.

IPv6 is not asked for: clouds give machines public IPv6 addresses of their own.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import httpx2

METADATA = "http://169.254.169.254"
PATIENCE = 2.0  # seconds for all of them together
MOST_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Token:
    """What AWS wants to be asked for first (IMDSv2): the path, and the headers that ask for it and show it."""

    path: str
    asking: Mapping[str, str]
    showing: str


@dataclass(frozen=True, slots=True)
class Cloud:
    """How one is asked."""

    name: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    token: Token | None = None


AWS_TOKEN = Token("/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "X-aws-ec2-metadata-token")
CLOUDS = (
    Cloud("AWS", "/latest/meta-data/public-ipv4", token=AWS_TOKEN),
    Cloud(
        "Google Cloud",
        "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip",
        {"Metadata-Flavor": "Google"},
    ),
    Cloud(
        "Azure",
        "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress?api-version=2021-02-01&format=text",
        {"Metadata": "true"},
    ),
    Cloud("Hetzner", "/hetzner/v1/metadata/public-ipv4"),
    Cloud("DigitalOcean", "/metadata/v1/reserved_ip/ipv4/ip_address"),
    Cloud("DigitalOcean", "/metadata/v1/interfaces/public/0/ipv4/address"),
    Cloud("OpenStack", "/latest/meta-data/public-ipv4"),  # and who else speaks as AWS did at first
)


async def ask_clouds(base: str) -> tuple[str, str] | None:
    """The first row that has a public address, and its cloud's name; all are asked at once, for 2 s."""
    async with httpx2.AsyncClient(base_url=base, timeout=PATIENCE, trust_env=False, follow_redirects=False) as client:
        asked = [asyncio.create_task(_ask(client, cloud)) for cloud in CLOUDS]
        _, late = await asyncio.wait(asked, timeout=PATIENCE)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        found = (None if task.cancelled() else task.result() for task in asked)
        return next(((ip, cloud.name) for cloud, ip in zip(CLOUDS, found, strict=True) if ip), None)


async def _ask(client: httpx2.AsyncClient, cloud: Cloud) -> str | None:
    headers = dict(cloud.headers)
    try:
        if cloud.token:
            headers[cloud.token.showing] = await _request(client, "PUT", cloud.token.path, cloud.token.asking)
        return _public(await _request(client, "GET", cloud.path, headers))
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ValueError):
        return None


async def _request(client: httpx2.AsyncClient, method: str, path: str, headers: Mapping[str, str]) -> str:
    """The text of a short 200; ValueError for any other answer."""
    body = b""
    async with client.stream(method, path, headers=headers) as response:
        if response.status_code != 200:
            raise ValueError("not here")
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ValueError("too long")
    return body.decode("ascii").strip()


def _public(text: str) -> str | None:
    ip = IPv4Address(text)
    return str(ip) if ip.is_global else None
