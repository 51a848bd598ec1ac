"""Why a client is not served. The rule that refuses knows, and says it; on the wire there is only the RFC's code."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The kinds of refusals, for machines: a fixed set, which never depends on what a client sends."""

    # Credentials (401)
    NO_SUCH_USER = "no_such_user"
    WRONG_PASSWORD = "wrong_password"
    EXPIRED = "expired"
    SWAPPED = "swapped"
    HOOK_STATUS = "hook_status"
    HOOK_TIMEOUT = "hook_timeout"
    HOOK_FAILED = "hook_failed"
    HOOK_NO_PASSWORD = "hook_no_password"
    HOOK_BUSY = "hook_busy"
    HOOK_NOT_ASKED = "hook_not_asked"
    TOKEN_UNKNOWN_KEY = "token_unknown_key"
    TOKEN_NOT_OPENED = "token_not_opened"
    TOKEN_EXPIRED = "token_expired"
    STOPPING = "stopping"
    # Who may have an allocation, and how many
    BLOCKED = "blocked"
    DRAINING = "draining"
    SERVER_FULL = "server_full"
    USER_QUOTA = "user_quota"
    NO_RELAY_PORT = "no_relay_port"
    # Whose allocation it is
    ALREADY_ALLOCATED = "already_allocated"
    NO_ALLOCATION = "no_allocation"
    ANOTHER_USER = "another_user"
    # What Python of the operator's says
    POLICY_DENIED = "policy_denied"
    POLICY_FAILED = "policy_failed"
    # Peers
    PEER_DENIED = "peer_denied"
    PEER_FAMILY = "peer_family"
    SESSION_FULL = "session_full"
    CHANNEL_TAKEN = "channel_taken"
    ALREADY_CONNECTED = "already_connected"
    NOT_CONNECTED = "not_connected"
    # What was asked for
    MALFORMED = "malformed"
    NOT_UNDERSTOOD = "not_understood"
    FAMILY_NOT_SERVED = "family_not_served"
    TRANSPORT_NOT_SERVED = "transport_not_served"
    MOBILITY_DENIED = "mobility_denied"
    NO_RESERVATION = "no_reservation"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was refused: the kind, and a sentence on this case; a `silent` one is no answer: ask again."""

    reason: Reason
    detail: str
    silent: bool = False
