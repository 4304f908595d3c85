"""The phases of an apply, in order: one literal that can be read aloud.

fleet knows kinds of gate and nothing else; every name, port and path of a gate comes from here. A value that
depends on the cluster is a function of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from generator.spec.layout import (
    CA_CERT,
    ETCD_FORMED_MARK,
    ETCD_PKI_DIR,
    FIREWALL_CONFIRM_UNIT,
    KUBELET_BOOTSTRAP_KUBECONFIG,
    LINK_DIR,
    SSH_CONFIRM_UNIT,
    kubelet_client_pem,
)
from generator.spec.model import ROLES, Cluster, Role

Gate = Mapping[str, Any]

CONTROL_PLANE: tuple[Role, ...] = ("control-plane",)
ETCD: tuple[Role, ...] = ("etcd",)
NODES: tuple[Role, ...] = ("control-plane", "worker")
EVERY_HOST: tuple[Role, ...] = ROLES  # type: ignore[assignment]

CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259
ETCD_CLIENT_PORT = 2379


def api_port(cluster: Cluster) -> int:
    """Return the port of the API servers."""
    return cluster.api.port


def balancer_port(cluster: Cluster) -> int:
    """Return the port of the balancer on each node's loopback address."""
    return cluster.api.balancer_port


def balanced(cluster: Cluster) -> tuple[Role, ...]:
    """Return the roles of hosts whose own balancer must listen before anything else of the cluster is there.

    One that has the port of the API servers is activated together with the kubelet: until their hosts' API servers have
    left loopback to it, it cannot have the port.
    """
    return () if cluster.api.balancer == "none" or cluster.api.balancer_shares_port else NODES


def front_port(cluster: Cluster) -> int:
    """Return the port on which hosts in front of the API servers take API traffic."""
    return cluster.api.front_port


def vip_address(cluster: Cluster) -> str:
    """Return the virtual address, "" where there is none."""
    return "" if cluster.api.vip is None else cluster.api.vip.address


def vip_on_control_plane(cluster: Cluster) -> tuple[Role, ...]:
    """Return the role of the control plane where it carries the virtual address, else nothing."""
    return CONTROL_PLANE if cluster.api.vip is not None and cluster.api.vip.role == "control-plane" else ()


def node_api_url(cluster: Cluster) -> str:
    """Return the URL by which a node enters the API."""
    return cluster.node_api_url


def etcd_data(cluster: Cluster) -> str:
    """Return the data folder of the members."""
    return cluster.directories.etcd_data


def kubelet_client_certificate(cluster: Cluster) -> str:
    """Return the file in which a kubelet keeps the certificate that it got by bootstrap."""
    return kubelet_client_pem(cluster.directories.kubelet)


