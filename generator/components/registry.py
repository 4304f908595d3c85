"""All components there are: the one place that knows them by import."""

from __future__ import annotations

from generator.components import (
    apiserver_balancer,
    bridge,
    containerd,
    csr_approver,
    data_disk,
    endpoint_balancer,
    endpoint_vip,
    etcd,
    firewall,
    host_base,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubectl,
    kubelet,
    node_base,
    trust,
)
from generator.components.view import Component

COMPONENTS: tuple[Component, ...] = (
    host_base.COMPONENT,
    node_base.COMPONENT,
    data_disk.COMPONENT,
    firewall.COMPONENT,
    trust.COMPONENT,
    containerd.COMPONENT,
    apiserver_balancer.COMPONENT,
    endpoint_balancer.COMPONENT,
    endpoint_vip.COMPONENT,
    etcd.COMPONENT,
    kube_apiserver.COMPONENT,
    kube_controller_manager.COMPONENT,
    kube_scheduler.COMPONENT,
    kubectl.COMPONENT,
    csr_approver.COMPONENT,
    bridge.COMPONENT,
    kubelet.COMPONENT,
    kube_proxy.COMPONENT,
)
"""In the order in which an apply meets them."""


def by_name(name: str) -> Component:
    """Return a component by its name, such as "kube-proxy"; raises KeyError for one that there is not."""
    return {component.name: component for component in COMPONENTS}[name]
