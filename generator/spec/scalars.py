"""The kinds of text and number that cluster.yaml is made of, each with its own check and message.

A check raises a complaint with two parts, what is wrong and what to do, which loading turns into a fault with file,
line and path. Values leave here in canonical form, such as modes with four digits. Those that say who is where stand in
scalars_network.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}
_QUALIFIED_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\$?")
_STABLE_DEVICE = re.compile(r"/dev/disk/by-(id|path|partuuid)/[A-Za-z0-9:._+=@-]+")
_PUBLIC_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{32,}={0,2}( [^\n\r\0]*)?"
)
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|socket|target|timer|path|mount|slice)")


def complaint(what: str, todo: str) -> PydanticCustomError:
    """Return the error that a check raises: what is wrong with a value, and what to do about it."""
    return PydanticCustomError("slipway", "{what}; {todo}", {"what": what, "todo": todo})


def matching(pattern: re.Pattern[str], what: str, todo: str) -> Callable[[str], str]:
    """Return a check that a text matches a pattern as a whole; its complaint is `'<text>' <what>; <todo>`."""

    def check(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise complaint(f"{text!r} {what}", todo)

    return check


def is_subdomain(text: str) -> bool:
    """Return whether a text is a DNS-1123 subdomain (RFC 1123 with the limits of Kubernetes object names)."""
    return len(text) <= 253 and all(DNS_LABEL.fullmatch(part) for part in text.split("."))


def is_qualified_name(text: str) -> bool:
    """Return whether a text can be the key of a label or taint: an optional DNS prefix, a slash, a name."""
    prefix, slash, name = text.rpartition("/")
    return (not slash or is_subdomain(prefix)) and _QUALIFIED_NAME.fullmatch(name) is not None


def _dns_label(text: str) -> str:
    if DNS_LABEL.fullmatch(text):
        return text
    raise complaint(
        f"{text!r} is not a DNS-1123 label",
        "use at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
    )


def _version(text: str) -> str:
    if text.startswith("v") and _VERSION.fullmatch(text[1:]):
        raise complaint(f"{text!r} begins with a v", f'write "{text[1:]}"')
    if _VERSION.fullmatch(text):
        return text
    raise complaint(f"{text!r} is not a whole version", 'write major, minor and patch in quotes, like "1.36.1"')


def _version_or_none(text: str) -> str:
    return text if text == "none" else _version(text)


_days = matching(
    _DURATION, "is not a validity", "write a number with d (days), w (weeks) or y (365 days), like 10y or 90d"
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


_plain_line = matching(
    re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,:()/_+-]{0,79}"),
    "is not a short plain text",
    "write up to 80 letters, digits, spaces and . , : ( ) / _ + -",
)


def _mode(text: str) -> str:
    if re.fullmatch(r"0?[0-7]{3}|[0-7]{4}", text):
        return text.rjust(4, "0")
    raise complaint(f"{text!r} is not a file mode", 'write octal digits in quotes, like "0644"')


_user = matching(_USER, "is not a user or group name", "write a name as it stands in passwd or group")


_unit = matching(
    _UNIT, "is not a systemd unit", "name a unit with its suffix, like kubelet.service; commands are not run"
)


def _pinned_image(text: str) -> str:
    if any(char.isspace() for char in text) or not text or text.startswith("/"):
        raise complaint(f"{text!r} is not an image", "write it like registry.example.net/library/busybox:1.36.1")
    tag = text.rpartition("/")[2].partition(":")[2]
    if "@sha256:" in text or tag not in {"", "latest"}:
        return text
    raise complaint(
        f"{text!r} names no fixed image", "add a tag other than latest, or a digest, so that each pull brings the same"
    )


def _relative(text: str) -> str:
    parts = text.split("/")
    if text.startswith("/") or any(part in {"", ".", ".."} for part in parts) or "\0" in text:
        raise complaint(
            f"{text!r} is not a path inside the cluster's folder",
            "write it relative to cluster.yaml, like files/proxy.conf",
        )
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


def listed(value: Any) -> Any:
    """Return one value as a list of one."""
    return value if value is None or isinstance(value, list) else [value]


def _public_key(text: str) -> str:
    if _PUBLIC_KEY.fullmatch(text):
        return text
    raise complaint(
        "is not the public half of an SSH key",
        "write the one line of the .pub file, like ssh-ed25519 AAAA… ops@example.net, without options before it",
    )


DnsLabel = Annotated[str, AfterValidator(_dns_label)]
Version = Annotated[str, AfterValidator(_version)]
VersionOrNone = Annotated[str, AfterValidator(_version_or_none)]
Validity = Annotated[str, AfterValidator(_days)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
StableDevice = Annotated[str, AfterValidator(_stable_device)]
ScalarText = Annotated[str, AfterValidator(_plain_line)]
PinnedImage = Annotated[str, AfterValidator(_pinned_image)]
RelativePath = Annotated[str, AfterValidator(_relative)]
Mode = Annotated[str, AfterValidator(_mode)]
UserName = Annotated[str, AfterValidator(_user)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
UnitName = Annotated[str, AfterValidator(_unit)]
Unavailable = Annotated[str, BeforeValidator(_unavailable, json_schema_input_type=int | str)]
SysctlValue = Annotated[str, BeforeValidator(_sysctl_value, json_schema_input_type=int | str)]
Texts = Annotated[
    list[str], BeforeValidator(listed, json_schema_input_type=str | list[str]), Field(min_length=1, max_length=2)
]
