"""Certificates for tests, each made with just the fault that a test is about."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from generator.pki.issuing import certificate_pem
from generator.pki.keys import key_pem

NOW = datetime.now(UTC).replace(microsecond=0)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
PLAIN = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


def subject(*fields: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in fields])


@dataclass(frozen=True)
class TestCa:
    """A CA and what it signs."""

    __test__ = False

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def made(cls, name: str = "kubernetes", days: tuple[float, float] = (-1000, 1000)) -> TestCa:
        key = ec.generate_private_key(ec.SECP256R1())
        own = subject((NameOID.COMMON_NAME, name))
        made = _builder(own, own, key, days).add_extension(x509.BasicConstraints(True, 0), True)
        usage = x509.KeyUsage(**{word: word in ("key_cert_sign", "digital_signature") for word in PLAIN})
        return cls(key, made.add_extension(usage, True).sign(key, SHA256()))

    def leaf(
        self,
        names: Sequence[str] = ("DNS:host", "IP:10.0.0.5"),
        *,
        who: x509.Name | None = None,
        days: tuple[float, float] = (-1, 300),
        extended: Sequence[x509.ObjectIdentifier] = (SERVER,),
        plain: Sequence[str] = ("digital_signature",),
        is_ca: bool = False,
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A leaf with names as pki.yaml writes them; `days` from now on to its beginning and its end."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(who or subject((NameOID.COMMON_NAME, "etcd-1")), self.certificate.subject, key, days)
        made = made.add_extension(x509.BasicConstraints(is_ca, None), True)
        made = made.add_extension(x509.KeyUsage(**{word: word in plain for word in PLAIN}), True)
        if extended:
            made = made.add_extension(x509.ExtendedKeyUsage(extended), False)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), False)
        return made.sign(self.key, SHA256()), key


def server_context(folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """The context of a server with a certificate."""
    path = folder / f"{certificate.serial_number}.pem"
    path.write_bytes(certificate_pem(certificate).encode() + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _name(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    return x509.DNSName(value) if kind == "DNS" else x509.IPAddress(ip_address(value))


def _builder(
    own: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[float, float]
) -> x509.CertificateBuilder:
    begin, end = (NOW + timedelta(days=count) for count in days)
    return (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
