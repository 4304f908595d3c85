"""What an apply would do, as a value: a pure function of the rendered tree and of what the hosts answered."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fleet.compare import host_plan
from fleet.connection import printable
from fleet.folding import folded
from fleet.kernels import kernel_notes
from fleet.state import HostState
from fleet.strangers import Stranger, strangers
from fleet.tree import Host, RenderedTree
from fleet.work import Change, HostPlan, Work

_DIFF_LINES = 200


@dataclass(frozen=True, slots=True, order=True)
class ObjectChange:
    """One API object that apply would change. `action`: create, change, delete, refused, foreign (only named), note.

    `unfinished`: a set that was changed and has not passed its gates since, which apply waits for again.

    `name` reads "ConfigMap kube-system/slipway-nodes"; `phase` is the phase that applies it; `diff` are ± lines.
    """

    phase: str
    name: str
    action: str
    diff: tuple[str, ...] = ()

    @property
    def needs_apply(self) -> bool:
        """Whether an apply has something to do about it."""
        return self.action in {"create", "change", "delete", "refused", "unfinished"}


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole plan; hosts by name. `notes` are sentences for the operator that change nothing by themselves."""

    cluster: str
    phases: tuple[str, ...]
    hosts: Mapping[str, HostPlan]
    objects: tuple[ObjectChange, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def needed(self) -> bool:
        """Whether apply would change anything."""
        return any(host.needed for host in self.hosts.values()) or any(change.needs_apply for change in self.objects)

    @property
    def exit_code(self) -> int:
        """0: nothing to do, 2: changes."""
        return 2 if self.needed else 0


def make_plan(
    tree: RenderedTree,
    states: Mapping[str, HostState],
    *,
    texts: Mapping[str, Mapping[str, bytes]] | None = None,
    objects: Sequence[ObjectChange] = (),
    phases: Collection[str] = (),
    left_out: Mapping[str, str] | None = None,
    now: datetime | None = None,
    others: Mapping[str, HostState] | None = None,
) -> Plan:
    """Return the plan for the hosts that answered.

    `texts` holds, by host and path, the present content of text files that differ; `phases` limits the plan;
    `left_out` names hosts that this run does not touch, with the reason. `others` are hosts outside the limit that were
    asked too: they count where the whole cluster is meant.
    """
    out = dict(left_out or {})
    empty = empty_members(tree, {**(others or {}), **states})
    out.update({name: reason for name, reason in empty.items() if name in states})
    hosts: dict[str, HostPlan] = {}
    for name in sorted(states):
        if name in out:
            continue
        one = host_plan(tree, tree.hosts[name], states[name], phases, now)
        hosts[name] = _with_diffs(one, tree.hosts[name], (texts or {}).get(name, {}))
    return Plan(
        cluster=tree.cluster,
        phases=tuple(phase.name for phase in tree.phases),
        hosts=hosts,
        objects=tuple(sorted(objects)),
        notes=tuple(_notes(tree, states, hosts)),
        left_out=out,
    )


def formed(tree: RenderedTree, states: Mapping[str, HostState]) -> bool:
    """Return whether some host carries the mark that etcd has formed."""
    phase = tree.etcd_phase
    return phase is not None and any(phase.formation["mark"] in state.existing for state in states.values())


def empty_members(tree: RenderedTree, states: Mapping[str, HostState]) -> dict[str, str]:
    """Return the etcd hosts without data of a cluster that has formed, each with the reason why it is left out.

    Starting such a member with an empty log can cost the cluster data; only a verb of its own may replace it.
    """
    phase = tree.etcd_phase
    if phase is None or not formed(tree, states):
        return {}
    data = f"{phase.formation['data']}/member"
    return {
        name: f"etcd has formed and this host has no data in {data}: as a member it must be replaced, not "
        f"started; it is left out of the run"
        for name, state in sorted(states.items())
        if phase.roles & tree.hosts[name].pool.roles and data not in state.existing
    }


def wanted_texts(plan: Plan, tree: RenderedTree) -> dict[str, list[str]]:
    """Return, by host, the plain text files that differ: their present content is needed for ± lines."""
    wanted: dict[str, list[str]] = {}
    for name, host in plan.hosts.items():
        for work in host.work.values():
            for change in work.changes:
                if change.action != "change":
                    continue
                item = tree.hosts[name].by_key[change.key]
                if item.kind == "file" and not item.is_secret:
                    wanted.setdefault(name, []).append(item.path)
    return wanted


def _with_diffs(plan: HostPlan, host: Host, texts: Mapping[str, bytes]) -> HostPlan:
    work: dict[str, Work] = {}
    for name, one in plan.work.items():
        work[name] = replace(one, changes=tuple(_with_diff(change, host, texts) for change in one.changes))
    return replace(plan, work=work)


def _with_diff(change: Change, host: Host, texts: Mapping[str, bytes]) -> Change:
    item = host.by_key.get(change.key)
    if item is None or change.kind != "file" or item.is_secret or change.key not in texts:
        return change
    try:
        old, new = texts[change.key].decode("utf-8"), item.content.decode("utf-8")
    except UnicodeDecodeError:
        return change
    lines = [
        line
        for line in difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    if len(lines) > _DIFF_LINES:
        lines = [*lines[:_DIFF_LINES], f"… and {len(lines) - _DIFF_LINES} more lines"]
    return replace(
        change,
        diff=tuple(printable(line) for line in lines),
    )


def _notes(tree: RenderedTree, states: Mapping[str, HostState], hosts: Mapping[str, HostPlan]) -> list[str]:
    notes = []
    for phase in tree.phases:
        if phase.batch != "one":
            continue
        members = [host for host in tree.hosts.values() if phase.roles & host.pool.roles]
        if len(members) != 1 or members[0].name not in hosts:
            continue
        work = hosts[members[0].name].work.get(phase.name)
        restarts = [action.unit for action in work.units if action.action == "restart"] if work else []
        if restarts:
            notes.append(
                f"{members[0].name} is alone in phase {phase.name}: {', '.join(restarts)} will be gone for "
                f"the length of a restart"
            )
    for name, state in sorted(states.items()):
        unknown = [key for key, record in state.owned.items() if not record.kind]
        if unknown:
            notes.append(f"{name}: records that are not understood: {', '.join(unknown)}")
    kernels = {name: state.kernel for name, state in states.items() if state.kernel is not None and name in hosts}
    notes += kernel_notes(tree.hosts, kernels, coming=[name for name, one in hosts.items() if one.brings_packages])
    found: dict[Stranger, list[str]] = {}
    for name, state in sorted(states.items()):
        for stranger in strangers(tree, tree.hosts[name], state):
            found.setdefault(stranger, []).append(name)
    notes += [
        f"{folded(names)}: {stranger.path} {stranger.words}; it is left alone"
        for stranger, names in sorted(found.items())
    ]
    return notes
