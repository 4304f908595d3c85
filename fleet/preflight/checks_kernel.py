"""Swap, disks, cgroups, modules and whatever else the kernel and its settings may keep from a node."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from fleet.folding import folded
from fleet.preflight import wants
from fleet.preflight.facts import Machine
from fleet.preflight.finding import Finding
from fleet.preflight.seen import Seen
from fleet.tree import Host

_GIB = 1024 * 1024
FULL_KIB = 100 * 1024
"""With less room than this not even files of settings can be put in place."""
FEW_INODES = 1000
INOTIFY = {"instances": 128, "watches": 8192}
"""Kernel defaults of small machines; with fewer a kubelet dies by itself."""
CGROUP_WARNS = (1, 31)
CGROUP_REFUSES = (1, 35)
"""Kubernetes 1.31 puts cgroup v1 into maintenance, from 1.35 on a kubelet does not start on it (KEP-4569, KEP-5573)."""
_WRITTEN = ("/", "/etc", "/opt", "/usr", "/usr/local", "/usr/local/bin", "/var", "/var/lib")


def disk(seen: Seen) -> Iterator[Finding]:
    """Find too little room for what will grow; folders on one file system count together."""
    for host, machine in seen.each():
        wanted: dict[str, list[str]] = {}
        room = wants.room(host)
        ours = wants.mounts(host)
        for path in sorted(room):
            if path in machine.disks and not _not_mounted_yet(path, machine.disks[path].mount, ours):
                wanted.setdefault(machine.disks[path].mount, []).append(path)
        for mount, paths in sorted(wanted.items()):
            free = machine.disks[paths[0]].free
            least, good = (sum(room[path][at] for path in paths) for at in (0, 1))
            enough = least if machine.settled else good
            # A full one is found by `root`, in plainer words.
            if free >= enough or free < FULL_KIB:
                continue
            word = "needed" if free < least else "good"
            number = least if free < least else good
            text = f"{mount} has little room: {number / _GIB:.1f} GiB are {word} for {', '.join(paths)}"
            yield Finding(
                host.name, text, "make room, or mount a larger disk there", f"{free / _GIB:.1f} GiB free",
                "error" if free < least else "warning",
            )  # fmt: skip


def _not_mounted_yet(path: str, mount: str, ours: Collection[PurePosixPath]) -> bool:
    """Whether a folder will lie on a data disk of ours and still lies on the disk below."""
    return any(PurePosixPath(path).is_relative_to(one) for one in ours) and PurePosixPath(mount) not in ours


def root(seen: Seen) -> Iterator[Finding]:
    """Find file systems for our files that are read-only, or full of bytes or of inodes."""
    for host, machine in seen.each():
        if readonly := [path for path in _WRITTEN if path in machine.readonly]:
            todo = "see why in `dmesg`, mount it writable; a system that is read-only by design cannot be a host"
            yield Finding(host.name, f"{', '.join(readonly)} is mounted read-only", todo)
        mounts = {one.mount: one for one in machine.disks.values()}
        for mount, one in sorted(mounts.items()):
            if one.free < FULL_KIB:
                yield Finding(host.name, f"{mount} is full", "make room", f"{one.free} KiB free")
            elif one.inodes is not None and one.inodes < FEW_INODES:
                text, todo = f"{mount} has hardly any inodes left", "delete small files, or make the file system anew"
                yield Finding(host.name, text, todo, f"{one.inodes} free")


def swap(seen: Seen) -> Iterator[Finding]:
    """Find swap on nodes whose kubelet is not told to live with it."""
    for host, machine in seen.each():
        if not host.node or not machine.swaps or wants.kubelet_config(host).get("failSwapOn") is False:
            continue
        detail = ", ".join(machine.swaps)
        if wants.handles(host, "swap"):
            todo = "see why our unit has not turned it off" if machine.settled else "nothing: the apply turns it off"
            yield Finding(host.name, "swap is on", todo, detail, "warning")
            continue
        text = "swap is on, with which a kubelet does not start"
        todo = "`swapoff -a` and take it out of /etc/fstab, or set kubelet config failSwapOn: false"
        yield Finding(host.name, text, todo, detail)


def cgroup(seen: Seen) -> Iterator[Finding]:
    """Find a cgroup version with which the kubelet of this Kubernetes does not start, or soon will not."""
    release = tuple(int(part) for part in seen.tree.versions.get("kubernetes", "0.0").split(".")[:2])
    minor = ".".join(map(str, release))
    for host, machine in seen.each():
        if not host.node or machine.cgroup != 1 or release < CGROUP_WARNS:
            continue
        accepted = wants.kubelet_config(host).get("failCgroupV1") is False
        todo = "boot it with systemd.unified_cgroup_hierarchy=1, or use a newer release of the distribution"
        if release >= CGROUP_REFUSES and not accepted:
            text = f"it has cgroup v1, with which a kubelet of {minor} does not start"
            yield Finding(host.name, text, f"{todo}; for a while kubelet config failCgroupV1: false helps")
        else:
            text = f"it has cgroup v1, which Kubernetes {minor} only just keeps alive"
            yield Finding(host.name, text, todo, severity="warning")


def modules(seen: Seen) -> Iterator[Finding]:
    """Find kernels without what containers and Services need."""
    for host, machine in seen.each():
        missing = [name for name, state in machine.modules.items() if state == "missing"]
        unknown = [name for name, state in machine.modules.items() if state != "missing"]
        if missing:
            todo = "install the kernel's modules (linux-modules-extra, kernel-modules-extra), or another kernel"
            yield Finding(host.name, f"its kernel has no {', '.join(missing)}", todo)
        if unknown:
            text = f"nothing there tells whether its kernel has {', '.join(unknown)}"
            todo = "see that they are built into the kernel; /lib/modules has nothing for it"
            yield Finding(host.name, text, todo, severity="warning")


def inotify(seen: Seen) -> Iterator[Finding]:
    """Find too few inotify watches, where the tree does not set them anyway."""
    for host, machine in seen.each():
        for name, least in INOTIFY.items():
            setting = f"fs.inotify.max_user_{name}"
            handled = any(
                item.path.startswith("/etc/sysctl.d/") and setting.encode() in item.content for item in host.items
            )
            if host.node and not handled and machine.inotify.get(name, least) < least:
                text, todo = f"{setting} is below {least}", "set it under `sysctl` in the spec"
                yield Finding(host.name, text, todo, str(machine.inotify[name]), "warning")


_DOMAINS = {"haproxy": "haproxy_t", "keepalived": "keepalived_t", "nginx": "httpd_t"}
"""Domains into which the policy of the Red Hat family puts programs; they may call and bind a few known ports alone."""


def selinux(seen: Seen) -> Iterator[Finding]:
    """Find SELinux where it enforces: containers need its policy, and balancers may not call API servers by it."""
    for host, machine in seen.each():
        bound = [domain for name, domain in _DOMAINS.items() if f"package:{name}" in host.by_key]
        if (host.node or bound) and machine.selinux == "enforcing" and not machine.settled:
            todo = "look at `ausearch -m avc` when something may not be done"
            if bound:
                each = " and ".join(f"`semanage permissive -a {domain}`" for domain in bound)
                todo = f"let the way into the API work by {each}, or say system.selinux: permissive; {todo}"
            if host.node:
                todo = f"install container-selinux; {todo}"
            yield Finding(host.name, "SELinux is enforcing", todo, severity="warning")


def firewall(seen: Seen) -> Iterator[Finding]:
    """Find a firewall of the distribution, which may stand between hosts that must reach each other."""
    for host, machine in seen.each():
        if active := _firewalls(machine):
            text = f"a firewall of the distribution is active: {folded(active)}"
            if loses_firewall(host, machine):
                yield Finding(host.name, text, "nothing: the apply turns it off", severity="warning")
                continue
            todo = "open the ports of ports.yaml there, or turn it off; pods and Services need forwarding too"
            yield Finding(host.name, text, todo, severity="warning")


def loses_firewall(host: Host, machine: Machine) -> bool:
    """Whether a firewall stands on the host that the next apply turns off."""
    active = {f"{name}.service" for name in _firewalls(machine)}
    handled = wants.handles(host, wants.FIREWALL_OFF) and not machine.settled
    return handled and bool(active) and active <= wants.TURNED_OFF


def _firewalls(machine: Machine) -> list[str]:
    found = [name.removesuffix(".service") for name in wants.FIREWALLS if name in machine.active]
    # ufw's unit is active whether or not it has been turned on.
    names = [name for name in found if name != "ufw" or machine.ufw]
    return [name for name in names if f"unit:{name}.service" not in machine.own]
