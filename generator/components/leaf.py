"""A certificate and its key on a host: the certificate for everyone to read, the key for its user alone."""

from __future__ import annotations

from collections.abc import Iterator

from generator.components.items import HostFile, HostItem, SecretRef
from generator.components.view import View


def leaf(view: View, name: str, stem: str, *, component: str, phase: str, owner: str) -> Iterator[HostItem]:
    """Yield `<stem>.crt` and `<stem>.key` of one host's certificate; `name` is kubeadm's, such as "etcd/peer".

    Neither restarts anything: etcd and every Kubernetes component from 1.20 on read a pair of files anew when it
    changes (etcd for each handshake, the others through client-go and dynamic certificates).
    """
    assert view.host is not None
    material_name = f"hosts/{view.host.name}/{name}"
    yield HostFile(f"{stem}.crt", view.material.certificate(material_name), component=component, phase=phase)
    yield HostFile(
        f"{stem}.key",
        SecretRef(f"pki/{material_name}"),
        component=component,
        phase=phase,
        mode=0o400,
        owner=owner,
        group=owner,
    )
