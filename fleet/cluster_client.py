"""The cluster's API for one run: through SSH with a certificate of an hour, or by a kubeconfig that the operator names.

Fills `fleet.cluster_api.ClusterApi`, which plan and apply speak to. Nothing is opened or signed before it is needed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from fleet import (
    api_gates,
    cluster_record,
    csr,
    drain,
    node_pods,
    node_settings,
    nodes,
    objects,
    tokens,
)
from fleet.admin import ADMINS, MASTERS, Signer
from fleet.channel import Channel
from fleet.endpoints import Connect, control_plane_endpoints
from fleet.kube import Api, Ref, ref_of
from fleet.kubeconfig import read_kubeconfig
from fleet.object_diff import text_diff
from fleet.object_sets import ObjectSet, binds_group
from fleet.objects import Difference
from fleet.options import Options
from fleet.plan import ObjectChange
from fleet.rendered_objects import RenderedObjects
from fleet.rollout import Watch
from fleet.secrets import SecretStore
from fleet.tree import Host, Phase, RenderedTree
from generator.sealing import Identity

GATES = (api_gates.accepted, api_gates.rolled_out, api_gates.node_ready)
"""The kinds of gate that need the API; importing this module makes them known."""


class OperatorApi:
    """The API as the operator: signs a certificate of group slipway:admins when the first request is made.

    `connect` returns the kept SSH connection to a host; `kubeconfig` replaces both the certificate and the way. From
    `secrets` come the values that rendered Secrets leave out.
    """

    def __init__(
        self,
        tree: RenderedTree,
        connect: Connect,
        signer: Signer,
        kubeconfig: Path | None = None,
        secrets: SecretStore | None = None,
    ) -> None:
        self._tree = tree
        self._connect = connect
        self._signer = signer
        self._signs = kubeconfig is None
        self._context, self._headers = self.admin_context, dict[str, str]()
        if kubeconfig is None:
            self._channel = self._signed_channel(ADMINS)
        else:
            given = read_kubeconfig(kubeconfig)
            self._context, self._headers = lambda: given.context, dict(given.headers)
            self._channel = Channel(tree.cluster, [given.endpoint], self._context, headers=given.headers)
        self.api = Api(self._channel)
        self.rendered = RenderedObjects(tree, self.api, secrets, self._bind_admins if self._signs else None)

    def admin_context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the cluster's CA and carries an administrator's client certificate."""
        return self._signer.context(ADMINS)

    def servers(self) -> Mapping[str, Api]:
        """Return a client of each API server alone, by host, through the SSH connection to that host."""
        endpoints = control_plane_endpoints(self._connect, self._tree.control_plane)
        return {
            one.name: Api(Channel(self._tree.cluster, [one], self._context, headers=self._headers)) for one in endpoints
        }

    # --- objects ----------------------------------------------------------------------------------------------------

    async def object_changes(self, sets: Sequence[str]) -> tuple[ObjectChange, ...]:
        """Return what applying object sets would change; see `RenderedObjects`."""
        return await self.rendered.changes(sets)

    async def apply_objects(
        self, sets: Sequence[str], told: Callable[[ObjectChange], None] = lambda _: None
    ) -> tuple[ObjectChange, ...]:
        """Apply object sets, prune what left them, and return what changed; see `RenderedObjects`."""
        return await self.rendered.apply(sets, told)

    async def unaccepted(self, sets: Sequence[str]) -> tuple[str, ...]:
        """Return what of object sets the API does not have as rendered, in words."""
        return await self.rendered.unaccepted(sets)

    async def not_rolled_out(self, sets: Sequence[str], known: Watch) -> tuple[str, ...]:
        """Return which workloads of object sets do not run as applied, each with its reason."""
        return await self.rendered.not_rolled_out(sets, known)

    async def objects_settled(self, sets: Sequence[str]) -> None:
        """Write down that object sets have passed the gates of their phase."""
        await self.rendered.settled(sets)

    async def record_apply(self, applied: cluster_record.Applied) -> bool:
        """Write down in the API which tree is applied, by whom; return False where that stands there already."""
        return await cluster_record.write(self.api, applied)

    # --- nodes ------------------------------------------------------------------------------------------------------

    async def ready_nodes(self) -> Mapping[str, bool]:
        """Return for every node that the API knows whether it is Ready."""
        return await nodes.ready_nodes(self.api)

    async def node_fault(self, host: str) -> str:
        """Return why the host's node is not in service, "" when it is; approves listed serving requests on the way."""
        found = self._tree.hosts[host]
        check = nodes.NodeCheck(found.node, found.address)
        fault = await nodes.node_fault(self.api, check, await self._connect(host), self._signer.ca, self._listed)
        return await node_pods.with_pods(self.api, found, self._before_nodes, fault)

    async def node_boot(self, host: str) -> str:
        """Return the id of the boot that the host's kubelet has reported, "" where it has reported none."""
        return await nodes.boot_of(self.api, self._tree.hosts[host].node)

    async def pending_requests(self) -> tuple[csr.Decision, ...]:
        """Return the serving requests that wait, each with why it is not approved; nothing is written."""
        return await csr.decisions(self.api, self._listed)

    async def node_changes(self, hosts: Collection[str]) -> tuple[ObjectChange, ...]:
        """Return labels and taints that the API has otherwise than the inventory, and nodes that nobody wrote down."""
        live = {str(node["metadata"]["name"]): node for node in await self.api.list("v1", "Node")}
        phase = self._join_phase
        found: list[ObjectChange] = []
        for host in self._nodes(hosts):
            if host.node in live:
                labels, taints = _wanted(host)
                change = node_settings.node_change(live[host.node], labels, taints)
                if change is not None:
                    found.append(ObjectChange(phase, f"Node {host.node}", "change", change.lines))
        known = {host.node for host in self._tree.hosts.values()}
        found.extend(ObjectChange(phase, f"Node {name}", "foreign") for name in sorted(set(live) - known))
        return tuple(found)

    async def foreign_control_plane(self) -> tuple[str, ...]:
        """Return the control-plane nodes of the API that are none in the inventory: gone, or of another role there."""
        live = {str(node["metadata"]["name"]): node["metadata"] for node in await self.api.list("v1", "Node")}
        roles = {f"node-role.kubernetes.io/{role}" for role in ("control-plane", "master")}
        known = {
            host.node
            for host in self._tree.hosts.values()
            if "control-plane" in host.pool.roles or roles & {*host.pool.labels, *host.labels}
        }
        return tuple(
            name for name, meta in sorted(live.items()) if name not in known and roles & set(meta.get("labels") or {})
        )

    async def settle_nodes(self, hosts: Collection[str]) -> tuple[ObjectChange, ...]:
        """Set labels and taints of the hosts' nodes as the inventory says, and return what changed."""
        live = {str(node["metadata"]["name"]): node for node in await self.api.list("v1", "Node")}
        found: list[ObjectChange] = []
        for host in self._nodes(hosts):
            labels, taints = _wanted(host)
            if host.node in live and node_settings.node_change(live[host.node], labels, taints) is not None:
                change = await node_settings.settle(self.api, host.node, labels, taints)
                if change is not None:
                    found.append(ObjectChange(self._join_phase, f"Node {host.node}", "change", change.lines))
        return tuple(found)

    async def drain(self, host: str) -> None:
        """Cordon the host's node and evict its pods; raises ApiError where that does not end in time."""
        node = self._tree.hosts[host].node
        if await self.api.find(nodes.node_ref(node)) is not None:
            await drain.drain(self.api, node)

    async def uncordon(self, host: str) -> None:
        """Let pods come to the host's node again, unless somebody else cordoned it."""
        await drain.uncordon(self.api, self._tree.hosts[host].node)

    # --- joining ----------------------------------------------------------------------------------------------------

    async def bootstrap_kubeconfig(self, phase: Phase, hosts: Sequence[str]) -> bytes:
        """Return a kubeconfig with a token that lives for minutes, for the join of the named hosts."""
        token = await tokens.create(self.api, hosts)
        return tokens.bootstrap_kubeconfig(self._tree.cluster, phase.join, token).encode()

    async def end_bootstrap(self) -> None:
        """Delete every token that Slipway made, those of a run that was killed among them."""
        await tokens.sweep(self.api)

    async def close(self) -> None:
        """Close what is open."""
        await self.api.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _signed_channel(self, group: str) -> Channel:
        endpoints = control_plane_endpoints(self._connect, self._tree.control_plane)
        return Channel(self._tree.cluster, endpoints, lambda: self._signer.context(group))

    async def _bind_admins(self, one: ObjectSet) -> tuple[Difference, ...]:
        binding = binds_group(one.objects, ADMINS)
        if binding is None:
            return ()
        masters = Api(self._signed_channel(MASTERS))
        try:
            was = await masters.find(ref_of(binding))
            await masters.apply(binding, force=True)
        finally:
            await masters.close()
            self._signer.forget(MASTERS)
        action: objects.Action = "create" if was is None else "change"
        return (Difference(one.name, ref_of(binding), action, text_diff(was, binding)),)

    def _nodes(self, hosts: Collection[str]) -> list[Host]:
        return [host for name, host in self._tree.hosts.items() if name in hosts and host.node]

    @cached_property
    def _before_nodes(self) -> tuple[Ref, ...]:
        """The DaemonSets of the phases before the one in which nodes join: without their pods a node is of no use."""
        names = [phase.name for phase in self._tree.phases]
        before = self._tree.phases[: names.index(self._join_phase)] if self._join_phase in names else ()
        return tuple(
            ref
            for phase in before
            for name in phase.objects
            for ref in self.rendered.refs.get(name, ())
            if ref.kind == "DaemonSet"
        )

    @cached_property
    def _join_phase(self) -> str:
        return next((phase.name for phase in self._tree.phases if phase.join), "nodes")

    @cached_property
    def _listed(self) -> Mapping[str, str]:
        return csr.listed_nodes(self._tree.path)


async def open_cluster_api(
    tree: RenderedTree, cluster_dir: Path, connect: Connect, options: Options, identity: Callable[[], Identity]
) -> OperatorApi:
    """Return the API for a run over `connect`; raises ApiError for a kubeconfig of the options that cannot be used."""
    signer = Signer(tree.cluster, cluster_dir, identity=identity)
    return OperatorApi(tree, connect, signer, options.kubeconfig, SecretStore(cluster_dir, identity))


def _wanted(host: Host) -> tuple[Mapping[str, str], Sequence[Mapping[str, str]]]:
    return {**host.pool.labels, **host.labels}, host.pool.taints
