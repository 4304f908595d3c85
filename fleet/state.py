"""What a host is and has, as it answered when it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.kernels import Kernel


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What lies at a path. `type`: file, link, directory, other; `sha256` "" for secrets and what is no file.

    `as_installed` compares with what we recorded: None where there is no record.
    """

    type: str
    mode: str
    owner: str
    group: str
    sha256: str
    target: str
    as_installed: bool | None


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """A unit as `systemctl show` has it; `fragment` is its file, `drop_ins` are those that add to it."""

    load: str = ""
    active: str = ""
    sub: str = ""
    enabled: str = ""
    restarts: int = 0
    type: str = ""
    needs_reload: bool = False
    fragment: str = ""
    drop_ins: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether it runs, or is on its way up or to a new configuration."""
        return self.active in {"active", "reloading", "activating"}


@dataclass(frozen=True, slots=True)
class Owned:
    """One record of what we installed; `id` as `Item.content_id` (units: the drain key), the units as in `Item`."""

    kind: str
    phase: str
    component: str
    id: str
    restarts: tuple[str, ...] = ()
    reloads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostState:
    """The answer of one host; `clock_ahead` in seconds before this machine's clock, `certificates` DER by path.

    `inside`: paths of what lies in the folders that were asked about.
    `underway`: a change has begun there and not ended. `restore`: name and step of a restore of etcd that has not
    come to its end. `held`: keys of binaries that a rollback would need. `kernel` is None where the host was not asked.
    """

    host: str
    arch: str = ""
    os_id: str = ""
    os_version: str = ""
    clock_ahead: float = 0.0
    generation: str = ""
    cordoned: bool = False
    phases: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, PathFacts] = field(default_factory=dict)
    owned: Mapping[str, Owned] = field(default_factory=dict)
    units: Mapping[str, UnitFacts] = field(default_factory=dict)
    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    pending: Mapping[str, str] = field(default_factory=dict)
    staged: str = ""
    blobs: frozenset[str] = frozenset()
    missing_programs: tuple[str, ...] = ()
    existing: frozenset[str] = frozenset()
    certificates: Mapping[str, bytes] = field(default_factory=dict)
    underway: bool = False
    restore: tuple[str, str] | None = None
    held: frozenset[str] = frozenset()
    inside: tuple[str, ...] = ()
    kernel: Kernel | None = None
