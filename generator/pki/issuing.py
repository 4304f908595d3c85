"""Certificates and requests for certificates, made with `cryptography`. Clocks come from the caller.

Certificates follow RFC 5280 as Go's crypto/x509 and OpenSSL check it: critical basic constraints and key usage, subject
and authority key identifiers, random serial numbers, whole seconds. A leaf never outlives the CA that signs it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from generator.errors import PkiError
from generator.pki.keys import PrivateKey, PublicKey, key_id, key_pem, load_key, new_key, public_der
from generator.pki.request import (
    CERT_SIGN,
    CLIENT_AUTH,
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    KEY_ENCIPHERMENT,
    SERVER_AUTH,
    Attribute,
    Request,
    key_usages,
)

BACKDATE = timedelta(minutes=5)
"""How far before its making a certificate begins, for hosts whose clocks are behind."""

CLIENT_LIFETIME = timedelta(hours=1)

SUBJECT_OIDS = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}
EXTENDED_OIDS = {SERVER_AUTH: ExtendedKeyUsageOID.SERVER_AUTH, CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH}


def load_certificates(text: str | bytes, what: str) -> list[x509.Certificate]:
    """Return all certificates of a PEM text (words between them are passed over); raises PkiError."""
    data = text.encode("utf-8") if isinstance(text, str) else text
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise PkiError(f"{what}: there is no certificate in it that can be read; restore the file from git") from None


def certificate_key_id(text: str | bytes, what: str = "certificate") -> str:
    """Return the id of the key of the first certificate in a PEM text. Raises PkiError."""
    return key_id(load_certificates(text, what)[0].public_key())


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign now: its certificate, its private key, and the moment at which it ends.

    `end` is the earliest end in its chain, since what it signs is good only as long as all above it.
    """

    name: str
    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    end: datetime


def authority(name: str, chain: Sequence[x509.Certificate], key: PrivateKey, now: datetime) -> Authority:
    """Return a CA from its key and its certificate, behind which stand those above it.

    Raises PkiError when the certificate does not match the key, is no CA, or has ended.
    """
    own = chain[0]
    if public_der(own.public_key()) != public_der(key):
        raise PkiError(
            f"{name}: the certificate does not match its private key; restore {name}.crt and {name}.key.age from the "
            "same commit"
        )
    check_valid(name, chain, now)
    return Authority(name, own, key, min(item.not_valid_after_utc for item in chain))


def check_valid(name: str, chain: Sequence[x509.Certificate], now: datetime) -> None:
    """Raise PkiError when a CA, or one above it, is no CA, has ended, or has not begun."""
    for item in chain:
        if not is_ca(item):
            raise PkiError(
                f"{name}: {item.subject.rfc4514_string()} is no certificate authority (basicConstraints CA:TRUE and "
                "keyCertSign); have it signed as one"
            )
        if item.not_valid_after_utc <= now:
            raise PkiError(
                f"{name}: the certificate authority {item.subject.rfc4514_string()} expired on "
                f"{item.not_valid_after_utc:%Y-%m-%d}; nothing that it signs is accepted: replace it, and after it "
                "every certificate that it has signed"
            )
        if item.not_valid_before_utc > now:
            raise PkiError(
                f"{name}: the certificate authority {item.subject.rfc4514_string()} is not valid before "
                f"{item.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; check the clock of this machine"
            )


def is_ca(certificate: x509.Certificate) -> bool:
    """Return whether a certificate may sign others."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return bool(constraints.ca and usage.key_cert_sign)


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether issuer name and signature of a certificate are those of the issuer."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def issue_ca(request: Request, key: PrivateKey, now: datetime) -> x509.Certificate:
    """Return a self-signed CA, valid for the days of the request. It signs leaves only (path length 0)."""
    name = subject_name(request.name, request.subject)
    begin = _whole_seconds(now) - BACKDATE
    builder = _builder(request, key.public_key()).issuer_name(name).not_valid_before(begin)
    builder = builder.not_valid_after(_whole_seconds(now) + timedelta(days=request.days))
    return builder.sign(key, hashes.SHA256())


def issue_leaf(request: Request, key: PrivateKey, ca: Authority, now: datetime) -> x509.Certificate:
    """Return a leaf signed by the CA, valid for the days of the request but never beyond the CA."""
    return _signed(request, key, ca, now, timedelta(days=request.days))


def signing_request(request: Request, key: PrivateKey) -> str:
    """Return a certificate signing request (PEM) for a CA of ours that somebody else is to sign."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(request.name, request.subject))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(request.usages), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")


def sign_client(
    ca_cert_pem: bytes,
    ca_key: bytes,
    cn: str,
    organization: Sequence[str],
    now: datetime,
    lifetime: timedelta = CLIENT_LIFETIME,
) -> tuple[bytes, bytes]:
    """Return certificate and private key (PEM) of a client, made and kept in memory only.

    `ca_cert_pem` is the text of pki/ca.crt, `ca_key` what pki/ca.key.age holds; user and groups of Kubernetes are the
    common name and the organizations. Raises PkiError.
    """
    ca = authority("ca", load_certificates(ca_cert_pem, "ca.crt"), load_key(ca_key, "ca.key"), now)
    key = new_key("ecdsa-p256")
    subject: tuple[Attribute, ...] = (*(("O", group) for group in organization), ("CN", cn))
    usages = key_usages("ecdsa-p256", CLIENT_AUTH)
    request = Request(f"client {cn}", "ca", subject, (), (), usages, 0, "ecdsa-p256", None, ())
    return certificate_pem(_signed(request, key, ca, now, lifetime)).encode("ascii"), key_pem(key)


def _signed(request: Request, key: PrivateKey, ca: Authority, now: datetime, lifetime: timedelta) -> x509.Certificate:
    moment = _whole_seconds(now)
    begin = max(moment - BACKDATE, ca.certificate.not_valid_before_utc)
    end = min(moment + lifetime, ca.end)
    builder = _builder(request, key.public_key()).issuer_name(ca.certificate.subject)
    builder = builder.not_valid_before(begin).not_valid_after(end)
    builder = builder.add_extension(_authority_key_identifier(ca.certificate), critical=False)
    return builder.sign(ca.key, hashes.SHA256())


def _builder(request: Request, public_key: PublicKey) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=request.is_ca, path_length=0 if request.is_ca else None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name(request.name, request.subject))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .add_extension(constraints, critical=True)
        .add_extension(_key_usage(request.usages), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    extended = [EXTENDED_OIDS[usage] for usage in request.usages if usage in EXTENDED_OIDS]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in request.dns]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in request.ips]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder


def subject_name(what: str, subject: Sequence[Attribute]) -> x509.Name:
    """Return a subject as X.509 encodes it; raises PkiError for a value that it cannot hold."""
    try:
        return x509.Name([x509.NameAttribute(SUBJECT_OIDS[name], value) for name, value in subject])
    except ValueError as error:
        raise PkiError(f"{what}: the subject cannot be encoded ({error}); shorten or correct the field") from error


def _key_usage(usages: Sequence[str]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=DIGITAL_SIGNATURE in usages,
        content_commitment=False,
        key_encipherment=KEY_ENCIPHERMENT in usages,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=CERT_SIGN in usages,
        crl_sign=CRL_SIGN in usages,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _whole_seconds(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
