"""The whole server: what an application embeds, and what `hairpin serve` runs."""

from hairpin.server.certificates import certificates
from hairpin.server.policy import look_at_policy
from hairpin.server.process import serve
from hairpin.server.server import Server

__all__ = ["Server", "certificates", "look_at_policy", "serve"]