UNITS: Gate = {"kind": "units"}
WAY_IN: Gate = {"kind": "new-connection", "confirm": FIREWALL_CONFIRM_UNIT}
SSH_LETS_IN: Gate = {"kind": "new-connection", "confirm": SSH_CONFIRM_UNIT}
BALANCER_LISTENS: Gate = {"kind": "port", "address": "127.0.0.1", "port": balancer_port, "roles": balanced}
ENDPOINT_LISTENS: Gate = {"kind": "port", "port": front_port, "roles": ("load-balancer",)}
VIP_ANSWERS: Gate = {"kind": "port", "address": vip_address, "port": front_port, "roles": vip_on_control_plane}
ETCD_ACCESS: Gate = {
    "etcdctl": f"{LINK_DIR}/etcdctl",
    "port": ETCD_CLIENT_PORT,
    "cacert": f"{ETCD_PKI_DIR}/ca.crt",
    "cert": f"{ETCD_PKI_DIR}/healthcheck-client.crt",
    "key": f"{ETCD_PKI_DIR}/healthcheck-client.key",
}
API_SERVER_READY: Gate = {"kind": "https", "port": api_port, "path": "/readyz", "client": "admin"}
CONTROLLER_MANAGER_HEALTHY: Gate = {
    "kind": "https", "address": "127.0.0.1", "port": CONTROLLER_MANAGER_PORT, "path": "/healthz",
}  # fmt: skip
ROLLED_OUT: Gate = {"kind": "rolled-out", "timeout": 300}
OF_OBJECTS = frozenset({"accepted", "rolled-out"})
"""Kinds of gate that ask nothing where a phase has no objects in this cluster."""
OTHER_SETS = "every set that no phase names"
SCHEDULER_HEALTHY: Gate = {"kind": "https", "address": "127.0.0.1", "port": SCHEDULER_PORT, "path": "/healthz"}


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of an apply.

    `batch` is all hosts at once, one at a time, or slots (as many as each pool's maxUnavailable allows). `before`
    must hold for what remains before a healthy host is touched, `gates` after each batch. `objects` names the sets of
    API objects of which those that exist are applied, OTHER_SETS those that no phase names.
    """

    name: str
    title: str
    roles: tuple[Role, ...] = ()
    batch: Literal["all", "one", "slots"] = "all"
    first: str = ""
    before: tuple[Gate, ...] = ()
    gates: tuple[Gate, ...] = ()
    objects: tuple[str, ...] = ()
    drain: bool = False
    defer_drained: str = ""
    formation: Gate = field(default_factory=dict)
    join: Gate = field(default_factory=dict)
    always: bool = False


PHASES: tuple[Phase, ...] = (
    Phase(
        "preflight",
        "every host can be worked with",
        roles=EVERY_HOST,
        gates=({"kind": "preflight"},),
        always=True,
    ),
    Phase(
        "package-sources",
        "every host knows where packages come from",
        roles=EVERY_HOST,
    ),
    Phase(
        "host-base",
        "users, kernel settings and trust are in place",
        roles=EVERY_HOST,
    ),
    Phase(
        "firewall",
        "only named ports can be reached, and the way in was proved anew",
        roles=EVERY_HOST,
        gates=(UNITS, WAY_IN),
    ),
    Phase(
        "binaries",
        "every version folder is there, used by nothing yet",
        roles=EVERY_HOST,
    ),
    Phase(
        "ssh",
        "sshd is as strict as the spec says, and the way in was proved anew",
        roles=EVERY_HOST,
        batch="slots",
        gates=(UNITS, SSH_LETS_IN),
    ),
    Phase(
        "runtime",
        "every node can run containers",
        roles=NODES,
        batch="slots",
        defer_drained="nodes",
        gates=(UNITS,),
    ),
    Phase(
        "load-balancer",
        "every node has its own way to all API servers",
        roles=("control-plane", "worker", "load-balancer"),
        batch="slots",
        gates=(UNITS, BALANCER_LISTENS, ENDPOINT_LISTENS),
    ),
    Phase(
        "etcd",
        "the members have a quorum and each is healthy",
        roles=ETCD,
        batch="one",
        formation={"unit": "etcd.service", "data": etcd_data, "mark": ETCD_FORMED_MARK},
        before=({"kind": "etcd-quorum", **ETCD_ACCESS},),
        gates=(UNITS, {"kind": "etcd-health", **ETCD_ACCESS}),
    ),
    Phase(
        "control-plane",
        "every API server is ready, its controller manager and scheduler are healthy",
        roles=CONTROL_PLANE,
        batch="one",
        before=({"kind": "other-api-server"},),
        gates=(UNITS, API_SERVER_READY, CONTROLLER_MANAGER_HEALTHY, SCHEDULER_HEALTHY, VIP_ANSWERS),
    ),
    Phase(
        "cluster-rbac",
        "those who work with the API may do what they must, and no more",
        objects=("00-cluster-rbac",),
        gates=({"kind": "accepted"},),
    ),
    Phase(
        "network",
        "pods can reach pods",
        roles=NODES,
        batch="slots",
        objects=("10-network",),
        gates=(UNITS, {"kind": "accepted"}, ROLLED_OUT),
    ),
    Phase(
        "nodes",
        "every node is Ready, control-plane hosts first",
        roles=NODES,
        batch="slots",
        first="control-plane",
        drain=True,
        join={
            "kubeconfig": KUBELET_BOOTSTRAP_KUBECONFIG,
            "server": node_api_url,
            "clientCertificate": kubelet_client_certificate,
            "ca": CA_CERT,
        },
        gates=(UNITS, {"kind": "node-ready"}),
    ),
    Phase(
        "addons",
        "what runs in the cluster is applied",
        objects=(OTHER_SETS,),
        gates=({"kind": "accepted"}, ROLLED_OUT),
    ),
)


def unknown_phases(used: Collection[str]) -> tuple[str, ...]:
    """Return the phases that items name and PHASES does not have."""
    return tuple(sorted(set(used) - {phase.name for phase in PHASES}))
