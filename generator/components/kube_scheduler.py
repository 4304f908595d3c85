"""kube-scheduler: places pods on nodes, one leader among those of all control-plane hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from generator.components.accounts import system_user
from generator.components.daemon import UnitSections, daemon_text, daemon_unit
from generator.components.items import HostDirectory, HostFile, HostItem, HostUnit
from generator.components.leaf import leaf
from generator.components.own_api import Level, own_api_kubeconfig
from generator.components.program import kubernetes_binary, kubernetes_link
from generator.components.settings import Settings, resolved
from generator.components.tls import CIPHER_SUITES, MIN_VERSION
from generator.components.view import View
from generator.formats.merge import Layer
from generator.formats.yaml_text import yaml_text
from generator.spec.flag_policy import additive_flags
from generator.spec.layout import CA_CERT, FRONT_PROXY_CA_CERT, KUBERNETES_DIR, PKI_DIR, SYSTEMD_DIR
from generator.spec.model import Cluster, Pool
from generator.spec.ports import SCHEDULER_WITHOUT_TLS, scheduler_by_flags

NAME = "kube-scheduler"
PHASE = "control-plane"
UNIT = f"{NAME}.service"
HOME = f"/var/lib/{NAME}"
CONFIG = f"{KUBERNETES_DIR}/scheduler.yaml"
KUBECONFIG = f"{KUBERNETES_DIR}/scheduler.kubeconfig"
CREDENTIALS = f"{PKI_DIR}/scheduler"


@dataclass(frozen=True, slots=True)
class KubeScheduler:
    """The scheduler; `config` in the spec is its KubeSchedulerConfiguration."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are control plane."""
        return "control-plane" in pool.roles

    def settings(self, view: View) -> Settings:
        """Return flags, unit and the KubeSchedulerConfiguration, which is empty where the scheduler is given none."""
        overrides = view.overrides(NAME)
        by_flags = scheduler_by_flags(view.cluster, (override for _, override in overrides))
        return resolved(
            overrides,
            flags=_FLAGS,
            unit=_UNIT,
            config={} if by_flags else _CONFIG,
            table=_table(view.cluster, by_flags),
            additive_flags=additive_flags(NAME),
        )

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield user, configuration, kubeconfig, unit and link."""
        settings = self.settings(view)
        yield from system_user(NAME, component=NAME, title="Kubernetes scheduler", home=HOME)
        yield HostDirectory(HOME, NAME, PHASE, mode=0o700, owner=NAME, group=NAME)
        if settings.config:
            yield _config_file(settings)
        yield from _kubeconfig(view, "shared")
        yield HostFile(f"{SYSTEMD_DIR}/{UNIT}", daemon_text(NAME, settings), NAME, PHASE, restarts=(UNIT,))
        yield HostUnit(UNIT, NAME, PHASE)
        yield kubernetes_link(view, NAME, phase=PHASE, restarts=(UNIT,))

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield the executable for the pool's architecture."""
        yield kubernetes_binary(view, NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the certificate of this host's scheduler, which is client and server."""
        yield from _kubeconfig(view, "host")
        yield from leaf(view, "scheduler", CREDENTIALS, component=NAME, phase=PHASE, owner=NAME)


def _config_file(settings: Settings) -> HostFile:
    head = {key: settings.config[key] for key in ("apiVersion", "kind") if key in settings.config}
    body = {key: settings.config[key] for key in sorted(settings.config) if key not in head}
    return HostFile(CONFIG, yaml_text({**head, **body}, sort=False), NAME, PHASE, restarts=(UNIT,))


def _kubeconfig(view: View, level: Level) -> Iterator[HostItem]:
    return own_api_kubeconfig(
        view,
        level,
        path=KUBECONFIG,
        user="system:kube-scheduler",
        credentials=CREDENTIALS,
        component=NAME,
        phase=PHASE,
        restarts=(UNIT,),
    )


_FLAGS: dict[str, Any] = {
    "config": CONFIG,
    "authentication-kubeconfig": KUBECONFIG,
    "authorization-kubeconfig": KUBECONFIG,
    "bind-address": "127.0.0.1",
    "secure-port": 10259,
    "client-ca-file": CA_CERT,
    "requestheader-client-ca-file": FRONT_PROXY_CA_CERT,
    "requestheader-allowed-names": ["front-proxy-client"],
    "tls-cert-file": f"{CREDENTIALS}.crt",
    "tls-private-key-file": f"{CREDENTIALS}.key",
    "tls-min-version": MIN_VERSION,
    "tls-cipher-suites": list(CIPHER_SUITES),
    "v": 2,
}

_CONFIG: dict[str, Any] = {
    "kind": "KubeSchedulerConfiguration",
    "clientConnection": {"kubeconfig": KUBECONFIG},
    "leaderElection": {"leaderElect": True},
    "enableProfiling": False,
}

_UNIT: UnitSections = daemon_unit(
    NAME,
    description="Kubernetes scheduler",
    documentation="https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/",
    after=("kube-apiserver.service",),
    mounts=(HOME,),
    writable=(HOME,),
    working_directory=HOME,
    service={"OOMScoreAdjust": -800},
)


def _table(cluster: Cluster, by_flags: bool) -> Layer:
    """Return what a minor wants differently: the version of its configuration, and where 1.20 and 1.21 listen.

    Those two serve /healthz and /metrics without TLS beside the secure port. --port=0 shuts that, but counts only
    without a configuration file; with one their validation wants an address with a port other than 0, so it is
    loopback's. Seen on 1.20.2.
    """
    minor = cluster.versions.minor
    name = f"Kubernetes {cluster.versions.minor_text} table"
    if by_flags:
        flags = {"config": None, "kubeconfig": KUBECONFIG, "leader-elect": True, "port": 0, "profiling": False}
        return Layer(name, {"flags": flags})
    config: dict[str, Any] = {"apiVersion": f"kubescheduler.config.k8s.io/{_config_version(minor)}"}
    if minor <= (1, 21):
        address = f"127.0.0.1:{SCHEDULER_WITHOUT_TLS}"
        config |= {"healthzBindAddress": address, "metricsBindAddress": address}
    return Layer(name, {"config": config})


def _config_version(minor: tuple[int, int]) -> str:
    """Return the newest version of KubeSchedulerConfiguration that a minor reads."""
    if minor >= (1, 25):
        return "v1"
    if minor >= (1, 23):
        return "v1beta3"
    return "v1beta2" if minor == (1, 22) else "v1beta1"


COMPONENT = KubeScheduler()
