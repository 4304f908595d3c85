"""What a restore has to do, and which one it is: a new one, or one that was cut off and goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.restore_members import Members
from fleet.snapshot import Snapshot
from fleet.tree import Host, RenderedTree
from generator.errors import RefusedError

STEPS = ("", "prepared", "swapped", "begun", "proved")
"""How far a restore has come on a host, in order."""


@dataclass(frozen=True, slots=True)
class Restore:
    """What is to be done: `run` names it on hosts, `steps` says how far it has come on each from an earlier run.

    `before` are restores of the same snapshot that came to their end, as far as their old data still lies there.
    """

    members: Members
    control: tuple[Host, ...]
    units: tuple[str, ...]
    snapshot: Snapshot
    run: str
    steps: Mapping[str, str]
    before: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether an earlier run has come to its end but for the tidying up."""
        return "proved" in self.steps.values()


def run_of(tree: RenderedTree, snapshot: Snapshot, found: Mapping[str, tuple[str, str]], now: datetime) -> str:
    """Return the name of the restore: that of one that was cut off, or a new one, named after `now` in UTC.

    `found` has run and step by host, as far as a host knows of a restore. Raises RefusedError where another one has
    moved data somewhere, or where one that had begun lost a host's data.
    """
    short = snapshot.digest[:16]
    moved = {run for run, step in found.values() if STEPS.index(step) > STEPS.index("prepared")}
    others = sorted(run for run in moved if not run.startswith(f"{short}-"))
    if others or len(moved) > 1:
        raise RefusedError(
            f"{tree.cluster}: a restore of another snapshot has not come to its end ({', '.join(moved)}); "
            "run that one again first"
        )
    if moved:
        run = moved.pop()
        steps = {host.name: found.get(host.name, ("", "")) for host in tree.with_role("etcd")}
        begun = any(step in {"begun", "proved"} for _, step in steps.values())
        lost = sorted(name for name, (other, step) in steps.items() if other != run or step in {"", "prepared"})
        done = any(step == "proved" for _, step in steps.values())
        if begun and lost and not done:
            raise RefusedError(
                f"{tree.cluster}: members have begun with the restored data, and {', '.join(lost)} no longer "
                "knows of it; restore another snapshot when /var/lib/slipway/restore is deleted on all members"
            )
        return run
    same = sorted(run for run, _ in found.values() if run.startswith(f"{short}-"))
    return same[-1] if same else f"{short}-{now:%Y%m%dT%H%M%SZ}"
