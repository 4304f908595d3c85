"""A cluster after loading: complete, checked, immutable. All that components and render ever see of a spec.

Addresses are canonical text (`ipaddress` form). Tuples of hosts are sorted by name, so that the order in which
people wrote them changes no byte.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from generator.spec.addons import AddonsSpec
from generator.spec.addons.node_local_dns import TAKES_SERVICE_ADDRESS
from generator.spec.gpu import Gpu
from generator.spec.sections import (
    Artifacts,
    Audit,
    Backup,
    CloudInit,
    Directories,
    Disk,
    Encryption,
    Firewall,
    OwnListener,
    PkiSettings,
    Runtime,
    Verify,
    Versions,
)
from generator.spec.sections_network import Api, Network
from generator.spec.sections_system import System

ROLES = ("etcd", "control-plane", "worker", "load-balancer")
Role = Literal["etcd", "control-plane", "worker", "load-balancer"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where in an input file a value stands: path relative to the workspace, line from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Override:
    """What one layer of the spec says about one component; values as written, None removes.

    `sources` maps a path inside the override, such as ("flags", "v"), to the place where it was written.
    """

    flags: Mapping[str, Any] = field(default_factory=dict)
    unsafe_flags: Mapping[str, Any] = field(default_factory=dict)
    unit: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[tuple[str, ...], Source] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """A file of the user's own; `source` is relative to clusters/<c>/, `content` what was read from it."""

    path: str
    content: str
    mode: int
    owner: str
    group: str
    restarts: tuple[str, ...]
    reloads: tuple[str, ...]
    where: Source


@dataclass(frozen=True, slots=True)
class Taint:
    """A node taint; the effect is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}"


@dataclass(frozen=True, slots=True)
class Jump:
    """One jump host of an SSH path; `address` is a name or address as seen from the hop before."""

    address: str
    port: int
    user: str


@dataclass(frozen=True, slots=True)
class Ssh:
    """How a host is entered; `jumps` in the order of travel, empty for a direct connection."""

    user: str = "root"
    port: int = 22
    jumps: tuple[Jump, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """How its hosts are run; `max_unavailable` as written ("10%" or "1"). `listeners` has the cluster's own too.

    `cloud_init` is None without user-data, `gpu` without GPUs.
    """

    name: str
    roles: frozenset[str]
    os: str
    arch: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    max_unavailable: str
    components: Mapping[str, Override]
    files: tuple[ExtraFile, ...]
    listeners: tuple[OwnListener, ...] = ()
    disks: tuple[Disk, ...] = ()
    system: System = field(default_factory=System)
    cloud_init: CloudInit | None = None
    gpu: Gpu | None = None

    @property
    def is_node(self) -> bool:
        """Whether its hosts are nodes of the cluster (containerd, kubelet, kube-proxy)."""
        return bool(self.roles & {"control-plane", "worker"})

    @property
    def os_family(self) -> str:
        """The family whose package manager and paths the os uses: "debian" or "redhat"."""
        return "debian" if self.os.split("-")[0] in {"debian", "ubuntu"} else "redhat"


@dataclass(frozen=True, slots=True)
class Host:
    """One machine: facts of its own and nothing that its pool says."""

    name: str
    pool: Pool
    address: str
    secondary_address: str | None
    node_name: str
    zone: str | None
    pod_subnets: tuple[str, ...]
    labels: Mapping[str, str]
    ssh: Ssh
    components: Mapping[str, Override]
    files: tuple[ExtraFile, ...]
    own_disks: tuple[Disk, ...] = ()
    system: System = field(default_factory=System)

    @property
    def disks(self) -> tuple[Disk, ...]:
        """All data disks: those that its pool says every host has, and its own."""
        return (*self.pool.disks, *self.own_disks)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The primary address and, on a dual-stack host, the one of the other family."""
        return (self.address,) if self.secondary_address is None else (self.address, self.secondary_address)

    @property
    def node_labels(self) -> Mapping[str, str]:
        """All labels that the node is to carry: those of the pool, then the host's own."""
        return {**self.pool.labels, **self.labels}


