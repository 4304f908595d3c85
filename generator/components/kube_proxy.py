"""kube-proxy: what makes the address of a Service lead to its pods, on every node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from generator.components.daemon import UnitSections, daemon_text
from generator.components.items import HostFile, HostItem, HostUnit
from generator.components.leaf import leaf
from generator.components.program import kubernetes_binary, kubernetes_link
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.formats.kubeconfig import kubeconfig_text
from generator.formats.merge import Layer
from generator.formats.sandbox import sandbox
from generator.formats.units import unit_text
from generator.formats.yaml_text import yaml_text
from generator.spec.layout import CA_CERT, KUBERNETES_DIR, LINK_DIR, PKI_DIR, SYSTEMD_DIR, env_file, kubelet_client_pem
from generator.spec.model import Cluster, Pool

NAME = "kube-proxy"
PHASE = "nodes"
UNIT = "kube-proxy.service"
PATH_UNIT = "kube-proxy.path"
CONFIG = f"{KUBERNETES_DIR}/kube-proxy.yaml"
KUBECONFIG = f"{KUBERNETES_DIR}/kube-proxy.kubeconfig"
_STATE_DIRECTORY = "/var/lib/kube-proxy"


@dataclass(frozen=True, slots=True)
class KubeProxy:
    """The service proxy of a node; `config` of an override is merged deep into its KubeProxyConfiguration."""

    name: str = NAME

    NOTES: ClassVar[tuple[str, ...]] = (
        "kube-proxy is started by kube-proxy.path once its client certificate is there; unless the spec asks for a "
        "certificate of its own, that is the kubelet's, which the join of the node makes",
        "health and metrics are on loopback: a load balancer in front of NodePorts that probes 10256 needs "
        "components.kube-proxy.config.healthzBindAddress",
    )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes."""
        return pool.is_node

    def settings(self, view: View) -> Settings:
        """Return flags, unit and KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)."""
        cluster = view.cluster
        return resolved(
            view.overrides(NAME),
            # With a configuration file kube-proxy passes over its flags, but for this one and those of its log.
            flags={"config": CONFIG, "hostname-override": "${SLIPWAY_NODE_NAME}", "v": 2},
            unit=_unit(cluster),
            config=_config(cluster),
            table=_table(cluster),
            additive_flags=("feature-gates",),
        )

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield configuration, kubeconfig, both units and the link."""
        settings = self.settings(view)
        yield HostFile(CONFIG, yaml_text(settings.config), NAME, PHASE, restarts=(UNIT,))
        yield HostFile(KUBECONFIG, _kubeconfig(view.cluster), NAME, PHASE, restarts=(UNIT,))
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", daemon_text(NAME, settings), NAME, PHASE, restarts=(UNIT,))
        yield HostFile(f"{SYSTEMD_DIR}/{PATH_UNIT}", _path_unit(view.cluster), NAME, PHASE, restarts=(PATH_UNIT,))
        yield HostUnit(PATH_UNIT, NAME, PHASE)
        yield HostUnit(UNIT, NAME, PHASE, start=False)
        yield kubernetes_link(view, NAME, phase=PHASE, restarts=(UNIT,))

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield the executable for the pool's architecture."""
        yield kubernetes_binary(view, NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the node's name, and its certificate where kube-proxy has one of its own."""
        assert view.host is not None
        yield HostFile(env_file(NAME), f"SLIPWAY_NODE_NAME={view.host.node_name}\n", NAME, PHASE, restarts=(UNIT,))
        if view.cluster.pki.kube_proxy_leaf:
            yield from leaf(view, NAME, f"{PKI_DIR}/{NAME}", component=NAME, phase=PHASE, owner="root")


def _client_files(cluster: Cluster) -> tuple[str, str]:
    """Return the paths of the client certificate and its key; the kubelet keeps both in one file."""
    if cluster.pki.kube_proxy_leaf:
        return f"{PKI_DIR}/{NAME}.crt", f"{PKI_DIR}/{NAME}.key"
    pem = kubelet_client_pem(cluster.directories.kubelet)
    return pem, pem


def _config(cluster: Cluster) -> dict[str, Any]:
    """Return the fields that every minor from 1.20 on has; the mode always, since its default is going to change."""
    network = cluster.network
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": "::" if ":" in network.pod_cidrs[0] else "0.0.0.0",
        "clientConnection": {"kubeconfig": KUBECONFIG},
        "clusterCIDR": ",".join(network.pod_cidrs),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": network.proxy_mode,
    }


def _table(cluster: Cluster) -> Layer:
    dual_stack = cluster.versions.minor == (1, 20) and len(cluster.network.pod_cidrs) > 1
    config = {"featureGates": {"IPv6DualStack": True}} if dual_stack else {}
    return Layer(f"Kubernetes {cluster.versions.minor_text}", {"config": config})


def _unit(cluster: Cluster) -> UnitSections:
    """Return the service, without an Install section: the path unit starts it.

    It is root with four capabilities: rules, raw sockets for iptables, kernel modules of the proxy mode, and its own
    place before the OOM killer. /proc/sys stays writable, since it sets what its mode needs in net.*.
    """
    return {
        "Unit": {
            "Description": "kube-proxy, the service proxy of a Kubernetes node",
            "Documentation": "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/",
            "Wants": "network-online.target",
            "After": "network-online.target",
            "RequiresMountsFor": cluster.directories.kubelet,
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "StateDirectory": NAME,
            "WorkingDirectory": _STATE_DIRECTORY,
            "EnvironmentFile": env_file(NAME),
            "ExecStart": f"{LINK_DIR}/{NAME}",
            "Restart": "always",
            "RestartSec": 5,
            "LimitNOFILE": 65536,
            **sandbox(),
            "CapabilityBoundingSet": "CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_MODULE CAP_SYS_RESOURCE",
            # iptables takes its lock in /run, and modules are read below /usr/lib.
            "ProtectSystem": "full",
            "ProtectKernelTunables": False,
            "ProtectKernelModules": False,
            "SystemCallFilter": "@system-service @module",
        },
    }


def _path_unit(cluster: Cluster) -> str:
    _, key = _client_files(cluster)
    return unit_text(
        {
            "Unit": {
                "Description": "Start kube-proxy once it has a client certificate",
                "RequiresMountsFor": cluster.directories.kubelet,
            },
            "Path": {"PathExists": key, "MakeDirectory": False, "Unit": UNIT},
            "Install": {"WantedBy": "multi-user.target"},
        }
    )


def _kubeconfig(cluster: Cluster) -> str:
    certificate, key = _client_files(cluster)
    return kubeconfig_text(
        server=cluster.node_api_url,
        certificate_authority=CA_CERT,
        user=NAME,
        client_certificate=certificate,
        client_key=key,
        cluster=cluster.name,
    )


COMPONENT = KubeProxy()
