"""A cgroup sub-tree for each host, so that no two kubelets share a hierarchy.

On cgroup v1 and hybrid machines each host gets a group `lab-NAME` in every hierarchy that is
mounted, and sees those groups as its roots. On a machine with cgroup v2 alone the same is done
in its one hierarchy, with the controllers handed down.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy: its mount point, file system type and controllers."""

    mount_point: Path
    kind: str
    options: str


def hierarchies() -> list[Hierarchy]:
    """Return the cgroup hierarchies that are mounted on this machine."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            generic = {"rw", "ro", "relatime", "noatime", "nosuid", "nodev", "noexec", "xattr"}
            own = [word for word in options.split(",") if word not in generic and not word.startswith("release_agent=")]
            found.append(Hierarchy(Path(mount_point), kind, ",".join(own)))
    if not found:
        raise LabError("this machine has no cgroups mounted", "boot it with systemd or mount them")
    return found


def create(name: str) -> list[Path]:
    """Make a host's group in every hierarchy and return the groups."""
    groups = []
    for hierarchy in hierarchies():
        group = hierarchy.mount_point / f"lab-{name}"
        controllers = hierarchy.mount_point / "cgroup.subtree_control"
        if hierarchy.kind == "cgroup2":
            _hand_down(controllers)
        group.mkdir(exist_ok=True)
        if "cpuset" in hierarchy.options.split(","):
            for entry in ("cpuset.cpus", "cpuset.mems"):
                (group / entry).write_text((hierarchy.mount_point / entry).read_text())
            (group / "cgroup.clone_children").write_text("1")
        groups.append(group)
    return groups


def entering_script(groups: list[Path]) -> str:
    """Return shell text that runs "$@" with the groups as the roots of all that it sees.

    The shell joins the groups, takes cgroup and mount namespaces of its own and mounts every
    hierarchy afresh, since the mounts made before still show the machine's whole tree.
    """
    join = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
    mounts = "".join(
        f"umount {one.mount_point}; mount -t {one.kind} {f'-o {one.options} ' if one.kind == 'cgroup' else ''}"
        f"none {one.mount_point}; "
        for one in hierarchies()
    )
    inner = f'set -e; {mounts}exec "$@"'
    return f"set -e; {join}exec unshare -m -C --propagation private sh -c '{inner}' sh \"$@\""


def _hand_down(subtree_control: Path) -> None:
    """Let the groups beneath use each controller of a v2 hierarchy."""
    available = subtree_control.with_name("cgroup.controllers").read_text().split()
    for controller in available:
        try:
            subtree_control.write_text(f"+{controller}")
        except OSError as refused:
            raise LabError(
                f"the machine does not hand down the cgroup controller {controller}",
                "run the lab outside of a container or delegate the controller",
            ) from refused


def processes(name: str) -> set[int]:
    """Return the process ids in a host's groups, nested ones included."""
    found: set[int] = set()
    for group in _groups(name):
        try:
            found.update(int(line) for line in (group / "cgroup.procs").read_text().split())
        except OSError:  # a group that its host removed between listing and reading
            continue
    return found - {0}


def kill(name: str, seconds: float = 15) -> None:
    """Kill every process of a host, as a power cut does, and wait until none is left."""
    deadline = time.monotonic() + seconds
    while left := processes(name):
        if time.monotonic() > deadline:
            raise LabError(f"processes of {name} do not die: {sorted(left)[:5]}", "look at them with ps")
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def remove(name: str, seconds: float = 10) -> None:
    """Remove a host's groups; they must hold no process any more."""
    deadline = time.monotonic() + seconds
    while groups := sorted(_groups(name), key=lambda group: len(group.parts), reverse=True):
        for group in groups:
            try:
                group.rmdir()
            except FileNotFoundError:
                continue
            except OSError as busy:
                if time.monotonic() > deadline:
                    raise LabError(f"the cgroup {group} cannot be removed", "end what runs in it") from busy
        time.sleep(0.05)


def _groups(name: str) -> Iterator[Path]:
    """Yield a host's groups in all hierarchies with every group beneath them."""
    for hierarchy in hierarchies():
        for folder, _, _ in os.walk(hierarchy.mount_point / f"lab-{name}"):
            yield Path(folder)
