"""A listener: what carries STUN and TURN there, and what clients are told of it."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hairpin.auth.ice import Entrance
from hairpin.config.discovery import Place
from hairpin.config.fields import AddressText, External, Hostname, Network, Several
from hairpin.config.section import Section
from hairpin.config.sources import MisplacedError
from hairpin.stun import Address, Transport


class Interface(Section):
    """An address that clients use; port 0 takes a free one, and `external` port 0 is then the same one."""

    transport: Literal["udp", "tcp", "tls", "dtls"] = Field(
        description="what carries STUN and TURN here: UDP, TCP, TLS 1.2 and 1.3 over TCP, or DTLS 1.2 over UDP"
    )
    bind: AddressText = Field(description="where it listens; port 0 takes a free one")
    external: External = Field(
        description='the address that clients are told, where NAT makes it another one; "auto" is found at the start'
    )
    hostname: Hostname | None = Field(
        default=None,
        description="what URLs name instead of the address: for `turns:`, the name that the certificate is for",
    )
    cert: Annotated[tuple[Path, ...], Several] = Field(
        default=(),
        description="for tls and dtls, a chain in PEM; several of them, each with its key, for several names (SNI)",
    )
    key: Annotated[tuple[Path, ...], Several] = Field(
        default=(), description="the key of each `cert`, in PEM; for dtls one with P-256 or P-384"
    )
    plain_tcp: bool = Field(
        default=False,
        description="a tls interface takes TCP without TLS, too: the first byte tells (RFC 8489, section 8)",
    )
    proxy_from: Annotated[tuple[Network, ...], Several] = Field(
        default=(),
        description="proxies whose TCP and TLS connections begin with a header of the PROXY protocol, version 1 or 2: "
        "it names the client",
    )

    @property
    def carrier(self) -> Transport:
        """What carries it: TLS runs over TCP, DTLS over UDP."""
        return Transport.UDP if self.transport in ("udp", "dtls") else Transport.TCP

    @property
    def secure(self) -> bool:
        """Whether clients are shown a certificate."""
        return self.transport in ("tls", "dtls")

    def announced(self, bound: Address) -> Address:
        """What clients are told, once the socket is `bound`; an `external` to be found has been found by then."""
        if isinstance(self.external, str):
            raise LookupError(f"what clients see of {self.bind} is not found yet")
        return self.external if self.external.port else Address(self.external.ip, bound.port)

    @property
    def external_ip(self) -> str:
        """The IP that clients see, or `auto`."""
        return self.external if isinstance(self.external, str) else self.external.ip

    @property
    def place(self) -> Place | None:
        """Where clients find it; None where that is known only once it is bound, or it has many addresses."""
        if not self.bind.port or ip_address(self.bind.ip).is_unspecified:
            return None
        return self.transport, self.bind if isinstance(self.external, str) else self.announced(self.bind)

    def entrances(self, bound: Address) -> list[Entrance]:
        """The ways in, once the socket is `bound`."""
        external = self.announced(bound)
        address = f"{self.hostname}:{external.port}" if self.hostname else str(external)
        kinds = (True, False) if self.plain_tcp else (self.secure,)
        return [Entrance(self.carrier, address, secure) for secure in kinds]

    @model_validator(mode="before")
    @classmethod
    def _announce_bind(cls, values: Any) -> Any:
        if isinstance(values, dict) and "external" not in values and "bind" in values:
            return {**values, "external": values["bind"]}
        return values

    @model_validator(mode="after")
    def _announce_something(self) -> Self:
        if isinstance(self.external, str):
            return self
        if ip_address(self.external.ip).is_unspecified:
            raise MisplacedError(
                "external", f'{self.bind.ip} is every address: add external = "IP:PORT" as clients see it'
            )
        if self.external.version != self.bind.version:
            raise MisplacedError("external", f"is IPv{self.external.version}, but bind is IPv{self.bind.version}")
        return self

    @model_validator(mode="after")
    def _streams_only(self) -> Self:
        if self.plain_tcp and self.transport != "tls":
            raise MisplacedError("plain_tcp", f"is for tls, but transport is {self.transport}")
        if self.proxy_from and self.carrier != Transport.TCP:
            raise MisplacedError("proxy_from", f"is for tcp and tls, but transport is {self.transport}")
        return self

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if not self.secure and (self.cert or self.key):
            raise MisplacedError("cert" if self.cert else "key", f"is for tls, but transport is {self.transport}")
        if self.secure and not self.cert:
            raise MisplacedError("cert", f"is missing: {self.transport} needs a file with a certificate chain")
        if len(self.key) != len(self.cert):
            raise MisplacedError("key", f"names {len(self.key)} files, but cert {len(self.cert)}: write a key for each")
        return self
