"""What is wrong with a certificate, in words: chain, time, subject, names, usages. Pure: the caller gives the time.

Words for subjects, names and usages are those of pki.yaml, so that what is compared is what was reviewed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fleet.connection import printable
from generator.pki.issuing import EXTENDED_OIDS, SUBJECT_OIDS, signed_by

_SUBJECT_WORDS = {oid: name for name, oid in SUBJECT_OIDS.items()}
_EXTENDED_WORDS = {oid: usage for usage, oid in EXTENDED_OIDS.items()}
_KEY_USAGES = {
    "digital_signature": "digital signature",
    "content_commitment": "content commitment",
    "key_encipherment": "key encipherment",
    "data_encipherment": "data encipherment",
    "key_agreement": "key agreement",
    "key_cert_sign": "cert sign",
    "crl_sign": "crl sign",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate must say: the CA's name, subject and names as words, and one of some sets of usages."""

    issuer: str
    subject: str
    sans: tuple[str, ...]
    usages: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Words:
    """A certificate as words."""

    subject: str
    sans: tuple[str, ...]
    usages: frozenset[str]
    fingerprint: str


def words_of(certificate: x509.Certificate) -> Words:
    """Return what a certificate says; an extension that cannot be read counts as absent."""
    return Words(subject_of(certificate.subject), _names(certificate), _usages(certificate), fingerprint(certificate))


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate in DER, as hex digits."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def subject_of(name: x509.Name) -> str:
    """Return a subject as pki.yaml writes it, fields in the order of their encoding: OU=…, CN=kube-apiserver."""
    parts = (f"{_SUBJECT_WORDS.get(one.oid, one.oid.dotted_string)}={one.value!s}" for one in name)
    return printable(", ".join(parts))


def certificate_faults(
    certificate: x509.Certificate,
    wanted: Wanted,
    authorities: Mapping[str, Sequence[x509.Certificate]],
    now: datetime,
) -> tuple[str, ...]:
    """Return what is wrong with a certificate, each as the end of a sentence that begins with its name.

    `authorities` are the cluster's CAs by name, each with the CAs above it.
    """
    found = words_of(certificate)
    faults = [*time_faults(certificate, now), *_chain_faults(certificate, wanted.issuer, authorities, now)]
    if found.subject != wanted.subject:
        faults.append(f"is for {found.subject or 'nobody'}, not for {wanted.subject}")
    faults.extend(_name_faults(set(found.sans), set(wanted.sans)))
    faults.extend(_usage_faults(found.usages, wanted.usages))
    if _is_ca(certificate):
        faults.append("is itself a CA, which no leaf may be")
    return tuple(faults)


def time_faults(certificate: x509.Certificate, now: datetime) -> tuple[str, ...]:
    """Return whether a certificate is past its end or before its beginning, in words."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= end:
        return (f"expired {span(now - end)} ago ({_moment(end)})",)
    if now < begin:
        return (f"is not valid for another {span(begin - now)} ({_moment(begin)}): a clock is wrong",)
    return ()


def ends_soon(certificate: x509.Certificate, now: datetime, days: int) -> str:
    """Return how long a certificate lasts where that is less than some days, else ""."""
    end = certificate.not_valid_after_utc
    return f"expires in {span(end - now)} ({_moment(end)})" if end - now < timedelta(days=days) else ""


def span(length: timedelta) -> str:
    """Return a length of time in its largest unit: 3 days, 5 hours, 40 seconds."""
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def _chain_faults(
    certificate: x509.Certificate,
    issuer: str,
    authorities: Mapping[str, Sequence[x509.Certificate]],
    now: datetime,
) -> list[str]:
    chain = authorities[issuer]
    if signed_by(certificate, chain[0]):
        return [f"its CA {issuer} {fault}" for one in chain for fault in time_faults(one, now)]
    for name, others in authorities.items():
        if name != issuer and signed_by(certificate, others[0]):
            return [f"is signed by the CA {name}, not by {issuer}"]
    stranger = subject_of(certificate.issuer) or "nobody"
    if stranger == subject_of(chain[0].subject):
        return [f"is signed by another CA, which has the name of ours ({stranger})"]
    return [f"is signed by another CA ({stranger}), not by {issuer}"]


def _name_faults(found: set[str], wanted: set[str]) -> list[str]:
    extra, missing = ", ".join(sorted(map(printable, found - wanted))), ", ".join(sorted(wanted - found))
    if extra and missing:
        return [f"names {extra}, the host has {missing}"]
    if missing:
        return [f"does not name {missing}"]
    return [f"names {extra} besides what it may name"] if extra else []


def _usage_faults(found: frozenset[str], allowed: tuple[frozenset[str], ...]) -> list[str]:
    if found in allowed:
        return []
    nearest = min(allowed, key=lambda one: (len(one ^ found), sorted(one)))
    missing, extra = ", ".join(sorted(nearest - found)), ", ".join(sorted(found - nearest))
    return [
        *([f"is not good for {missing}"] if missing else []),
        *([f"is also good for {extra}, which it must not be"] if extra else []),
    ]


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds = {"DNSName": "DNS", "IPAddress": "IP"}
    return tuple(f"{kinds.get(type(one).__name__, type(one).__name__)}:{one.value}" for one in found)


def _usages(certificate: x509.Certificate) -> frozenset[str]:
    found: set[str] = set()
    try:
        plain = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        found |= {word for attribute, word in _KEY_USAGES.items() if getattr(plain, attribute)}
    except (x509.ExtensionNotFound, ValueError):
        pass
    try:
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        found |= {_EXTENDED_WORDS.get(oid, oid.dotted_string) for oid in extended}
    except (x509.ExtensionNotFound, ValueError):
        pass
    return frozenset(found)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"
