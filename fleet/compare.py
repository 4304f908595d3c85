"""One host against what it is to have: what would change, which units that touches, what is no longer wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fleet.items import KINDS, Item
from fleet.joining import join_reason
from fleet.state import HostState, UnitFacts
from fleet.tree import Host, Phase, RenderedTree

LEFT_OWED = "an earlier run left it owed"
_RUNS = frozenset({"active", "reloading", "activating"})
_REMOVAL_ORDER = ("unit", "link", "file", "secret", "binary", "directory", "user", "package")
_OF_ALL_PHASES = frozenset({"user", "package"})
"""Kinds that are used by what other phases put on a host, whichever phase brought them."""


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


def has_content(item: Item, state: HostState) -> bool:
    """Return whether a path has its item's content: by digest, or for secrets and binaries by our record."""
    facts = state.paths.get(item.path)
    if facts is None or facts.type != "file":
        return False
    if item.kind == "file" and not item.is_secret and facts.sha256:
        return facts.sha256 == item.content_id
    record = state.owned.get(item.key)
    return record is not None and record.id == item.content_id and facts.as_installed is True


def change_of(item: Item, state: HostState) -> Change | None:
    """Return what is to be done about one item, None where the host has it as it is to be (units: see `host_plan`)."""

    def change(action: str, detail: str = "") -> Change:
        return Change(item.key, item.kind, action, item.component, detail)

    facts = state.paths.get(item.path) if item.path else None
    match item.kind:
        case "package":
            return None if item.name in state.packages else change("create")
        case "user":
            groups = state.users.get(item.name)
            if groups is None:
                return change("create")
            missing = sorted(set(item.groups) - groups)
            return change("change", f"groups {', '.join(missing)} added") if missing and groups != {"-"} else None
        case "link":
            if facts is None:
                return change("create", f"-> {item.target}")
            if facts.type != "link" or facts.target != item.target:
                return change("change", f"-> {item.target} (was {facts.target or facts.type})")
            return None
        case "directory":
            if facts is None:
                return change("create")
            if facts.type not in {"directory", "link"}:
                return change("change", f"is a {facts.type}")
            return None if facts.type == "link" else _mode_change(item, state, change("mode"))
        case "file" | "secret" | "binary":
            if facts is None:
                return change("create", _version(item))
            if not has_content(item, state):
                return change("change", _version(item) or _secret_words(item, state))
            return _mode_change(item, state, change("mode"))
        case _:
            return None


def _mode_change(item: Item, state: HostState, change: Change) -> Change | None:
    facts = state.paths[item.path]
    found = f"{facts.mode} {facts.owner}:{facts.group}"
    wanted = f"{item.mode:04o} {item.owner}:{item.group}"
    return (
        None if found == wanted else Change(change.key, change.kind, "mode", change.component, f"{found} -> {wanted}")
    )


def _version(item: Item) -> str:
    return f"{item.artifact} {item.version}" if item.kind == "binary" else ""


def _secret_words(item: Item, state: HostState) -> str:
    if not item.is_secret:
        return ""
    record = state.owned.get(item.key)
    if record is None or record.id == item.content_id:
        return "secret; what is there is not what we installed"
    return f"secret; id {record.id} -> {item.content_id}"


def host_plan(
    tree: RenderedTree, host: Host, state: HostState, phases: Collection[str] = (), now: datetime | None = None
) -> HostPlan:
    """Return what is to be done on one host; `phases` limits it to some phases (then there are no removals).

    `now` judges the client certificate of the node; without it the present time does.
    """
    owed = dict(state.pending)
    owed.pop(".daemon-reload", None)
    why: dict[str, list[str]] = {unit: [LEFT_OWED] for unit in owed}
    order = {phase.name: index for index, phase in enumerate(tree.phases)}
    own_units = {unit.name: unit for unit in host.units()}
    changes: dict[str, list[Change]] = {}
    strangers: dict[str, dict[str, str]] = {}

    def owe(key: str, phase: str, restarts: Iterable[str], reloads: Iterable[str]) -> None:
        for verb, units in (("reload", reloads), ("restart", restarts)):
            for unit in units:
                if unit not in own_units and state.units.get(unit, UnitFacts()).active not in _RUNS:
                    continue
                into = owed if unit in own_units else strangers.setdefault(phase, {})
                if into.get(unit) != "restart":
                    into[unit] = verb
                why.setdefault(unit, []).append(key)

    for item in host.items:
        change = change_of(item, state)
        if change is None:
            continue
        changes.setdefault(item.phase, []).append(change)
        if change.action == "mode" or item.kind not in {"file", "secret", "link"}:
            continue
        owe(item.key, item.phase, item.restarts, item.reloads)
    dropped = drops(tree, host, state)
    for name, paths in dropped.items():
        for drop in paths:
            record = state.owned[drop.key]
            changes.setdefault(name, []).append(Change(drop.key, record.kind, "delete", record.component))
            owe(drop.key, name, drop.restarts, drop.reloads)
    drain = drains(host, state)
    work: dict[str, Work] = {}
    deferred: dict[str, list[str]] = {}
    for phase in tree.phases:
        names = [*deferred.get(phase.name, ()), phase.name]
        if phase.defer_drained and drain and phase.defer_drained in order:
            deferred.setdefault(phase.defer_drained, []).append(phase.name)
            continue
        actions = [
            action
            for name in names
            for unit in host.units(name)
            for action in _unit_actions(
                unit, state.units.get(unit.name, UnitFacts()), owed.get(unit.name, ""), why.get(unit.name, ())
            )
        ]
        actions += [
            UnitAction(unit, verb, tuple(why[unit]))
            for name in names
            for unit, verb in sorted(strangers.get(name, {}).items())
        ]
        one = Work(
            host=host.name,
            phase=phase.name,
            phases=tuple(names),
            changes=tuple(change for name in names for change in changes.get(name, ())),
            units=tuple(actions),
            drain=drain and phase.drain,
            join=bool(join_reason(phase, host, state, now or datetime.now(UTC))),
            unfinished=any(
                name in host.phase_digests and state.phases.get(name) != host.phase_digests[name] for name in names
            )
            or (phase.drain and state.cordoned),
            drops=tuple(drop for name in names for drop in dropped.get(name, ())),
        )
        if one.needed and (not phases or phase.name in phases):
            work[phase.name] = one
    return HostPlan(host.name, work, () if phases else removals(tree, host, state))


