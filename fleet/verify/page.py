"""verify.yaml and pki.yaml of a rendered tree, as values: what the functional test is to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from generator.errors import StaleTreeError

NODE = "{node}"
"""Stands for the name of a node in the rights of verify.yaml."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate as pki.yaml has it: words, and the files that hold it.

    `host` is "" for a CA and for a leaf of an addon, which lies in a Secret and so has no `files`. Those pair a path
    with who has it: a host, or roles joined by ", " for a CA.
    """

    name: str
    subject: str
    sans: tuple[str, ...]
    usages: tuple[str, ...]
    issuer: str
    fingerprint: str
    host: str
    files: tuple[tuple[str, str], ...]

    @property
    def is_ca(self) -> bool:
        """Whether this is a certificate authority, which has its own name as its issuer."""
        return self.name == self.issuer


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that serves TLS on the hosts of some roles; `address` "" is the host's own.

    `certificate` is the name of the leaf below hosts/<host>/, or "kubelet" for the one that the kubelet rotates.
    """

    component: str
    roles: frozenset[str]
    address: str
    port: int
    certificate: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whose rights are asked about; questions as verify.yaml has them, `{node}` unfilled."""

    name: str
    user: str
    groups: tuple[str, ...]
    may: tuple[Mapping[str, str], ...]
    may_not: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What a functional test is to find, beside inventory and phases."""

    image: str
    domain: str
    dns: tuple[str, ...]
    kubernetes: tuple[str, ...]
    warn_days: int
    kubelet_client: str
    kubelet_serving: str
    listeners: tuple[Listener, ...]
    identities: tuple[Identity, ...]
    certificates: tuple[Certificate, ...] = field(repr=False)

    def of_host(self, host: str) -> tuple[Certificate, ...]:
        """Return the leaves that belong to a host."""
        return tuple(one for one in self.certificates if one.host == host)


def load_page(rendered_dir: Path) -> Page:
    """Read what the test is to find; raises StaleTreeError where it is not what render writes."""
    try:
        page = _mapping(rendered_dir / "verify.yaml")
        pki = _mapping(rendered_dir / "pki.yaml")
        return Page(
            image=str(page["image"]),
            domain=str(page["dns"]["domain"]),
            dns=tuple(map(str, page["dns"]["addresses"])),
            kubernetes=tuple(map(str, page["services"]["kubernetes"])),
            warn_days=int(page["certificates"]["warnDays"]),
            kubelet_client=str(page["kubelet"]["client"]),
            kubelet_serving=str(page["kubelet"]["serving"]),
            listeners=tuple(map(_listener, page["listeners"])),
            identities=tuple(map(_identity, page["rights"])),
            certificates=tuple(map(_certificate, pki["certificates"])),
        )
    except (OSError, KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        raise StaleTreeError(
            f"{rendered_dir.name}: verify.yaml or pki.yaml is not as render writes it ({error!r}); run `invoke render`"
        ) from None


def _listener(entry: Mapping[str, Any]) -> Listener:
    return Listener(
        str(entry["component"]), frozenset(entry["roles"]), str(entry.get("address", "")), int(entry["port"]),
        str(entry["certificate"]),
    )  # fmt: skip


def _identity(entry: Mapping[str, Any]) -> Identity:
    may, may_not = (tuple(dict(one) for one in entry.get(key) or ()) for key in ("may", "mayNot"))
    return Identity(str(entry["name"]), str(entry["user"]), tuple(map(str, entry["groups"])), may, may_not)


def _certificate(entry: Mapping[str, Any]) -> Certificate:
    files: list[tuple[str, str]] = []
    for place in entry.get("places") or ():
        path, _, on = str(place).rpartition(" on ")
        if path.endswith(".crt"):
            files.append((path, on))
    return Certificate(
        name=str(entry["name"]),
        subject=str(entry["subject"]),
        sans=tuple(map(str, entry.get("sans") or ())),
        usages=tuple(map(str, entry["usages"])),
        issuer=str(entry["issuer"]),
        fingerprint=str(entry.get("fingerprint", "")),
        host=str(entry.get("host", "")),
        files=tuple(files),
    )


def _mapping(path: Path) -> dict[str, Any]:
    # Certificates of a thousand hosts are many lines; the C loader reads them twenty times faster.
    document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} is no mapping")
    return document
