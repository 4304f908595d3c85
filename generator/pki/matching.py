"""Whether a certificate still says what the spec asks for. Time plays no part."""

from __future__ import annotations

from cryptography import x509

from generator.pki.issuing import signed_by
from generator.pki.keys import key_algorithm
from generator.pki.request import Request
from generator.pki.words import attributes, names, usages


def difference(certificate: x509.Certificate, request: Request) -> str:
    """Return what of a certificate differs from its request ("subject", "names", "usages", "key type"), or ""."""
    if attributes(certificate.subject) != request.subject:
        return "subject"
    if sorted(names(certificate)) != sorted(request.sans):
        return "set of names"
    if set(usages(certificate)) != set(request.usages):
        return "usage"
    if key_algorithm(certificate.public_key()) != request.algorithm:
        return "key type"
    return ""


def leaf_difference(certificate: x509.Certificate, request: Request, issuer: x509.Certificate) -> str | None:
    """Return why a leaf is to be replaced, or None when it matches its request and its CA."""
    different = difference(certificate, request)
    if different:
        return f"the spec asks for another {different}"
    if not signed_by(certificate, issuer) or not _names_key_of(certificate, issuer):
        return f"it is not signed by the present {request.issuer}"
    return None


def _names_key_of(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return True
    return named is None or named == own
