"""cert-manager: certificates for what runs in the cluster, from ACME servers or authorities of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from generator.spec.addons.base import AddonSection
from generator.spec.scalars import Version
from generator.spec.versions import minor_of, minor_text

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster

MADE_FOR: Mapping[tuple[int, int], tuple[int, int]] = {
    (1, 10): (20, 26), (1, 11): (21, 26), (1, 12): (22, 32), (1, 13): (21, 27), (1, 14): (24, 31), (1, 15): (25, 32),
    (1, 16): (25, 32), (1, 17): (29, 33), (1, 18): (29, 33), (1, 19): (31, 35), (1, 20): (32, 35), (1, 21): (33, 36),
}  # fmt: skip
"""The first and the last minor of Kubernetes 1 that each minor of cert-manager is made for.

Source: https://cert-manager.io/docs/releases/, read in October 2026. addons/cert-manager.libsonnet picks from these.
"""


class CertManagerSection(AddonSection):
    """Certificates for what runs in the cluster. The API itself and its nodes never depend on it."""

    enabled: bool = Field(False, description="Whether cert-manager runs.")
    version: Version | None = Field(
        None,
        description="Its release, 1.10 to 1.21, like 1.21.2; without, the newest made for the Kubernetes minor.",
    )
    replicas: int = Field(
        1, ge=1, le=9, description="Pods of the controller, the webhook and the injector each; one of each leads."
    )
    acme: bool = Field(
        True, description="Whether its controller may call ACME servers and try challenges: ports 80 and 443 anywhere."
    )


def check_cert_manager(cluster: Cluster, findings: Findings) -> None:
    """Check that a release that is said can be rendered, and warn where it is not made for this minor."""
    section = cluster.addons.cert_manager
    if not section.enabled or section.version is None:
        return
    path, release = ("addons", "certManager", "version"), minor_of(section.version)
    if release not in MADE_FOR:
        known = f"{minor_text(min(MADE_FOR))} to {minor_text(max(MADE_FOR))}"
        what = f"{section.version} is none of the releases that Slipway knows, {known}"
        findings.fault(path, what, "write one of these, or leave it out")
        return
    first, last = MADE_FOR[release]
    if not (1, first) <= cluster.versions.minor <= (1, last):
        made_for = f"{minor_text(release)} is made for Kubernetes 1.{first} to 1.{last}"
        todo = "take another release, or leave it out for the one that is made for it"
        findings.warn(path, f"{made_for}, and this is {cluster.versions.minor_text}", todo)