@dataclass(frozen=True)
class Cluster:
    """A whole cluster. `sysctl` holds the user's own values, None where one of ours is to be left alone.

    `jenkins_ca` is the text of the file with the CAs that the delivery chain trusts, PEM; None where there is none.
    """

    name: str
    versions: Versions
    network: Network
    api: Api
    directories: Directories
    encryption: Encryption
    audit: Audit
    pki: PkiSettings
    runtime: Runtime
    verify: Verify
    artifacts: Artifacts
    ssh: Ssh
    sysctl: Mapping[str, str | None]
    pools: Mapping[str, Pool]
    hosts: tuple[Host, ...]
    components: Mapping[str, Override]
    files: tuple[ExtraFile, ...]
    firewall: Firewall
    warnings: tuple[str, ...] = ()
    addons: AddonsSpec = field(default_factory=AddonsSpec)
    backup: Backup = field(default_factory=Backup)
    system: System = field(default_factory=System)
    jenkins_ca: str | None = None

    @property
    def pod_dns_ips(self) -> tuple[str, ...]:
        """The name servers that kubelets tell pods: the Service of CoreDNS, or each node's own cache.

        The cache takes over the Service's address where kube-proxy lets it, and then pods are told nothing new.
        """
        local = self.addons.node_local_dns
        if local.enabled and self.network.proxy_mode != TAKES_SERVICE_ADDRESS:
            return (local.local_address,)
        return self.network.dns_ips

    def with_role(self, *roles: str) -> tuple[Host, ...]:
        """Return the hosts whose pool has any of the roles, sorted by name."""
        return tuple(host for host in self.hosts if host.pool.roles & set(roles))

    @cached_property
    def etcd_hosts(self) -> tuple[Host, ...]:
        """The hosts that run etcd."""
        return self.with_role("etcd")

    @cached_property
    def control_plane(self) -> tuple[Host, ...]:
        """The hosts that run an API server, a controller manager and a scheduler."""
        return self.with_role("control-plane")

    @cached_property
    def nodes(self) -> tuple[Host, ...]:
        """The hosts that are nodes of the cluster."""
        return self.with_role("control-plane", "worker")

    @property
    def service_account_issuer(self) -> str:
        """The issuer of service-account tokens, which follows the cluster's DNS domain."""
        return f"https://kubernetes.default.svc.{self.network.domain}"

    @property
    def node_api_url(self) -> str:
        """The URL by which a node enters the API: its own local balancer, or the endpoint where the spec says so."""
        if self.api.nodes_use == "endpoint":
            return self.external_api_url
        return f"https://127.0.0.1:{self.api.balancer_port}"

    @property
    def external_api_url(self) -> str:
        """The URL for people: the endpoint where there is one, else the first control-plane host."""
        if self.api.endpoint_host is not None:
            return f"https://{bracketed(self.api.endpoint_host)}:{self.api.endpoint_port}"
        return self.api_url(self.control_plane[0])

    @cached_property
    def vip_hosts(self) -> tuple[Host, ...]:
        """The hosts that carry the virtual address."""
        return () if self.api.vip is None else self.with_role(self.api.vip.role)

    def has_own_balancer(self, pool: Pool) -> bool:
        """Return whether hosts of a pool have a balancer of their own on loopback."""
        return pool.is_node and self.api.balancer != "none"

    def carries_vip(self, pool: Pool) -> bool:
        """Return whether hosts of a pool carry the virtual address."""
        return self.api.vip is not None and self.api.vip.role in pool.roles

    def carries_endpoint(self, pool: Pool) -> bool:
        """Return whether hosts of a pool stand in front of the API servers, with a virtual address or without."""
        return "load-balancer" in pool.roles or self.carries_vip(pool)

    def api_url(self, host: Host) -> str:
        """Return the URL of one host's own API server."""
        return f"https://{bracketed(host.address)}:{self.api.port}"

    @property
    def etcd_client_urls(self) -> tuple[str, ...]:
        """The client URLs of all members, in the order of names."""
        return tuple(f"https://{bracketed(host.address)}:2379" for host in self.etcd_hosts)

    @property
    def etcd_initial_cluster(self) -> str:
        """The value of etcd's initial-cluster: name=peer URL of every member."""
        return ",".join(f"{host.name}=https://{bracketed(host.address)}:2380" for host in self.etcd_hosts)


def is_address(text: str) -> bool:
    """Return whether a text that may be a name is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def bracketed(host: str) -> str:
    """Return a host as URLs write it: an IPv6 address in brackets, all else as it is."""
    return f"[{host}]" if ":" in host else host
