"""The error codes of STUN and TURN (RFC 8489, 14.8; RFC 8656, 19; RFC 6062, 6.3) as exceptions."""

# ruff: noqa: N818 (they are called what the RFCs call them)

from typing import ClassVar

from hairpin.stun import Attribute
from hairpin.turn.effects import Attributes, Refused, SessionView
from hairpin.turn.refusal import Reason, Refusal

ERROR_CODE = Attribute.ERROR_CODE  # to name a member takes longer than to compare it


class TurnError(Exception):
    """A request that is answered with an error response; `attributes` are all that the response holds.

    `refusal` says why, which the client is not told.
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "Server Error"
    usual: ClassVar[Reason] = Reason.MALFORMED

    def __init__(self, detail: str, why: Reason | None = None, more: Attributes = ()) -> None:
        """Say in `detail` what is wrong with this request, and to the client no more than the code and `more`."""
        super().__init__(detail)
        self.refusal = Refusal(why or self.usual, detail)
        self.attributes: Attributes = ((ERROR_CODE, (self.code, self.reason)), *more)

    def told(self, session: SessionView, method: int) -> Refused:
        """That a request of this session was refused so."""
        where = (session.client, session.interface, session.transport)
        return Refused(*where, session.username, method, self.code, self.refusal)


def error_code(attributes: Attributes) -> int:
    """The code of an answer that is an error, as all of those below begin."""
    _, value = attributes[0]
    assert isinstance(value, tuple)
    return int(value[0])


class TryAlternate(TurnError):
    """300: the client should ask another server."""

    code = 300
    reason = "Try Alternate"
    usual = Reason.DRAINING


class BadRequest(TurnError):
    """400: the request is malformed."""

    code = 400
    reason = "Bad Request"
    usual = Reason.MALFORMED


class Forbidden(TurnError):
    """403: policy does not allow it."""

    code = 403
    reason = "Forbidden"
    usual = Reason.PEER_DENIED


class MobilityForbidden(TurnError):
    """405: this user's allocations stay where they are (RFC 8016, section 3.4)."""

    code = 405
    reason = "Mobility Forbidden"
    usual = Reason.MOBILITY_DENIED


class UnknownAttribute(TurnError):
    """420: a comprehension-required attribute is not understood."""

    code = 420
    reason = "Unknown Attribute"
    usual = Reason.NOT_UNDERSTOOD


class AllocationMismatch(TurnError):
    """437: an allocation where none may be, or none where one must be."""

    code = 437
    reason = "Allocation Mismatch"
    usual = Reason.NO_ALLOCATION


class AddressFamilyNotSupported(TurnError):
    """440: no relay of the family that was asked for."""

    code = 440
    reason = "Address Family not Supported"
    usual = Reason.FAMILY_NOT_SERVED


class WrongCredentials(TurnError):
    """441: not the user that made the allocation."""

    code = 441
    reason = "Wrong Credentials"
    usual = Reason.ANOTHER_USER


class UnsupportedTransport(TurnError):
    """442: no relay of the transport that was asked for."""

    code = 442
    reason = "Unsupported Transport Protocol"
    usual = Reason.TRANSPORT_NOT_SERVED


class PeerAddressFamilyMismatch(TurnError):
    """443: the peer's family is not the relay's."""

    code = 443
    reason = "Peer Address Family Mismatch"
    usual = Reason.PEER_FAMILY


class ConnectionAlreadyExists(TurnError):
    """446: the allocation is connected to that peer, or about to be."""

    code = 446
    reason = "Connection Already Exists"
    usual = Reason.ALREADY_CONNECTED


class ConnectionTimeoutOrFailure(TurnError):
    """447: the peer refused the connection, or did not answer."""

    code = 447
    reason = "Connection Timeout or Failure"
    usual = Reason.NOT_CONNECTED


class AllocationQuotaReached(TurnError):
    """486: the user has as many allocations as it may have."""

    code = 486
    reason = "Allocation Quota Reached"
    usual = Reason.USER_QUOTA


class InsufficientCapacity(TurnError):
    """508: no port, permission or channel left."""

    code = 508
    reason = "Insufficient Capacity"
    usual = Reason.SESSION_FULL
