"""What is to be done on one host, as data: changes, units, what leaves, by phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One item that is not on the host as it is to be. `action`: create, change, mode, delete; `diff`: ± lines."""

    key: str
    kind: str
    action: str
    component: str
    detail: str = ""
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class UnitAction:
    """What happens to a unit: enable, start, reload, restart; `because`: paths that it reads, or words."""

    unit: str
    action: str
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Drop:
    """A path that left the manifest while units that stay still read it: it goes in their phase, and they restart."""

    key: str
    restarts: tuple[str, ...]
    reloads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What one phase does on one host. `phases` are those whose items it activates (deferred ones come first).

    `changes` name the paths of `drops` too, with the action delete.
    `join`: the node has no client certificate that holds and gets one by TLS bootstrap. `unfinished` means that an
    earlier run did not get this phase past its gates.
    """

    host: str
    phase: str
    phases: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    units: tuple[UnitAction, ...] = ()
    drain: bool = False
    join: bool = False
    unfinished: bool = False
    drops: tuple[Drop, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.changes or self.units or self.drain or self.join or self.unfinished)

    @property
    def quiet(self) -> bool:
        """Whether nothing on the host changes: only gates are to be looked at."""
        return not (self.changes or self.units or self.drain or self.join)


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that we put on a host and that left its manifest; `changed` when somebody else has written it since."""

    host: str
    kind: str
    key: str
    phase: str
    component: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class HostPlan:
    """Everything for one host: work by phase (only needed work), removals in the order in which they are done."""

    host: str
    work: Mapping[str, Work] = field(default_factory=dict)
    removals: tuple[Removal, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether the host differs from what it is to have."""
        return bool(self.work or self.removals)

    @property
    def brings_packages(self) -> bool:
        """Whether packages of the distribution are to be installed, a kernel perhaps among them."""
        return any(change.kind == "package" for work in self.work.values() for change in work.changes)
