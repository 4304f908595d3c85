"""verify.yaml: what the functional test needs to know beside the rest of the tree, and nothing that lists hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from generator.render.flow import flow, scalar
from generator.render.inventory import HEADER
from generator.render.rights import Question, identities
from generator.spec.layout import kubelet_client_pem
from generator.spec.model import Cluster
from generator.spec.ports import CONTROLLER_MANAGER, ETCD_CLIENT, ETCD_PEER, KUBELET, SCHEDULER

_KEYS = {"path": "nonResourceURL"}


def verify_text(cluster: Cluster) -> str:
    """Return verify.yaml: image, DNS, Services, the kubelet's certificates, TLS listeners, and everybody's rights."""
    network = cluster.network
    first, last = network.node_port_range
    kubelet = cluster.directories.kubelet
    top = {
        "image": cluster.verify.image,
        "dns": {"domain": network.domain, "addresses": list(network.dns_ips)},
        "services": {"kubernetes": list(network.service_ips), "nodePorts": f"{first}-{last}"},
        "certificates": {"warnDays": cluster.pki.warn_days},
        "kubelet": {"client": kubelet_client_pem(kubelet), "serving": f"{kubelet}/pki/kubelet-server-current.pem"},
    }
    lines = [f"{key}: {flow(value)}" for key, value in top.items()]
    lines.append("listeners:")
    lines.extend(f"- {flow(entry)}" for entry in _listeners(cluster))
    lines.append("rights:")
    for identity in identities(cluster):
        lines.append(f"- name: {scalar(identity.name)}")
        lines.append(f"  user: {scalar(identity.user)}")
        lines.append(f"  groups: {flow(identity.groups)}")
        for key, questions in (("may", identity.may), ("mayNot", identity.may_not)):
            if questions:
                lines.append(f"  {key}:")
                lines.extend(f"  - {flow(_question(question))}" for question in questions)
    return HEADER.format(cluster=cluster.name) + "\n".join(lines) + "\n"


def _listeners(cluster: Cluster) -> Iterator[Mapping[str, Any]]:
    """Yield every port that serves TLS, and which certificate it is to serve; on the host's address unless said."""
    control, etcd, nodes = ["control-plane"], ["etcd"], ["control-plane", "worker"]
    yield {"component": "kube-apiserver", "roles": control, "port": cluster.api.port, "certificate": "apiserver"}
    for name, port in (("controller-manager", CONTROLLER_MANAGER), ("scheduler", SCHEDULER)):
        yield {
            "component": f"kube-{name}", "roles": control, "address": "127.0.0.1", "port": port, "certificate": name,
        }  # fmt: skip
    yield {"component": "etcd", "roles": etcd, "port": ETCD_CLIENT, "certificate": "etcd/server"}
    yield {"component": "etcd", "roles": etcd, "port": ETCD_PEER, "certificate": "etcd/peer"}
    yield {"component": "kubelet", "roles": nodes, "port": KUBELET, "certificate": "kubelet"}


def _question(question: Question) -> dict[str, str]:
    return {_KEYS.get(key, key): value for key, value in asdict(question).items() if value}
