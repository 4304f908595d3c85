"""What can be put on a host: the only vocabulary between components, render and fleet.

Every item names its component and the phase in which it is activated. `restarts` and `reloads` name systemd units,
never commands; a unit that the host does not run is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A file whose whole content is one secret, such as a private key; `name` as in `Material.secret_id`."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretTemplate:
    """Text with slots `{{secret:<name>}}`; everything but the values can be read in review."""

    text: str


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file with its content, mode (such as 0o644), owner and group."""

    path: str
    content: str | SecretRef | SecretTemplate
    component: str
    phase: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    restarts: tuple[str, ...] = ()
    reloads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostLink:
    """A symbolic link; `target` is an absolute path."""

    path: str
    target: str
    component: str
    phase: str
    restarts: tuple[str, ...] = ()
    reloads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostDirectory:
    """A directory; removal never takes one that holds anything."""

    path: str
    component: str
    phase: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True, slots=True)
class HostBinary:
    """One executable from a locked artifact.

    `artifact` is a key of artifacts.lock ("kubelet", "etcd", …), `member` the path inside the archive, "" where the
    artifact is the executable itself. It is placed in the phase binaries at `path`, mode 0755, root.
    """

    path: str
    artifact: str
    version: str
    arch: str
    member: str
    component: str
    phase: str = "binaries"


@dataclass(frozen=True, slots=True)
class HostUser:
    """A system user without a login, made by systemd-sysusers; `groups` are further groups."""

    name: str
    component: str
    groups: tuple[str, ...] = ()
    phase: str = "host-base"


@dataclass(frozen=True, slots=True)
class HostPackage:
    """A package of the distribution that must be installed."""

    name: str
    component: str
    phase: str = "host-base"


@dataclass(frozen=True, slots=True)
class HostUnit:
    """A systemd unit that is to be enabled and running after its phase.

    `start` False means enabled but started by something else (a path unit, a timer). A unit is restarted only in its
    own phase and batch, even where a file of an earlier phase names it in `restarts`.
    `drain_key` is a text; a node is drained when it differs from the one recorded on the host.
    """

    name: str
    component: str
    phase: str
    start: bool = True
    drain_key: str = ""


HostItem = HostFile | HostLink | HostDirectory | HostBinary | HostUser | HostPackage | HostUnit


def item_key(item: HostItem) -> str:
    """Return what identifies an item on a host: its path, or kind and name where it has no path."""
    match item:
        case HostUser(name=name):
            return f"user:{name}"
        case HostPackage(name=name):
            return f"package:{name}"
        case HostUnit(name=name):
            return f"unit:{name}"
        case _:
            return item.path
