"""Flannel: a pod network by tunnels or by routes, for clusters that need no NetworkPolicy.

Sources: https://github.com/flannel-io/flannel/blob/master/Documentation/backends.md and configuration.md beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from generator.spec.addons.base import AddonSection, is_plugin
from generator.spec.scalars import complaint
from generator.spec.scalars_network import InterfaceName, Port
from generator.spec.versions import parts

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster
    from generator.spec.yaml_source import Path

PORTS = {"vxlan": 8472, "udp": 8285}
"""The UDP port of each backend that has tunnels."""

# runc 1.2.0 took /dev/net/tun from containers, and 1.2.4 gave it back (https://github.com/opencontainers/runc/pull/4556).
_NO_TUN = ((1, 2, 0), (1, 2, 4))


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise complaint(f"{text!r} is not a regular expression: {error}", "write one like ^en") from None
    return text


class FlannelSection(AddonSection):
    """Flannel, where network.plugin is flannel. Further knobs stand in addons.jsonnet (docs/addons/flannel.md)."""

    backend: Literal["vxlan", "host-gw", "udp"] = Field(
        "vxlan",
        description="How packets reach other nodes: VXLAN tunnels, routes on one layer-2 network, or tunnels of a "
        "program (for debugging).",
    )
    direct_routing: bool = Field(
        False, description="Routes in place of tunnels between nodes of one subnet (backend vxlan)."
    )
    vni: Annotated[int, Field(ge=1, le=16777215)] | None = Field(
        None, description="VXLAN network identifier: 1 unless said."
    )
    port: Port | None = Field(None, description="UDP port of the tunnels: 8472 for vxlan, 8285 for udp, unless said.")
    mtu: Annotated[int, Field(ge=1280, le=65535)] | None = Field(
        None, description="MTU of the network beneath the tunnels; that of the interface unless said (backend vxlan)."
    )
    interface: InterfaceName | None = Field(
        None, description="Interface between nodes; the one with the node's own address unless said."
    )
    interface_regex: Annotated[str, AfterValidator(_pattern)] | None = Field(
        None, description="Regular expression for the name or address of that interface, where names differ."
    )
    health_port: Port = Field(8081, description="Port on 127.0.0.1 at which flannel says whether it is ready.")

    @property
    def tunnel_port(self) -> int | None:
        """The UDP port at which nodes reach each other; None for a backend without tunnels."""
        return None if self.backend not in PORTS else self.port or PORTS[self.backend]


def check_flannel(cluster: Cluster, findings: Findings) -> None:
    """Check that the fields go with the backend, and the backend with the cluster."""
    flannel = cluster.addons.flannel
    at: Path = ("addons", "flannel")
    if not is_plugin(cluster, findings, "flannel"):
        return
    _fields(cluster, at, findings)
    if flannel.interface is not None and flannel.interface_regex is not None:
        what = "stands beside interface, which goes before it"
        findings.fault((*at, "interfaceRegex"), what, "keep one of the two")
    if flannel.backend == "host-gw":
        what = "host-gw needs every node on one layer-2 network, which no spec shows: a router in between drops packets"
        findings.warn((*at, "backend"), what, "make sure, or use vxlan with directRouting: true")
    elif flannel.backend == "udp":
        _udp(cluster, (*at, "backend"), findings)


def _fields(cluster: Cluster, at: Path, findings: Findings) -> None:
    flannel = cluster.addons.flannel
    given = {
        "directRouting": (flannel.direct_routing, ("vxlan",)),
        "vni": (flannel.vni is not None, ("vxlan",)),
        "mtu": (flannel.mtu is not None, ("vxlan",)),
        "port": (flannel.port is not None, ("vxlan", "udp")),
    }
    for key, (written, backends) in given.items():
        if written and flannel.backend not in backends:
            what = f"is for backend {' or '.join(backends)}, but backend is {flannel.backend}"
            findings.fault((*at, key), what, f"take it out, or use backend: {backends[0]}")


def _udp(cluster: Cluster, path: Path, findings: Findings) -> None:
    findings.warn(path, "udp copies every packet through a program: it is slow, and for debugging", "use vxlan")
    if any(":" in cidr for cidr in cluster.network.pod_cidrs):
        findings.fault(path, "udp carries IPv4 alone, but podCIDR has IPv6", "use vxlan or host-gw")
    runc = cluster.versions.runc
    if _NO_TUN[0] <= parts(runc) < _NO_TUN[1]:
        what = f"udp needs /dev/net/tun, which runc {runc} shuts to containers"
        findings.fault(path, what, "use vxlan, or versions.runc 1.2.4 or newer")
