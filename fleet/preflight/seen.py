"""All that a preflight saw: what hosts answered, which did not, and the ways that were tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.preflight.facts import Machine
from fleet.tree import Host, RenderedTree

Forwarding = Literal["direct", "relay", "none"]
"""How a TCP connection leaves a host for us: sshd forwards it, a program there relays it, or not at all."""

Answer = Literal["open", "refused", "silent"]
"""Refused: the host answers, and nobody listens there yet. Silent: nothing came back in time."""


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """One way from a host to a port of another one, as it was tried."""

    caller: str
    target: str
    port: int
    component: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; `names` are the hosts that were asked, `unreachable` maps those that did not answer to why.

    `away` are hosts that were not asked and are known not to answer, such as those that a run goes on without.
    """

    tree: RenderedTree
    names: tuple[str, ...]
    machines: Mapping[str, Machine]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    forwarding: Mapping[str, Forwarding] = field(default_factory=dict)
    ways: tuple[Way, ...] = ()
    away: frozenset[str] = frozenset()

    @property
    def silent(self) -> frozenset[str]:
        """The hosts from which no answer is to be expected."""
        return self.away | set(self.unreachable)

    def each(self) -> Iterator[tuple[Host, Machine]]:
        """Yield the hosts that answered, by name, with what they said."""
        for name in self.names:
            if name in self.machines:
                yield self.tree.hosts[name], self.machines[name]
