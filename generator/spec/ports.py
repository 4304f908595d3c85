"""Every port on which something of ours listens, in one table."""

from __future__ import annotations

from dataclasses import dataclass

from generator.spec.model import Cluster, Pool
from generator.spec.yaml_source import Path

ETCD_CLIENT = 2379
ETCD_PEER = 2380
ETCD_METRICS = 2381
CONTROLLER_MANAGER = 10257
SCHEDULER = 10259
KUBELET = 10250
KUBELET_HEALTH = 10248
PROXY_METRICS = 10249
PROXY_HEALTH = 10256
CONTAINERD_STREAM = 10010


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening port; `field` is where the spec sets it, empty where it is fixed."""

    port: int
    component: str
    purpose: str
    field: Path = ()


def listeners(cluster: Cluster, pool: Pool) -> tuple[Listener, ...]:
    """Return the ports that are taken on every host of a pool."""
    api = cluster.api
    found: list[Listener] = []
    if "etcd" in pool.roles:
        found += [
            Listener(ETCD_CLIENT, "etcd", "clients"),
            Listener(ETCD_PEER, "etcd", "peers"),
            Listener(ETCD_METRICS, "etcd", "metrics"),
        ]
    if "control-plane" in pool.roles:
        found += [
            Listener(api.port, "kube-apiserver", "the API", ("api", "port")),
            Listener(CONTROLLER_MANAGER, "kube-controller-manager", "health and metrics"),
            Listener(SCHEDULER, "kube-scheduler", "health and metrics"),
        ]
    if pool.is_node:
        found += [
            Listener(KUBELET, "kubelet", "its API"),
            Listener(KUBELET_HEALTH, "kubelet", "health"),
            Listener(PROXY_METRICS, "kube-proxy", "metrics"),
            Listener(PROXY_HEALTH, "kube-proxy", "health"),
            Listener(CONTAINERD_STREAM, "containerd", "exec and port-forward streams"),
            Listener(api.balancer_port, "apiserver-balancer", "the API of this node", ("api", "balancerPort")),
        ]
    if "load-balancer" in pool.roles:
        field: Path = ("api", "endpoint", "port")
        found.append(Listener(api.endpoint_port, "apiserver-balancer", "the API endpoint", field))
    return tuple(found)
