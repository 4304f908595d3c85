"""The sections of a loaded spec that say how pods, Services and the API are reached; complete and immutable."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from generator.spec.layout import apiserver_balancer


@dataclass(frozen=True, slots=True)
class Network:
    """Ranges; the first of a tuple is the primary family. `node_mask_sizes` pairs with `pod_cidrs`."""

    pod_cidrs: tuple[str, ...]
    service_cidrs: tuple[str, ...]
    node_mask_sizes: tuple[int, ...]
    node_port_range: tuple[int, int]
    domain: str
    dns_ips: tuple[str, ...]
    plugin: str
    proxy_mode: str

    @property
    def service_ips(self) -> tuple[str, ...]:
        """The first address of each service range: the Service `kubernetes`."""
        return tuple(str(ipaddress.ip_network(cidr)[1]) for cidr in self.service_cidrs)

    @property
    def allocates_node_cidrs(self) -> bool:
        """Whether the controller manager hands out pod ranges, as a network of the user's own may need it to.

        Flannel and others take their node's range from it, and those with an address pool of their own pass over it.
        Only the bridge plugin states its own.
        """
        return self.plugin != "bridge"


@dataclass(frozen=True, slots=True)
class Vip:
    """A virtual address, which the hosts of a role carry; `interface` None is the one with the host's own address."""

    address: str
    prefix_length: int
    role: str
    interface: str | None
    virtual_router_id: int
    priorities: Mapping[str, int]
    port: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return ipaddress.ip_address(self.address).version

    @property
    def has_password(self) -> bool:
        """Whether its hosts know each other by a password: VRRP has one in version 2, which carries IPv4 alone."""
        return self.family == 4

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """The network in which it is put on an interface; of one address where the spec names no prefix."""
        return ipaddress.ip_network(f"{self.address}/{self.prefix_length}", strict=False)


@dataclass(frozen=True, slots=True)
class Api:
    """How the API is entered. `endpoint` is a name or address in front of the API servers (a VIP's own), or None.

    `balancer` is nginx, haproxy or none, on each node; `nodes_use` balancer or endpoint; `bind` any or address.
    """

    port: int
    endpoint_host: str | None
    endpoint_port: int
    extra_sans: tuple[str, ...]
    balancer_port: int
    anonymous_paths: tuple[str, ...]
    balancer: str
    nodes_use: str
    bind: str
    vip: Vip | None

    @property
    def balancer_name(self) -> str:
        """The name of each node's own balancer, which holds its port."""
        return apiserver_balancer(self.balancer_port)

    @property
    def balancer_shares_port(self) -> bool:
        """Whether each node's own balancer has the port of the API servers."""
        return self.balancer != "none" and self.balancer_port == self.port

    @property
    def vip_shares_port(self) -> bool:
        """Whether the virtual address has, on the hosts of the API servers, their port."""
        return self.vip is not None and self.vip.role == "control-plane" and self.vip.port == self.port

    @property
    def front_port(self) -> int:
        """The port on which hosts in front of the API servers take API traffic."""
        return self.endpoint_port if self.vip is None else self.vip.port
