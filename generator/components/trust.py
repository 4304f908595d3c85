"""CA certificates and service-account keys that several programs of a node share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from generator.components.items import HostDirectory, HostFile, HostItem, SecretRef
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.spec.layout import (
    CA_CERT,
    FRONT_PROXY_CA_CERT,
    KUBERNETES_DIR,
    PKI_DIR,
    SERVICE_ACCOUNT_GROUP,
    service_account_files,
)
from generator.spec.model import Cluster, Pool

NAME = "trust"
PHASE = "host-base"

# All of them read the cluster CA at their start: as root-ca-file, or for their connections to the API.
CA_READERS = (
    "kube-apiserver.service",
    "kube-controller-manager.service",
    "kube-scheduler.service",
    "kubelet.service",
    "kube-proxy.service",
)
TOKEN_CHECKERS = ("kube-apiserver.service",)
TOKEN_SIGNERS = ("kube-apiserver.service", "kube-controller-manager.service")


@dataclass(frozen=True, slots=True)
class Trust:
    """On nodes the cluster CA; on the control plane also the front-proxy CA and the service-account key pair."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool are nodes."""
        return pool.is_node

    def settings(self, view: View) -> Settings:
        """Return what the spec says; there is nothing to set."""
        return resolved(view.overrides(NAME))

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield the folders and the certificate of the cluster CA."""
        yield HostDirectory(KUBERNETES_DIR, NAME, PHASE)
        yield HostDirectory(PKI_DIR, NAME, PHASE)
        yield HostFile(CA_CERT, view.material.certificate("ca"), NAME, PHASE, restarts=CA_READERS)

    def pool(self, view: View) -> Iterable[HostItem]:
        """Yield what the control plane shares; programs reload the front-proxy CA by themselves (since 1.18)."""
        assert view.pool is not None
        if "control-plane" not in view.pool.roles:
            return
        yield HostFile(FRONT_PROXY_CA_CERT, view.material.certificate("front-proxy-ca"), NAME, PHASE)
        signer, *_ = pairs = view.material.service_account_keys()
        for pair in pairs:
            public = view.material.certificate(f"{pair}.pub")
            yield HostFile(service_account_files(pair)[1], public, NAME, PHASE, restarts=TOKEN_CHECKERS)
        yield HostFile(
            service_account_files(signer)[0],
            SecretRef(f"pki/{signer}"),
            NAME,
            PHASE,
            mode=0o440,
            group=SERVICE_ACCOUNT_GROUP,
            restarts=TOKEN_SIGNERS,
        )

    def host(self, view: View) -> Iterable[HostItem]:
        """Yield nothing: no host has trust of its own."""
        return ()


COMPONENT = Trust()
