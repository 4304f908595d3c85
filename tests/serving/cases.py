"""The table: what nodes are listed, which requests lie in the API, and which of them are a listed kubelet's own.

The good requests are files that Go's crypto/x509 wrote as the kubelet has it write them (`<node>.csr` beside this
module); the forged ones are put together here, byte by byte, since no library writes most of them.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LONG = "worker-with-a-name-of-sixty-three-letters-and-digits-0123456789ab.rack-17.room-2.example.net"
ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "w1": ("10.0.0.11",),
    "dual": ("10.0.0.12", "fd00::12"),
    "10.0.0.13": ("10.0.0.13",),
    LONG: ("10.0.0.14",),
    "w2": ("10.0.0.15",),
}
"""The nodes of the list with their addresses."""

FILES = {"w1": "w1.csr", "dual": "dual.csr", "10.0.0.13": "address.csr", LONG: "long.csr"}
NEW_USAGES = ("digital signature", "server auth")
OLD_USAGES = ("digital signature", "key encipherment", "server auth")
GROUPS = ("system:nodes", "system:authenticated")
SIGNER = "kubernetes.io/kubelet-serving"

_HERE = Path(__file__).parent
_EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")
_CHALLENGE_PASSWORD = bytes.fromhex("06092a864886f70d010907")
_ALTERNATIVE_NAME = bytes.fromhex("0603551d11")
_BASIC_CONSTRAINTS = bytes.fromhex("0603551d13")
_O, _CN, _OU = (bytes.fromhex(f"06035504{kind}") for kind in ("0a", "03", "0b"))


@dataclass(frozen=True)
class Case:
    """A request as it lies in the API; `good` says whether it is to be approved."""

    what: str
    good: bool
    request: bytes
    node: str = "w1"
    name: str = ""
    user: str = ""
    groups: Sequence[str] = GROUPS
    usages: Sequence[str] = NEW_USAGES
    signer: str = SIGNER
    conditions: Sequence[Mapping[str, str]] = field(default=())

    def object(self, index: int) -> dict[str, Any]:
        """Return the CertificateSigningRequest with a name as the API makes it, or the case's own."""
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": self.name or f"csr-{index:05d}", "uid": f"uid-{index}", "resourceVersion": "7"},
            "spec": {
                "request": base64.b64encode(self.request).decode(),
                "signerName": self.signer,
                "username": self.user or f"system:node:{self.node}",
                "groups": list(self.groups),
                "usages": list(self.usages),
            },
            "status": {"conditions": list(self.conditions)} if self.conditions else {},
        }


def kubelet_request(node: str) -> bytes:
    """Return the PEM that Go wrote for a node."""
    return (_HERE / FILES[node]).read_bytes()


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return a DER element."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def rdn(kind: bytes, value: str, tag: int = 0x13) -> bytes:
    """Return one relative name, a PrintableString unless another tag is given."""
    return tlv(0x31, tlv(0x30, kind, tlv(tag, value.encode())))


def subject(node: str = "w1") -> bytes:
    """Return a kubelet's subject."""
    return tlv(0x30, rdn(_O, "system:nodes"), rdn(_CN, f"system:node:{node}"))


def dns(name: str) -> bytes:
    """Return a DNS name among the alternative names."""
    return tlv(0x82, name.encode())


def ip(*octets: int) -> bytes:
    """Return an address among the alternative names."""
    return tlv(0x87, bytes(octets))


def names_extension(*names: bytes, critical: bool = False) -> bytes:
    """Return the extension with alternative names."""
    return tlv(0x30, _ALTERNATIVE_NAME, b"\x01\x01\xff" if critical else b"", tlv(0x04, tlv(0x30, *names)))


def extension_request(*extensions: bytes) -> bytes:
    """Return the attribute that asks for extensions."""
    return tlv(0x30, _EXTENSION_REQUEST, tlv(0x31, tlv(0x30, *extensions)))


OWN_NAMES = (dns("w1"), ip(10, 0, 0, 11))


@functools.cache
def _public_key() -> bytes:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def der(
    *attributes: bytes, name: bytes | None = None, version: int = 0, inside: bytes = b"", behind: bytes = b""
) -> bytes:
    """Return a request in DER; its signature is none, since nobody but the signer looks at it.

    `inside` goes behind the attributes, `behind` behind the whole.
    """
    information = tlv(
        0x30,
        tlv(0x02, bytes([version])),
        subject() if name is None else name,
        _public_key(),
        tlv(0xA0, *attributes),
        inside,
    )
    algorithm = tlv(0x30, bytes.fromhex("06082a8648ce3d040302"))
    return tlv(0x30, information, algorithm, tlv(0x03, b"\0" * 65)) + behind


