"""The kinds of text and number that cluster.yaml is made of, each with its own check and message.

A check raises a complaint with two parts, what is wrong and what to do, which loading turns into a fault with file,
line and path. Values leave here in canonical form: addresses and ranges as `ipaddress` writes them, validities in days.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}
_QUALIFIED_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\$?")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_STABLE_DEVICE = re.compile(r"/dev/disk/by-(id|path|partuuid)/[A-Za-z0-9:._+=@-]+")
_PUBLIC_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{32,}={0,2}( [^\n\r\0]*)?"
)
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|socket|target|timer|path|mount|slice)")


def complaint(what: str, todo: str) -> PydanticCustomError:
    """Return the error that a check raises: what is wrong with a value, and what to do about it."""
    return PydanticCustomError("slipway", "{what}; {todo}", {"what": what, "todo": todo})


def is_subdomain(text: str) -> bool:
    """Return whether a text is a DNS-1123 subdomain (RFC 1123 with the limits of Kubernetes object names)."""
    return len(text) <= 253 and all(DNS_LABEL.fullmatch(part) for part in text.split("."))


def is_qualified_name(text: str) -> bool:
    """Return whether a text can be the key of a label or taint: an optional DNS prefix, a slash, a name."""
    prefix, slash, name = text.rpartition("/")
    return (not slash or is_subdomain(prefix)) and _QUALIFIED_NAME.fullmatch(name) is not None


def canonical_address(text: str) -> str:
    """Return an IP address in canonical form; raises ValueError where the text is none."""
    if "%" in text:
        raise ValueError("scoped address")
    return str(ipaddress.ip_address(text))


def _dns_label(text: str) -> str:
    if DNS_LABEL.fullmatch(text):
        return text
    raise complaint(
        f"{text!r} is not a DNS-1123 label",
        "use at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
    )


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


def _interface(text: str) -> str:
    if _INTERFACE.fullmatch(text):
        return text
    raise complaint(f"{text!r} is not the name of a network interface", "write it as `ip link` does, like eth0")


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


def _version(text: str) -> str:
    if text.startswith("v") and _VERSION.fullmatch(text[1:]):
        raise complaint(f"{text!r} begins with a v", f'write "{text[1:]}"')
    if _VERSION.fullmatch(text):
        return text
    raise complaint(f"{text!r} is not a whole version", 'write major, minor and patch in quotes, like "1.36.1"')


def _version_or_none(text: str) -> str:
    return text if text == "none" else _version(text)


def _days(text: str) -> str:
    if _DURATION.fullmatch(text):
        return text
    raise complaint(
        f"{text!r} is not a validity", "write a number with d (days), w (weeks) or y (365 days), like 10y or 90d"
    )


def days(text: str) -> int:
    """Return the days in a validity such as 10y, 4w or 90d; a year has 365."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _DAYS[match[2]]


def _absolute(text: str) -> str:
    parts = text.split("/")
    if not text.startswith("/") or text == "/" or any(part in {"", ".", ".."} for part in parts[1:]):
        raise complaint(
            f"{text!r} is not a plain absolute path", "write it from / on, without a slash at the end, . or .."
        )
    if any(char.isspace() or ord(char) < 32 or char in "\\%$\"'" for char in text):
        raise complaint(f"{text!r} has white space or characters that units give a meaning", "use a plain path")
    return text


def _stable_device(text: str) -> str:
    if _STABLE_DEVICE.fullmatch(text):
        return text
    if re.match("/dev/disk/by-(uuid|label)/", text):
        what, todo = "names a file system, and an empty disk has none yet", "name the disk by /dev/disk/by-id"
    elif re.fullmatch(r"/dev/(sd|vd|xvd|hd|nvme|mmcblk|md|loop|dm-)[a-z0-9]*", text):
        what, todo = "may be another disk after the next boot", "use its name below /dev/disk/by-id (`ls -l` shows it)"
    else:
        what, todo = "is not a name that stays with a disk", "use one below /dev/disk/by-id, by-path or by-partuuid"
    raise complaint(f"{text!r} {what}", todo)


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


def _plain_line(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 .,:()/_+-]{0,79}", text):
        return text
    raise complaint(
        f"{text!r} is not a short plain text", "write up to 80 letters, digits, spaces and . , : ( ) / _ + -"
    )


