"""What an apply run needs of the Kubernetes API, as one protocol; `fleet.kube` and its neighbours fill it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from fleet.cluster_record import Applied
from fleet.plan import ObjectChange
from fleet.rollout import Watch
from fleet.tree import Phase


class ClusterApi(Protocol):
    """The API of one cluster, reached through the SSH connection to a control-plane host."""

    def admin_context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the cluster's CA and carries an administrator's client certificate."""
        ...

    async def object_changes(self, sets: Sequence[str]) -> tuple[ObjectChange, ...]:
        """Return what applying object sets (folders of objects/) would change; nothing is written."""
        ...

    async def apply_objects(
        self, sets: Sequence[str], told: Callable[[ObjectChange], None] = lambda _: None
    ) -> tuple[ObjectChange, ...]:
        """Apply object sets on the server's side, prune what left them, and return what changed.

        `told` hears of each object as soon as it is done.
        """
        ...

    async def unaccepted(self, sets: Sequence[str]) -> tuple[str, ...]:
        """Return what of object sets the API does not have as rendered, in words; nothing when all is accepted."""
        ...

    async def not_rolled_out(self, sets: Sequence[str], known: Watch) -> tuple[str, ...]:
        """Return which workloads of object sets do not run as applied, each with its reason; nothing when all do.

        `known` keeps reasons for some seconds, for a caller that asks again and again.
        """
        ...

    async def objects_settled(self, sets: Sequence[str]) -> None:
        """Write down that object sets have passed the gates of their phase."""
        ...

    async def record_apply(self, applied: Applied) -> bool:
        """Write down in the API which tree is applied, by whom; return False where that stands there already."""
        ...

    async def node_fault(self, host: str) -> str:
        """Return why the host's node is not in service, "" when it is.

        In service: Ready, serving with a good certificate, and with the pods that the network's sets put on each node.
        Serving requests that the rendered list allows are approved on the way.
        """
        ...

    async def ready_nodes(self) -> Mapping[str, bool]:
        """Return for every node that the API knows whether it is Ready."""
        ...

    async def node_boot(self, host: str) -> str:
        """Return the id of the boot that the host's kubelet has reported, "" where it has reported none."""
        ...

    async def bootstrap_kubeconfig(self, phase: Phase, hosts: Sequence[str]) -> bytes:
        """Return a kubeconfig with a token that lives for minutes; it joins the named hosts (phase.join says how)."""
        ...

    async def end_bootstrap(self) -> None:
        """Delete the tokens that this run has made; called however the run ends."""
        ...

    async def node_changes(self, hosts: Collection[str]) -> tuple[ObjectChange, ...]:
        """Return labels and taints that the API has otherwise than the inventory, and foreign nodes."""
        ...

    async def foreign_control_plane(self) -> tuple[str, ...]:
        """Return the control-plane nodes that the API knows and the inventory does not, by name."""
        ...

    async def settle_nodes(self, hosts: Collection[str]) -> tuple[ObjectChange, ...]:
        """Set labels and taints of the hosts' nodes as the inventory says, and return what changed."""
        ...

    async def drain(self, host: str) -> None:
        """Cordon the host's node and evict its pods; raises ApiError where that does not end in time."""
        ...

    async def uncordon(self, host: str) -> None:
        """Let pods come to the host's node again."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
