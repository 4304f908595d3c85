"""Material made of requests alone, without keys: what goldens and trials render with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from generator.errors import RenderError
from generator.pki.certificates import SERVICE_ACCOUNT, certificates
from generator.pki.passwords import wanted_passwords
from generator.pki.request import Request
from generator.pki.store import SEALED_FOR_ADDONS, SIGNING
from generator.pki.words import request_text
from generator.spec.model import Cluster


class RequestMaterial:
    """Implements `Material` of the components: certificates are their requests as words, ids follow from names.

    The keys stand for the states of a rotation: the one that writes or signs first. `sealed` are secrets that people
    have sealed for addons; a name below addons/ is known without it, since nothing in the spec says what they seal.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        encryption_keys: Sequence[str] = ("encryption/1",),
        service_account_keys: Sequence[str] = (SERVICE_ACCOUNT,),
        sealed: Sequence[str] = (),
    ) -> None:
        self._requests: dict[str, Request] = {request.name: request for request in certificates(cluster)}
        self._encryption = tuple(encryption_keys) if cluster.encryption.provider else ()
        self._pairs = tuple(service_account_keys)
        pki = (f"pki/{name}" for name in (*self._requests, *self._pairs))
        registries = (registry.secret for registry in cluster.runtime.registries if registry.credentials)
        self._known = {*pki, *self._encryption, *registries, *wanted_passwords(cluster)}
        self._sealed = tuple(sorted(sealed))
        self._algorithm = cluster.pki.algorithm

    def certificate(self, name: str) -> str:
        """Return a request as words; raises RenderError for a certificate that the cluster does not have."""
        if name.removesuffix(".pub") in self._pairs:
            return f"public key of {name.removesuffix('.pub')}: {self._algorithm}\n"
        request = self._requests.get("ca" if name == SIGNING else name)
        if request is None:
            raise RenderError(f"{name}: the cluster has no such certificate; correct the name")
        return request_text(request, self._requests[request.issuer].subject)

    def secret_id(self, name: str) -> str:
        """Return an id that follows from the name; raises RenderError for a secret that the cluster does not have."""
        if name not in self._known and not name.startswith(SEALED_FOR_ADDONS):
            raise RenderError(f"{name}: the cluster has no such secret; correct the name")
        return hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]

    def secret_names(self, prefix: str) -> tuple[str, ...]:
        """Return which of the secrets that people have sealed begin with a prefix."""
        return tuple(name for name in self._sealed if name.startswith(prefix))

    def encryption_keys(self) -> tuple[str, ...]:
        """Return the encryption keys, the one that writes first."""
        return self._encryption

    def service_account_keys(self) -> tuple[str, ...]:
        """Return the service-account key pairs, the one that signs first."""
        return self._pairs
