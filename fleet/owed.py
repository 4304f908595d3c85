"""What the units of one host are owed by changes of what they read, and what happens to them therefore."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.items import Item
from fleet.state import HostState, UnitFacts
from fleet.tree import Host
from fleet.work import UnitAction

LEFT_OWED = "an earlier run left it owed"


class Owed:
    """Restarts and reloads by unit, with the reasons; it begins with what an earlier run has left owed."""

    def __init__(self, host: Host, state: HostState) -> None:
        self._host = host
        self._state = state
        self._own = {unit.name for unit in host.units()}
        self._verbs = {unit: verb for unit, verb in state.pending.items() if unit != ".daemon-reload"}
        self._strangers: dict[str, dict[str, str]] = {}
        """By phase, units of the system, which are acted on in the phase of what they have read."""
        self._why: dict[str, list[str]] = {unit: [LEFT_OWED] for unit in self._verbs}

    def add(self, key: str, phase: str, restarts: Iterable[str], reloads: Iterable[str]) -> None:
        """Note that `key` changes in a phase, and for which units; units of the system only where they run."""
        for verb, units in (("reload", reloads), ("restart", restarts)):
            for unit in units:
                if unit not in self._own and not self._facts(unit).runs:
                    continue
                into = self._verbs if unit in self._own else self._strangers.setdefault(phase, {})
                if into.get(unit) != "restart":
                    into[unit] = verb
                self._why.setdefault(unit, []).append(key)

    def actions(self, phases: Iterable[str]) -> tuple[UnitAction, ...]:
        """Return what happens to units in some phases: ours in the order of their items, then those of the system."""
        names = tuple(phases)
        own = (action for name in names for unit in self._host.units(name) for action in self._of(unit))
        strangers = (
            UnitAction(unit, verb, tuple(self._why[unit]))
            for name in names
            for unit, verb in sorted(self._strangers.get(name, {}).items())
        )
        return (*own, *strangers)

    def _of(self, unit: Item) -> Iterable[UnitAction]:
        facts = self._facts(unit.name)
        if facts.enabled in {"disabled", "indirect"}:
            yield UnitAction(unit.name, "enable", (f"it is {facts.enabled}",))
        if facts.runs:
            if verb := self._verbs.get(unit.name):
                yield UnitAction(unit.name, verb, tuple(self._why[unit.name]))
        elif unit.start:
            # A unit that is new on the host is started because it is new.
            known = facts.load == "loaded" and facts.active
            yield UnitAction(unit.name, "start", (f"it is {facts.active}",) if known else ())

    def _facts(self, unit: str) -> UnitFacts:
        return self._state.units.get(unit, UnitFacts())
