"""A plan as people read it, hosts with equal changes folded, and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.connection import printable
from fleet.folding import folded
from fleet.plan import ObjectChange, Plan
from fleet.work import Change, Removal, UnitAction, Work

_SIGNS = {"create": "+", "change": "~", "mode": "~", "delete": "-"}
_KINDS = {"+": "add", "~": "change", "-": "remove", "!": "act"}

_BECAUSE_SHOWN = 3

Shape = tuple[tuple[Change, ...], tuple[UnitAction, ...], bool, bool, bool]


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One line of a plan and what it is: phase, host, add, change, remove, act, note, sum, or "" for the rest."""

    text: str
    kind: str = ""


def plan_lines(plan: Plan) -> list[PlanLine]:
    """Return the plan line by line: for each phase what changes, then removals, notes, and one line that sums up."""
    lines: list[PlanLine] = []
    for phase in plan.phases:
        body: list[PlanLine] = []
        shapes: dict[Shape, list[str]] = {}
        for name, host in plan.hosts.items():
            work = host.work.get(phase)
            if work is not None:
                shapes.setdefault(_shape(work), []).append(name)
        for shape, names in sorted(shapes.items(), key=lambda entry: entry[1]):
            body += _shape_lines(shape, names)
        for change in plan.objects:
            if change.phase == phase:
                body += object_lines(change)
        if body:
            lines += [PlanLine(f"phase {phase}", "phase"), *body, PlanLine("")]
    removals: dict[tuple[tuple[str, str, bool], ...], list[str]] = {}
    for name, host in plan.hosts.items():
        if host.removals:
            removals.setdefault(tuple((one.kind, one.key, one.changed) for one in host.removals), []).append(name)
    if removals:
        lines.append(PlanLine("removals, after the last gate", "phase"))
        for entries, names in sorted(removals.items(), key=lambda entry: entry[1]):
            lines.append(PlanLine(f"  {folded(names)}", "host"))
            for kind, key, changed in entries:
                what = key.partition(":")[2] if not key.startswith("/") else key
                kept = " kept: somebody else has changed it" if changed else ""
                lines.append(PlanLine(f"    - {what} ({kind}){kept}", "note" if changed else "remove"))
        lines.append(PlanLine(""))
    for change in plan.objects:
        if change.phase not in plan.phases:
            why = f": {' '.join(change.diff)}" if change.action == "note" and change.diff else ""
            lines.append(PlanLine(f"{change.action}: {change.name}{why}", "note"))
    lines += [PlanLine(f"left out: {name}: {reason}", "note") for name, reason in sorted(plan.left_out.items())]
    lines += [PlanLine(f"note: {note}", "note") for note in plan.notes]
    lines.append(PlanLine(summary(plan), "sum"))
    return lines


def object_lines(change: ObjectChange) -> list[PlanLine]:
    """Return the lines of one object: what an apply does with it, then the ± lines or the reason."""
    more = f" ({change.action})" if change.action not in _SIGNS else ""
    sign = _SIGNS.get(change.action, "?")
    first = PlanLine(f"  {sign} {change.name}{more}", _KINDS.get(sign, "note"))
    return [first, *_diff_lines([printable(line) for line in change.diff], "      ")]


def left_out_words(plan: Plan) -> str:
    """Return how many hosts are left out, for the end of a summary; "" for none."""
    count = len(plan.left_out)
    return f", {count} host{'s' if count > 1 else ''} left out" if count else ""


