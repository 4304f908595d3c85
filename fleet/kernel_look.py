"""Asks hosts for their kernel: after an apply that has installed packages, and round a reboot."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.connection import Connection
from fleet.host_scripts import run_script
from fleet.kernels import Kernel, kernel_notes
from fleet.plan import Plan
from fleet.session import Session
from fleet.together import all_ended
from fleet.tree import RenderedTree
from generator.errors import HostError

LOOK_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Look:
    """The kernel of a host; `ended` is the boot that a run has ended there without letting the host go since, or ""."""

    kernel: Kernel
    ended: str = ""

    @property
    def came_back(self) -> bool:
        """Whether the host has been rebooted for a run that has not seen it through."""
        return bool(self.ended) and self.ended != self.kernel.boot


async def look(connection: Connection) -> Look:
    """Return which kernel a host runs now; raises HostError."""
    lines = await run_script(connection, "reboot", ["look"], timeout=LOOK_SECONDS)
    ended = next((words[1] for words in lines if words[0] == "rebooting"), "")
    try:
        return Look(Kernel.of(next(words[1:] for words in lines if words[0] == "kernel")), ended)
    except (StopIteration, ValueError):
        raise HostError(
            f"{connection.where}: reboot: the answer is not understood; look at the host", connection.host
        ) from None


async def notes_after(tree: RenderedTree, plan: Plan, session: Session) -> list[str]:
    """Return what is to be told of kernels once an apply has installed packages: it never reboots a host itself."""

    async def one(name: str) -> Kernel:
        return (await look(await session.connect(name))).kernel

    names = [name for name, host in plan.hosts.items() if tree.hosts[name].kernel and host.brings_packages]
    return kernel_notes(tree.hosts, dict(zip(names, await all_ended(map(one, names)), strict=True)))
