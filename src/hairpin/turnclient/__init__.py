"""What any client of a STUN or TURN server needs, without sockets; `hairpin bench` and `hairpin probe` are clients."""

from hairpin.turnclient.target import ArgumentError, Credentials, Target

__all__ = ["ArgumentError", "Credentials", "Target"]
