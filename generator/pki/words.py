"""Certificates and requests as words: what a reviewer reads above the PEM, in goldens, in pki.yaml and in lists."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from generator.pki.issuing import EXTENDED_OIDS, SUBJECT_OIDS, certificate_pem
from generator.pki.keys import key_algorithm, key_id
from generator.pki.request import (
    CERT_SIGN,
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    KEY_ENCIPHERMENT,
    Attribute,
    Request,
    subject_text,
)

_SHORT_NAMES = {oid: name for name, oid in SUBJECT_OIDS.items()}
_EXTENDED_WORDS = {oid: usage for usage, oid in EXTENDED_OIDS.items()}
_KEY_USAGE_WORDS = {
    "digital_signature": DIGITAL_SIGNATURE,
    "content_commitment": "content commitment",
    "key_encipherment": KEY_ENCIPHERMENT,
    "data_encipherment": "data encipherment",
    "key_agreement": "key agreement",
    "key_cert_sign": CERT_SIGN,
    "crl_sign": CRL_SIGN,
}


def attributes(name: x509.Name) -> tuple[Attribute, ...]:
    """Return a subject or issuer in the order of its encoding; fields without a short name show their number."""
    return tuple((_SHORT_NAMES.get(item.oid, item.oid.dotted_string), str(item.value)) for item in name)


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the subject alternative names as words, in the order of the certificate."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    words: list[str] = []
    for item in found:
        if isinstance(item, x509.DNSName):
            words.append(f"DNS:{item.value}")
        elif isinstance(item, x509.IPAddress) and isinstance(item.value, ipaddress.IPv4Address | ipaddress.IPv6Address):
            words.append(f"IP:{item.value}")
        else:
            words.append(f"{type(item).__name__}:{item.value}")
    return tuple(words)


def usages(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return key usage and extended key usage as words."""
    words: list[str] = []
    try:
        plain = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        words += [word for attribute, word in _KEY_USAGE_WORDS.items() if getattr(plain, attribute)]
    except x509.ExtensionNotFound:
        pass
    try:
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        words += [_EXTENDED_WORDS.get(oid, oid.dotted_string) for oid in extended]
    except x509.ExtensionNotFound:
        pass
    return tuple(words)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate in DER, as hex digits."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def moment(value: datetime) -> str:
    """Return a moment as certificates state it: whole seconds, UTC."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def certificate_text(certificate: x509.Certificate) -> str:
    """Return a certificate as words above its PEM; Go, OpenSSL and Python all pass over the words."""
    lines = _lines(
        [
            ("subject", subject_text(attributes(certificate.subject))),
            ("issuer", subject_text(attributes(certificate.issuer))),
            ("names", ", ".join(names(certificate)) or "none"),
            ("usages", ", ".join(usages(certificate))),
            ("key", f"{key_algorithm(certificate.public_key())}, id {key_id(certificate.public_key())}"),
            ("valid", f"{moment(certificate.not_valid_before_utc)} to {moment(certificate.not_valid_after_utc)}"),
            ("sha256", fingerprint(certificate)),
        ]
    )
    return lines + certificate_pem(certificate)


def chain_text(chain: Sequence[x509.Certificate]) -> str:
    """Return several certificates, each as words above its PEM."""
    return "\n".join(certificate_text(item) for item in chain)


def request_text(request: Request, issuer_subject: Sequence[Attribute]) -> str:
    """Return what is asked for as words, laid out like a certificate but without what only an issuance knows."""
    return _lines(
        [
            ("subject", subject_text(request.subject)),
            ("issuer", subject_text(issuer_subject)),
            ("names", ", ".join(request.sans) or "none"),
            ("usages", ", ".join(request.usages)),
            ("key", request.algorithm),
            ("valid", f"{request.days} days"),
        ]
    )


def public_key_text(algorithm: str, identifier: str, pem: str) -> str:
    """Return a public key as words above its PEM."""
    return _lines([("use", "checks service-account tokens"), ("key", f"{algorithm}, id {identifier}")]) + pem


def _lines(rows: Sequence[tuple[str, str]]) -> str:
    # ASCII and one line per fact: a subject that holds a line end or a PEM marker cannot pass for anything else.
    return "".join(f"{label + ':':<9}{_ascii(value)}\n" for label, value in rows)


def _ascii(value: str) -> str:
    plain = "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode("ascii") for c in value)
    return plain.replace("-----", "\\x2d" * 5)
