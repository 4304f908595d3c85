"""Which kernel a host runs, and which it is to run: told by plan, apply and status, brought about by hosts.reboot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.folding import folded
from fleet.inventory import Host

NEWEST_KERNEL = "newest"
"""What inventory.yaml says in place of a release."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a host says: the release that runs, the id of this boot, the releases that are installed, oldest first."""

    running: str
    boot: str
    installed: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: Sequence[str]) -> Kernel:
        """Return the kernel in a line of a host's answer; raises ValueError for one that names none."""
        running, boot, *installed = words
        return cls(running, "" if boot == "-" else boot, tuple(installed))


def wanted_release(host: Host, kernel: Kernel) -> str:
    """Return the release that is to run on a host, "" where that is its own business or cannot be told."""
    if host.kernel != NEWEST_KERNEL:
        return host.kernel
    return kernel.installed[-1] if kernel.installed else ""


def due(host: Host, kernel: Kernel) -> str:
    """Return the release to which a host is to be rebooted, "" where none is or where it is not installed."""
    wanted = wanted_release(host, kernel)
    return wanted if wanted != kernel.running and wanted in kernel.installed else ""


def kernel_notes(hosts: Mapping[str, Host], kernels: Mapping[str, Kernel], coming: Iterable[str] = ()) -> list[str]:
    """Return what is to be told of kernels, equal hosts in one sentence.

    On the hosts in `coming` packages are still to be installed: there is nothing to tell of a kernel that is missing.
    """
    waits = set(coming)
    found: dict[tuple[str, str, bool], list[str]] = {}
    for name, kernel in sorted(kernels.items()):
        wanted = wanted_release(hosts[name], kernel)
        there = wanted in kernel.installed
        if wanted and wanted != kernel.running and (there or name not in waits):
            found.setdefault((kernel.running, wanted, there), []).append(name)
    return [_words(names, *key) for key, names in sorted(found.items(), key=lambda entry: entry[1])]


def _words(names: Sequence[str], running: str, wanted: str, there: bool) -> str:
    told = f"{folded(names)}: kernel {running} runs, {wanted} is to run"
    if there:
        return f"{told}: `invoke hosts.reboot`, on one host first with --limit"
    return f"{told} and is not installed: see that system.kernel.packages brings it"
