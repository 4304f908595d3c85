"""What may stand in clusters/<c>/cluster.yaml: the top of the models, and their JSON Schema for editors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from generator.spec.addons import AddonsSpec
from generator.spec.scalars import DnsLabel, SysctlValue
from generator.spec.schema_base import Section
from generator.spec.schema_cloud import CloudInitSpec
from generator.spec.schema_firewall import FirewallSpec, ListenerSpec
from generator.spec.schema_network import ApiSpec, NetworkSpec
from generator.spec.schema_pools import ComponentSpec, FileSpec, HostSpec, PoolSpec, SshSpec
from generator.spec.schema_settings import (
    ArtifactsSpec,
    AuditSpec,
    DirectoriesSpec,
    EncryptionSpec,
    PkiSpec,
    RuntimeSpec,
    VerifySpec,
    VersionsSpec,
)
from generator.spec.schema_system import SystemSpec


class MetadataSpec(Section):
    """Who the cluster is."""

    name: DnsLabel = Field(description="Name of the cluster: that of its folder below clusters/.")


class ClusterSpec(Section):
    """One cluster."""

    api_version: Literal["slipway.io/v1"] = Field(description="Version of this format.")
    kind: Literal["Cluster"] = Field(description="Always Cluster.")
    metadata: MetadataSpec = Field(description="Who the cluster is.")
    versions: VersionsSpec = Field(description="What runs.")
    node_naming: Literal["host", "address"] = Field(
        "host", description="Whether nodes are named as their hosts or by their addresses."
    )
    network: NetworkSpec = Field(NetworkSpec(), description="Ranges and names inside the cluster.")
    api: ApiSpec = Field(ApiSpec(), description="How the API is entered.")
    directories: DirectoriesSpec = Field(DirectoriesSpec(), description="Where hosts keep state, data and logs.")
    encryption: EncryptionSpec = Field(EncryptionSpec(), description="Encryption at rest in etcd.")
    audit: AuditSpec = Field(AuditSpec(), description="The API server's audit log.")
    pki: PkiSpec = Field(PkiSpec(), description="What certificates look like.")
    runtime: RuntimeSpec = Field(RuntimeSpec(), description="The container runtime.")
    verify: VerifySpec = Field(VerifySpec(), description="The functional test.")
    artifacts: ArtifactsSpec = Field(ArtifactsSpec(), description="Where binaries come from.")
    ssh: SshSpec = Field(SshSpec(), description="How hosts are entered.")
    cloud_init: CloudInitSpec | None = Field(
        None, description="User-data for cloud-init; without this section there is none."
    )
    sysctl: dict[str, SysctlValue | None] = Field(
        {}, description="Kernel parameters on all hosts; null leaves one of ours alone."
    )
    firewall: FirewallSpec = Field(FirewallSpec(), description="Who may reach which port of a host.")
    listeners: list[ListenerSpec] = Field([], description="Ports of your own on all hosts.")
    system: SystemSpec = Field(SystemSpec(), description="What hosts are set to, beneath Kubernetes.")
    pools: dict[DnsLabel, PoolSpec] = Field(min_length=1, description="Kinds of hosts, by name.")
    hosts: dict[str, HostSpec] = Field(
        min_length=1, description="Machines, by name; names and addresses may be ranges."
    )
    addons: AddonsSpec = Field(AddonsSpec(), description="What runs in the cluster (docs/addons.md).")
    components: dict[str, ComponentSpec] = Field({}, description="Overrides for the whole cluster, by component.")
    files: list[FileSpec] = Field([], description="Files of your own on all hosts.")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of cluster.yaml, for editors."""
    schema = ClusterSpec.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://slipway.io/schemas/v1/cluster.json",
        **schema,
    }
