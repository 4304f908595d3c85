"""The kinds of text of the section `system`, each with its own check and message."""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from generator.spec.scalars import complaint, is_subdomain, matching
from generator.spec.scalars_network import Address

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,127}")
_RELEASE = re.compile(r"[0-9][A-Za-z0-9._+~-]{0,63}")
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_OPTION = re.compile(r"[A-Za-z0-9_]+(=[A-Za-z0-9_.,:/+-]*)?")
_APT_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._/-]{0,127}")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[KMGT]")
_AGE = re.compile(r"[1-9][0-9]{0,4}(h|d|w|month|year)")


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _time_zone(text: str) -> str:
    """Check a zone by the zones of this machine; where it has none at all, by its shape alone."""
    if text == "keep":
        return text
    zones = _zones()
    if text in zones or (not zones and re.fullmatch(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)*", text)):
        return text
    same = sorted(zone for zone in zones if zone.lower() == text.lower() or zone.lower().endswith(f"/{text.lower()}"))
    near = same or difflib.get_close_matches(text, sorted(zones), n=1, cutoff=0.8)
    todo = f"did you mean {near[0]}?" if near else "write a name of the tz database, like Europe/Berlin or UTC"
    raise complaint(f"{text!r} is not a time zone", todo)


def _swap(value: Any) -> Any:
    # Without quotes off is a boolean to YAML.
    return "off" if value is False else value


def _proxy_url(text: str) -> str:
    if "@" in text:
        raise complaint(
            "the URL holds a user or password, and this file and the host's units are read by everybody",
            "let the proxy admit the hosts by address, or run a local one that holds the password and name that",
        )
    if re.fullmatch(r"https?://[^\s/\"'%\\]+/?", text):
        return text.rstrip("/")
    raise complaint(f"{text!r} is not the URL of a proxy", "write it like http://proxy.example.net:3128")


def _no_proxy(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if is_subdomain(text.removeprefix(".")):
        return text
    raise complaint(f"{text!r} is no name, domain or range", "write it like .example.net, mirror or 10.0.0.0/8")


_package = matching(_PACKAGE, "is not the name of a package", "write the distribution's name, without a version")


_release = matching(_RELEASE, "is not the release of a kernel", "write it as `uname -r` does, like 6.1.0-39-amd64")


_module = matching(_MODULE, "is not a kernel module", "write its name as lsmod shows it, like ip_vs")


def _module_options(text: str) -> str:
    words = text.split()
    if words and all(_OPTION.fullmatch(word) for word in words):
        return " ".join(words)
    raise complaint(f"{text!r} are no module options", "write name=value with spaces between, like hashsize=131072")


_apt_word = matching(_APT_WORD, "is no suite or component", "write one word, like bookworm or main")


def _apt_suite(text: str) -> str:
    return text if text in {"/", "./"} else _apt_word(text)


_size = matching(_SIZE, "is not a size", "write a number with K, M, G or T, like 2G")


# systemd.time(7) takes all of these as they are.
_age = matching(_AGE, "is not an age", "write a number with h, d, w, month or year, like 30d")


def _record_names(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _names(names: list[str]) -> list[str]:
    for name in names:
        if not is_subdomain(name):
            raise complaint(f"{name!r} is not a host name", "write lower-case labels joined by dots")
    if not names:
        raise complaint("is an address without a name", "name the host, or take the line out")
    return names


TimeZone = Annotated[str, AfterValidator(_time_zone)]
Swap = Annotated[Literal["off", "keep"], BeforeValidator(_swap, json_schema_input_type=Literal["off", "keep", False])]
ProxyUrl = Annotated[str, AfterValidator(_proxy_url)]
NoProxy = Annotated[str, AfterValidator(_no_proxy)]
PackageName = Annotated[str, AfterValidator(_package)]
KernelRelease = Annotated[str, AfterValidator(_release)]
ModuleName = Annotated[str, AfterValidator(_module)]
ModuleOptions = Annotated[str, AfterValidator(_module_options)]
AptWord = Annotated[str, AfterValidator(_apt_word)]
AptSuite = Annotated[str, AfterValidator(_apt_suite)]
JournalSize = Annotated[str, AfterValidator(_size)]
JournalAge = Annotated[str, AfterValidator(_age)]
HostsRecords = dict[
    Address,
    Annotated[list[str], AfterValidator(_names), BeforeValidator(_record_names, json_schema_input_type=str | list[str])]
    | None,
]
