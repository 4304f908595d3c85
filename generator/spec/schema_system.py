"""The section `system` of cluster.yaml: what a host is set to before anything of Kubernetes.

It may stand at the top, under a pool and under a host with one shape. Maps merge, lists replace, and null takes away
what a weaker layer said, so that the default holds again; that is why every field takes null.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generator.spec.scalars import DnsLabel, RelativePath
from generator.spec.scalars_network import Cidr, Endpoint, Url
from generator.spec.scalars_system import (
    AptSuite,
    AptWord,
    HostsRecords,
    JournalAge,
    JournalSize,
    KernelRelease,
    ModuleName,
    ModuleOptions,
    NoProxy,
    PackageName,
    ProxyUrl,
    Swap,
    TimeZone,
)
from generator.spec.schema_base import Section


class TimeSpec(Section):
    """Who keeps the clock."""

    mode: Literal["keep", "client", "own"] | None = Field(
        "keep",
        description="keep leaves time to the host; client: chrony asks servers; own: hosts of yours ask them, and all "
        "others ask those.",
    )
    servers: list[Endpoint] | None = Field([], description="Time servers, by name or address.")
    own: list[str] | None = Field([], description="Names of the hosts that serve time to all others, with mode own.")
    allow: list[Cidr] | None = Field([], description="Ranges that may ask these hosts for the time.")


class JournaldSpec(Section):
    """How the journal is kept; what is null stays as the distribution has it."""

    persistent: bool | None = Field(None, description="Whether the journal outlives a reboot.")
    max_use: JournalSize | None = Field(None, description="Room on disk that it may take, such as 2G.")
    max_file_age: JournalAge | None = Field(None, description="Age at which old entries go, such as 30d.")


class LimitsSpec(Section):
    """Limits of units and logins that state none of their own."""

    files: int | None = Field(None, ge=1024, le=1048576, description="Open files of one process.")
    processes: int | None = Field(None, ge=1024, le=4194304, description="Processes of one user.")


class HardeningSpec(Section):
    """What sshd accepts."""

    harden: bool | None = Field(
        False, description="Whether sshd takes keys alone; it is tried first and taken back where nobody gets in."
    )
    client_alive_interval: int | None = Field(
        60, ge=10, le=3600, description="Seconds of silence after which sshd asks whether a client is still there."
    )
    client_alive_count_max: int | None = Field(
        5, ge=1, le=100, description="Questions without an answer after which sshd ends a connection."
    )


class PackagesSpec(Section):
    """Packages of the distribution."""

    base: bool | None = Field(
        False, description="Whether nodes get what storage and people at night need: NFS, iSCSI, tools."
    )
    extra: list[PackageName] | None = Field([], description="Further packages, by the distribution's names.")


class KernelSpec(Section):
    """Another kernel. An apply installs it and never reboots; hosts.reboot does, one drained host at a time."""

    packages: list[PackageName] | None = Field(
        [], description="Packages that bring it, each with its release in its name, such as linux-image-6.1.0-39-amd64."
    )
    release: KernelRelease | None = Field(
        None, description="What uname -r is to say; the newest installed kernel where only packages are named."
    )


class AptSpec(Section):
    """A source for apt."""

    uris: list[Url] = Field(min_length=1, description="Base URLs of the archive.")
    suites: list[AptSuite] = Field(
        min_length=1, description="Suites, such as bookworm; one that ends with / is the path of a flat archive."
    )
    components: list[AptWord] = Field(["main"], min_length=1, description="Components; a flat archive has none.")


class DnfSpec(Section):
    """A source for dnf."""

    base_url: Url = Field(alias="baseURL", description="Base URL of the repository; $basearch and the like are kept.")
    signed: Literal["packages", "metadata"] = Field(
        "packages", description="What the key signs: each package, or the repository's metadata, which hold their sums."
    )


class PackageSourceSpec(Section):
    """One source of packages, for one family of distributions or for both."""

    name: DnsLabel = Field(description="Name of the source, which becomes that of its file.")
    apt: AptSpec | None = Field(None, description="Where apt finds it, on Debian and Ubuntu.")
    dnf: DnfSpec | None = Field(None, description="Where dnf finds it, on the Red Hat family and openEuler.")
    key_file: RelativePath = Field(
        description="Public key that signs it, ASCII-armored, relative to cluster.yaml; unsigned packages are refused."
    )


class ProxySpec(Section):
    """The way out for the container runtime and the package manager."""

    http: ProxyUrl | None = Field(None, description="Proxy for http.")
    https: ProxyUrl | None = Field(None, description="Proxy for https.")
    no_proxy: list[NoProxy] | None = Field(
        [], description="Names, domains and ranges that are reached directly, on top of the cluster's own."
    )


class HostsFileSpec(Section):
    """A block of ours in /etc/hosts; all else in it stays."""

    records: HostsRecords | None = Field({}, description="Names by address.")
    all_hosts: bool | None = Field(False, description="Whether the block holds every host of the cluster.")


class SystemSpec(Section):
    """What a host is set to; null takes away what a weaker layer said."""

    host_name: Literal["keep", "set"] | None = Field(
        "keep", description="set gives the host the name that it has here, on disk and at once."
    )
    time_zone: TimeZone | None = Field("keep", description="Time zone such as Europe/Berlin; keep leaves it alone.")
    swap: Swap | None = Field(
        None, description="off keeps swap off for good; keep leaves it alone. Nodes have it off unless said."
    )
    selinux: Literal["keep", "enforcing", "permissive"] | None = Field(
        "keep", description="Mode of SELinux, running and at boot, on the Red Hat family and openEuler."
    )
    time: TimeSpec | None = Field(TimeSpec(), description="Who keeps the clock.")
    journald: JournaldSpec | None = Field(JournaldSpec(), description="How the journal is kept.")
    limits: LimitsSpec | None = Field(LimitsSpec(), description="Limits of units and logins that state none.")
    ssh: HardeningSpec | None = Field(HardeningSpec(), description="What sshd accepts.")
    packages: PackagesSpec | None = Field(PackagesSpec(), description="Packages of the distribution.")
    kernel: KernelSpec | None = Field(
        KernelSpec(), description="Another kernel, which an apply installs and `invoke hosts.reboot` brings to run."
    )
    package_sources: list[PackageSourceSpec] | None = Field([], description="Where packages come from.")
    replace_package_sources: bool | None = Field(
        False, description="Whether packageSources stand in for the host's own, which stay and are passed over."
    )
    proxy: ProxySpec | None = Field(ProxySpec(), description="The way out for runtime and package manager.")
    hosts_file: HostsFileSpec | None = Field(HostsFileSpec(), description="A block of ours in /etc/hosts.")
    modules: list[ModuleName] | None = Field([], description="Further kernel modules, loaded at boot and at once.")
    module_options: dict[ModuleName, ModuleOptions | None] | None = Field(
        {}, description="Options of kernel modules by name, which hold from the next time that a module is loaded."
    )
