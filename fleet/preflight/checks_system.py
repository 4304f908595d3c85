"""Whether a machine is what its pool says, large enough, and has what Slipway itself needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleet.host_faults import arch_fault, missing_programs, system_fault
from fleet.preflight import wants
from fleet.preflight.finding import Finding
from fleet.preflight.seen import Seen
from fleet.tree import Host

KERNEL = (4, 17)
"""Below it kube-proxy's and CNI plugins' needs are met by backports at best (reference-systems F21)."""
CPUS = 2
MEMORY_GIB = {"control-plane": 2, "worker": 4}
TOLERANCE = 0.85
"""A machine sold as 4 GiB shows less: firmware and kernel keep a part."""
_GIB = 1024 * 1024


def ssh(seen: Seen) -> Iterator[Finding]:
    """Find hosts that do not answer over SSH with the key that is known."""
    for name, why in seen.unreachable.items():
        if ": sudo: " not in why:
            yield Finding(name, *_reason(seen, name, why))


def sudo(seen: Seen) -> Iterator[Finding]:
    """Find logins that do not become root by sudo."""
    for name, why in seen.unreachable.items():
        if ": sudo: " in why:
            yield Finding(name, *_reason(seen, name, why))


def _reason(seen: Seen, name: str, why: str) -> tuple[str, str]:
    """Return what is wrong and what to do in the words of the error, which says the cluster and the host first."""
    what, _, todo = why.removeprefix(f"{seen.tree.cluster}/").removeprefix(f"{name}: ").partition("; ")
    return what.removeprefix("ssh: ").removeprefix("sudo: "), todo or "see why the host does not answer"


def system(seen: Seen) -> Iterator[Finding]:
    """Find a distribution or release that is not that of the pool."""
    for host, machine in seen.each():
        if fault := system_fault(host, machine.os_id, machine.os_version):
            yield Finding(host.name, fault, "correct `os` of the pool, move the host to another pool, or install anew")


def arch(seen: Seen) -> Iterator[Finding]:
    """Find a processor that is not that of the pool."""
    for host, machine in seen.each():
        if fault := arch_fault(host, machine.arch):
            yield Finding(host.name, fault, "correct `arch` of the pool or move the host to another pool")


def kernel(seen: Seen) -> Iterator[Finding]:
    """Find kernels that are too old."""
    for host, machine in seen.each():
        match = re.match(r"(\d+)\.(\d+)", machine.kernel)
        if match and (int(match[1]), int(match[2])) < KERNEL:
            wanted = ".".join(map(str, KERNEL))
            yield Finding(
                host.name, f"its kernel is older than {wanted}", "update the kernel or use a newer release",
                machine.kernel, "warning",
            )  # fmt: skip


def cpu(seen: Seen) -> Iterator[Finding]:
    """Find nodes with fewer than two processors."""
    for host, machine in seen.each():
        if _role(host) and machine.cpus is not None and machine.cpus < CPUS:
            text = f"it has fewer than {CPUS} processors, too few for a {_role(host)} host"
            yield Finding(host.name, text, "give the machine more", str(machine.cpus))


def memory(seen: Seen) -> Iterator[Finding]:
    """Find control-plane hosts with less than 2 GiB of memory and workers with less than 4, 15 per cent tolerated."""
    for host, machine in seen.each():
        role = _role(host)
        if role and machine.memory is not None and machine.memory < MEMORY_GIB[role] * _GIB * TOLERANCE:
            text = f"it has less memory than the {MEMORY_GIB[role]} GiB that a {role} host needs"
            yield Finding(host.name, text, "give the machine more", f"{machine.memory / _GIB:.1f} GiB")


def _role(host: Host) -> str:
    """Return the role of a host that asks for most, "" for one that is no node."""
    return next((role for role in ("worker", "control-plane") if role in host.pool.roles), "")


def programs(seen: Seen) -> Iterator[Finding]:
    """Find programs that are missing and that Slipway needs before it can put anything on the host."""
    for host, machine in seen.each():
        if missing := missing_programs(machine.missing, fetch=seen.tree.fetch):
            yield Finding(
                host.name, f"programs are missing: {', '.join(missing)}", "install them with the package manager"
            )


def remains(seen: Seen) -> Iterator[Finding]:
    """Find what is left of another Kubernetes: its kubelet, its static pods or its network would meet ours."""
    for host, machine in seen.each():
        # A run that was cut off has put files there that it has not written down yet.
        ours = machine.own | (set(host.by_key) if machine.underway else set())
        data = wants.etcd_data(seen.tree, host)
        other: list[str] = []
        networks: list[str] = []
        for path in machine.remains:
            if path in ours or (machine.own and data and path.startswith(data)):
                continue
            (networks if path.startswith(wants.CNI) else other).append(path)
        if other:
            text = "something of another Kubernetes is left there"
            todo = "take it away with the tool that made it (`kubeadm reset`, `k3s-uninstall.sh`), or install anew"
            yield Finding(host.name, text, todo, _some(other))
        if networks and not machine.settled:
            text = "there are configurations of pod networks that are not ours; the first by name wins"
            yield Finding(host.name, text, "take them away", _some(networks), "warning")


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
