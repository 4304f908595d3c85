"""What an operator may ask of a run beside the tree itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fleet.tree import RenderedTree
from generator.errors import WorkspaceError


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the verbs that work on hosts; each verb offers those that it can keep.

    `limit`: host names, pool names or shell patterns of host names; `phases`: names. `artifacts`: a folder laid out
    like a mirror. `skip_unreachable` goes on without hosts that do not answer, never below etcd's quorum. `stale_ok` is
    only written into the journal here; the verb has checked the tree. `wait`: how long another run's lock is waited
    for; `gate_seconds`: the longest wait for each gate, None for what each kind of gate takes; both in seconds.
    `skip_checks`: names of preflight checks to leave out.
    """

    limit: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    artifacts: Path | None = None
    kubeconfig: Path | None = None
    deep: bool = False
    dry_run: bool = False
    skip_unreachable: bool = False
    break_lock: bool = False
    stale_ok: bool = False
    wait: float = 0.0
    gate_seconds: float | None = None
    skip_checks: tuple[str, ...] = ()
    command: str = "invoke apply"


def selected(tree: RenderedTree, limit: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the hosts that a run may touch; raises WorkspaceError for a word that fits none."""
    words = tuple(limit)
    if not words:
        return tuple(tree.hosts)
    names: set[str] = set()
    for word in words:
        found = {name for name, host in tree.hosts.items() if host.pool.name == word or fnmatchcase(name, word)}
        if not found:
            raise WorkspaceError(
                f"{tree.cluster}: --limit {word} fits no host and no pool; hosts are in {tree.path.name}/inventory.yaml"
            )
        names |= found
    return tuple(name for name in tree.hosts if name in names)
