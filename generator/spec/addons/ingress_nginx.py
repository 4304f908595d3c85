"""The ingress controller ingress-nginx, for clusters that have it already: the project has ended.

SIG Network announced its retirement on 2025-11-11, with best-effort maintenance until March 2026 and nothing after
(https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/); the repository was archived on 2026-03-24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from generator.spec.addons.ingress_controllers import IngressSection

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster

LAST_TESTED = (1, 35)
"""The newest minor in its table of supported versions (v1.15.1)."""

FIRST_FIXED = (1, 26)
"""The oldest minor of which a version is meant that has the fixes of March 2025 (v1.11.5)."""

_SNIPPETS = "allow-snippet-annotations"


class IngressNginxSection(IngressSection):
    """ingress-nginx, which has ended in March 2026 and gets no fixes any more."""

    config: dict[str, str] = Field(
        {}, description="Keys of its ConfigMap, over ours (kubernetes.github.io/ingress-nginx)."
    )


def check_ingress_nginx(cluster: Cluster, findings: Findings) -> None:
    """Say what one has with a program that has ended."""
    section = cluster.addons.ingress_nginx
    path = ("addons", "ingressNginx")
    if not section.enabled:
        return
    what = "has ended: since March 2026 there are no releases, no fixes and no answers to security reports"
    todo = "move to addons.traefik or another controller (kubernetes.io/blog/2025/11/11/ingress-nginx-retirement)"
    findings.warn(path, what, todo)
    if cluster.versions.minor > LAST_TESTED:
        what = f"was never tested with Kubernetes {cluster.versions.minor_text}: its last version, v1.15.1, knows 1.35"
        findings.warn(path, what, "try it before you rely on it")
    if cluster.versions.minor < FIRST_FIXED:
        what = (
            f"has no version for Kubernetes {cluster.versions.minor_text} with the fixes of CVE-2025-1097, "
            "CVE-2025-1098 and CVE-2025-24514: who may write an Ingress may run programs in it"
        )
        findings.warn(path, what, "let only administrators write Ingresses, or go to Kubernetes 1.26 or later")
    if section.config.get(_SNIPPETS) == "true":
        what = "lets everybody who may write an Ingress write configuration of nginx, and so read every Secret"
        findings.warn((*path, "config", _SNIPPETS), what, "take it out")
