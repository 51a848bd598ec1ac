"""What the files of several servers come to in the same way."""

from hairpin.migration.draft import Draft, Fact, Fate
from hairpin.migration.networks import Network, refused_anyway, texts, without

LOGS = "logs go to stderr, where systemd or a container takes them"
SUITES = "TLS 1.2 and 1.3 alone, with modern suites, and no finite-field Diffie-Hellman"
LOWEST_RELAY = 1024
MOST_WORKERS = 128


def put_peers(draft: Draft, allowed: list[Network], denied: list[Fact]) -> None:
    """Who may be a peer; a denial of what hairpin refuses anyway is left out."""
    left: list[Network] = []
    for fact in denied:
        if all(map(refused_anyway, fact.value)):
            draft.say(fact.entry, Fate.NOT_NEEDED, "such peers are refused unless peers.allow names them")
        else:
            left += fact.value
    draft.put("peers.allow", texts(allowed))
    draft.put("peers.deny", texts(without(left, allowed)))


def say_found_at_start(draft: Draft, key: str) -> None:
    """No key of the file told the public address."""
    draft.notes.append(
        f'no {key} is in the file: the public address is found at the start (external = "auto"); write it '
        "where there is none to be found"
    )
