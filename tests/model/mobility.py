"""Mobility as RFC 8016 tells it: the reference's part for sessions that move from one client's place to another's."""

from typing import Any

from model.words import Ask, RefusalError


class Mobility:
    """A session is expected at a place that a ticket was shown from, until data comes from there."""

    sessions: dict[str, dict[str, Any]]
    connected: set[str]
    drawn: list[bytes]

    def draw(self, ticket: bytes) -> bytes:
        """The server makes a ticket up: 16 bytes in hexadecimal, and new."""
        assert len(ticket) == 32
        assert ticket not in self.drawn
        self.drawn.append(ticket)
        return ticket

    def is_resumed(self, ask: Ask) -> bool:
        """A Refresh that names its session by a ticket."""
        return ask.method == "refresh" and ask.ticket is not None

    def home(self, client: str) -> str:
        """Where the session is that is expected at this client; mostly, and without one, the client itself."""
        coming = (name for name, one in self.sessions.items() if one["coming"] and one["coming"][0] == client)
        return next(coming, client)

    def ticketed(self, ask: Ask) -> tuple[str, dict[str, Any] | None]:
        """The session of a ticket, and where it is."""
        for name, session in self.sessions.items():
            if self.is_resumed(ask) and ask.ticket in (session["ticket"], (session["coming"] or (None, None))[1]):
                return name, session
        return "", None

    def resumed(self, client: str, ask: Ask) -> dict[str, Any]:
        """RFC 8016, 3.2.2."""
        home, session = self.ticketed(ask)
        if session is None:
            raise RefusalError(437)
        if home == client:
            raise RefusalError(400)
        if self.home(client) not in (client, home) or client in self.sessions:
            raise RefusalError(437)
        if session["user"] != ask.user:
            raise RefusalError(441)
        return session

    def come(self, client: str) -> bool:
        """Data comes from a client: whether a session was expected there, which is there from now on."""
        home = self.home(client)
        if home == client:
            return False
        session = self.sessions[client] = self.sessions.pop(home)
        session["ticket"], session["coming"] = session["coming"][1], None
        self.connected.discard(home)
        return True