def pem(content: bytes, label: str = "CERTIFICATE REQUEST", width: int = 64) -> bytes:
    """Return a PEM block with lines of a width."""
    text = base64.b64encode(content).decode()
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def forged(*names: bytes, **other: Any) -> bytes:
    """Return a request in PEM for the names."""
    return pem(der(extension_request(names_extension(*names)), **other))


APPROVED = {"type": "Approved", "status": "True", "reason": "x", "message": "x"}
DENIED = {"type": "Denied", "status": "True", "reason": "x", "message": "x"}
OWN = kubelet_request("w1")

CASES: tuple[Case, ...] = (
    Case("a kubelet's own", True, OWN),
    Case("a kubelet's own before 1.27", True, OWN, usages=OLD_USAGES),
    Case("groups in the other order", True, OWN, groups=GROUPS[::-1]),
    Case("dual-stack", True, kubelet_request("dual"), node="dual"),
    Case("a node named by its address", True, kubelet_request("10.0.0.13"), node="10.0.0.13"),
    Case("a long name", True, kubelet_request(LONG), node=LONG),
    Case("the same, put together here", True, forged(*OWN_NAMES)),
    Case("a foreign address", False, forged(dns("w1"), ip(10, 0, 0, 1))),
    Case("a foreign address besides", False, forged(*OWN_NAMES, ip(10, 0, 0, 1))),
    Case("a foreign name", False, forged(dns("kubernetes"), ip(10, 0, 0, 11))),
    Case("a foreign name besides", False, forged(dns("kubernetes"), *OWN_NAMES)),
    Case("a mail address besides", False, forged(*OWN_NAMES, tlv(0x81, b"a@example.net"))),
    Case("a URI besides", False, forged(*OWN_NAMES, tlv(0x86, b"spiffe://a"))),
    Case("names in another order", False, forged(*OWN_NAMES[::-1])),
    Case("an IPv4 address in sixteen octets", False, forged(dns("w1"), ip(*[0] * 10, 255, 255, 10, 0, 0, 11))),
    Case("no alternative name", False, pem(der())),
    Case("an empty extension request", False, pem(der(extension_request()))),
    Case("no names in the extension", False, forged()),
    Case(
        "a comma, a newline and a foreign address in a DNS name",
        False,
        forged(dns("w1, IP Address:10.0.0.11\n    X509v3 Subject Alternative Name: \n DNS:w1"), ip(10, 0, 0, 1)),
    ),
    Case("a name with a zero in it", False, forged(dns("w1\0.example.net"), ip(10, 0, 0, 11))),
    Case(
        "a second extension of names",
        False,
        pem(der(extension_request(names_extension(*OWN_NAMES), names_extension(dns("kubernetes"), ip(10, 0, 0, 1))))),
    ),
    Case(
        "a second extension of names in an attribute of its own",
        False,
        pem(der(extension_request(names_extension(*OWN_NAMES)), extension_request(names_extension(ip(10, 0, 0, 1))))),
    ),
    Case(
        "a foreign extension first, the own second",
        False,
        pem(der(extension_request(names_extension(ip(10, 0, 0, 1))), extension_request(names_extension(*OWN_NAMES)))),
    ),
    Case("critical names", False, pem(der(extension_request(names_extension(*OWN_NAMES, critical=True))))),
    Case(
        "the wish to be a CA",
        False,
        pem(
            der(
                extension_request(
                    names_extension(*OWN_NAMES),
                    tlv(0x30, _BASIC_CONSTRAINTS, tlv(0x04, bytes.fromhex("30030101ff"))),
                )
            )
        ),
    ),
    Case(
        "another attribute besides",
        False,
        pem(
            der(
                extension_request(names_extension(*OWN_NAMES)),
                tlv(0x30, _CHALLENGE_PASSWORD, tlv(0x31, tlv(0x13, b"secret"))),
            )
        ),
    ),
    Case("another node's request", False, kubelet_request("w1"), node="w2"),
    Case("another node's names", False, forged(dns("w2"), ip(10, 0, 0, 15))),
    Case("another node's subject", False, forged(*OWN_NAMES, name=subject("w2"))),
    Case("the own request, another node as requestor", False, OWN, user="system:node:dual"),
    Case("a common name more", False, forged(*OWN_NAMES, name=subject("w1") + rdn(_CN, "system:node:w2"))),
    Case(
        "a unit in the subject",
        False,
        forged(*OWN_NAMES, name=tlv(0x30, rdn(_O, "system:nodes"), rdn(_OU, "x"), rdn(_CN, "system:node:w1"))),
    ),
    Case(
        "the subject as UTF8String",
        False,
        forged(*OWN_NAMES, name=tlv(0x30, rdn(_O, "system:nodes", 0x0C), rdn(_CN, "system:node:w1", 0x0C))),
    ),
    Case("an organization of masters", False, forged(*OWN_NAMES, name=tlv(0x30, rdn(_O, "system:masters")))),
    Case("no subject", False, forged(*OWN_NAMES, name=tlv(0x30))),
    Case("another version", False, forged(*OWN_NAMES, version=1)),
    Case("something behind the attributes", False, forged(*OWN_NAMES, inside=tlv(0x05))),
    Case("something behind the request", False, forged(*OWN_NAMES, behind=tlv(0x05))),
    Case("a node that is not listed", False, forged(dns("w9"), ip(10, 0, 0, 19), name=subject("w9")), node="w9"),
    Case("the list's own text as the node", False, OWN, user="system:node:w1 30"),
    Case("a newline in the user", False, OWN, user="system:node:w1\nn:csr-00000"),
    Case("a pattern as the node", False, OWN, user="system:node:*"),
    Case("no node in the user", False, OWN, user="system:node:"),
    Case("a service account", False, OWN, user="system:serviceaccount:kube-system:default"),
    Case("an administrator", False, OWN, user="w1"),
    Case("another group besides", False, OWN, groups=(*GROUPS, "system:masters")),
    Case("a group missing", False, OWN, groups=("system:authenticated",)),
    Case("a group twice", False, OWN, groups=("system:nodes", *GROUPS)),
    Case("a group with a comma", False, OWN, groups=("system:authenticated,system:nodes",)),
    Case("client auth besides", False, OWN, usages=(*NEW_USAGES, "client auth")),
    Case("client auth instead", False, OWN, usages=("digital signature", "client auth")),
    Case("cert sign besides", False, OWN, usages=(*OLD_USAGES, "cert sign")),
    Case("a usage twice", False, OWN, usages=("digital signature", "server auth", "server auth")),
    Case("no usages", False, OWN, usages=()),
    Case("another signer", False, OWN, signer="kubernetes.io/kube-apiserver-client"),
    Case("another block first", False, pem(b"x", "X") + OWN),
    Case("two requests", False, forged(dns("w1"), ip(10, 0, 0, 1)) + OWN),
    Case("two requests, the own first", False, OWN + forged(dns("w1"), ip(10, 0, 0, 1))),
    Case("a request inside the other", False, OWN.replace(b"\n", b"\n" + forged(ip(10, 0, 0, 1)), 1)),
    Case("text before the request", False, b"hello\n" + OWN),
    Case("a header in the block", False, OWN.replace(b"-----\n", b"-----\nProc-Type: 4,ENCRYPTED\n\n", 1)),
    Case("another kind of block", False, OWN.replace(b"CERTIFICATE REQUEST", b"CERTIFICATE")),
    Case("an old kind of block", False, OWN.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")),
    Case("DER without PEM", False, der(extension_request(names_extension(*OWN_NAMES)))),
    Case("a request cut short", False, pem(der(extension_request(names_extension(*OWN_NAMES)))[:-80])),
    Case("no request", False, b""),
    Case("zeros only", False, b"\0" * 64),
    Case("approved already", False, OWN, conditions=(APPROVED,)),
    Case("denied already", False, OWN, conditions=(DENIED,)),
)
"""Every case; the same node may ask any number of times."""

HOSTILE_NAMES = (
    "csr-$(touch pwned)",
    "csr-a;touch pwned",
    "csr-a b",
    "--all",
    "csr-a\nn:csr-00000",
    "`touch pwned`",
    "csr-A",
)
NAMED: tuple[Case, ...] = tuple(Case(f"a request called {name!r}", False, OWN, name=name) for name in HOSTILE_NAMES)
"""Requests that are a kubelet's own but for a name that no kubelet asks for; whoever creates one may choose it.

A program that never hands names to a shell or a command line may approve them: they harm nobody there.
"""
