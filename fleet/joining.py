"""Whether a node must join by TLS bootstrap: no client certificate, an expired one, or one of another CA."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from fleet.state import HostState
from fleet.tree import Host, Phase
from generator.errors import PkiError
from generator.pki.issuing import load_certificates

_SHORTEST = timedelta(minutes=10)
_LAST_PART = 20
"""A kubelet renews its certificate when 70 to 90 % of its time have passed (client-go, certificate_manager.go). One
that has less than this part left will not be renewed, however short its time was."""


def join_reason(phase: Phase, host: Host, state: HostState, now: datetime) -> str:
    """Return why a host's node must join in this phase, "" where its certificate holds or the phase joins nobody.

    `phase.join` names the paths of the client certificate and of the CA that must have signed it.
    """
    if not phase.join or not host.node or not phase.roles & host.pool.roles:
        return ""
    der = state.certificates.get(str(phase.join["clientCertificate"]), b"")
    if not der:
        return "it has no client certificate"
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        return "its client certificate cannot be read"
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if certificate.not_valid_after_utc <= now + min(_SHORTEST, lifetime / _LAST_PART):
        return f"its client certificate ends at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    trusted = host.by_key.get(str(phase.join["ca"]))
    if trusted is not None and not _signed(certificate, trusted.content):
        return "its client certificate is of another CA"
    return ""


def _signed(certificate: x509.Certificate, ca: bytes) -> bool:
    try:
        issuers = load_certificates(ca, "ca")
    except PkiError:
        # A tree without real certificates (goldens) proves nothing about a host.
        return True
    for issuer in issuers:
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return True
    return False
