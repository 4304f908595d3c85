"""Every check of a preflight, in the order in which findings are shown; the names stay, for `--skip` and programs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from fleet.preflight import checks_between, checks_gpu, checks_kernel, checks_network, checks_system
from fleet.preflight.finding import Finding
from fleet.preflight.seen import Seen
from generator.errors import WorkspaceError


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `eased`: on a host that already runs the cluster its errors are warnings.

    What such a host lacks of what is asked of a new one has not kept it from working.
    """

    name: str
    title: str
    judge: Callable[[Seen], Iterator[Finding]]
    eased: bool = False


CHECKS: tuple[Check, ...] = (
    Check("ssh", "every host answers over SSH with the key that is known", checks_system.ssh),
    Check("sudo", "a login that is not root becomes root by sudo", checks_system.sudo),
    Check("forwarding", "sshd lets us open connections from the host, or a program relays", checks_network.forwarding),
    Check("os", "distribution and release are those of the pool", checks_system.system),
    Check("arch", "the processor is that of the pool", checks_system.arch),
    Check("kernel", "the kernel is 4.17 or newer", checks_system.kernel),
    Check("programs", "the programs are there without which Slipway cannot work", checks_system.programs),
    Check("cpu", "nodes have two processors", checks_system.cpu, eased=True),
    Check("memory", "control-plane hosts have 2 GiB, workers 4 GiB, less 15 %", checks_system.memory, eased=True),
    Check("disk", "there is room where data and binaries will grow", checks_kernel.disk, eased=True),
    Check("root", "the file systems can be written and are not full", checks_kernel.root),
    Check("swap", "swap is off on nodes", checks_kernel.swap, eased=True),
    Check("cgroup", "the kubelet of this Kubernetes starts with the cgroup version", checks_kernel.cgroup),
    Check("modules", "the kernel has overlay, br_netfilter and nf_conntrack", checks_kernel.modules, eased=True),
    Check("gpu", "hosts of a pool with GPUs have one, and its driver runs", checks_gpu.gpu, eased=True),
    Check("inotify", "there are enough inotify instances and watches", checks_kernel.inotify),
    Check("selinux", "SELinux does not enforce unnoticed", checks_kernel.selinux),
    Check("firewall", "no firewall of the distribution is active", checks_kernel.firewall),
    Check("clock", "clocks agree with this machine's and with each other", checks_between.clock),
    Check("timezone", "all hosts are in one time zone", checks_between.timezone),
    Check("time-sync", "something keeps the clock right", checks_between.time_sync),
    Check("machine-id", "no two hosts have one machine-id", checks_between.machine_id, eased=True),
    Check("product-uuid", "no two hosts have one product_uuid", checks_between.product_uuid, eased=True),
    Check("hostname", "no two hosts have one host name", checks_between.hostname, eased=True),
    Check("address", "the addresses of the inventory are really on the host", checks_network.address),
    Check("names", "the host has a name server, finds its own name and the API's", checks_network.names),
    Check("ports", "nobody else listens on a port of the table", checks_network.ports),
    Check("remains", "nothing of another Kubernetes is left", checks_system.remains, eased=True),
    Check("reach", "hosts reach each other on the ports that their roles need", checks_network.reach, eased=True),
    Check("mirror", "servers of binaries and packages answer hosts that fetch", checks_network.mirror, eased=True),
)

_ORDER = {check.name: number for number, check in enumerate(CHECKS)}


def known_checks(names: Sequence[str]) -> frozenset[str]:
    """Return the names of checks; raises WorkspaceError for one that there is not, with the nearest that there is."""
    for name in names:
        if name not in _ORDER:
            near = get_close_matches(name, _ORDER, 1, 0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise WorkspaceError(f"--skip {name}: there is no such check; {hint}there are {', '.join(_ORDER)}")
    return frozenset(names)


def judged(seen: Seen, skip: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return what the checks find: errors first, then warnings, each in the order of the checks, then of hosts."""
    found: list[Finding] = []
    for check in CHECKS:
        if check.name in skip:
            continue
        for one in check.judge(seen):
            machine = seen.machines.get(one.host)
            eased = check.eased and machine is not None and machine.settled
            found.append(replace(one, check=check.name, severity="warning" if eased else one.severity))
    return tuple(sorted(found, key=lambda one: (one.severity, _ORDER[one.check], one.host)))
