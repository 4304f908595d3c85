"""Calico: pods reach pods through VXLAN, IP in IP or plain routes, and NetworkPolicy is enforced.

Field by field: https://docs.tigera.io/calico/latest/reference/ and the manifest of each release
(https://github.com/projectcalico/calico/blob/master/manifests/calico-typha.yaml).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from generator.spec.addons.base import AddonSection, is_plugin
from generator.spec.scalars import complaint
from generator.spec.scalars_network import Address, Port
from generator.spec.schema_base import Section

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster
    from generator.spec.yaml_source import Path

NAME = "calico"
TYPHA_ABOVE = 50
"""Upstream recommends Typha above this many nodes (comment of its calico-typha.yaml)."""

_HERE: Path = ("addons", "calico")
_IPV6_VXLAN_SINCE = (1, 23)
"""The first minor that gets a Calico with VXLAN for IPv6, which is there from 3.23 on (addons/calico/releases)."""
_INSTALLER_FIXED_SINCE = (1, 24)
"""The first minor that gets a Calico without CVE-2024-33522: 3.27.5 (addons/calico/releases). No release that was
tested with an older minor has the fix, which came with 3.26.5 and 3.27.3
(https://github.com/advisories/GHSA-6362-gv4m-53ww)."""

_PATTERN = r"[A-Za-z0-9_.*+?^$()|\[\]\\-]+"
_METHODS = re.compile(
    r"first-found|kubernetes-internal-ip|can-reach=[A-Za-z0-9.:-]+"
    rf"|(?:skip-)?interface={_PATTERN}(?:,{_PATTERN})*|cidr=[0-9a-fA-F.:/]+(?:,[0-9a-fA-F.:/]+)*"
)


def _method(text: str) -> str:
    good = _METHODS.fullmatch(text) is not None
    name, _, values = text.partition("=")
    try:
        if good and name == "cidr":
            for value in values.split(","):
                ipaddress.ip_network(value)
        if good and name.endswith("interface"):
            for value in values.split(","):
                re.compile(value)
    except (ValueError, re.error):
        good = False
    if not good:
        raise complaint(
            f"{text!r} is no way to find a node's address",
            "write kubernetes-internal-ip, first-found, can-reach=<address or name>, interface=<patterns>, "
            "skip-interface=<patterns> or cidr=<ranges>, several joined by commas",
        )
    return text


def _switch(value: Any) -> Any:
    if value == "auto" or isinstance(value, bool):
        return value
    raise complaint(f"{value!r} is neither auto nor true or false", "write one of the three, without quotes")


Method = Annotated[str, AfterValidator(_method)]
AsNumber = Annotated[int, Field(ge=1, le=4294967295)]


class CalicoPeer(Section):
    """A router outside of the cluster that learns the routes to pods."""

    address: Address = Field(description="Its address.")
    as_number: AsNumber = Field(examples=[64513], description="Number of its autonomous system.")
    node_selector: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Nodes that speak to it, as a selector of Calico like rack == 'a'; every node unless said.",
    )


class CalicoBgp(Section):
    """How nodes exchange routes. Only modes with BIRD use it: ipip, ipip-cross-subnet and bgp."""

    as_number: AsNumber = Field(64512, description="Number of the autonomous system of all nodes.")
    node_mesh: bool = Field(
        True, description="Whether every node speaks to every other; without, route reflectors or peers must know all."
    )
    peers: list[CalicoPeer] = Field([], description="Routers outside of the cluster.")


class CalicoTypha(Section):
    """Typha stands between agents and API, which then serves a few watches in place of thousands."""

    enabled: Annotated[Literal["auto"] | bool, BeforeValidator(_switch)] = Field(
        "auto", description=f"Whether it runs; auto: above {TYPHA_ABOVE} nodes, as upstream advises."
    )
    replicas: Annotated[int, Field(ge=1, le=20)] | None = Field(
        None, description="Its pods; by the number of nodes unless said: one for each 150, and three at least."
    )


