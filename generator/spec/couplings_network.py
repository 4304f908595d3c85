"""Rules about ranges: pods, Services, DNS, node ports, the API endpoint. None needs the list of hosts."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Network, IPv6Network

from generator.spec.faults import Findings
from generator.spec.model import Cluster
from generator.spec.yaml_source import Path

_LARGEST_SERVICE_RANGE = {4: 12, 6: 108}
_SMALLEST_SERVICE_RANGE = {4: 28, 6: 124}
_UNUSABLE = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
_KCM_MASK_SPAN = 16


def check_network(cluster: Cluster, findings: Findings) -> None:
    """Check the ranges of the cluster against each other."""
    network = cluster.network
    _families(cluster, findings)
    for key, cidrs in (("podCIDR", network.pod_cidrs), ("serviceCIDR", network.service_cidrs)):
        for cidr in cidrs:
            for other in _UNUSABLE:
                if overlap(cidr, other):
                    findings.fault(
                        ("network", key),
                        f"{cidr} reaches into {other}, which is not for unicast",
                        "use a private range",
                    )
    for pods in network.pod_cidrs:
        for services in network.service_cidrs:
            if overlap(pods, services):
                what = f"the pod range {pods} and the service range {services} overlap"
                findings.fault(("network", "podCIDR"), what, "let them be apart")
    _service_ranges(cluster, findings)
    _mask_sizes(cluster, findings)
    _endpoint(cluster, findings)
    if cluster.api.anonymous_paths and cluster.versions.minor < (1, 32):
        what = f"Kubernetes {cluster.versions.minor_text} cannot open single paths (KEP-4633 is on from 1.32)"
        findings.fault(
            ("api", "anonymousPaths"), what, "take them out and check health with a client certificate, or by TCP"
        )


def overlap(one: str, other: str) -> bool:
    """Return whether two ranges share an address; ranges of different families never do."""
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return first.version == second.version and first.overlaps(second)


def contains(cidr: str, address: str) -> bool:
    """Return whether an address lies in a range."""
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _family(cidr: str) -> int:
    return ipaddress.ip_network(cidr).version


def _families(cluster: Cluster, findings: Findings) -> None:
    network = cluster.network
    pods = [_family(cidr) for cidr in network.pod_cidrs]
    services = [_family(cidr) for cidr in network.service_cidrs]
    for key, families in (("podCIDR", pods), ("serviceCIDR", services)):
        if len(families) == 2 and families[0] == families[1]:
            findings.fault(("network", key), f"holds two ranges of IPv{families[0]}", "give one range for each family")
    if pods[0] != services[0]:
        what = f"the first service range is IPv{services[0]}, the first pod range IPv{pods[0]}"
        findings.fault(("network", "serviceCIDR"), what, "let both begin with the same family")
    elif not set(services) <= set(pods):
        findings.fault(
            ("network", "serviceCIDR"), "has a family that podCIDR lacks", "give podCIDR a range of that family too"
        )
    if len(network.node_mask_sizes) != len(network.pod_cidrs):
        what = f"has {len(network.node_mask_sizes)} sizes for {len(network.pod_cidrs)} pod ranges"
        findings.fault(("network", "nodeMaskSize"), what, "give one size for each range of podCIDR")


def _service_ranges(cluster: Cluster, findings: Findings) -> None:
    network = cluster.network
    path: Path = ("network", "serviceCIDR")
    fit = True
    for cidr in network.service_cidrs:
        range_ = ipaddress.ip_network(cidr)
        if range_.prefixlen < _LARGEST_SERVICE_RANGE[range_.version]:
            most = _LARGEST_SERVICE_RANGE[range_.version]
            findings.fault(path, f"{cidr} is larger than the API server takes", f"use /{most} or a smaller range")
        if range_.prefixlen > _SMALLEST_SERVICE_RANGE[range_.version]:
            fit = False
            findings.fault(
                path,
                f"{cidr} has no room for Services",
                f"use /{_SMALLEST_SERVICE_RANGE[range_.version]} or a larger range",
            )
    at: Path = ("network", "dnsIP")
    if len(network.dns_ips) != len(network.service_cidrs):
        what = f"has {len(network.dns_ips)} addresses for {len(network.service_cidrs)} service ranges"
        findings.fault(at, what, "give one address for each range of serviceCIDR")
        return
    for address, cidr in zip(network.dns_ips, network.service_cidrs, strict=True):
        if fit:
            _dns_address(address, ipaddress.ip_network(cidr), at, findings)


def _dns_address(address: str, services: IPv4Network | IPv6Network, path: Path, findings: Findings) -> None:
    ip = ipaddress.ip_address(address)
    todo = f"use one inside, such as {services[10]}"
    if ip not in services:
        findings.fault(path, f"{address} is outside the service range {services}", todo)
    elif ip == services[1]:
        findings.fault(path, f"{address} is the first of {services}, which the Service kubernetes takes", todo)
    elif ip in {services[0], services[-1]}:
        findings.fault(path, f"{address} is the edge of {services}, which no Service can have", todo)


def _mask_sizes(cluster: Cluster, findings: Findings) -> None:
    network = cluster.network
    for cidr, size in zip(network.pod_cidrs, network.node_mask_sizes, strict=False):
        range_ = ipaddress.ip_network(cidr)
        path: Path = ("network", "nodeMaskSize")
        if not range_.prefixlen <= size <= range_.max_prefixlen - 2:
            what = f"a node's part of /{size} does not fit into {range_}"
            findings.fault(path, what, f"use a size from {range_.prefixlen} to {range_.max_prefixlen - 2}")
        elif size - range_.prefixlen > _KCM_MASK_SPAN:
            what = f"/{size} is more than {_KCM_MASK_SPAN} bits from {range_}, which the controller manager refuses"
            findings.fault(path, what, f"use at most {range_.prefixlen + _KCM_MASK_SPAN}")


def _endpoint(cluster: Cluster, findings: Findings) -> None:
    host = cluster.api.endpoint_host
    path: Path = ("api", "endpoint", "host")
    if host is None or (cluster.api.vip is not None and cluster.api.vip.address == host):
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == cluster.network.domain or host.endswith(f".{cluster.network.domain}"):
            what = f"{host} lies in the cluster's own domain, which only pods can resolve"
            findings.fault(path, what, "use a name of your own DNS, or another network.domain")
        return
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
        findings.fault(
            path, f"{host} is not an address that others can reach", "use a virtual IP of the hosts' network"
        )
    for key, cidrs in (("podCIDR", cluster.network.pod_cidrs), ("serviceCIDR", cluster.network.service_cidrs)):
        for cidr in cidrs:
            if contains(cidr, host):
                findings.fault(path, f"{host} lies in network.{key} {cidr}", "use a virtual IP of the hosts' network")
