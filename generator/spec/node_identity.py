"""What a kubelet asks its serving certificate for, byte for byte: the line by which its request is recognised.

Go's encoding is fixed, so bytes can be compared: crypto/x509/pkix writes the organization before the common name, each
as PrintableString where the characters allow it; the kubelet (pkg/kubelet/certificate) asks for its names sorted, then
its addresses sorted as text, and takes both from the addresses that it reports for its node.
"""

from __future__ import annotations

import ipaddress

from generator.spec.model import Host, is_address

_SEQUENCE, _SET = 0x30, 0x31
_PRINTABLE_STRING, _UTF8_STRING = 0x13, 0x0C
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_ORGANIZATION = bytes.fromhex("060355040a")
_COMMON_NAME = bytes.fromhex("0603550403")
# encoding/asn1 takes these for PrintableString when it encodes; RFC 5280 lists the same.
_PRINTABLE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 '()+,-./:=?")


def node_line(host: Host) -> str:
    """Return `<hex subject> <hex SAN value>` of the request that the host's kubelet makes for its serving certificate.

    The first is the DER of the subject, the second that of the GeneralNames inside the extension subjectAltName. Both
    are lower-case hex. A node that is named by its address has no DNS name.
    """
    return f"{_subject(host.node_name).hex()} {_alternative_names(host.node_name, host.addresses).hex()}"


def _subject(node: str) -> bytes:
    names = (
        _named(_ORGANIZATION, "system:nodes"),
        _named(_COMMON_NAME, f"system:node:{node}"),
    )
    return _tlv(_SEQUENCE, b"".join(names))


def _named(kind: bytes, value: str) -> bytes:
    tag = _PRINTABLE_STRING if _PRINTABLE.issuperset(value) else _UTF8_STRING
    return _tlv(_SET, _tlv(_SEQUENCE, kind + _tlv(tag, value.encode())))


def _alternative_names(node: str, addresses: tuple[str, ...]) -> bytes:
    texts = set(addresses)
    names: list[bytes] = []
    if is_address(node):
        texts.add(node)
    else:
        names.append(_tlv(_DNS_NAME, node.encode()))
    names.extend(_tlv(_IP_ADDRESS, ipaddress.ip_address(text).packed) for text in sorted(texts))
    return _tlv(_SEQUENCE, b"".join(names))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
