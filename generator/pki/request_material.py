"""Material made of requests alone, without keys: what goldens and trials render with."""

from __future__ import annotations

import hashlib

from generator.errors import RenderError
from generator.pki.certificates import SERVICE_ACCOUNT, certificates
from generator.pki.request import Request
from generator.pki.store import SIGNING
from generator.pki.words import request_text
from generator.spec.model import Cluster


class RequestMaterial:
    """Implements `Material` of the components: certificates are their requests as words, ids follow from names."""

    def __init__(self, cluster: Cluster) -> None:
        self._requests: dict[str, Request] = {request.name: request for request in certificates(cluster)}
        self._secrets = ("encryption/1",) if cluster.encryption.provider else ()
        self._known = {f"pki/{SERVICE_ACCOUNT}", *(f"pki/{name}" for name in self._requests), *self._secrets}
        self._algorithm = cluster.pki.algorithm

    def certificate(self, name: str) -> str:
        """Return a request as words; raises RenderError for a certificate that the cluster does not have."""
        if name == "sa.pub":
            return f"public key of {SERVICE_ACCOUNT}: {self._algorithm}\n"
        request = self._requests.get("ca" if name == SIGNING else name)
        if request is None:
            raise RenderError(f"{name}: the cluster has no such certificate; correct the name")
        return request_text(request, self._requests[request.issuer].subject)

    def secret_id(self, name: str) -> str:
        """Return an id that follows from the name; raises RenderError for a secret that the cluster does not have."""
        if name not in self._known:
            raise RenderError(f"{name}: the cluster has no such secret; correct the name")
        return hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]

    def secret_names(self, prefix: str) -> tuple[str, ...]:
        """Return the names of secrets below a prefix."""
        return tuple(name for name in self._secrets if name.startswith(prefix))
