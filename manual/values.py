"""How the value of a setting is written in a file, told from its type."""

from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from hairpin.config import fields
from hairpin.config.section import Section

FORMS: list[tuple[object, str]] = [
    (bool, "`true` or `false`"),
    (str, "text"),
    (Path, "a file"),
    (fields.AddressText, '`"IP:PORT"`'),
    (fields.IpText, '`"IP"`'),
    (fields.Hostname, "a host name"),
    (fields.Realm, "visible ASCII"),
    (fields.Username, "a user name"),
    (fields.Password, "a password"),
    (fields.Secret, "text"),
    (fields.Token, "visible ASCII"),
    (fields.TokenKey, "base64 of 16 or 32 bytes"),
    (fields.WebhookSecret, '`"whsec_"` and base64'),
    (fields.Url, "a URL"),
    (fields.Ports, '`"LOW-HIGH"`'),
    (fields.Network, "a network"),
    (fields.PeerEntry, "a network"),
    (fields.Nat64Prefix, "a prefix"),
    (fields.External, '`"IP:PORT"` or `"auto"`'),
    (fields.ExternalIp, '`"IP"` or `"auto"`'),
    (fields.StunUri, '`"stun:HOST:PORT"`'),
    (fields.PythonName, '`"MODULE:NAME"`'),
]


def written(annotation: object) -> str:
    """The form of a value in words; LookupError for a type that has none here yet."""
    for form, words in FORMS:
        if form == annotation:
            return words
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(inside[0], inside[1:])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if NoneType in inside:
        return " or ".join(written(one) for one in inside if one is not NoneType)
    if origin is tuple:
        return "tables" if _is_section(inside[0]) else f"a list: {written(inside[0])}"
    if origin is dict:
        return f"a table: {written(inside[0])} = {written(inside[1])}"
    raise LookupError(f"say in manual/values.py how {annotation} is written")


def _annotated(inner: object, more: Sequence[object]) -> str:
    if fields.Several in more:
        return f"{written(get_args(inner)[0])}, or a list"
    return _number(more) if inner in (int, float) else written(inner)


def _number(more: Sequence[object]) -> str:
    """The range of a number. An end that only says how far a number of its kind goes is left out."""
    bounds = [bound for one in more for bound in (one.metadata if isinstance(one, FieldInfo) else [one])]
    low = next((str(bound.ge) for bound in bounds if isinstance(bound, Ge)), None)
    above = next((str(bound.gt) for bound in bounds if isinstance(bound, Gt)), None)
    high = next((str(bound.le) for bound in bounds if isinstance(bound, Le) and bound.le != 2**32 - 1), None)
    if low is not None:
        return f"{low} to {high}" if high else f"{low} or more"
    return f"more than {above}, {high} at most" if high else f"more than {above}"


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)
