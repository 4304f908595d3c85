"""The sections of cluster.yaml that say how the cluster is addressed: network and api."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from generator.spec.scalars_network import (
    Addresses,
    AddressWithPrefix,
    Cidrs,
    Domain,
    Endpoint,
    InterfaceName,
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
    plugin: Literal["none", "bridge", "calico", "flannel"] = Field(
        "none",
        description="Pod network: none (bring your own), bridge (routes on a flat network, up to 50 hosts), calico or "
        "flannel (addons.calico, addons.flannel).",
    )
    proxy_mode: Literal["iptables", "ipvs", "nftables"] = Field(
        "iptables", description="How kube-proxy programs Services."
    )


class EndpointSpec(Section):
    """What stands in front of the API servers."""

    host: Endpoint = Field(description="Name or virtual IP by which people and tools outside enter the API.")
    port: Port | None = Field(
        None, description="Port of the endpoint: that of the virtual address, else api.port, unless said."
    )


class VipSpec(Section):
    """A virtual address that moves between hosts: haproxy takes its connections, keepalived says who has it."""

    address: AddressWithPrefix = Field(
        description="The virtual address, with the prefix of the hosts' network by which it is checked: 10.0.0.100/24."
    )
    role: Literal["load-balancer", "control-plane"] = Field(description="Role of the hosts that carry it.")
    interface: InterfaceName | None = Field(
        None, description="Network interface that carries it; the one that has the host's own address unless said."
    )
    virtual_router_id: Annotated[int, Field(ge=1, le=255)] = Field(
        description="Number of the VRRP group, 1 to 255; no other group of the same network may have it."
    )
    priorities: dict[str, Annotated[int, Field(ge=1, le=254)]] = Field(
        min_length=1, description="Priority of each host that carries it, 1 to 254, each once; the highest one leads."
    )
    port: Port | None = Field(
        None, description="Port on which the virtual address takes API traffic: api.port unless said."
    )


class ApiSpec(Section):
    """How the API is entered."""

    port: Port = Field(6443, description="Port on which each API server listens.")
    endpoint: EndpointSpec | None = Field(
        None, description="Name or virtual IP in front of the API servers, if there is one."
    )
    vip: VipSpec | None = Field(
        None, description="A virtual address of Slipway's own in front of the API servers (docs/load-balancing.md)."
    )
    balancer: Literal["nginx", "haproxy", "none"] = Field(
        "nginx", description="Load balancer on each node's loopback address: passive checks, active ones, or none."
    )
    nodes_use: Literal["balancer", "endpoint"] = Field(
        "balancer", description="By which way nodes enter the API: each node's own balancer, or the endpoint or VIP."
    )
    bind: Literal["any", "address"] | None = Field(
        None,
        description="Where API servers listen: every address, or the host's own alone. The host's own where a balancer "
        "of the same host has the same port, else every address, unless said.",
    )
    extra_sans: list[SubjectAlternativeName] = Field(
        [], alias="extraSANs", description="Further names and addresses in the API servers' certificates."
    )
    balancer_port: Port = Field(
        8443,
        description="Port on 127.0.0.1 of each node's own API load balancer; it may be api.port, and API servers then "
        "listen on their host's own address alone.",
    )
    anonymous_paths: list[Literal["/livez", "/readyz", "/healthz"]] = Field(
        [], description="Health paths open to requests without credentials (Kubernetes 1.32 and later)."
    )
