"""kube-controller-manager: the control loops, one leader among those of all control-plane hosts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from generator.components.accounts import system_user
from generator.components.daemon import UnitSections, daemon_text, daemon_unit
from generator.components.items import HostDirectory, HostFile, HostItem, HostUnit, SecretRef
from generator.components.leaf import leaf
from generator.components.minor_table import minor_table
from generator.components.own_api import Level, own_api_kubeconfig
from generator.components.program import kubernetes_binary, kubernetes_link
from generator.components.settings import Settings, resolved
from generator.components.tls import CIPHER_SUITES, MIN_VERSION
from generator.components.view import View
from generator.spec.flag_policy import additive_flags
from generator.spec.layout import (
    CA_CERT,
    FRONT_PROXY_CA_CERT,
    KUBERNETES_DIR,
    PKI_DIR,
    SERVICE_ACCOUNT_GROUP,
    SIGNING_CERT,
    SYSTEMD_DIR,
    service_account_files,
)
from generator.spec.model import Cluster, Pool
from generator.spec.sections_network import Network

NAME = "kube-controller-manager"
PHASE = "control-plane"
UNIT = f"{NAME}.service"
HOME = f"/var/lib/{NAME}"
KUBECONFIG = f"{KUBERNETES_DIR}/controller-manager.kubeconfig"
CREDENTIALS = f"{PKI_DIR}/controller-manager"
SIGNING_KEY = f"{PKI_DIR}/ca.key"


@dataclass(frozen=True, slots=True)
class KubeControllerManager:
    """The controller manager; of all programs it alone holds a CA key, to sign the certificates of kubelets."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are control plane."""
        return "control-plane" in pool.roles

    def settings(self, view: View) -> Settings:
        """Return flags and unit."""
        cluster = view.cluster
        # In 1.20 and 1.21 the unencrypted port is still there unless it is turned off; later it only takes 0.
        table = minor_table(cluster, {"port": 0} if cluster.versions.minor <= (1, 21) else {})
        return resolved(
            view.overrides(NAME),
            flags=_flags(view),
            unit=_unit(),
            table=table,
            additive_flags=additive_flags(NAME),
        )

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield user, signing CA, kubeconfig, unit and link."""
        yield from system_user(
            NAME, component=NAME, title="Kubernetes controller manager", home=HOME, groups=(SERVICE_ACCOUNT_GROUP,)
        )
        yield HostDirectory(HOME, NAME, PHASE, mode=0o700, owner=NAME, group=NAME)
        # The pair that signs is read anew when it changes (csr-controller's dynamic serving content).
        yield HostFile(SIGNING_CERT, view.material.certificate("signing"), NAME, PHASE)
        yield HostFile(SIGNING_KEY, SecretRef("pki/ca"), NAME, PHASE, mode=0o400, owner=NAME, group=NAME)
        yield from _kubeconfig(view, "shared")
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", daemon_text(NAME, self.settings(view)), NAME, PHASE, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, PHASE)
        yield kubernetes_link(view, NAME, phase=PHASE, restarts=(UNIT,))

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield the executable for the pool's architecture."""
        yield kubernetes_binary(view, NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the certificate of this host's controller manager, which is client and server."""
        yield from _kubeconfig(view, "host")
        yield from leaf(view, "controller-manager", CREDENTIALS, component=NAME, phase=PHASE, owner=NAME)


def _kubeconfig(view: View, level: Level) -> Iterator[HostItem]:
    return own_api_kubeconfig(
        view,
        level,
        path=KUBECONFIG,
        user="system:kube-controller-manager",
        credentials=CREDENTIALS,
        component=NAME,
        phase=PHASE,
        restarts=(UNIT,),
    )


def _flags(view: View) -> dict[str, Any]:
    network = view.cluster.network
    return {
        "kubeconfig": KUBECONFIG,
        "authentication-kubeconfig": KUBECONFIG,
        "authorization-kubeconfig": KUBECONFIG,
        "bind-address": "127.0.0.1",
        "secure-port": 10257,
        "client-ca-file": CA_CERT,
        "requestheader-client-ca-file": FRONT_PROXY_CA_CERT,
        "requestheader-allowed-names": ["front-proxy-client"],
        "tls-cert-file": f"{CREDENTIALS}.crt",
        "tls-private-key-file": f"{CREDENTIALS}.key",
        "tls-min-version": MIN_VERSION,
        "tls-cipher-suites": list(CIPHER_SUITES),
        "root-ca-file": CA_CERT,
        "cluster-signing-cert-file": SIGNING_CERT,
        "cluster-signing-key-file": SIGNING_KEY,
        "service-account-private-key-file": service_account_files(view.material.service_account_keys()[0])[0],
        "use-service-account-credentials": True,
        "controllers": ["*", "bootstrapsigner", "tokencleaner"],
        "service-cluster-ip-range": list(network.service_cidrs),
        "leader-elect": True,
        "profiling": False,
        "v": 2,
        **_node_cidr_flags(network),
    }


def _node_cidr_flags(network: Network) -> dict[str, Any]:
    """Return the flags by which nodes get pod ranges; with two families the mask of each has a flag of its own."""
    if not network.allocates_node_cidrs:
        return {"allocate-node-cidrs": False}
    flags: dict[str, Any] = {"allocate-node-cidrs": True, "cluster-cidr": list(network.pod_cidrs)}
    if len(network.pod_cidrs) == 1:
        return flags | {"node-cidr-mask-size": network.node_mask_sizes[0]}
    for cidr, size in zip(network.pod_cidrs, network.node_mask_sizes, strict=True):
        flags[f"node-cidr-mask-size-ipv{ipaddress.ip_network(cidr).version}"] = size
    return flags


def _unit() -> UnitSections:
    return daemon_unit(
        NAME,
        description="Kubernetes controller manager",
        documentation="https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/",
        after=("kube-apiserver.service",),
        mounts=(HOME,),
        writable=(HOME,),
        working_directory=HOME,
        service={"OOMScoreAdjust": -800},
    )


COMPONENT = KubeControllerManager()
