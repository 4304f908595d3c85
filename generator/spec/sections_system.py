"""What a host is set to, as the model holds it: complete at every level, cluster < pool < host.

A value "" or None means that the host's own setting is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.formats.merge import Origin
from generator.formats.merge import Path as MergePath

NEWEST_KERNEL = "newest"
"""Stands in inventory.yaml for a release: the newest kernel that is installed on the host."""


@dataclass(frozen=True, slots=True)
class TimeSync:
    """Who keeps the clock. `serves` says that the host is itself one of `own`, which the others ask."""

    mode: str = "keep"
    servers: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    serves: bool = False


@dataclass(frozen=True, slots=True)
class Journald:
    """The journal: whether it is on disk, its size such as 2G, its age such as 30d."""

    persistent: bool | None = None
    max_use: str = ""
    max_file_age: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Default limits of units and logins."""

    files: int | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Hardening:
    """What sshd accepts; the two numbers as in sshd_config(5)."""

    harden: bool = False
    client_alive_interval: int = 60
    client_alive_count_max: int = 5


@dataclass(frozen=True, slots=True)
class Packages:
    """Packages of the distribution beyond what components need."""

    base: bool = False
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """Another kernel than the host came with: packages that bring it, and its release as `uname -r` says it, or ""."""

    packages: tuple[str, ...] = ()
    release: str = ""

    @property
    def wanted(self) -> str:
        """What is to run: a release, NEWEST_KERNEL, or "" where that is the host's own business."""
        return self.release or (NEWEST_KERNEL if self.packages else "")


@dataclass(frozen=True, slots=True)
class PackageSource:
    """One source; `family` is that of `Pool.os_family`, `key` the text of the public key.

    `uris` has one entry for dnf; `suites` and `components` are apt's and empty for dnf, `components` also for a flat
    archive. `signed` is dnf's: "packages", or "metadata" where the key signs only those.
    """

    name: str
    family: str
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    key: str
    signed: str = "packages"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The way out; "" where there is none. `no_proxy` is what the spec adds to what is never sent through a proxy."""

    http: str = ""
    https: str = ""
    no_proxy: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.http or self.https)


@dataclass(frozen=True, slots=True)
class HostsFile:
    """The block in /etc/hosts: names by address, and whether every host of the cluster is in it."""

    records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    all_hosts: bool = False

    def __bool__(self) -> bool:
        return bool(self.records or self.all_hosts)


@dataclass(frozen=True, slots=True)
class System:
    """All settings of a level. `origins` says for each value that was written who wrote it last, and where."""

    host_name: str = "keep"
    time_zone: str = "keep"
    swap: str = "off"
    selinux: str = "keep"
    time: TimeSync = TimeSync()
    journald: Journald = Journald()
    limits: Limits = Limits()
    ssh: Hardening = Hardening()
    packages: Packages = Packages()
    kernel: Kernel = Kernel()
    package_sources: tuple[PackageSource, ...] = ()
    replace_package_sources: bool = False
    proxy: Proxy = Proxy()
    hosts_file: HostsFile = HostsFile()
    modules: tuple[str, ...] = ()
    module_options: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict, compare=False)
    origins: Mapping[MergePath, Origin] = field(default_factory=dict, compare=False)
