"""How far the hosts of a run have come: what is told after a failure, so that nobody has to ask every host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.folding import folded
from fleet.plan import Plan

REMOVALS = "removals"
"""What the work after the last phase is called here, as if it were a phase."""
AGAIN = "put right what is named above and run the same command again: what is done stays, it goes on from there"


@dataclass
class Outcome:
    """Which phases of which hosts have passed their gates; `plan` says what there was to do."""

    plan: Plan
    phases: Sequence[str] = ()
    _begun: dict[str, str] = field(default_factory=dict)
    _passed: dict[str, set[str]] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)

    def begin(self, host: str, phase: str) -> None:
        """Note that the host is being changed in a phase."""
        self._begun[host] = phase

    def passed(self, host: str, phase: str) -> None:
        """Note that the gates of the phase have opened for the host."""
        self._begun.pop(host, None)
        self._passed.setdefault(host, set()).add(phase)

    def ended(self, host: str) -> None:
        """Note that nothing is left to do on the host, removals included."""
        self._begun.pop(host, None)
        self._ended.add(host)

    @property
    def done(self) -> tuple[str, ...]:
        """The hosts on which nothing is left to do."""
        return tuple(name for name in self._needed if not self._left(name))

    @property
    def stopped(self) -> dict[str, str]:
        """The hosts that were being changed when the run ended, each with the phase."""
        return {name: self._begun[name] for name in self._needed if name in self._begun}

    @property
    def waiting(self) -> dict[str, str]:
        """The hosts that have passed some phases, each with the next one."""
        return {
            name: self._left(name)[0]
            for name in self._needed
            if name in self._passed and name not in self._begun and self._left(name)
        }

    @property
    def untouched(self) -> tuple[str, ...]:
        """The hosts on which nothing has been activated or removed."""
        return tuple(name for name in self._needed if name not in self._touched)

    @property
    def words(self) -> str:
        """What is done, where the run stopped and what is left, in one line for the operator."""
        if not self._touched:
            return f"{self.plan.cluster}: nothing has been activated on any host; {AGAIN}"
        parts: list[tuple[str, Sequence[str]]] = [("done", self.done)]
        parts += [(f"stopped in phase {phase}", names) for phase, names in _by_phase(self.stopped)]
        parts += [(f"to go on with phase {phase}", names) for phase, names in _by_phase(self.waiting)]
        parts.append(("not begun", self.untouched))
        told = "; ".join(f"{title}: {folded(names)}" for title, names in parts if names)
        return f"{self.plan.cluster}: {told}; {AGAIN}"

    @property
    def _touched(self) -> set[str]:
        return {*self._begun, *self._passed, *self._ended}

    @property
    def _needed(self) -> list[str]:
        return [name for name, host in self.plan.hosts.items() if host.needed]

    def _left(self, name: str) -> list[str]:
        if name in self._ended:
            return []
        host = self.plan.hosts[name]
        order = [phase for phase in self.plan.phases if not self.phases or phase in self.phases]
        left = [phase for phase in order if phase in host.work and phase not in self._passed.get(name, set())]
        return [*left, *([REMOVALS] if host.removals and not self.phases else [])]


def _by_phase(hosts: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [(phase, [name for name in hosts if hosts[name] == phase]) for phase in dict.fromkeys(hosts.values())]
