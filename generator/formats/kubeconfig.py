"""Kubeconfigs for programs on a host: the certificate and key of the client are named by path, never embedded."""

from __future__ import annotations

from generator.formats.yaml_text import yaml_text


def kubeconfig_text(
    *, server: str, certificate_authority: str, user: str, client_certificate: str, client_key: str, cluster: str
) -> str:
    """Return a kubeconfig (v1 Config) with one cluster, one user and one context, which is the current one.

    `server` is a URL; the certificate authority, the client's certificate and its key are absolute paths on the host.
    client-go reads certificate and key anew when the files change, so their rotation needs no restart of the client.
    """
    context = f"{user}@{cluster}"
    return yaml_text(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": cluster, "cluster": {"certificate-authority": certificate_authority, "server": server}}
            ],
            "users": [
                {"name": user, "user": {"client-certificate": client_certificate, "client-key": client_key}},
            ],
            "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
            "current-context": context,
        },
        sort=False,
    )
