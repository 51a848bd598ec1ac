"""Guests reach the conference servers and nobody else; everyone else reaches whom the settings let through."""

from ipaddress import ip_address, ip_network

import hairpin
from hairpin import Deny

CONFERENCES = (ip_network("198.51.100.0/24"), ip_network("2001:db8:5f0::/48"))


class Guests(hairpin.Policy):
    """Knows guests by their names, which begin with `guest-`."""

    def may_reach(self, client: hairpin.TurnClient, peer: hairpin.Peer) -> bool | Deny:
        """For guests the conferences, for others anyone."""
        if not client.user.startswith("guest-"):
            return True
        ip = ip_address(peer.ip)
        return any(ip in network for network in CONFERENCES) or Deny("guests reach conferences only")
