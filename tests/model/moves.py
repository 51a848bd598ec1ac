"""What mobile clients do in the model's histories (RFC 8016)."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from model.both import Both
from model.scenery import anyone, channels, clients, flaws, lags, payloads, who


class Moves(Both):
    """What mobile clients do."""

    @precondition(lambda self: self.reference.drawn)
    @rule(
        name=clients,
        user=anyone,
        back=st.integers(1, 4),
        family=st.sampled_from([None, None, None, None, 1, 2]),
        lifetime=st.sampled_from([None, None, None, 0, 1, 601]),
        flaw=flaws,
        lag=lags,
    )
    def resume(self, name: str, user: str, back: int, lag: int, **said: Any) -> None:
        """Refresh with a ticket that somebody was given, from anywhere."""
        drawn = self.reference.drawn
        ticket = drawn[-min(back, len(drawn))]
        owner = next((one["user"] for one in self.reference.sessions.values() if ticket in self.tickets(one)), "alice")
        self.ask(name, "refresh", owner if user == "own" else user, lag, ticket=ticket, **said)

    @precondition(lambda self: any(one["ticket"] for one in self.reference.sessions.values()))
    @rule(
        which=who, name=clients, next_one=st.booleans(), lifetime=st.sampled_from([None] * 5 + [0]), sends=st.booleans()
    )
    def move(self, which: int, name: str, next_one: bool, lifetime: int | None, sends: bool) -> None:
        """A mobile client comes from elsewhere, by either of its tickets, and may send at once."""
        mobile = [one for _, one in sorted(self.reference.sessions.items()) if one["ticket"]]
        session = mobile[which % len(mobile)]
        ticket = self.tickets(session)[-1 if next_one else 0]
        self.ask(name, "refresh", session["user"], lifetime=lifetime, ticket=ticket)
        if sends:
            self.send_channel(name, 0x4000, b"here")

    @precondition(lambda self: any(one["coming"] for one in self.reference.sessions.values()))
    @rule(which=who, number=channels, payload=payloads)
    def come(self, which: int, number: int, payload: bytes) -> None:
        """The client of a session that is expected somewhere sends from there."""
        names = sorted(one["coming"][0] for one in self.reference.sessions.values() if one["coming"])
        self.send_channel(names[which % len(names)], number, payload)
