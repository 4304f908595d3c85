"""Rules about the bridge plugin: each node states its own part of the pod range, on a flat network."""

from __future__ import annotations

import ipaddress

from generator.spec.faults import Findings
from generator.spec.model import Cluster
from generator.spec.yaml_source import Path

MOST_HOSTS = 50


def check_bridge(cluster: Cluster, findings: Findings) -> None:
    """Check the pod subnets of hosts."""
    if cluster.network.plugin != "bridge":
        for host in cluster.hosts:
            if host.pod_subnets:
                what = f"podSubnet is for plugin bridge, but network.plugin is {cluster.network.plugin}"
                findings.fault(
                    (*findings.host_paths[host.name], "podSubnet"), what, "take it out, or use plugin: bridge"
                )
        return
    if len(cluster.nodes) > MOST_HOSTS:
        what = (
            f"bridge is for up to {MOST_HOSTS} nodes, since each routes to every other; there are {len(cluster.nodes)}"
        )
        findings.fault(("network", "plugin"), what, "use plugin: none and install a network of your own")
    taken: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]] = []
    for host in cluster.hosts:
        path: Path = (*findings.host_paths[host.name], "podSubnet")
        if not host.pool.is_node:
            if host.pod_subnets:
                findings.fault(path, f"{host.name} is no node and runs no pods", "take podSubnet out")
            continue
        if len(host.pod_subnets) != len(cluster.network.pod_cidrs):
            count, ranges = len(host.pod_subnets), len(cluster.network.pod_cidrs)
            what = (
                f"{host.name} has {count} podSubnets for {ranges} pod ranges"
                if count
                else f"{host.name} has no podSubnet, which plugin bridge needs"
            )
            findings.fault(path, what, "give each node its own part of podCIDR, one for each family")
            continue
        for text, cidr in zip(host.pod_subnets, cluster.network.pod_cidrs, strict=True):
            subnet, pods = ipaddress.ip_network(text), ipaddress.ip_network(cidr)
            if subnet.version != pods.version or subnet.prefixlen < pods.prefixlen or not subnet.overlaps(pods):
                findings.fault(path, f"{text} of {host.name} is outside podCIDR {cidr}", "take a part of podCIDR")
                continue
            if subnet.prefixlen > subnet.max_prefixlen - 3:
                findings.fault(
                    path, f"{text} of {host.name} has no room for pods", f"use at least /{subnet.max_prefixlen - 3}"
                )
            for other, owner in taken:
                if other.version == subnet.version and other.overlaps(subnet):
                    findings.fault(
                        path,
                        f"{text} of {host.name} overlaps {other} of {owner}",
                        "give each node its own part of podCIDR",
                    )
                    break
            taken.append((subnet, host.name))
