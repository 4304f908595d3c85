"""cert-manager: certificates for what runs in the cluster, from ACME servers or authorities of the user's own."""

from __future__ import annotations

from pydantic import Field

from generator.spec.addons.base import AddonSection
from generator.spec.scalars import Version


class CertManagerSection(AddonSection):
    """Certificates for what runs in the cluster. The API itself and its nodes never depend on it."""

    enabled: bool = Field(False, description="Whether cert-manager runs.")
    version: Version | None = Field(
        None, description="Its release, like 1.21.2; without, the newest that is made for the Kubernetes minor."
    )
    replicas: int = Field(
        1, ge=1, le=9, description="Pods of the controller, the webhook and the injector each; one of each leads."
    )
    acme: bool = Field(
        True, description="Whether its controller may call ACME servers and try challenges: ports 80 and 443 anywhere."
    )
