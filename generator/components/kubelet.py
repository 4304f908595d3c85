"""The kubelet: the agent that makes a host a node and runs its pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from generator.components.daemon import UnitSections, daemon_text
from generator.components.items import HostDirectory, HostFile, HostItem, HostLink, HostUnit
from generator.components.program import kubernetes_binary, kubernetes_link
from generator.components.settings import Settings, resolved
from generator.components.tls import CIPHER_SUITES, MIN_VERSION
from generator.components.view import View
from generator.formats.kubeconfig import kubeconfig_text
from generator.formats.merge import Layer
from generator.formats.yaml_text import yaml_text
from generator.spec.layout import (
    CA_CERT,
    CONTAINERD_SOCKET,
    ENV_DIR,
    KUBELET_BOOTSTRAP_KUBECONFIG,
    KUBERNETES_DIR,
    LINK_DIR,
    SYSTEMD_DIR,
    env_file,
    kubelet_client_pem,
)
from generator.spec.model import Cluster, Pool

NAME = "kubelet"
PHASE = "nodes"
UNIT = "kubelet.service"
CONFIG = f"{KUBERNETES_DIR}/kubelet.yaml"
KUBECONFIG = f"{KUBERNETES_DIR}/kubelet.kubeconfig"
REGISTRATION_ENV = f"{ENV_DIR}/kubelet-registration.env"
RESOLV_CONF = f"{KUBERNETES_DIR}/resolv.conf"

# systemd-resolved answers on 127.0.0.53, which in a pod is the pod itself; this file names the servers behind it.
_RESOLVED = "/run/systemd/resolve/resolv.conf"


@dataclass(frozen=True, slots=True)
class Kubelet:
    """The kubelet of a node; `config` of an override is merged deep into its KubeletConfiguration."""

    name: str = NAME

    NOTES: ClassVar[tuple[str, ...]] = (
        "taints in the pool are given to the API when a node registers; later changes go through the API, so changing "
        "them restarts no kubelet",
        "failCgroupV1 is not set: from 1.35 on a kubelet refuses a host with cgroup v1 unless "
        "components.kubelet.config.failCgroupV1 is false",
        "the unit is not sandboxed: mounts that the kubelet makes must be seen by the host and by containerd",
    )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes."""
        return pool.is_node

    def settings(self, view: View) -> Settings:
        """Return flags, unit and KubeletConfiguration (kubelet.config.k8s.io/v1beta1) for the minor."""
        cluster = view.cluster
        return resolved(
            view.overrides(NAME),
            flags=_flags(cluster),
            unit=_unit(cluster),
            config=_config(cluster),
            table=_table(cluster),
            additive_flags=("feature-gates",),
        )

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield configuration, kubeconfig, unit and link."""
        cluster = view.cluster
        settings = self.settings(view)
        # The mode is the one that the kubelet itself gives to a folder that it has to make.
        yield HostDirectory(cluster.directories.kubelet, NAME, PHASE, mode=0o750)
        yield HostFile(CONFIG, yaml_text(settings.config), NAME, PHASE, restarts=(UNIT,))
        yield HostFile(KUBECONFIG, _kubeconfig(cluster), NAME, PHASE, restarts=(UNIT,))
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", daemon_text(NAME, settings), NAME, PHASE, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, PHASE, drain_key=_drain_key(cluster))
        yield kubernetes_link(view, NAME, phase=PHASE, restarts=(UNIT,))

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the executable, the taints, and the link to the resolver file of the pool's os."""
        assert view.pool is not None
        yield kubernetes_binary(view, NAME)
        # Read only when a node registers, so a change restarts nothing; what is registered is kept by the API.
        taints = ",".join(str(taint) for taint in sorted(view.pool.taints, key=str))
        yield HostFile(REGISTRATION_ENV, f"SLIPWAY_REGISTER_WITH_TAINTS={taints}\n", NAME, PHASE)
        # Read anew for every pod. The configuration names the link and so stays the same on every os.
        resolver = _RESOLVED if view.pool.os.startswith("ubuntu-") else "/etc/resolv.conf"
        yield HostLink(RESOLV_CONF, resolver, NAME, PHASE)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the node's name and addresses."""
        assert view.host is not None
        facts = f"SLIPWAY_NODE_IP={','.join(view.host.addresses)}\nSLIPWAY_NODE_NAME={view.host.node_name}\n"
        yield HostFile(env_file(NAME), facts, NAME, PHASE, restarts=(UNIT,))


def _flags(cluster: Cluster) -> dict[str, Any]:
    root = cluster.directories.kubelet
    return {
        "bootstrap-kubeconfig": KUBELET_BOOTSTRAP_KUBECONFIG,
        "cert-dir": f"{root}/pki",
        "config": CONFIG,
        "hostname-override": "${SLIPWAY_NODE_NAME}",
        "kubeconfig": f"{root}/kubeconfig",
        "node-ip": "${SLIPWAY_NODE_IP}",
        # A flag and not the field of the same name, which only 1.23 and later have, so that the configuration holds
        # no fact of a pool.
        "register-with-taints": "${SLIPWAY_REGISTER_WITH_TAINTS}",
        "root-dir": root,
        "v": 2,
    }


