"""Which hosts a reboot takes, in which order and why: a pure function of the tree and of what the hosts answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.folding import folded
from fleet.inventory import Host
from fleet.kernel_look import Look
from fleet.kernels import kernel_notes, wanted_release
from fleet.state import HostState
from fleet.tree import RenderedTree
from generator.errors import RefusedError

REBOOT, FINISH = "reboot", "finish"


@dataclass(frozen=True, slots=True)
class Target:
    """One host. `action`: REBOOT, or FINISH where an earlier run has left it cordoned and it need not go down again.

    `wanted` is the release that must run afterwards, "" where none is asked for or it is not installed.
    """

    host: str
    action: str
    running: str
    wanted: str
    because: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The hosts in the order in which they are taken; `notes` are sentences for the operator.

    `named`: the operator named the hosts, so they are taken whatever they run.
    """

    cluster: str
    targets: tuple[Target, ...]
    notes: tuple[str, ...] = ()
    named: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: nothing to do, 2: hosts to reboot or to let go."""
        return 2 if self.targets else 0

    @property
    def summary(self) -> str:
        """One line: how many hosts go down, or why none does."""
        down = sum(target.action == REBOOT for target in self.targets)
        rest = len(self.targets) - down
        out = f", {folded(self.left_out)} left out" if self.left_out else ""
        if not self.targets:
            return f"{self.cluster}: nothing to do, no host has a kernel installed that is to run and does not{out}"
        counts = [f"{down} to reboot"] * bool(down) + [f"{rest} to see through from an earlier run"] * bool(rest)
        return f"{self.cluster}: {', '.join(counts)}, one host at a time{out}"

    @property
    def lines(self) -> list[str]:
        """The choice as people read it."""
        told = [f"{target.host}: {target.because}" for target in self.targets]
        return [*told, *(f"note: {note}" for note in self.notes), self.summary]

    @property
    def document(self) -> dict[str, Any]:
        """The choice as plain values for `--json`."""
        return {
            "cluster": self.cluster,
            "needed": bool(self.targets),
            "hosts": [
                {
                    "host": one.host,
                    "action": one.action,
                    "running": one.running,
                    "wanted": one.wanted,
                    "why": one.because,
                }
                for one in self.targets
            ],
            "notes": list(self.notes),
            "leftOut": list(self.left_out),
        }


def choose(
    tree: RenderedTree,
    states: Mapping[str, HostState],
    looks: Mapping[str, Look],
    *,
    named: bool,
    left_out: Sequence[str] = (),
) -> Choice:
    """Return what is to be done with the hosts in `looks`; `named` takes those too that run what they are to run.

    Raises RefusedError for a host on which an apply has not ended: after the reboot its gates would look at units that
    are not there yet.
    """
    found = [target for name, one in looks.items() if (target := _target(tree.hosts[name], states[name], one, named))]
    unlike = [target.host for target in found if not _as_rendered(tree.hosts[target.host], states[target.host])]
    if unlike:
        raise RefusedError(
            f"{tree.cluster}: nothing was changed: {folded(unlike)} {'is' if len(unlike) == 1 else 'are'} not as "
            "rendered, so the gates after a reboot would wait for what is not there; run `invoke apply` first"
        )
    kernels = {name: one.kernel for name, one in looks.items()}
    missing = [note for note in kernel_notes(tree.hosts, kernels) if "not installed" in note]
    if not named and not any(host.kernel for host in tree.hosts.values()):
        missing = ["system.kernel is said of no host; --limit or --all takes hosts whatever they run"]
    targets = sorted(found, key=lambda one: (one.action != FINISH, _turn(tree.hosts[one.host])))
    alone = [
        f"{target.host} is the only {role} host: {what} gone for the length of its reboot"
        for target in targets
        for role, what in (("etcd", "etcd and with it the API are"), ("control-plane", "the API is"))
        if target.action == REBOOT and [host.name for host in tree.with_role(role)] == [target.host]
    ]
    return Choice(tree.cluster, tuple(targets), (*missing, *alone), named, tuple(left_out))


def _target(host: Host, state: HostState, seen: Look, named: bool) -> Target | None:
    running, wanted = seen.kernel.running, wanted_release(host, seen.kernel)
    if wanted not in seen.kernel.installed:
        wanted = ""
    differs = bool(wanted) and wanted != running

    def target(action: str, because: str) -> Target:
        return Target(host.name, action, running, wanted, because)

    if seen.came_back:
        return target(FINISH, "an earlier run has rebooted it and not seen it through; it is not rebooted again")
    if differs:
        return target(REBOOT, f"kernel {running} runs, {wanted} is to run")
    if named:
        return target(REBOOT, f"named by you; kernel {running} runs")
    if host.kernel and state.cordoned and _as_rendered(host, state):
        return target(FINISH, f"an earlier run has left its node cordoned; kernel {running} runs already")
    return None


def _as_rendered(host: Host, state: HostState) -> bool:
    return state.generation == host.digest and not state.underway


def _turn(host: Host) -> int:
    """Return how late a host has its turn: workers first, so that a bad kernel shows where it costs least."""
    order = ("worker", "load-balancer", "etcd", "control-plane")
    return max((order.index(role) for role in host.pool.roles if role in order), default=0)
