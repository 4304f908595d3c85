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
    etcd_backup,
    firewall,
    gpu,
    host_base,
    host_name,
    hosts_file,
    journald,
    kernel_modules,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubectl,
    kubelet,
    limits,
    node_base,
    package_manager,
    packages,
    proxy,
    selinux,
    ssh_hardening,
    swap,
    time_sync,
    time_zone,
    trust,
)
from generator.components.view import Component

COMPONENTS: tuple[Component, ...] = (
    package_manager.COMPONENT,
    host_base.COMPONENT,
    host_name.COMPONENT,
    time_zone.COMPONENT,
    selinux.COMPONENT,
    packages.COMPONENT,
    swap.COMPONENT,
    kernel_modules.COMPONENT,
    limits.COMPONENT,
    journald.COMPONENT,
    hosts_file.COMPONENT,
    time_sync.COMPONENT,
    ssh_hardening.COMPONENT,
    node_base.COMPONENT,
    data_disk.COMPONENT,
    firewall.COMPONENT,
    trust.COMPONENT,
    proxy.COMPONENT,
    gpu.COMPONENT,
    containerd.COMPONENT,
    apiserver_balancer.COMPONENT,
    endpoint_balancer.COMPONENT,
    endpoint_vip.COMPONENT,
    etcd.COMPONENT,
    etcd_backup.COMPONENT,
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
