"""The sections of cluster.yaml that say how the cluster is addressed: network and api."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generator.spec.scalars import (
    Addresses,
    Cidrs,
    Domain,
    Endpoint,
    MaskSizes,
    Port,
    PortRange,
    SubjectAlternativeName,
)
from generator.spec.schema_base import Section


class NetworkSpec(Section):
    """Ranges and names inside the cluster. Where two families are used, a list gives the primary one first."""

    pod_cidr: Cidrs = Field(
        ["10.244.0.0/16"], alias="podCIDR", description="Range of pod addresses; a list of two for dual stack."
    )
    service_cidr: Cidrs = Field(
        ["10.96.0.0/16"], alias="serviceCIDR", description="Range of Service addresses; a list of two for dual stack."
    )
    node_mask_size: MaskSizes | None = Field(
        None,
        description="Prefix length of each node's part of podCIDR, which the controller manager hands out, but not to "
        "plugin bridge: 24 for IPv4, 64 for IPv6 unless said.",
    )
    node_port_range: PortRange = Field("30000-32767", description="Ports of NodePort Services, first-last.")
    domain: Domain = Field("cluster.local", description="DNS domain of the cluster, without a dot at the end.")
    dns_ip: Addresses | None = Field(
        None, alias="dnsIP", description="Address of the cluster's DNS Service: the tenth of serviceCIDR unless said."
    )
    plugin: Literal["none", "bridge"] = Field(
        "none", description="Pod network: none (bring your own) or bridge (routes on a flat network, up to 50 hosts)."
    )
    proxy_mode: Literal["iptables", "ipvs", "nftables"] = Field(
        "iptables", description="How kube-proxy programs Services."
    )


class EndpointSpec(Section):
    """What stands in front of the API servers."""

    host: Endpoint = Field(description="Name or virtual IP by which people and tools outside enter the API.")
    port: Port | None = Field(None, description="Port of the endpoint: api.port unless said.")


class ApiSpec(Section):
    """How the API is entered."""

    port: Port = Field(6443, description="Port on which each API server listens.")
    endpoint: EndpointSpec | None = Field(
        None, description="Name or virtual IP in front of the API servers, if there is one."
    )
    extra_sans: list[SubjectAlternativeName] = Field(
        [], alias="extraSANs", description="Further names and addresses in the API servers' certificates."
    )
    balancer_port: Port = Field(
        8443, description="Port on 127.0.0.1 of each node's own API load balancer; never api.port."
    )
    anonymous_paths: list[Literal["/livez", "/readyz", "/healthz"]] = Field(
        [], description="Health paths open to requests without credentials (Kubernetes 1.32 and later)."
    )
