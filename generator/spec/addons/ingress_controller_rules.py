"""Rules about ingress controllers, which hold for each of them and between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from generator.spec.addons.ingress_controllers import IngressSection
from generator.spec.yaml_source import Path

if TYPE_CHECKING:
    from generator.spec.addons import AddonsSpec
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster


class Controller(NamedTuple):
    """An ingress controller that is installed: what it is called, its key below `addons`, and its section."""

    name: str
    key: str
    section: IngressSection

    def at(self, *keys: str) -> Path:
        """Return the path of a field of its section."""
        return ("addons", self.key, *keys)


def controllers(addons: AddonsSpec) -> tuple[Controller, ...]:
    """Return the ingress controllers that are installed."""
    known = (
        Controller("traefik", "traefik", addons.traefik),
        Controller("ingress-nginx", "ingressNginx", addons.ingress_nginx),
    )
    return tuple(one for one in known if one.section.enabled)


def check_ingress_controllers(cluster: Cluster, findings: Findings) -> None:
    """Check each controller, and that two of them do not want the same. Ports of hosts stand in the port table."""
    found = controllers(cluster.addons)
    for one in found:
        _unused(one, findings)
        _ports(one, cluster, findings)
        _places(one, cluster, findings)
        if one.section.expose == "loadBalancer":
            what = "needs something that gives Services of type LoadBalancer an address, and Slipway installs nothing"
            findings.warn(one.at("expose"), what, "install one, such as MetalLB, or use hostPort or nodePort")
    _between(found, findings)


def _unused(one: Controller, findings: Findings) -> None:
    """Warn of what is written and has no effect."""
    section = one.section
    expose = f"expose is {section.expose}"
    by_field = {
        "replicas": (section.kind != "deployment", f"kind is {section.kind}"),
        "hostPorts": (section.expose != "hostPort", expose),
        "nodePorts": (section.expose == "hostPort", expose),
        "externalTrafficPolicy": (section.expose == "hostPort", expose),
        "loadBalancerClass": (section.expose != "loadBalancer", expose),
        "loadBalancerSourceRanges": (section.expose != "loadBalancer", expose),
    }
    for field, (unused, why) in by_field.items():
        if unused and one.at(field) in findings.document.lines:
            findings.warn(one.at(field), f"is not used: {why}", "take it out")


def _ports(one: Controller, cluster: Cluster, findings: Findings) -> None:
    section = one.section
    if section.expose == "hostPort":
        if section.host_ports.http == section.host_ports.https:
            what = f"is {section.host_ports.http} for HTTP and for HTTPS"
            findings.fault(one.at("hostPorts"), what, "give each a port of its own")
        return
    first, last = cluster.network.node_port_range
    for scheme, port in (("http", section.node_ports.http), ("https", section.node_ports.https)):
        if port is not None and not first <= port <= last:
            what = f"{port} lies outside network.nodePortRange {first}-{last}"
            findings.fault(one.at("nodePorts", scheme), what, "use a port of that range, or change the range")
    if section.node_ports.http is not None and section.node_ports.http == section.node_ports.https:
        what = f"is {section.node_ports.http} for HTTP and for HTTPS"
        findings.fault(one.at("nodePorts"), what, "give each a port of its own")
    minor = cluster.versions.minor
    if section.load_balancer_class is not None and section.expose == "loadBalancer" and minor < (1, 22):
        what = f"is not known to Kubernetes {cluster.versions.minor_text}, only from 1.22 on"
        findings.fault(one.at("loadBalancerClass"), what, "take it out")


def _places(one: Controller, cluster: Cluster, findings: Findings) -> None:
    for index, toleration in enumerate(one.section.tolerations):
        if toleration.operator == "Equal" and toleration.key is None:
            what = "names no key whose value could be equal"
            findings.fault((*one.at("tolerations"), index), what, "write key, or leave operator out")
    hosts = [host for host in cluster.nodes if one.section.may_run_on(host)]
    fitting = f"{len(hosts)} node{'' if len(hosts) == 1 else 's'}"
    if not hosts:
        at = one.at("nodeSelector") if one.section.node_selector else one.at()
        findings.warn(
            at,
            f"no node has the labels of nodeSelector and taints that {one.name} bears",
            "give a pool those labels, or write tolerations",
        )
    elif one.section.kind == "deployment" and one.section.expose == "hostPort" and one.section.replicas > len(hosts):
        what = f"{one.section.replicas} pods want the same ports of {fitting}, and each node has them once"
        findings.warn(one.at("replicas"), what, f"use {len(hosts)} or fewer, or kind: daemonset")


def _between(found: tuple[Controller, ...], findings: Findings) -> None:
    default = [one for one in found if one.section.default_class]
    for one in default[1:]:
        what = f"is true here and in addons.{default[0].key}: an Ingress without a class is refused or goes to either"
        findings.fault(one.at("defaultClass"), what, "let one of them be the default")
    taken: dict[int, Controller] = {}
    for one in found:
        if one.section.expose == "hostPort":
            continue
        for scheme, port in (("http", one.section.node_ports.http), ("https", one.section.node_ports.https)):
            if port is None:
                continue
            other = taken.setdefault(port, one)
            if other is not one:
                what = f"{port} is a node port of addons.{other.key} too"
                findings.fault(one.at("nodePorts", scheme), what, "use another one")
