"""Every port on which something of ours listens, in one table: where it listens, and who may call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator.spec.addons.ports import host_ports, node_listeners
from generator.spec.listener import HOST_ITSELF, LOOPBACK, VRRP, YOURS, Caller, Listener, Scope
from generator.spec.model import Cluster, Host, Override, Pool
from generator.spec.yaml_source import Path

ETCD_CLIENT = 2379
ETCD_PEER = 2380
ETCD_METRICS = 2381
CONTROLLER_MANAGER = 10257
SCHEDULER = 10259
SCHEDULER_WITHOUT_TLS = 10251
KUBELET = 10250
KUBELET_HEALTH = 10248
PROXY_METRICS = 10249
PROXY_HEALTH = 10256
CONTAINERD_STREAM = 10010
TIME = 123
_CAPITAL = re.compile("[A-Z]")


def own_listeners(pool: Pool) -> tuple[Listener, ...]:
    """Return the ports of the user's own, of which any may be shut; one on a port of ours lets more callers in."""
    words: Mapping[str, Caller] = {"anyone": "anyone", "nodes": "nodes", "pods": "pods"}
    return tuple(
        Listener(
            port=one.port,
            component=YOURS,
            purpose=one.purpose,
            field=("listeners",),
            scopes=("any",),
            callers=tuple(words[source] for source in one.sources if source in words),
            protocol=one.protocol,
            sources=tuple(source for source in one.sources if source not in words),
        )
        for one in pool.listeners
    )


def listeners(cluster: Cluster, pool: Pool, host: Host | None = None) -> tuple[Listener, ...]:
    """Return the ports that are taken on every host of a pool, or on one host of it with its own overrides.

    Overrides that move a port or open it to others are followed: bind-address of controller manager and scheduler, and
    the address and port fields of kubelet, kube-proxy and, in 1.20 and 1.21, the scheduler.
    """
    return (*_listeners(cluster, _Overrides(cluster, pool, host), pool), *(_time(host) if host is not None else ()))


def listens_otherwise(host: Host) -> bool:
    """Return whether the ports of a host may be others than those of its pool, so that it must be asked by itself."""
    return bool(host.components) or host.system.time.serves


def meet(one: Listener, other: Listener) -> bool:
    """Return whether two listeners on one port would want the same address."""
    return not {"any", "turned"}.isdisjoint({*one.scopes, *other.scopes}) or not set(one.scopes).isdisjoint(
        other.scopes
    )


def node_ports(cluster: Cluster) -> Listener:
    """Return the range that belongs to Services on every node; kube-proxy holds a port of it open in some versions."""
    first, last = cluster.network.node_port_range
    field: Path = ("network", "nodePortRange")
    return Listener(first, "kube-proxy", "Services of type NodePort", field, ("any",), ("anyone",), "any", last)


def scheduler_by_flags(cluster: Cluster, overrides: Iterable[Override]) -> bool:
    """Return whether the scheduler gets flags alone: where only they can shut its port without TLS.

    That is in 1.20 and 1.21, unless the spec configures the scheduler, which then needs the file.
    """
    return cluster.versions.minor <= (1, 21) and not any(override.config for override in overrides)


def _listeners(cluster: Cluster, values: _Overrides, pool: Pool) -> Iterator[Listener]:
    api = cluster.api
    if "etcd" in pool.roles:
        both: tuple[Scope, ...] = ("loopback", "address")
        yield Listener(ETCD_CLIENT, "etcd", "clients", (), both, ("control-plane", "etcd"))
        yield Listener(ETCD_PEER, "etcd", "peers", (), ("address",), ("etcd",))
        yield Listener(ETCD_METRICS, "etcd", "metrics")
    if "control-plane" in pool.roles:
        own: tuple[Scope, ...] = ("address",) if api.bind == "address" else ("any",)
        yield Listener(api.port, "kube-apiserver", "the API", ("api", "port"), own, ("anyone",))
        for component, port in (("kube-controller-manager", CONTROLLER_MANAGER), ("kube-scheduler", SCHEDULER)):
            bound = scopes_of(str(values.flag(component, "bind-address") or "127.0.0.1"))
            yield Listener(port, component, "health and metrics", (), bound, _callers(bound))
        if cluster.versions.minor <= (1, 21) and not scheduler_by_flags(cluster, values.of("kube-scheduler")):
            default = f"127.0.0.1:{SCHEDULER_WITHOUT_TLS}"
            found = {
                _address_port(str(values.config("kube-scheduler", name, default)), SCHEDULER_WITHOUT_TLS)
                for name in ("healthzBindAddress", "metricsBindAddress")
            }
            for address, port in sorted(found):
                bound = scopes_of(address)
                purpose = "health and metrics without TLS"
                yield Listener(port, "kube-scheduler", purpose, (), bound, _callers(bound))
    if pool.is_node:
        yield from _node_listeners(cluster, values)
        yield Listener(CONTAINERD_STREAM, "containerd", "exec and port-forward streams")
        yield from node_listeners(cluster)
    if cluster.has_own_balancer(pool):
        yield Listener(api.balancer_port, "apiserver-balancer", "the API of this node", ("api", "balancerPort"))
    if cluster.carries_endpoint(pool):
        field: Path = ("api", "endpoint" if api.vip is None else "vip", "port")
        front: tuple[Scope, ...] = ("virtual",) if api.vip_shares_port else ("any",)
        yield Listener(api.front_port, "endpoint-balancer", "the API endpoint", field, front, ("anyone",))
    if cluster.carries_vip(pool):
        peers: Caller = "control-plane" if api.vip is not None and api.vip.role == "control-plane" else "load-balancer"
        purpose = "who carries the virtual address (IP protocol 112)"
        yield Listener(0, "endpoint-vip", purpose, (), ("address",), (peers,), VRRP)
    yield from host_ports(cluster, pool)


