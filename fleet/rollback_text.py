"""A rollback as people read it, and as JSON: what is undone, what comes back, and what is left to do in git."""

from __future__ import annotations

from typing import Any

from fleet.folding import folded
from fleet.generations import About
from fleet.plan_text import PlanLine, plan_json, plan_lines
from fleet.rollback import Rollback


def rollback_lines(found: Rollback) -> list[PlanLine]:
    """Return what a rollback would do, line by line: the apply, the plan, the hosts that stay, and the next step."""
    choice = found.choice
    lines = [f"undone:     {_said(choice.undone, f'tree {choice.tree[:12]}')}"]
    lines.append(f"comes back: {_said(choice.back, 'an earlier generation, of which no host says who made it')}")
    lines.append(f"on:         {folded(found.plan.hosts)}")
    if partly := [name for name in choice.partly if name in found.plan.hosts]:
        lines.append(f"            {folded(partly)}: in the middle of a change, back to what they had before it")
    after = [f"stays as it is: {host}: {reason}" for host, reason in sorted(choice.staying.items())]
    others = sorted(set(choice.targets) - set(found.plan.hosts) - set(found.plan.left_out))
    if others:
        after.append(
            f"not asked for: {folded(others)}: the apply has changed them too; run `invoke rollback` without --limit"
        )
    return [
        *map(PlanLine, lines),
        PlanLine(""),
        *plan_lines(found.plan),
        PlanLine(""),
        *(PlanLine(line, "note") for line in (*after, *next_steps(found))),
    ]


def next_steps(found: Rollback) -> tuple[str, str]:
    """Return what an operator has to do after a rollback, in sentences."""
    undone = found.choice.undone
    by_commit = undone is not None and undone.clean and undone.commit != "no git"
    revert = f"`git revert {undone.commit[:12]}`" if undone is not None and by_commit else "take the change back in git"
    return (
        f"a rollback changes hosts, not git: {revert}, then `invoke render --cluster {found.plan.cluster}`; until then "
        "plan, which compares with git, shows the difference",
        "API objects, labels and taints of nodes are left as they are: plan shows them then, and apply puts them back",
    )


def rollback_json(found: Rollback) -> dict[str, Any]:
    """Return a rollback as plain values; `plan` as `plan --json` gives it, keys in camelCase like the spec."""
    choice = found.choice
    return {
        "cluster": found.plan.cluster,
        "undone": {"tree": choice.tree, **_plain(choice.undone)},
        "comesBack": _plain(choice.back),
        "hosts": {name: choice.targets[name] for name in found.plan.hosts},
        "partly": [name for name in choice.partly if name in found.plan.hosts],
        "staying": dict(choice.staying),
        "plan": plan_json(found.plan),
    }


def _said(about: About | None, unknown: str) -> str:
    return f"{about.words}, applied at {about.time} by {about.operator}" if about is not None else unknown


def _plain(about: About | None) -> dict[str, Any]:
    if about is None:
        return {}
    return {
        "tree": about.tree,
        "commit": about.commit,
        "clean": about.clean,
        "run": about.run,
        "time": about.time,
        "operator": about.operator,
    }
