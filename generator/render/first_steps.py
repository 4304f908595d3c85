"""What a host does at its first boot beside taking in files: steps for first-boot.sh, and which units may run already.

A unit is started only where nothing of its component is missing then. One that waits by itself is enabled: a path unit,
and a service that asserts a path (etcd: without data it is refused, not repeated). Every other unit is put there and
left disabled for apply: enabled without its key or program, a reboot before the first apply would have systemd start it
over and over, since our services restart for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from generator.artifacts_lock import Artifact, ArtifactLock
from generator.components.items import (
    HostBinary,
    HostDirectory,
    HostFile,
    HostItem,
    HostLink,
    HostPackage,
    HostUnit,
    HostUser,
    item_key,
)
from generator.render.bom import artifact_url
from generator.render.phases import PHASES
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster

PLACE = "/run/slipway"
SCRIPT = f"{PLACE}/first-boot"
POOL_STEPS = f"{PLACE}/first-boot.pool"
HOST_STEPS = f"{PLACE}/first-boot.host"
BASE = "host-base"
BASES = frozenset({"package-sources", BASE})
"""The phases that set up the bare host; packages come from where the first of them says."""

_ORDER = {phase.name: number for number, phase in enumerate(PHASES)}
_VERBS = ("absent", "package", "user", "directory", "file", "link", "fetch", "restart", "reload", "enable", "start")
_JOINING = frozenset(phase.name for phase in PHASES if phase.join)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Which units of some hosts can run before the first apply.

    `waiting` holds the components that miss something, with what; `guarded` the units that wait by themselves; `later`
    the units of phases after the base, wherever in the cluster they are.
    """

    waiting: Mapping[str, str]
    guarded: frozenset[str]
    later: frozenset[str]

    def verbs(self, unit: HostUnit) -> tuple[str, ...]:
        """Return what is done to a unit at the first boot."""
        if unit.phase in _JOINING or unit.component in self.waiting:
            return ("enable",) if unit.name in self.guarded else ()
        return ("enable", "start") if unit.start else ("enable",)


def readiness(cluster: Cluster, lock: ArtifactLock, items: Iterable[HostItem], later: frozenset[str]) -> Readiness:
    """Return what can run of hosts that have these items."""
    waiting: dict[str, str] = {}
    guarded: set[str] = set()
    for item in sorted(items, key=item_key):
        if is_secret(item):
            waiting.setdefault(item.component, f"{item_key(item)} is a secret")
        elif isinstance(item, HostBinary) and not fetched(cluster, lock, item):
            waiting.setdefault(item.component, f"{item.path} is pushed")
        elif isinstance(item, HostFile) and isinstance(item.content, str) and item.path.startswith(f"{SYSTEMD_DIR}/"):
            name = item.path.removeprefix(f"{SYSTEMD_DIR}/")
            if name.endswith(".path") or "\nAssertPathExists=" in item.content:
                guarded.add(name)
    return Readiness(waiting, frozenset(guarded), later)


def is_secret(item: HostItem) -> bool:
    """Return whether an item holds anything that must not stand in user-data."""
    return isinstance(item, HostFile) and not isinstance(item.content, str)


def fetched(cluster: Cluster, lock: ArtifactLock, item: HostBinary) -> bool:
    """Return whether hosts fetch a binary by themselves: the spec says so, and its digest is known."""
    return cluster.artifacts.fetch == "host" and lock.get(_artifact(item)) is not None


def steps(
    cluster: Cluster,
    lock: ArtifactLock,
    items: Mapping[str, HostItem],
    ready: Readiness,
    *,
    absent: Iterable[str] = (),
    weaker: Mapping[str, HostItem] | None = None,
) -> str:
    """Return the steps for some items, a line each, in order; "" where there are none.

    `absent` are keys that these hosts do not have, `weaker` the items that these stand in front of.
    """
    lines: set[tuple[str, ...]] = {("-", "absent", key) for key in absent}
    for key, item in items.items():
        for verb, *words in _of(cluster, lock, item, ready, in_front=key in (weaker or {})):
            lines.add((item.phase, verb, *words))
        if isinstance(item, HostFile) and item.phase == BASE and not is_secret(item):
            # What runs already has read what stood there before: kernel settings, the image's own services.
            effects = [("restart", unit) for unit in item.restarts] + [("reload", unit) for unit in item.reloads]
            lines |= {(BASE, verb, unit) for verb, unit in effects if unit not in ready.later}
    return "".join(
        "\t".join(line) + "\n"
        for line in sorted(lines, key=lambda line: (_ORDER.get(line[0], -1), _VERBS.index(line[1]), line[2:]))
    )


def script() -> str:
    """Return the program that does the steps."""
    return (resources.files("generator.render") / "first-boot.sh").read_text()


def used_phases(items: Iterable[HostItem]) -> list[str]:
    """Return the phases of items, in order."""
    return sorted({item.phase for item in items}, key=lambda phase: _ORDER[phase])


def _of(
    cluster: Cluster, lock: ArtifactLock, item: HostItem, ready: Readiness, *, in_front: bool
) -> Iterable[tuple[str, ...]]:
    match item:
        case HostPackage(name=name):
            yield "package", name
        case HostUser(name=name, groups=groups):
            yield "user", name, ",".join(groups) or "-"
        case HostDirectory():
            yield "directory", item.path, f"{item.mode:04o}", item.owner, item.group
        case HostFile() if not is_secret(item) and (in_front or (item.owner, item.group) != ("root", "root")):
            yield "file", item.path, f"{item.mode:04o}", item.owner, item.group
        case HostLink():
            yield "link", item.path, item.target
        case HostBinary() if fetched(cluster, lock, item):
            artifact = _artifact(item)
            locked = lock.get(artifact)
            assert locked is not None
            yield "fetch", item.path, item.member or "-", locked.sha256, artifact_url(cluster, artifact, lock)
        case HostUnit():
            for verb in ready.verbs(item):
                yield verb, item.name
        case _:
            return


def _artifact(item: HostBinary) -> Artifact:
    return Artifact(item.artifact, item.version, item.arch)
