"""Limits by the plan that a user has; who has none is turned away."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import hairpin
from hairpin import Deny, Terms

USERS = Path(__file__).with_name("users.db")
PLANS = {
    "free": Terms(allocations_per_user=1, bytes_per_second=125_000, session_max=1800),
    "team": Terms(allocations_per_user=20, bytes_per_second=1_000_000),
    "staff": Terms(mobility=True),
}


class Plans(hairpin.Policy):
    """Looks users up in a table `users (name, plan)`."""

    async def may_allocate(self, client: hairpin.TurnClient) -> Terms | Deny:
        """Those who have a plan, and what the plan says."""
        # A thread of its own waits for the disk, so that the server does not.
        plan = await asyncio.to_thread(plan_of, client.user)
        return PLANS[plan] if plan else Deny("has no plan")


def plan_of(user: str) -> str | None:
    """The plan of a user, None for a stranger."""
    with closing(sqlite3.connect(USERS)) as connection:
        row = connection.execute("SELECT plan FROM users WHERE name = ?", (user,)).fetchone()
    return str(row[0]) if row else None
