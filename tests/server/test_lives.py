"""What is kept of the life of a session."""

from types import SimpleNamespace

from hairpin.server.lives import ENDED, KEPT, Lives
from hairpin.stun import Address, Transport
from hairpin.turn.effects import Notify, SessionView


def notify(kind, session="s", **data):
    """Something that happened to a session."""
    view = SessionView(session, 1, Address("198.51.100.1", 4000), Address("192.0.2.1", 3478), Transport.UDP, "bob", 0)
    return Notify(kind, view, tuple(data.items()))


def test_the_first_message_and_the_last_ones_are_kept():
    """What was between them is counted."""
    lives = Lives()
    lives.note(notify("allocated", port=1), 0.0)
    for number in range(1, KEPT + 10):
        lives.note(notify("refresh", lifetime=number), float(number))
    life = lives.find("s")
    assert life.messages[0] == (0.0, "allocated", (("port", 1),))
    assert [at for at, _, _ in life.messages[1:]] == [float(number) for number in range(11, KEPT + 10)]
    assert (len(life.messages), life.forgotten, life.ended) == (KEPT, 10, False)


def test_a_session_that_has_ended_is_known_for_a_while():
    """With a copy of who it was, and its last figures; the oldest of too many is forgotten."""
    lives, figures = Lives(), SimpleNamespace()
    told = notify("allocated", "0")
    lives.note(told, 0.0)
    closed = Notify("closed", told.session, (("reason", "r"),))
    lives.note(closed, 1.0)
    lives.count(closed, figures, 1.0)
    life = lives.find("0")
    assert (life.ended, life.figures, [kind for _, kind, _ in life.messages]) == (
        True,
        figures,
        ["allocated", "closed"],
    )
    assert life.session is not told.session
    assert life.session == told.session
    for number in range(1, ENDED):
        lives.note(notify("closed", str(number)), 2.0)
    assert lives.find("0") is life
    lives.note(notify("closed", str(ENDED)), 3.0)
    assert lives.find("0") is None
    assert lives.find(str(ENDED)).ended


def test_what_a_session_has_used_is_no_message_of_its_life():
    """It would push the others out."""
    lives = Lives()
    lives.note(notify("usage", "s"), 0.0)
    assert lives.find("s") is None


def test_figures_of_a_forgotten_session_are_no_matter():
    """They come when they come."""
    lives = Lives()
    lives.count(notify("closed"), SimpleNamespace(), 1.0)
    assert lives.find("s") is None
