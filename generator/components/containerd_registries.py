"""Where containerd pulls from: a folder for each registry with its mirrors and CA, and who logs in where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator.components.items import HostFile, HostItem
from generator.formats.toml_text import toml_text
from generator.spec.sections import Registry

CERTS_DIR = "/etc/containerd/certs.d"


def logins(registries: Iterable[Registry]) -> Mapping[str, Any]:
    """Return who logs in where: for each registry host the sealed base64 of user, colon and password.

    containerd marks the property deprecated and keeps it until it has another home for credentials; hosts.toml can
    send a fixed header only, which registries that hand out tokens refuse. Source: containerd's docs/cri/registry.md
    and its pull request 12791. Base64 also keeps whatever a password holds out of TOML's quoting.
    """
    return {
        _login_host(registry.host): {"auth": {"auth": f"{{{{secret:{registry.secret}}}}}"}}
        for registry in registries
        if registry.credentials
    }


def registry_items(registry: Registry, *, component: str, phase: str) -> Iterator[HostItem]:
    """Yield the folder of one registry; containerd reads it at every pull, so nothing restarts.

    The CA is for the registry and its mirrors alike (it is added to the system's). A certificate goes unchecked on the
    mirrors where there are some, else on the registry: not on the public one that stands behind a private mirror.
    """
    folder = f"{CERTS_DIR}/{registry.host}"
    trust: dict[str, Any] = {}
    if registry.ca_file is not None:
        trust["ca"] = f"{folder}/ca.crt"
        yield HostFile(f"{folder}/ca.crt", registry.ca_file, component, phase)
    unchecked = {"skip_verify": True} if registry.skip_verify else {}
    text: dict[str, Any] = {}
    if registry.host != "_default":
        text["server"] = _server(registry.host)
        text |= trust | ({} if registry.mirrors else unchecked)
    hosts: dict[str, Mapping[str, Any]] = {}
    for mirror in registry.mirrors:
        hosts[mirror] = {"capabilities": ["pull", "resolve"], **trust, **unchecked, **_path(mirror)}
    if hosts:
        text["host"] = hosts
    yield HostFile(f"{folder}/hosts.toml", toml_text(text, sort=False), component, phase)


def _server(host: str) -> str:
    """Return the URL of a registry."""
    return f"https://{_login_host(host)}"


def _login_host(host: str) -> str:
    """Return the name of a registry's server; images of docker.io come from another (containerd's docs/hosts.md)."""
    return "registry-1.docker.io" if host == "docker.io" else host


def _path(mirror: str) -> dict[str, bool]:
    """Return what a mirror needs whose URL names the API root itself, as proxy projects of registries do."""
    _, _, after_scheme = mirror.partition("://")
    _, _, path = after_scheme.partition("/")
    return {"override_path": True} if f"{path}/".startswith("v2/") else {}
