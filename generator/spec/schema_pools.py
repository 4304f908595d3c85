"""The sections of cluster.yaml that say which hosts there are and how they are run: pools, hosts, overrides, files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from generator.spec.model import Role
from generator.spec.scalars import AbsolutePath, DnsLabel, Mode, RelativePath, Texts, Unavailable, UnitName, UserName
from generator.spec.scalars_network import Endpoint, Port
from generator.spec.scalars_system import PackageName
from generator.spec.schema_base import Section
from generator.spec.schema_cloud import PoolCloudInitSpec
from generator.spec.schema_disks import DiskSpec
from generator.spec.schema_firewall import ListenerSpec
from generator.spec.schema_system import SystemSpec


class ComponentSpec(Section):
    """What one layer says about one component; null removes what a weaker layer set."""

    flags: dict[str, Any] = Field(
        {}, description="Command-line flags without dashes; null removes, list-like flags add."
    )
    unsafe_flags: dict[str, Any] = Field(
        {}, description="Flags that Slipway owns, set nevertheless; a reviewer sees the word."
    )
    unit: dict[str, dict[str, Any]] = Field(
        {}, description="Keys of the systemd unit, by section; a list repeats a key."
    )
    config: dict[str, Any] = Field(
        {}, description="Fields of the component's configuration file, deep-merged into ours."
    )


class FileSpec(Section):
    """A file of your own on the hosts."""

    path: AbsolutePath = Field(description="Where it goes on the host.")
    source: RelativePath = Field(description="Where it lies, relative to cluster.yaml, such as files/proxy.conf.")
    mode: Mode = Field("0644", description="Octal mode in quotes.")
    owner: UserName = Field("root", description="User that owns it.")
    group: UserName = Field("root", description="Group that owns it.")
    restarts: list[UnitName] = Field([], description="Units to restart when it changes.")
    reloads: list[UnitName] = Field([], description="Units to reload when it changes.")


class TaintSpec(Section):
    """One taint of a pool's nodes."""

    key: str = Field(description="Key of the taint, such as dedicated.")
    value: str = Field("", description="Value of the taint; may be empty.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(description="What the taint does to pods.")


class GpuSpec(Section):
    """GPUs in the hosts of a pool."""

    vendor: Literal["nvidia"] = Field(description="Whose they are; only nvidia is known.")
    default_runtime: bool = Field(
        False, description="Whether every container runs under nvidia's runtime, or only pods of RuntimeClass nvidia."
    )
    taint: bool = Field(True, description="Whether the nodes carry nvidia.com/gpu:NoSchedule, which keeps others off.")
    driver_packages: list[PackageName] = Field(
        [], description="Packages that bring the driver; without, it is there already or comes some other way."
    )


class JumpSpec(Section):
    """One hop on the way to a host."""

    address: Endpoint = Field(description="Name or address of the jump host, or the name of a host of this cluster.")
    port: Port | None = Field(None, description="Its SSH port: 22, or that of the named host, unless said.")
    user: UserName | None = Field(
        None, description="Login on it: that of the cluster, or of the named host, unless said."
    )


class SshSpec(Section):
    """How hosts are entered."""

    user: UserName = Field("root", description="Login; one that is not root needs sudo.")
    port: Port = Field(22, description="Port of sshd.")
    jumps: list[JumpSpec] = Field([], description="Jump hosts in the order of travel.")


class HostSshSpec(Section):
    """What differs from the cluster's ssh section on one host."""

    user: UserName | None = Field(None, description="Login on this host: that of the cluster unless said.")
    port: Port | None = Field(None, description="Port of sshd on this host: that of the cluster unless said.")
    jumps: list[JumpSpec] | None = Field(None, description="Jump hosts to this host; [] connects directly.")


class PoolSpec(Section):
    """How its hosts are run. Every host belongs to exactly one pool."""

    roles: list[Role] = Field(min_length=1, description="What runs there: etcd, control-plane, worker, load-balancer.")
    os: str = Field("debian-12", description="Distribution and release, such as debian-12, ubuntu-24.04 or rocky-9.")
    arch: Literal["amd64", "arm64"] = Field("amd64", description="Architecture of the machines.")
    labels: dict[str, str] = Field({}, description="Labels of the pool's nodes.")
    taints: list[TaintSpec] | None = Field(
        None,
        description="Taints of the pool's nodes: that of the control plane where it is no worker unless said.",
    )
    max_unavailable: Unavailable = Field(
        "1", description="How many nodes may be down at once in an apply: a number or a percentage."
    )
    listeners: list[ListenerSpec] = Field(
        [], description="Ports of your own on hosts of this pool, beside the cluster's; of one port this line counts."
    )
    gpu: GpuSpec | None = Field(None, description="GPUs that every host of this pool has; without, nothing is done.")
    disks: list[DiskSpec] = Field([], description="Data disks that every host of this pool has.")
    system: SystemSpec = Field(SystemSpec(), description="What its hosts are set to, over the cluster's.")
    cloud_init: PoolCloudInitSpec | None = Field(
        None, description="What differs from the cluster's cloudInit section on hosts of this pool."
    )
    components: dict[str, ComponentSpec] = Field({}, description="Overrides for hosts of this pool.")
    files: list[FileSpec] = Field([], description="Files of your own on hosts of this pool.")


class HostSpec(Section):
    """One machine, or a range of them when its name is one: worker-[001:050]."""

    pool: str = Field(description="Name of the pool to which the host belongs.")
    address: str = Field(description="IP address of the host; a range when the name is one: 10.0.1.[1:50].")
    secondary_address: str | None = Field(None, description="Address of the other family on a dual-stack host.")
    zone: DnsLabel | None = Field(
        None, description="Machine room or failure domain; becomes the label topology.kubernetes.io/zone."
    )
    pod_subnet: Texts | None = Field(
        None, description="The host's own part of podCIDR, for the bridge plugin only; a list of two for dual stack."
    )
    labels: dict[str, str] = Field({}, description="Labels of this node, on top of the pool's.")
    ssh: HostSshSpec = Field(HostSshSpec(), description="What differs from the cluster's ssh section.")
    disks: list[DiskSpec] = Field([], description="Data disks of this host, beside those of its pool.")
    system: SystemSpec = Field(SystemSpec(), description="What this host is set to, over its pool's.")
    components: dict[str, ComponentSpec] = Field({}, description="Overrides for this host.")
    files: list[FileSpec] = Field([], description="Files of your own on this host.")