def drains(host: Host, state: HostState) -> bool:
    """Return whether the host's node must be empty first: a drain key differs from the one it was last started with."""
    for unit in host.units():
        record = state.owned.get(unit.key)
        if unit.drain_key and record is not None and record.id and record.id != unit.drain_key:
            return True
    return False


def _unit_actions(unit: Item, facts: UnitFacts, owed: str, why: Iterable[str]) -> list[UnitAction]:
    actions = []
    if facts.enabled in {"disabled", "indirect"}:
        actions.append(UnitAction(unit.name, "enable", (f"it is {facts.enabled}",)))
    if facts.active in _RUNS:
        if owed:
            actions.append(UnitAction(unit.name, owed, tuple(why)))
    elif unit.start:
        # A unit that is new on the host is started because it is new.
        known = facts.load == "loaded" and facts.active
        actions.append(UnitAction(unit.name, "start", (f"it is {facts.active}",) if known else ()))
    return actions


def drops(tree: RenderedTree, host: Host, state: HostState) -> dict[str, list[Drop]]:
    """Return, by phase, the paths that left the manifest while a unit that stays has read them.

    The phase is the earliest own one of those units; where all of them are units of the system that run, the one in
    which the path came.
    """
    own = {unit.name: unit.phase for unit in host.units()}
    order = [phase.name for phase in tree.phases if phase.name in host.phase_digests]
    found: dict[str, list[Drop]] = {}
    for key, record in sorted(state.owned.items()):
        facts = state.paths.get(key)
        if key in host.by_key or record.kind not in KINDS or (facts is not None and facts.as_installed is False):
            continue

        def stays(unit: str) -> bool:
            leaves = f"unit:{unit}" in state.owned
            return unit in own or (not leaves and state.units.get(unit, UnitFacts()).active in _RUNS)

        drop = Drop(key, tuple(filter(stays, record.restarts)), tuple(filter(stays, record.reloads)))
        units = {*drop.restarts, *drop.reloads}
        if not units or not order:
            continue
        homes = {own[unit] for unit in units if unit in own} or {record.phase}
        found.setdefault(next((name for name in order if name in homes), order[0]), []).append(drop)
    return found


def removals(tree: RenderedTree, host: Host, state: HostState) -> tuple[Removal, ...]:
    """Return what we own on the host and its manifest no longer has: reverse phase order, units before their files.

    A phase that the tree no longer has comes first, and users and packages come last of all: what ran as them or from
    them has stopped by then, whichever phase it was of.

    What a unit that stays has read is not among them: see `drops`. Nor are the binaries of the generation before, one
    generation long: a rollback must work without network and artifacts, and a binary is too large to keep a copy of.
    """
    order = {phase.name: index for index, phase in enumerate(tree.phases)}
    dropped = {drop.key for paths in drops(tree, host, state).values() for drop in paths}
    found = []
    for key, record in state.owned.items():
        if key in host.by_key or key in dropped or record.kind not in KINDS or key in state.held:
            continue
        facts = state.paths.get(key)
        changed = facts is not None and facts.as_installed is False
        found.append(Removal(host.name, record.kind, key, record.phase, record.component, changed))
    # Deeper paths first, so that a folder is empty when its turn comes.
    return tuple(
        sorted(
            found,
            key=lambda one: (
                one.kind in _OF_ALL_PHASES,
                -order.get(one.phase, len(order)),
                _REMOVAL_ORDER.index(one.kind),
                -one.key.count("/"),
                one.key,
            ),
        )
    )


def later_units(tree: RenderedTree, host: Host, phase: Phase) -> tuple[str, ...]:
    """Return the host's units whose own phase comes after the given one; what they are owed waits for it."""
    order = {one.name: index for index, one in enumerate(tree.phases)}
    return tuple(unit.name for unit in host.units() if order[unit.phase] > order[phase.name])