def _time(host: Host) -> Iterator[Listener]:
    """Yield the port of a host that serves time: whom chrony answers stands in its configuration, and here."""
    if host.system.time.serves:
        yield Listener(TIME, "time-sync", "time (NTP)", (), ("any",), (), "udp", sources=host.system.time.allow)


def _node_listeners(cluster: Cluster, values: _Overrides) -> Iterator[Listener]:
    bound = scopes_of(str(values.config("kubelet", "address", "0.0.0.0")))
    # metrics-server asks every kubelet; most pod networks give what leaves a pod for a host the address of its node.
    asking: tuple[Caller, ...] = ("nodes", "pods") if cluster.addons.metrics_server.enabled else ()
    callers: tuple[Caller, ...] = HOST_ITSELF if bound == LOOPBACK else ("control-plane", *asking)
    yield Listener(
        _number(values.config("kubelet", "port", KUBELET), KUBELET), "kubelet", "its API", (), bound, callers
    )
    open_to_all = _number(values.config("kubelet", "readOnlyPort", 0), 0)
    if open_to_all:
        yield Listener(open_to_all, "kubelet", "its pods, to read, for anybody", (), bound, ("anyone",))
    health = _number(values.config("kubelet", "healthzPort", KUBELET_HEALTH), KUBELET_HEALTH)
    if health:
        where = scopes_of(str(values.config("kubelet", "healthzBindAddress", "127.0.0.1")))
        yield Listener(health, "kubelet", "health", (), where, _callers(where))
    for name, usual, purpose in (
        ("metricsBindAddress", PROXY_METRICS, "metrics"),
        ("healthzBindAddress", PROXY_HEALTH, "health"),
    ):
        address, port = _address_port(str(values.config("kube-proxy", name, f"127.0.0.1:{usual}")), usual)
        where = scopes_of(address)
        yield Listener(port, "kube-proxy", purpose, (), where, _callers(where))


class _Overrides:
    """The spec's own words about a setting: the strongest of host, pool and cluster, else the component's default."""

    def __init__(self, cluster: Cluster, pool: Pool, host: Host | None) -> None:
        self._layers = [*([host.components] if host is not None else []), pool.components, cluster.components]

    def of(self, component: str) -> list[Override]:
        return [layer[component] for layer in self._layers if component in layer]

    def config(self, component: str, name: str, default: Any) -> Any:
        # The kubelet's flags win over its configuration; the other two pass them over beside a configuration.
        flag = _CAPITAL.sub(r"-\g<0>", name).lower()
        if component == "kubelet" and (value := self.flag(component, flag)) is not None:
            return value
        for override in self.of(component):
            if name in override.config:
                return default if override.config[name] is None else override.config[name]
        return default

    def flag(self, component: str, name: str) -> Any:
        """Return a flag as the strongest layer writes it, None where none does or it is removed."""
        for override in self.of(component):
            flags = {**override.flags, **override.unsafe_flags}
            if name in flags:
                return flags[name]
        return None


def scopes_of(address: str) -> tuple[Scope, ...]:
    """Return where a program listens that is told to bind an address."""
    if address in {"127.0.0.1", "::1", "localhost"}:
        return LOOPBACK
    return ("any",) if address in {"", "0.0.0.0", "::"} else ("address",)


def _callers(bound: tuple[Scope, ...]) -> tuple[Caller, ...]:
    # Whoever opens such a port means it for somebody whom the spec does not name, such as a collector of metrics.
    return HOST_ITSELF if bound == LOOPBACK else ("anyone",)


def _address_port(value: str, usual: int) -> tuple[str, int]:
    address, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or (":" in address and not address.startswith("[")):
        return value.strip("[]"), usual
    return address.strip("[]"), int(port)


def _number(value: Any, usual: int) -> int:
    return int(value) if isinstance(value, int) or str(value).isdigit() else usual
