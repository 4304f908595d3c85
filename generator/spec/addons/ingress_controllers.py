"""How traffic from outside comes to an ingress controller: what the sections of all of them have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from generator.spec.addons.base import AddonSection
from generator.spec.scalars import matching
from generator.spec.scalars_network import Cidr, Endpoint, Port
from generator.spec.schema_base import Section

if TYPE_CHECKING:
    from generator.spec.model import Host, Taint

SecretName = Annotated[
    str,
    AfterValidator(
        matching(
            re.compile(r"addons/[A-Za-z0-9_.-]+"),
            "is not the name of a sealed secret of addons",
            "write addons/ and a name, and seal it with `invoke secrets.set --name`",
        )
    ),
]

_BY_KUBELET = frozenset({"kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/hostname"})
"""Labels that a spec does not write, since each kubelet sets them itself."""


class HostPortsSpec(Section):
    """Ports of the hosts themselves."""

    http: Port = Field(80, description="Port of each host on which HTTP comes in.")
    https: Port = Field(443, description="Port of each host on which HTTPS comes in.")


class NodePortsSpec(Section):
    """Ports of network.nodePortRange that stay the same."""

    http: Port | None = Field(None, description="Node port of HTTP; Kubernetes picks one unless said.")
    https: Port | None = Field(None, description="Node port of HTTPS; Kubernetes picks one unless said.")


class TolerationSpec(Section):
    """A taint that its pods bear, as Kubernetes writes it."""

    key: str | None = Field(None, description="Key of the taint; every taint where none is said (operator: Exists).")
    operator: Literal["Exists", "Equal"] = Field("Exists", description="Whether the value of the taint matters.")
    value: str | None = Field(None, description="Value of the taint, with operator: Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; every effect unless said."
    )

    def bears(self, taint: Taint) -> bool:
        """Return whether pods with it run on nodes with a taint."""
        return (
            self.key in {None, taint.key}
            and self.effect in {None, taint.effect}
            and (self.operator == "Exists" or (self.value or "") == taint.value)
        )


class DefaultCertificateSpec(Section):
    """The certificate for hosts of which no Ingress names one: two sealed secrets, as PEM."""

    certificate: SecretName = Field(
        examples=["addons/www-crt"], description="Sealed secret with the certificate and its chain."
    )
    key: SecretName = Field(examples=["addons/www-key"], description="Sealed secret with its key.")


class IngressSection(AddonSection):
    """An ingress controller."""

    enabled: bool = Field(False, description="Whether it is installed.")
    kind: Literal["daemonset", "deployment"] = Field(
        "daemonset", description="A pod on every node that fits, or as many as replicas says."
    )
    replicas: Annotated[int, Field(ge=1)] = Field(2, description="Number of pods of a deployment.")
    expose: Literal["hostPort", "nodePort", "loadBalancer"] = Field(
        "hostPort",
        description="How traffic comes in: ports of the hosts, node ports, or a load balancer of your own cluster.",
    )
    host_ports: HostPortsSpec = Field(HostPortsSpec(), description="Ports of the hosts, with expose: hostPort.")
    node_ports: NodePortsSpec = Field(NodePortsSpec(), description="Node ports, without expose: hostPort.")
    external_traffic_policy: Literal["Local", "Cluster"] | None = Field(
        None,
        description="Local keeps the address of clients and needs a pod on the node that is asked; Local with a "
        "daemonset and Cluster with a deployment unless said.",
    )
    load_balancer_class: str | None = Field(
        None, description="loadBalancerClass of its Service, from Kubernetes 1.22 on."
    )
    load_balancer_source_ranges: list[Cidr] = Field(
        [], description="Ranges that the load balancer lets in; everybody unless said."
    )
    publish_address: Endpoint | None = Field(
        None, description="Address or name that Ingresses show as theirs, such as that of a balancer in front."
    )
    node_selector: dict[str, str] = Field({}, description="Labels of the nodes on which it runs; all unless said.")
    tolerations: list[TolerationSpec] = Field([], description="Taints that its pods bear.")
    default_class: bool = Field(False, description="Whether it serves Ingresses that name no class.")
    default_certificate: DefaultCertificateSpec | None = Field(
        None, description="Certificate for hosts of which no Ingress names one; it makes its own unless said."
    )

    def may_run_on(self, host: Host) -> bool:
        """Return whether its pods may be placed on a host, as far as the spec can say."""
        return host.pool.is_node and self._selects(host.node_labels) and self._bears(host.pool.taints)

    def _selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.node_selector.items() if key not in _BY_KUBELET)

    def _bears(self, taints: tuple[Taint, ...]) -> bool:
        hard = [taint for taint in taints if taint.effect != "PreferNoSchedule"]
        return all(any(one.bears(taint) for one in self.tolerations) for taint in hard)