def summary(plan: Plan) -> str:
    """Return one line: how many hosts change, restarts, drains, removals, objects, and hosts left out."""
    if not plan.needed:
        hosts = "1 host is" if len(plan.hosts) == 1 else f"{len(plan.hosts)} hosts are"
        return f"{plan.cluster}: nothing to do, {hosts} as rendered{left_out_words(plan)}"
    work = [one for host in plan.hosts.values() for one in host.work.values()]
    counts = {
        "hosts": sum(host.needed for host in plan.hosts.values()),
        "changes": sum(change.action != "delete" for one in work for change in one.changes),
        "restarts": sum(action.action == "restart" for one in work for action in one.units),
        "starts": sum(action.action == "start" for one in work for action in one.units),
        "drains": sum(one.drain for one in work),
        "removals": sum(len(host.removals) for host in plan.hosts.values()) + sum(len(one.drops) for one in work),
        "objects": sum(change.needs_apply for change in plan.objects),
    }
    words = [f"{count} {word.removesuffix('s') if count == 1 else word}" for word, count in counts.items() if count]
    return f"{plan.cluster}: {', '.join(words)}{left_out_words(plan)}"


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain values for `--json`; keys in camelCase like the spec."""

    def change(one: Change) -> dict[str, Any]:
        entry: dict[str, Any] = {"key": one.key, "kind": one.kind, "action": one.action, "component": one.component}
        if one.detail:
            entry["detail"] = one.detail
        if one.diff:
            entry["diff"] = list(one.diff)
        return entry

    def work(one: Work) -> dict[str, Any]:
        return {
            "changes": [change(entry) for entry in one.changes],
            "units": [
                {"unit": action.unit, "action": action.action, "because": list(action.because)} for action in one.units
            ],
            "drain": one.drain,
            "join": one.join,
            "unfinished": one.unfinished,
        }

    def removal(one: Removal) -> dict[str, Any]:
        return {"key": one.key, "kind": one.kind, "phase": one.phase, "changed": one.changed}

    return {
        "cluster": plan.cluster,
        "needed": plan.needed,
        "hosts": {
            name: {
                "phases": {phase: work(one) for phase, one in host.work.items()},
                "removals": [removal(one) for one in host.removals],
            }
            for name, host in plan.hosts.items()
            if host.needed
        },
        "objects": [
            {"phase": one.phase, "name": one.name, "action": one.action, "diff": list(one.diff)} for one in plan.objects
        ],
        "leftOut": dict(plan.left_out),
        "notes": list(plan.notes),
    }


def _shape(work: Work) -> Shape:
    return work.changes, work.units, work.drain, work.join, work.unfinished


def _shape_lines(shape: Shape, names: Sequence[str]) -> list[PlanLine]:
    changes, units, drain, join, unfinished = shape
    lines = [PlanLine(f"  {folded(names)}" + (f" ({len(names)} hosts)" if len(names) > 1 else ""), "host")]
    if drain:
        lines.append(PlanLine("    ! drain first: its drain key has changed", "act"))
    for change in changes:
        detail = f"  {change.detail}" if change.detail else ""
        sign = _SIGNS[change.action]
        lines.append(PlanLine(f"    {sign} {change.key}{detail}", _KINDS[sign]))
        lines += _diff_lines(change.diff, "        ")
    changed = {change.key for change in changes}
    lines += [PlanLine(f"    ! {action.action} {action.unit}{_because(action, changed)}", "act") for action in units]
    if join:
        lines.append(PlanLine("    ! join by TLS bootstrap: no client certificate that holds", "act"))
    if unfinished and not changes and not units:
        lines.append(PlanLine("    ! nothing changes here; the gates are checked and the generation is noted", "act"))
    return lines


def _diff_lines(lines: Iterable[str], margin: str) -> list[PlanLine]:
    return [PlanLine(f"{margin}{line}", _KINDS.get(line[:1], "")) for line in lines]


def _because(action: UnitAction, changed: Collection[str]) -> str:
    """Return why a unit is acted on, "" where it is plain: the only change that stands right above."""
    if not action.because or (len(changed) == 1 and set(action.because) == changed):
        return ""
    shown = action.because[:_BECAUSE_SHOWN]
    more = len(action.because) - len(shown)
    text = ", ".join(shown) + (f" and {more} more" if more else "")
    return f"  because of {text}" if shown[0].startswith("/") else f"  because {text}"
