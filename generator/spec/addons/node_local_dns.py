"""NodeLocal DNS: a cache of names on every node, at an address that each node has for itself.

In proxy mode iptables it takes over the address of the Service kube-dns too, by rules that keep such packets from
connection tracking and so from kube-proxy; pods are told nothing new. ipvs puts that address on an interface of its own
(https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/), and for nftables the program sets no rules
(https://github.com/kubernetes/dns/issues/682), so in both kubelets tell pods the local address.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from generator.spec.addons.base import AddonSection
from generator.spec.addons.coredns import name_server_address
from generator.spec.scalars_network import Address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from generator.spec.faults import Findings
    from generator.spec.model import Cluster, Override
    from generator.spec.yaml_source import Path

TAKES_SERVICE_ADDRESS = "iptables"
"""The one mode of kube-proxy in which the cache can answer at the address of the Service."""


class NodeLocalDnsSection(AddonSection):
    """NodeLocal DNS. Further knobs stand in addons.jsonnet (docs/addons/node-local-dns.md)."""

    enabled: bool = Field(False, description="Whether each node caches names for its pods; needs coredns.")
    local_address: Address = Field(
        "169.254.20.10",
        description="Address of the cache, the same on every node and known to that node alone; of the family of the "
        "first network.dnsIP.",
    )
    metrics: Literal["host", "cluster"] = Field(
        "host", description="Who can read its metrics (ports 9253 and 9353): the host itself, or all hosts and pods."
    )


def check_node_local_dns(cluster: Cluster, findings: Findings) -> None:
    """Check that the cache has somebody to ask, and an address that nobody else has."""
    local, at = cluster.addons.node_local_dns, ("addons", "nodeLocalDNS")
    if not local.enabled:
        return
    if not cluster.addons.coredns.enabled:
        what = "is on, but coredns is off: the cache asks the Service of CoreDNS"
        findings.fault((*at, "enabled"), what, "take it out, or let coredns run")
    elif cluster.addons.coredns.extra_server_blocks:
        what = "passes over coredns.extraServerBlocks: it asks upstream itself for names outside the cluster"
        todo = "use coredns.stubDomains, or repeat them in nodeLocalDNS.extraServerBlocks of addons.jsonnet"
        findings.warn((*at, "enabled"), what, todo)
    _address(cluster, local.local_address, (*at, "localAddress"), findings)
    _kubelets(cluster, findings)


def _address(cluster: Cluster, text: str, path: Path, findings: Findings) -> None:
    address, network = ipaddress.ip_address(text), cluster.network
    family = ipaddress.ip_address(network.dns_ips[0]).version
    example = "169.254.20.10" if family == 4 else "fd00:53::10"
    if address.version != family:
        what = f"{text} is IPv{address.version}, but the first network.dnsIP is IPv{family}"
        findings.fault(path, what, f"use an address like {example}")
        return
    unusable = address.is_loopback or address.is_unspecified or address.is_multicast
    if unusable or (address.version == 6 and address.is_link_local):
        findings.fault(path, f"{text} cannot be an address that pods ask", f"use an address like {example}")
    for key, cidrs in (("podCIDR", network.pod_cidrs), ("serviceCIDR", network.service_cidrs)):
        for cidr in cidrs:
            if address in ipaddress.ip_network(cidr):
                findings.fault(path, f"{text} lies in network.{key} {cidr}", f"use an address like {example}")
    owners = {one: host.name for host in cluster.hosts for one in host.addresses}
    if cluster.api.vip is not None:
        owners[cluster.api.vip.address] = "the virtual address"
    if text in owners:
        what = f"{text} is an address of {owners[text]}, but each node is to have it for itself"
        findings.fault(path, what, f"use an address like {example}")
    dns = cluster.addons.coredns
    asked = [*dns.upstream, *(server for servers in dns.stub_domains.values() for server in servers)]
    if text in {name_server_address(server) for server in asked}:
        findings.fault(path, f"{text} is asked by coredns, which the cache asks", "name another server there")


def _kubelets(cluster: Cluster, findings: Findings) -> None:
    """Warn where an override of kubelets tells pods a server that is not the cache."""
    layers: list[tuple[Path, Mapping[str, Override]]] = [((), cluster.components)]
    layers += [(("pools", pool.name), pool.components) for pool in cluster.pools.values()]
    layers += [(findings.host_paths[host.name], host.components) for host in cluster.hosts]
    for path, components in layers:
        told = components["kubelet"].config.get("clusterDNS") if "kubelet" in components else None
        if isinstance(told, list) and not set(cluster.pod_dns_ips) & set(told):
            what = f"tells pods {', '.join(told)}, where addons.nodeLocalDNS does not listen"
            at = (*path, "components", "kubelet", "config", "clusterDNS")
            findings.warn(at, what, f"take it out, or name {cluster.pod_dns_ips[0]}")
