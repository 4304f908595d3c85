"""On which ports of hosts addons listen: parts of the table in generator/spec/ports.py."""

from __future__ import annotations

from collections.abc import Iterator

from generator.spec.addons.calico import NAME as CALICO
from generator.spec.addons.calico import peer_addresses, typha_wanted
from generator.spec.addons.ingress_controller_rules import controllers
from generator.spec.listener import HOST_ITSELF, IPIP, LOOPBACK, Caller, Listener, Scope
from generator.spec.model import Cluster, Pool
from generator.spec.yaml_source import Path

DETECTOR_HEALTH = 20256
DETECTOR_METRICS = 20257
CALICO_VXLAN = 4789
CALICO_BGP = 179
CALICO_HEALTH = 9099
TYPHA = 5473
TYPHA_HEALTH = 9098
DNS = 53
LOCAL_DNS_HEALTH = 8080
LOCAL_DNS_METRICS = 9253
LOCAL_DNS_SETUP_METRICS = 9353


def node_listeners(cluster: Cluster) -> Iterator[Listener]:
    """Yield what addons listen on, on every node."""
    yield from _calico(cluster)
    yield from _flannel(cluster)
    yield from _node_local_dns(cluster)
    if cluster.addons.node_problem_detector.enabled:
        enabled: Path = ("addons", "nodeProblemDetector", "enabled")
        yield Listener(DETECTOR_HEALTH, "node-problem-detector", "health", enabled)
        yield Listener(DETECTOR_METRICS, "node-problem-detector", "metrics", enabled)


def host_ports(cluster: Cluster, pool: Pool) -> Iterator[Listener]:
    """Yield the ports of ingress controllers on hosts of which any may run their pods."""
    for one in controllers(cluster.addons):
        hosts = (host for host in cluster.hosts if host.pool.name == pool.name)
        if one.section.expose == "hostPort" and any(one.section.may_run_on(host) for host in hosts):
            for scheme, port in (("http", one.section.host_ports.http), ("https", one.section.host_ports.https)):
                field = one.at("hostPorts", scheme)
                yield Listener(port, one.name, f"{scheme.upper()} of Ingresses", field, ("turned",), ("anyone",))


def _calico(cluster: Cluster) -> Iterator[Listener]:
    """Yield what Calico listens on; of Typha's ports none need be open on a host, since its pods move."""
    if cluster.network.plugin != CALICO:
        return
    calico = cluster.addons.calico
    here: Path = ("addons", "calico")
    mode: Path = (*here, "mode")
    if calico.runs_bird:
        routers = tuple(peer_addresses(cluster))
        yield Listener(CALICO_BGP, CALICO, "routes (BGP)", mode, ("any",), ("nodes",), sources=routers)
    else:
        yield Listener(CALICO_VXLAN, CALICO, "tunnels between nodes (VXLAN)", mode, ("any",), ("nodes",), "udp")
    if calico.mode.startswith("ipip"):
        yield Listener(0, CALICO, "tunnels between nodes (IP protocol 4)", mode, ("any",), ("nodes",), IPIP)
    yield Listener(CALICO_HEALTH, CALICO, "health of its agent")
    metrics = [("agent", calico.metrics.felix_port, "felixPort")]
    if typha_wanted(cluster):
        yield Listener(TYPHA, CALICO, "agents of other nodes (Typha)", (), ("any",), ("nodes",))
        yield Listener(TYPHA_HEALTH, CALICO, "health of Typha")
        metrics.append(("Typha", calico.metrics.typha_port, "typhaPort"))
    if calico.metrics.enabled:
        for what, port, key in metrics:
            field: Path = (*here, "metrics", key)
            yield Listener(port, CALICO, f"metrics of {what}", field, ("any",), ("nodes", "pods"))


def _flannel(cluster: Cluster) -> Iterator[Listener]:
    if cluster.network.plugin != "flannel":
        return
    flannel, at = cluster.addons.flannel, ("addons", "flannel")
    if flannel.tunnel_port is not None:
        purpose = f"{flannel.backend} tunnels between nodes"
        yield Listener(flannel.tunnel_port, "flannel", purpose, (*at, "port"), ("any",), ("nodes",), "udp")
    yield Listener(flannel.health_port, "flannel", "health", (*at, "healthPort"))


def _node_local_dns(cluster: Cluster) -> Iterator[Listener]:
    """Yield the ports of the cache of names; pods of the host's network reach it as the host itself does."""
    local, name = cluster.addons.node_local_dns, "node-local-dns"
    if not local.enabled:
        return
    for protocol in ("udp", "tcp"):
        yield Listener(DNS, name, "names for the pods of this node", (), ("local",), ("pods",), protocol)
    yield Listener(LOCAL_DNS_HEALTH, name, "health", (), ("local",))
    scopes: tuple[Scope, ...] = ("any",) if local.metrics == "cluster" else LOOPBACK
    callers: tuple[Caller, ...] = ("nodes", "pods") if local.metrics == "cluster" else HOST_ITSELF
    yield Listener(LOCAL_DNS_METRICS, name, "metrics of answers", (), scopes, callers)
    yield Listener(LOCAL_DNS_SETUP_METRICS, name, "metrics of its rules", (), scopes, callers)
