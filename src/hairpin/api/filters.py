"""The query of the session routes: one table says how each field is read, and what /openapi.json says of it."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from hairpin.api.problems import ApiError, quoted
from hairpin.api.view import Interface
from hairpin.stun import Address, Transport
from hairpin.turn.state import Session

_YEAR = 366 * 86400
_EMPTY = {"type": "string", "maxLength": 0}


def _ipv6() -> str:
    """RFC 4291, section 2.2: eight groups, or fewer around one `::`; the last two may be written as an IPv4 address."""
    group = "[0-9A-Fa-f]{1,4}"
    forms = [f"(?:{group}:){{7}}{group}", f"(?:{group}:){{6}}{_IPV4}"]
    for before in range(8):
        head = f"{group}(?::{group}){{{before - 1}}}" if before else ""
        tails = [f"(?:{group}:){{0,{6 - before}}}{group}"] if before < 7 else []
        tails += [f"(?:{group}:){{0,{5 - before}}}{_IPV4}"] if before < 6 else []
        forms.append(f"{head}::(?:{'|'.join(tails)})?" if tails else f"{head}::")
    return f"(?:{'|'.join(forms)})"


_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_PORT = "(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}|0)"
_IP = f"(?:{_IPV4}|{_ipv6()})"
_IP_PORT = rf"(?:{_IPV4}|\[{_ipv6()}\]):{_PORT}"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the query: how a value is read (None: it cannot be), what to write instead, what the schema says."""

    read: Callable[[str], object]
    wants: str
    schema: dict[str, Any]
    description: str

    def parse(self, name: str, text: str) -> object:
        """The value of the field, or a 400 that names both."""
        value = self.read(text)
        if value is None:
            raise ApiError(400, f"{name} is {quoted(text)}; write {self.wants}, or leave it out.")
        return value

    def parameter(self, name: str) -> dict[str, Any]:
        """The field as /openapi.json shows it."""
        return {"name": name, "in": "query", "description": self.description, "schema": self.schema}


def _text(description: str) -> Field:
    return Field(str, "any text", {"type": "string"}, description)


def _count(most: int, description: str) -> Field:
    number = {"type": "integer", "minimum": 1, "maximum": most}
    digits = re.compile(f"[1-9][0-9]{{0,{len(str(most)) - 1}}}")

    def read(text: str) -> int | None:
        return int(text) if digits.fullmatch(text) and int(text) <= most else None

    return Field(read, f"a whole number from 1 to {most}", {"anyOf": [number, _EMPTY]}, description)


def _form(pattern: str, read: Callable[[str], object], wants: str, description: str) -> Field:
    """A field whose values have a form that a regular expression can tell: the same one that the schema shows."""
    form = re.compile(pattern)
    schema = {"type": "string", "pattern": f"^(?:{pattern})?$"}
    return Field(lambda text: read(text) if form.fullmatch(text) else None, wants, schema, description)


def _address(text: str) -> Address | str:
    """An address, or the text of an IP as addresses show it."""
    return Address.parse(text) if re.fullmatch(_IP_PORT, text) else Address(text, 0).ip


def _transport(text: str) -> int:
    return {"0": Transport.UDP, "udp": Transport.UDP}.get(text.lower(), Transport.TCP)


FIELDS = {
    "id": _text("The session's id."),
    "address": _form(f"{_IP_PORT}|{_IP}", _address, "IP:PORT, [IPv6]:PORT or an IP alone", "The client's address."),
    "interface": _form(_IP_PORT, Address.parse, "IP:PORT or [IPv6]:PORT", "The interface's external or bind address."),
    "transport": _form("[01]|[Uu][Dd][Pp]|[Tt][Cc][Pp]", _transport, "0, 1, udp or tcp", "0 or udp, 1 or tcp."),
    "username": _text("The user name, or the name after the colon of a TURN REST credential."),
    "limit": _count(100_000, "At most so many of them."),
    "after": _text("The id of the last session of the page before. It need not live any more."),
    "all": _form("true|false", lambda text: text == "true", "true or false", "true: every session of `username`."),
    "block": _count(_YEAR, "With all=true: refuse the user's Allocates for so many seconds."),
}
FILTERS = ("id", "address", "interface", "transport", "username")


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was read; None is a field that was left out or empty."""

    id: str | None = None
    address: Address | str | None = None
    interface: Address | None = None
    transport: int | None = None
    username: str | None = None
    limit: int | None = None
    after: str | None = None
    all: bool = False
    block: int | None = None

    @property
    def filters(self) -> bool:
        """Whether anything narrows the sessions down."""
        return any(getattr(self, name) is not None for name in FILTERS)

    def chooser(self, interfaces: Iterable[Interface]) -> Callable[[Session], bool]:
        """A test for the sessions that are meant."""
        tests = [test for test in (self._client(), self._listener(interfaces), self._user(), self._rest()) if test]
        return lambda session: all(test(session) for test in tests)

    def _client(self) -> Callable[[Session], bool] | None:
        address = self.address
        if address is None:
            return None
        if isinstance(address, str):
            return lambda session: session.client.ip == address
        return lambda session: session.client == address

    def _listener(self, interfaces: Iterable[Interface]) -> Callable[[Session], bool] | None:
        if self.interface is None:
            return None
        named = {(one.transport, one.external) for one in interfaces if self.interface in (one.bind, one.external)}
        return lambda session: (session.transport, session.interface) in named

    def _user(self) -> Callable[[Session], bool] | None:
        name = self.username
        return None if name is None else lambda session: name in (session.identity.username, session.identity.user)

    def _rest(self) -> Callable[[Session], bool] | None:
        if self.transport is None and self.after is None and self.id is None:
            return None
        transport, after, named = self.transport, self.after or "", self.id
        return lambda session: (
            transport in (None, session.transport) and session.id > after and named in (None, session.id)
        )


def read(params: QueryParams, allowed: Sequence[str]) -> Query:
    """The query, or a 400: a misspelt or doubled field would otherwise mean more sessions than its sender thought."""
    values: dict[str, Any] = {}
    for name, text in params.multi_items():
        if name not in allowed:
            raise ApiError(400, f"{quoted(name)} is not a field of this query; use {', '.join(allowed)}.")
        if name in values:
            raise ApiError(400, f"{name} stands there twice, the second time as {quoted(text)}; give it once.")
        values[name] = FIELDS[name].parse(name, text) if text else None
    return Query(**{name: value for name, value in values.items() if value is not None})


def parameters(names: Sequence[str]) -> dict[str, Any]:
    """These fields for the description of a route."""
    return {"parameters": [FIELDS[name].parameter(name) for name in names]}
