"""The kinds of text and number that say who is where: addresses, ranges, names of hosts, ports, URLs.

Values leave here in canonical form: addresses and ranges as `ipaddress` writes them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from generator.spec.scalars import complaint, is_subdomain, listed, matching

_REPOSITORY = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def canonical_address(text: str) -> str:
    """Return an IP address in canonical form; raises ValueError where the text is none."""
    if "%" in text:
        raise ValueError("scoped address")
    return str(ipaddress.ip_address(text))


def _address(text: str) -> str:
    try:
        return canonical_address(text)
    except ValueError:
        raise complaint(f"{text!r} is not an IP address", "write an IPv4 or IPv6 address") from None


def _address_with_prefix(text: str) -> str:
    address, slash, prefix = text.partition("/")
    try:
        found = canonical_address(address)
        most = ipaddress.ip_address(found).max_prefixlen
        if slash and not (prefix.isascii() and prefix.isdigit() and 1 <= int(prefix) <= most):
            raise ValueError(text)
    except ValueError:
        raise complaint(
            f"{text!r} is not an IP address, alone or with its prefix length",
            "write it like 10.0.0.100 or 10.0.0.100/24",
        ) from None
    return f"{found}/{int(prefix)}" if slash else found


_interface = matching(_INTERFACE, "is not the name of a network interface", "write it as `ip link` does, like eth0")


def _cidr(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
        prefix = text.partition("/")[2]
        if "%" in text or not prefix.isascii() or not prefix.isdigit():
            raise ValueError
    except ValueError:
        raise complaint(
            f"{text!r} is not a range of addresses", "write it as address/prefix, like 10.244.0.0/16"
        ) from None
    if ipaddress.ip_address(text.split("/")[0]) != network.network_address:
        raise complaint(f"{text!r} has bits set behind its prefix", f"write {network}")
    return str(network)


def _domain(text: str) -> str:
    if text.endswith("."):
        raise complaint(
            f"{text!r} ends with a dot",
            "leave it out: names in certificates carry none (RFC 5280), so clients would not accept the API server",
        )
    if not is_subdomain(text):
        raise complaint(f"{text!r} is not a DNS name", "write lower-case labels joined by dots, like cluster.local")
    return text


def _endpoint(text: str) -> str:
    try:
        return canonical_address(text)
    except ValueError:
        pass
    if text.endswith("."):
        raise complaint(f"{text!r} ends with a dot", "leave the dot out: names in certificates carry none (RFC 5280)")
    looks_like_address = re.fullmatch(r"[0-9.]+", text) is not None
    if looks_like_address or not is_subdomain(text):
        raise complaint(
            f"{text!r} is neither an IP address nor a DNS name", "write one of the two, without port or scheme"
        )
    return text


def _subject_alternative_name(text: str) -> str:
    return f"*.{_endpoint(text[2:])}" if text.startswith("*.") else _endpoint(text)


def _source(text: str) -> str:
    if text in {"anyone", "nodes", "pods"}:
        return text
    try:
        return _cidr(text)
    except PydanticCustomError as error:
        if "/" in text:
            raise
        raise complaint(
            f"{text!r} is no source of calls", "write a range like 10.2.0.0/16, or one of anyone, nodes, pods"
        ) from error


def _url(text: str) -> str:
    if re.fullmatch(r"https?://[^\s/@]+(/[^\s?#@]*)?", text):
        return text.rstrip("/")
    if "@" in text:
        raise complaint(
            "the URL holds a user or password", "leave them out: this file is read by everybody who reviews it"
        )
    raise complaint(f"{text!r} is not an http or https URL", "write it like https://mirror.example.net/slipway")


def _registry(text: str) -> str:
    host = text.rpartition(":")[0] if re.search(r":[0-9]+$", text) else text
    if text == "_default" or is_subdomain(host) or re.fullmatch(r"\[[0-9a-f:]+\]", host):
        return text
    raise complaint(
        f"{text!r} is not a registry host", "write host or host:port without a scheme, like registry.example.net:5000"
    )


def _registry_prefix(text: str) -> str:
    host, slash, path = text.partition("/")
    good = _REPOSITORY.fullmatch(path) is not None if slash else True
    if host != "_default" and good and "://" not in text:
        return f"{_registry(host)}{slash}{path}"
    raise complaint(
        f"{text!r} is not a registry with or without a path",
        "write host, host:port or host/path without a scheme, like registry.example.net:5000/mirror",
    )


def _mirror(text: str) -> str:
    return _url(text) if "://" in text else _registry_prefix(text)


def _port_range(text: str) -> str:
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
        raise complaint(f"{text!r} is not a range of ports", "write first-last within 1-65535, like 30000-32767")
    return text


Address = Annotated[str, AfterValidator(_address)]
AddressWithPrefix = Annotated[str, AfterValidator(_address_with_prefix)]
InterfaceName = Annotated[str, AfterValidator(_interface)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Domain = Annotated[str, AfterValidator(_domain)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
SubjectAlternativeName = Annotated[str, AfterValidator(_subject_alternative_name)]
Source = Annotated[str, AfterValidator(_source)]
Url = Annotated[str, AfterValidator(_url)]
RegistryHost = Annotated[str, AfterValidator(_registry)]
RegistryPrefix = Annotated[str, AfterValidator(_registry_prefix)]
Mirror = Annotated[str, AfterValidator(_mirror)]
"""A place in a registry, or a URL: which of the two is for who asks there."""
PortRange = Annotated[str, AfterValidator(_port_range)]
Port = Annotated[int, Field(ge=1, le=65535)]
Cidrs = Annotated[
    list[Cidr], BeforeValidator(listed, json_schema_input_type=str | list[str]), Field(min_length=1, max_length=2)
]
Addresses = Annotated[
    list[Address], BeforeValidator(listed, json_schema_input_type=str | list[str]), Field(min_length=1, max_length=2)
]
MaskSizes = Annotated[
    list[Annotated[int, Field(ge=1, le=127)]],
    BeforeValidator(listed, json_schema_input_type=int | list[int]),
    Field(min_length=1, max_length=2),
]