def _mode(text: str) -> str:
    if re.fullmatch(r"0?[0-7]{3}|[0-7]{4}", text):
        return text.rjust(4, "0")
    raise complaint(f"{text!r} is not a file mode", 'write octal digits in quotes, like "0644"')


def _user(text: str) -> str:
    if _USER.fullmatch(text):
        return text
    raise complaint(f"{text!r} is not a user or group name", "write a name as it stands in passwd or group")


def _unit(text: str) -> str:
    if _UNIT.fullmatch(text):
        return text
    raise complaint(
        f"{text!r} is not a systemd unit", "name a unit with its suffix, like kubelet.service; commands are not run"
    )


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


def _pinned_image(text: str) -> str:
    if any(char.isspace() for char in text) or not text or text.startswith("/"):
        raise complaint(f"{text!r} is not an image", "write it like registry.example.net/library/busybox:1.36.1")
    tag = text.rpartition("/")[2].partition(":")[2]
    if "@sha256:" in text or tag not in {"", "latest"}:
        return text
    raise complaint(
        f"{text!r} names no fixed image", "add a tag other than latest, or a digest, so that tests repeat what they did"
    )


def _relative(text: str) -> str:
    parts = text.split("/")
    if text.startswith("/") or any(part in {"", ".", ".."} for part in parts) or "\0" in text:
        raise complaint(
            f"{text!r} is not a path inside the cluster's folder",
            "write it relative to cluster.yaml, like files/proxy.conf",
        )
    return text


def _port_range(text: str) -> str:
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
        raise complaint(f"{text!r} is not a range of ports", "write first-last within 1-65535, like 30000-32767")
    return text


def _unavailable(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and not re.fullmatch(r"[1-9][0-9]{0,4}|([1-9][0-9]?|100)%", value):
        raise complaint(
            f"{value!r} is neither a number nor a percentage", 'write a number from 1 on, or a percentage like "10%"'
        )
    return value


def _sysctl_value(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, list) else [value]


def _public_key(text: str) -> str:
    if _PUBLIC_KEY.fullmatch(text):
        return text
    raise complaint(
        "is not the public half of an SSH key",
        "write the one line of the .pub file, like ssh-ed25519 AAAA… ops@example.net, without options before it",
    )


DnsLabel = Annotated[str, AfterValidator(_dns_label)]
Address = Annotated[str, AfterValidator(_address)]
AddressWithPrefix = Annotated[str, AfterValidator(_address_with_prefix)]
InterfaceName = Annotated[str, AfterValidator(_interface)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Domain = Annotated[str, AfterValidator(_domain)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
SubjectAlternativeName = Annotated[str, AfterValidator(_subject_alternative_name)]
Version = Annotated[str, AfterValidator(_version)]
VersionOrNone = Annotated[str, AfterValidator(_version_or_none)]
Validity = Annotated[str, AfterValidator(_days)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
StableDevice = Annotated[str, AfterValidator(_stable_device)]
Source = Annotated[str, AfterValidator(_source)]
ScalarText = Annotated[str, AfterValidator(_plain_line)]
PinnedImage = Annotated[str, AfterValidator(_pinned_image)]
RelativePath = Annotated[str, AfterValidator(_relative)]
Mode = Annotated[str, AfterValidator(_mode)]
UserName = Annotated[str, AfterValidator(_user)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
UnitName = Annotated[str, AfterValidator(_unit)]
Url = Annotated[str, AfterValidator(_url)]
RegistryHost = Annotated[str, AfterValidator(_registry)]
PortRange = Annotated[str, AfterValidator(_port_range)]
Port = Annotated[int, Field(ge=1, le=65535)]
Unavailable = Annotated[str, BeforeValidator(_unavailable, json_schema_input_type=int | str)]
SysctlValue = Annotated[str, BeforeValidator(_sysctl_value, json_schema_input_type=int | str)]
Cidrs = Annotated[
    list[Cidr], BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(min_length=1, max_length=2)
]
Addresses = Annotated[
    list[Address], BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(min_length=1, max_length=2)
]
MaskSizes = Annotated[
    list[Annotated[int, Field(ge=1, le=127)]],
    BeforeValidator(_listed, json_schema_input_type=int | list[int]),
    Field(min_length=1, max_length=2),
]
Texts = Annotated[
    list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(min_length=1, max_length=2)
]