def _config(cluster: Cluster) -> dict[str, Any]:
    """Return the fields that every minor from 1.20 on has and that are the same in all of them."""
    network = cluster.network
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "::" if any(":" in cidr for cidr in network.pod_cidrs) else "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": "2m0s"},
            "x509": {"clientCAFile": CA_CERT},
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"},
        },
        "cgroupDriver": cluster.runtime.cgroup_driver,
        "clusterDNS": list(cluster.pod_dns_ips),
        "clusterDomain": network.domain,
        # The defaults of Kubernetes, all of them: naming one threshold takes the others away.
        "evictionHard": {
            "imagefs.available": "15%",
            "memory.available": "100Mi",
            "nodefs.available": "10%",
            "nodefs.inodesFree": "5%",
        },
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        # Kept back from what pods may ask for, so that a full node can still be reached and drained.
        "kubeReserved": {"cpu": "100m", "memory": "256Mi"},
        "systemReserved": {"cpu": "100m", "memory": "256Mi"},
        # The kubelet stops where the kernel is not set as it needs it, rather than set it behind host-base's back.
        "protectKernelDefaults": True,
        "readOnlyPort": 0,
        "resolvConf": RESOLV_CONF,
        "rotateCertificates": True,
        "serverTLSBootstrap": True,
        "tlsCipherSuites": list(CIPHER_SUITES),
        "tlsMinVersion": MIN_VERSION,
    }


def _table(cluster: Cluster) -> Layer:
    """Return what differs by minor (kubernetes pull requests 114017, 112136, 109834 and 95239)."""
    minor = cluster.versions.minor
    flags: dict[str, Any] = {}
    config: dict[str, Any] = {}
    endpoint = f"unix://{CONTAINERD_SOCKET}"
    if minor >= (1, 27):
        config["containerRuntimeEndpoint"] = endpoint
    else:
        # Up to 1.23 the default is the Docker shim that was in the kubelet; 1.27 knows the flag no more.
        flags |= {"container-runtime": "remote", "container-runtime-endpoint": endpoint}
    if minor >= (1, 25):
        # Pods without a profile of their own get the runtime's, not none.
        config["seccompDefault"] = True
    if minor == (1, 20) and any(host.secondary_address for host in cluster.hosts):
        # Two addresses in --node-ip are behind this gate there; later it is on by default, then gone.
        config["featureGates"] = {"IPv6DualStack": True}
    return Layer(f"Kubernetes {cluster.versions.minor_text}", {"flags": flags, "config": config})


def _unit(cluster: Cluster) -> UnitSections:
    """Return the unit.

    Whatever gives a service a mount namespace of its own (ProtectSystem, ProtectHome, PrivateTmp, …) would hide the
    kubelet's volumes from containerd, and a bounded set of capabilities would bound what volume plugins may do. What
    is left of a sandbox is below.
    """
    root = cluster.directories.kubelet
    return {
        "Unit": {
            "Description": "kubelet, the agent of a Kubernetes node",
            "Documentation": "https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/",
            # Wants and not Requires: with that, one failed start of containerd at boot would keep the kubelet off for
            # good, and each restart of containerd would take the kubelet with it.
            "Wants": "containerd.service network-online.target",
            "After": "containerd.service network-online.target",
            "RequiresMountsFor": root,
            "StartLimitIntervalSec": 0,
        },
        "Service": {
            "WorkingDirectory": root,
            "EnvironmentFile": [env_file(NAME), REGISTRATION_ENV],
            # A bootstrap rewrites the kubeconfig that it is given, so it is given a copy.
            "ExecStartPre": f"/usr/bin/install -m 0600 {KUBECONFIG} {root}/kubeconfig",
            "ExecStart": f"{LINK_DIR}/{NAME}",
            "Restart": "always",
            "RestartSec": 5,
            # It measures its own cgroup, which with cgroup v1 exists in these hierarchies only on request.
            "CPUAccounting": True,
            "MemoryAccounting": True,
            "LimitNOFILE": 1048576,
            "OOMScoreAdjust": -999,
            "LockPersonality": True,
            "RestrictRealtime": True,
            "SystemCallArchitectures": "native",
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


def _kubeconfig(cluster: Cluster) -> str:
    pem = kubelet_client_pem(cluster.directories.kubelet)
    return kubeconfig_text(
        server=cluster.node_api_url,
        certificate_authority=CA_CERT,
        user=NAME,
        client_certificate=pem,
        client_key=pem,
        cluster=cluster.name,
    )


def _drain_key(cluster: Cluster) -> str:
    """Return what pods cannot live through a change of: the runtime, who manages cgroups, the Kubernetes minor."""
    versions = cluster.versions
    return f"containerd {versions.containerd}, {cluster.runtime.cgroup_driver}, Kubernetes {versions.minor_text}"


COMPONENT = Kubelet()