class CalicoMetrics(Section):
    """Metrics for Prometheus, in plain HTTP on the network of the hosts."""

    enabled: bool = Field(False, description="Whether the agents and Typha serve metrics.")
    felix_port: Port = Field(9091, description="Port of the agent of each node.")
    typha_port: Port = Field(9093, description="Port of Typha.")


class CalicoSection(AddonSection):
    """Calico; it runs with network.plugin: calico."""

    mode: Literal["vxlan", "vxlan-cross-subnet", "ipip", "ipip-cross-subnet", "bgp"] = Field(
        "vxlan",
        description="How packets travel between nodes: in tunnels (vxlan, which asks nothing of the network, or ipip), "
        "in tunnels only between subnets (-cross-subnet), or as they are (bgp).",
    )
    mtu: Annotated[int, Field(ge=1280, le=9216)] | None = Field(
        None, description="MTU of pods, the overhead of tunnels taken off; found out on each node unless said."
    )
    ip_autodetection: Method = Field(
        "kubernetes-internal-ip",
        description="How a node finds its address for other nodes: kubernetes-internal-ip, first-found, can-reach=…, "
        "interface=…, skip-interface=… or cidr=….",
    )
    ip_autodetection_ipv6: Method | None = Field(
        None,
        alias="ipAutodetectionIPv6",
        description="The same for IPv6; like ipAutodetection unless said.",
    )
    block_size: Annotated[int, Field(ge=20, le=32)] = Field(
        26, description="Prefix length of the blocks of IPv4 addresses that nodes take; it never changes afterwards."
    )
    block_size_ipv6: Annotated[int, Field(ge=116, le=128)] = Field(
        122, alias="blockSizeIPv6", description="The same for IPv6."
    )
    nat_outgoing: bool = Field(
        True, description="Whether pods take their node's address when they call what is no pod of the cluster."
    )
    bgp: CalicoBgp = Field(CalicoBgp(), description="How nodes exchange routes in modes with BIRD.")
    typha: CalicoTypha = Field(CalicoTypha(), description="What relieves the API in large clusters.")
    metrics: CalicoMetrics = Field(CalicoMetrics(), description="Metrics for Prometheus.")

    @property
    def runs_bird(self) -> bool:
        """Whether nodes exchange routes by BGP; with VXLAN each node knows them from the API."""
        return not self.mode.startswith("vxlan")


def typha_wanted(cluster: Cluster) -> bool:
    """Return whether Typha stands between Calico's agents and the API."""
    if cluster.network.plugin != NAME:
        return False
    enabled = cluster.addons.calico.typha.enabled
    return len(cluster.nodes) > TYPHA_ABOVE if enabled == "auto" else bool(enabled)


def check_calico(cluster: Cluster, findings: Findings) -> None:
    """Check Calico against the ranges of the cluster, its nodes and its version."""
    if not is_plugin(cluster, findings, NAME):
        return
    _release(cluster, findings)
    _families(cluster, findings)
    _blocks(cluster, findings)
    _bgp(cluster, findings)
    _peers(cluster, findings)
    _rest(cluster, findings)


def _release(cluster: Cluster, findings: Findings) -> None:
    if cluster.versions.minor >= _INSTALLER_FIXED_SINCE:
        return
    what = (
        f"calico has no release for Kubernetes {cluster.versions.minor_text} with the fix of CVE-2024-33522: its "
        "plugins lie on nodes as programs that run as root whoever calls them, and every user of a node may become root"
    )
    todo = "let only administrators log in to nodes, or go to Kubernetes 1.24 or later (docs/addons/calico.md)"
    findings.warn(("network", "plugin"), what, todo)


