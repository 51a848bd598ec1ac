"""Puts public addresses where the settings say `auto`, before anything is bound: validated as if they were written."""

from collections.abc import Awaitable, Callable

from hairpin.config import Config, ConfigError
from hairpin.config.fields import AUTO
from hairpin.logging import Logger
from hairpin.stun import Address
from hairpin.whereabouts import Found, StunServer, Unfound, find

Finder = Callable[[str, StunServer | None], Awaitable[Found]]
ADVICE = 'write {}, or name a STUN server that says it: turn.external_from = "stun:HOST:PORT"'


async def with_externals(config: Config, log: Logger, finder: Finder = find) -> Config:
    """The settings with each `auto` found; each bound IP is looked for once. ConfigError where there is none."""
    if AUTO not in (*(interface.external for interface in config.turn.interfaces), *config.relay.external):
        return config
    search = _Search(config.turn.external_from, finder)
    interfaces = []
    for index, interface in enumerate(config.turn.interfaces):
        if interface.external == AUTO:
            key = f"turn.interfaces[{index}].external"
            found = await search.find(interface.bind.ip, key, 'external = "IP:PORT"')
            interface = interface.model_copy(update={"external": Address(found.ip, interface.bind.port)})
            log.info("clients are told", bind=str(interface.bind), external=str(interface.external), found_by=found.how)
        interfaces.append(interface)
    relay = config.relay
    if AUTO in relay.external:
        told = [await search.find(ip, "relay.external", 'external = "IP"') for ip in relay.bind]
        relay = relay.model_copy(update={"external": tuple(found.ip for found in told)})
        for ip, found in zip(relay.bind, told, strict=True):
            log.info("relays are announced", bind=ip, external=found.ip, found_by=found.how)
    turn = {**dict(config.turn), "interfaces": [dict(interface) for interface in interfaces]}
    return type(config)(**{**dict(config), "turn": turn, "relay": dict(relay)})


class _Search:
    """What was found already, by the IP that is bound."""

    def __init__(self, stun: StunServer | None, finder: Finder) -> None:
        self._stun, self._finder = stun, finder
        self._found: dict[str, Found] = {}

    async def find(self, bind: str, key: str, write: str) -> Found:
        if bind not in self._found:
            try:
                self._found[bind] = await self._finder(bind, self._stun)
            except Unfound as why:
                raise ConfigError(f'is "auto", but {why}; {ADVICE.format(write)}', key) from None
        return self._found[bind]
