"""Kubeconfigs: written for people with a certificate of hours, read for `--kubeconfig`; keys only ever in memory.

The loader of the kubernetes package is not used, since it writes keys to temporary files.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from fleet import private_file
from fleet.admin import ADMINS, LIFETIME, READERS, Signer
from fleet.endpoints import Endpoint, direct_endpoint
from fleet.tls import Credential, client_context
from generator.errors import ApiError, RefusedError
from generator.formats.yaml_text import yaml_text


def kubeconfig(signer: Signer, server: str, *, read_only: bool = False, lifetime: timedelta = LIFETIME) -> str:
    """Return a kubeconfig with a new client certificate in it; raises SealingError or PkiError.

    `server` is the URL of the API for people. The text holds a private key: print it, or write it with
    `write_private`.
    """
    credential = signer.certificate(READERS if read_only else ADMINS, lifetime)
    user = f"slipway-{'reader' if read_only else 'admin'}@{signer.cluster}"
    return yaml_text(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": signer.cluster,
                    "cluster": {"server": server, "certificate-authority-data": _encoded(signer.ca)},
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _encoded(credential.certificate),
                        "client-key-data": _encoded(credential.key),
                    },
                }
            ],
            "contexts": [{"name": user, "context": {"cluster": signer.cluster, "user": user}}],
            "current-context": user,
        }
    )


def write_private(path: Path, text: str, workspace: Path) -> None:
    """Write a kubeconfig that only its owner can read; raises RefusedError for a path in the workspace.

    A file that is there is replaced in one step.
    """
    if path.resolve().is_relative_to(workspace.resolve()):
        raise RefusedError(
            f"{path}: a kubeconfig holds a private key and must not lie in the workspace; name a path outside of it"
        )
    private_file.write_private(path, text.encode())


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What the current context of a kubeconfig says; `headers` may hold a bearer token and are not shown."""

    endpoint: Endpoint
    context: ssl.SSLContext
    headers: Mapping[str, str] = field(repr=False)


def read_kubeconfig(path: Path) -> Kubeconfig:
    """Read the current context of a kubeconfig; files that it names are relative to it.

    Raises ApiError where it cannot be used: no TLS, no verification, a program or plugin as the way to credentials.
    """
    try:
        document = yaml.safe_load(path.read_bytes())
        context = _named(document, "contexts", str(document["current-context"]))["context"]
        cluster = _named(document, "clusters", str(context["cluster"]))["cluster"]
        user = _named(document, "users", str(context["user"])).get("user") or {}
        server = urlsplit(str(cluster["server"]))
        ca = _material(path, cluster, "certificate-authority")
        certificate, key = _material(path, user, "client-certificate"), _material(path, user, "client-key")
        token = str(user.get("token", "")) or _token_file(path, user)
    except OSError as error:
        raise ApiError(
            f"{error.filename}: it cannot be read ({(error.strerror or '').lower()}); name a readable kubeconfig"
        ) from None
    except (KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError):
        # Without the cause: its text could repeat a line that holds a key.
        raise ApiError(
            f"{path}: it is no kubeconfig with a current context, cluster and user; write one with `invoke kubeconfig`"
        ) from None
    if server.scheme != "https" or not server.hostname or cluster.get("insecure-skip-tls-verify"):
        raise ApiError(
            f"{path}: its server is not verified by TLS, which Slipway always does; use https and the cluster's CA"
        )
    if not ca:
        raise ApiError(f"{path}: it names no certificate-authority; add the cluster's CA")
    if "exec" in user or "auth-provider" in user:
        raise ApiError(
            f"{path}: a program gives its credentials, and Slipway does not run it; use one with a certificate or token"
        )
    credential = Credential(certificate, key) if certificate and key else None
    if credential is None and not token:
        raise ApiError(f"{path}: it has neither a client certificate with its key nor a token; use one that has")
    endpoint = direct_endpoint(server.hostname, server.port or 443, str(cluster.get("tls-server-name", "")))
    return Kubeconfig(endpoint, client_context(ca, credential), {"authorization": f"Bearer {token}"} if token else {})


def _named(document: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    for entry in document[kind]:
        if entry["name"] == name:
            return dict(entry)
    raise KeyError(name)


def _material(path: Path, entry: Mapping[str, Any], key: str) -> bytes:
    """Return what `<key>-data` holds or what the file named by `<key>` holds, b"" where there is neither."""
    if entry.get(f"{key}-data"):
        try:
            return base64.b64decode(str(entry[f"{key}-data"]), validate=True)
        except binascii.Error:
            raise ValueError(key) from None
    return (path.parent / str(entry[key])).read_bytes() if entry.get(key) else b""


def _token_file(path: Path, user: Mapping[str, Any]) -> str:
    return (path.parent / str(user["tokenFile"])).read_text().strip() if user.get("tokenFile") else ""


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
