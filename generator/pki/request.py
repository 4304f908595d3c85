"""A certificate as it is asked for: everything that the spec decides about it, nothing that an issuance adds."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

CERT_SIGN = "cert sign"
CRL_SIGN = "crl sign"
DIGITAL_SIGNATURE = "digital signature"
KEY_ENCIPHERMENT = "key encipherment"
SERVER_AUTH = "server auth"
CLIENT_AUTH = "client auth"

Attribute = tuple[str, str]
"""One attribute of a subject: its short name (C, ST, L, O, OU, CN) and value."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a certificate goes: a path, on one host or on all hosts of some roles; `key_path` "" where no key goes."""

    path: str
    on: str
    key_path: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One certificate. `issuer` is the name of its CA ("ca", "etcd/ca", "front-proxy-ca"), its own name for a CA.

    `subject` is in the order of its encoding; `dns` and `ips` are sorted and without doubles; `usages` in the words of
    this module; `days` the wished validity, which never reaches beyond that of the issuer.
    """

    name: str
    issuer: str
    subject: tuple[Attribute, ...]
    dns: tuple[str, ...]
    ips: tuple[str, ...]
    usages: tuple[str, ...]
    days: int
    algorithm: str
    host: str | None
    places: tuple[Place, ...]

    @property
    def is_ca(self) -> bool:
        """Whether this is a certificate authority."""
        return CERT_SIGN in self.usages

    @property
    def sans(self) -> tuple[str, ...]:
        """The subject alternative names as words: "DNS:localhost", "IP:127.0.0.1"."""
        return (*(f"DNS:{name}" for name in self.dns), *(f"IP:{address}" for address in self.ips))


def split_sans(entries: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return DNS names and canonical IP addresses of mixed entries, each sorted and without doubles."""
    names: set[str] = set()
    addresses: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for entry in entries:
        try:
            addresses.add(ipaddress.ip_address(entry))
        except ValueError:
            names.add(entry.lower())
    ordered = sorted(addresses, key=lambda address: (address.version, int(address)))
    return tuple(sorted(names)), tuple(str(address) for address in ordered)


def key_usages(algorithm: str, *extended: str) -> tuple[str, ...]:
    """Return the usages of a leaf: RSA keys also encipher, since TLS 1.2 may still exchange keys with them."""
    plain = (DIGITAL_SIGNATURE, KEY_ENCIPHERMENT) if algorithm.startswith("rsa") else (DIGITAL_SIGNATURE,)
    return (*plain, *extended)


def subject_text(subject: Iterable[Attribute]) -> str:
    """Return a subject as one line: "O=example, CN=kube-apiserver"."""
    return ", ".join(f"{name}={value}" for name, value in subject)