def _families(cluster: Cluster, findings: Findings) -> None:
    calico, path = cluster.addons.calico, (*_HERE, "mode")
    if not any(":" in cidr for cidr in cluster.network.pod_cidrs):
        return
    if calico.mode.startswith("ipip"):
        findings.fault(path, "IP in IP carries no IPv6, of which podCIDR has a range", "use a mode of vxlan, or bgp")
    elif not calico.runs_bird and cluster.versions.minor < _IPV6_VXLAN_SINCE:
        what = f"the Calico for Kubernetes {cluster.versions.minor_text} has no VXLAN for IPv6, which came with 3.23"
        findings.fault(path, what, "use mode: bgp, or a newer Kubernetes")
    method = calico.ip_autodetection
    both = len(cluster.network.pod_cidrs) == 2
    if both and calico.ip_autodetection_ipv6 is None and method.startswith(("can-reach=", "cidr=")):
        what = f"{method} finds addresses of one family, and podCIDR has two"
        findings.fault((*_HERE, "ipAutodetection"), what, "say ipAutodetectionIPv6 as well")


def _blocks(cluster: Cluster, findings: Findings) -> None:
    calico, nodes = cluster.addons.calico, len(cluster.nodes)
    for cidr in cluster.network.pod_cidrs:
        range_ = ipaddress.ip_network(cidr)
        key, size = (
            ("blockSize", calico.block_size) if range_.version == 4 else ("blockSizeIPv6", calico.block_size_ipv6)
        )
        if size < range_.prefixlen:
            what = f"a block of /{size} does not fit into podCIDR {cidr}"
            findings.fault((*_HERE, key), what, f"use a size from {max(range_.prefixlen, 20)} on, or a larger podCIDR")
        elif 2 ** (size - range_.prefixlen) < nodes:
            blocks = 2 ** (size - range_.prefixlen)
            what = f"podCIDR {cidr} holds fewer blocks of /{size} ({blocks}) than there are nodes ({nodes})"
            findings.fault((*_HERE, key), what, "use smaller blocks (a larger number), or a larger podCIDR")


def _bgp(cluster: Cluster, findings: Findings) -> None:
    calico = cluster.addons.calico
    if not calico.runs_bird:
        if calico.bgp != CalicoBgp():
            what = f"is not used: mode {calico.mode} runs no BGP, each node knows the routes from the API"
            findings.fault((*_HERE, "bgp"), what, "use mode: bgp or ipip, or take it out")
    elif not calico.bgp.node_mesh and not calico.bgp.peers:
        what = "is off and bgp.peers names nobody, so no node would learn the way to the pods of another"
        findings.fault((*_HERE, "bgp", "nodeMesh"), what, "name peers, or let the mesh on")


def _peers(cluster: Cluster, findings: Findings) -> None:
    seen: set[tuple[str, str | None]] = set()
    families = {":" in cidr for cidr in cluster.network.pod_cidrs}
    for index, peer in enumerate(cluster.addons.calico.bgp.peers):
        path: Path = (*_HERE, "bgp", "peers", index)
        if (peer.address, peer.node_selector) in seen:
            findings.fault(path, f"{peer.address} is listed twice for the same nodes", "let one of them stand")
        seen.add((peer.address, peer.node_selector))
        if (":" in peer.address) not in families:
            family = 6 if ":" in peer.address else 4
            what = f"{peer.address} is a peer of IPv{family}, but podCIDR has no such range to tell it"
            findings.fault((*path, "address"), what, "name its address of the family of podCIDR")


def _rest(cluster: Cluster, findings: Findings) -> None:
    calico = cluster.addons.calico
    if calico.typha.replicas is not None and not typha_wanted(cluster):
        what = f"is not used: Typha does not run here ({len(cluster.nodes)} nodes)"
        findings.warn((*_HERE, "typha", "replicas"), what, "use enabled: true, or take it out")
    if calico.metrics.enabled and calico.metrics.felix_port == calico.metrics.typha_port:
        what = f"{calico.metrics.typha_port} is the port of the agents too, beside which Typha runs"
        findings.fault((*_HERE, "metrics", "typhaPort"), what, "use another port")


def peer_addresses(cluster: Cluster) -> Iterator[str]:
    """Yield the addresses of routers outside of the cluster that call the nodes."""
    yield from dict.fromkeys(peer.address for peer in cluster.addons.calico.bgp.peers)
