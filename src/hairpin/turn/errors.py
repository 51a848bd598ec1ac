"""The error codes of STUN and TURN (RFC 8489, 14.8; RFC 8656, 19; RFC 6062, 6.3) as exceptions."""

# ruff: noqa: N818 (they are called what the RFCs call them)

from typing import ClassVar

from hairpin.stun import Attribute
from hairpin.turn.effects import Attributes, Value


class TurnError(Exception):
    """A request that is answered with an error response; `attributes` are all that the response holds."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "Server Error"

    def __init__(self, *more: tuple[Attribute, Value]) -> None:
        """Say more than the code and its reason in further attributes."""
        super().__init__(self.code, self.reason)
        self.attributes: Attributes = ((Attribute.ERROR_CODE, (self.code, self.reason)), *more)


class TryAlternate(TurnError):
    """300: the client should ask another server."""

    code = 300
    reason = "Try Alternate"


class BadRequest(TurnError):
    """400: the request is malformed."""

    code = 400
    reason = "Bad Request"


class Forbidden(TurnError):
    """403: policy does not allow it."""

    code = 403
    reason = "Forbidden"


class MobilityForbidden(TurnError):
    """405: this user's allocations stay where they are (RFC 8016, section 3.4)."""

    code = 405
    reason = "Mobility Forbidden"


class UnknownAttribute(TurnError):
    """420: a comprehension-required attribute is not understood."""

    code = 420
    reason = "Unknown Attribute"


class AllocationMismatch(TurnError):
    """437: an allocation where none may be, or none where one must be."""

    code = 437
    reason = "Allocation Mismatch"


class AddressFamilyNotSupported(TurnError):
    """440: no relay of the family that was asked for."""

    code = 440
    reason = "Address Family not Supported"


class WrongCredentials(TurnError):
    """441: not the user that made the allocation."""

    code = 441
    reason = "Wrong Credentials"


class UnsupportedTransport(TurnError):
    """442: no relay of the transport that was asked for."""

    code = 442
    reason = "Unsupported Transport Protocol"


class PeerAddressFamilyMismatch(TurnError):
    """443: the peer's family is not the relay's."""

    code = 443
    reason = "Peer Address Family Mismatch"


class ConnectionAlreadyExists(TurnError):
    """446: the allocation is connected to that peer, or about to be."""

    code = 446
    reason = "Connection Already Exists"


class ConnectionTimeoutOrFailure(TurnError):
    """447: the peer refused the connection, or did not answer."""

    code = 447
    reason = "Connection Timeout or Failure"


class AllocationQuotaReached(TurnError):
    """486: the user has as many allocations as it may have."""

    code = 486
    reason = "Allocation Quota Reached"


class InsufficientCapacity(TurnError):
    """508: no port, permission or channel left."""

    code = 508
    reason = "Insufficient Capacity"
