"""The API server of one's own host, to which controller manager, scheduler and csr-approver talk and to no other.

Kubernetes' skew policy wants them no newer than the API server that they use, which only their own host's surely is
while a cluster is upgraded host by host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from generator.components.items import HostFile, HostItem
from generator.components.view import View
from generator.formats.kubeconfig import kubeconfig_text
from generator.spec.layout import CA_CERT
from generator.spec.model import bracketed

NODE_IP_VARIABLE = "${SLIPWAY_NODE_IP}"
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})
Level = Literal["shared", "host"]


def own_api_kubeconfig(
    view: View,
    level: Level,
    *,
    path: str,
    user: str,
    credentials: str,
    component: str,
    phase: str,
    restarts: tuple[str, ...] = (),
) -> Iterator[HostItem]:
    """Yield the kubeconfig for the host's own API server, at the level to which it belongs.

    It is shared, by way of loopback, unless API servers bind the address of their host alone. `credentials`
    is the path of certificate and key without its ending.
    """
    bind = _bind_address(view)
    if (bind == NODE_IP_VARIABLE) != (level == "host"):
        return
    if bind in _WILDCARDS:
        address = "127.0.0.1"
    elif bind == NODE_IP_VARIABLE:
        assert view.host is not None
        address = view.host.address
    else:
        address = bind
    text = kubeconfig_text(
        server=f"https://{bracketed(address)}:{view.cluster.api.port}",
        certificate_authority=CA_CERT,
        user=user,
        client_certificate=f"{credentials}.crt",
        client_key=f"{credentials}.key",
        cluster=view.cluster.name,
    )
    yield HostFile(path, text, component=component, phase=phase, restarts=restarts)


def _bind_address(view: View) -> str:
    """Return where the API server binds: what the layers of the spec say of it, else as api.bind, "" for anywhere."""
    bind = NODE_IP_VARIABLE if view.cluster.api.bind == "address" else ""
    for _, override in view.overrides("kube-apiserver"):
        written = {**override.flags, **override.unsafe_flags}
        if "bind-address" in written:
            bind = str(written["bind-address"] or "")
    return bind
