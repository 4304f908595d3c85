"""The cluster's API for one run: through SSH with a certificate of an hour, or by a kubeconfig that the operator names.

Fills `fleet.cluster_api.ClusterApi`, which plan and apply speak to. Nothing is opened or signed before it is needed.
"""

from __future__ import annotations

import asyncio
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
    rollout,
    tokens,
)
from fleet.admin import ADMINS, MASTERS, Signer
from fleet.channel import Channel
from fleet.endpoints import Connect, control_plane_endpoints
from fleet.kube import Api, Ref, ref_of
from fleet.kubeconfig import read_kubeconfig
from fleet.object_diff import text_diff
from fleet.object_record import Record, read_record, write_record
from fleet.object_sets import ObjectSet, binds_group, load_set
from fleet.objects import Difference
from fleet.options import Options
from fleet.plan import ObjectChange
from fleet.secrets import SecretStore
from fleet.tree import Host, Phase, RenderedTree
from generator.errors import ApiError
from generator.sealing import Identity

GATES = (api_gates.accepted, api_gates.rolled_out, api_gates.node_ready)
"""The kinds of gate that need the API; importing this module makes them known."""

BINDING_SECONDS = 15
"""How long the API servers may take to learn of the binding that gives admins their rights."""


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
        self._secrets = secrets
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
        """Return what applying object sets would change; with the last set, also what sets that are gone have left."""
        found: list[Difference] = []
        for name in sets:
            one = load_set(self._tree.path, name)
            try:
                found.extend(await objects.differences(self.api, one, self._elsewhere(name)))
            except ApiError as error:
                if not self._may_bind(error, one):
                    raise
                created = [Difference(name, ref_of(value), "create", text_diff(None, value)) for value in one.objects]
                found.extend(created)
        if self._is_last(sets):
            found.extend(await self._orphans())
        return (*(self._change(one) for one in found), *await self._unfinished(sets))

    async def apply_objects(
        self, sets: Sequence[str], told: Callable[[ObjectChange], None] = lambda _: None
    ) -> tuple[ObjectChange, ...]:
        """Apply object sets, prune what left them, and return what changed; `told` hears of each as soon as it is done.

        A new cluster lets admins do nothing yet: then, and only then, the one object that binds them is applied with
        a certificate of system:masters, signed for this and thrown away.
        """
        done: list[ObjectChange] = []

        def tell(one: Difference) -> None:
            done.append(self._change(one))
            told(done[-1])

        means = objects.Means(self._secrets, told=tell)
        for name in sets:
            one = load_set(self._tree.path, name)
            try:
                await objects.apply_set(self.api, one, self._elsewhere(name), means)
            except ApiError as error:
                if not self._may_bind(error, one):
                    raise
                for bound in await self._bind_admins(one):
                    tell(bound)
                await self._apply_when_bound(one, means)
        if self._is_last(sets):
            for orphan in await objects.delete_orphans(self.api, self._all_sets, self._elsewhere("")):
                tell(orphan)
        return tuple(done)

    async def unaccepted(self, sets: Sequence[str]) -> tuple[str, ...]:
        """Return what of object sets the API does not have as rendered, in words."""
        found: list[str] = []
        for name in sets:
            found.extend(await objects.unaccepted(self.api, load_set(self._tree.path, name), self._elsewhere(name)))
        return tuple(found)

    async def not_rolled_out(self, sets: Sequence[str], known: rollout.Reasons) -> tuple[str, ...]:
        """Return which workloads of object sets do not run as applied, each with its reason."""
        loaded = [load_set(self._tree.path, name) for name in sets]
        return await rollout.not_rolled_out(self.api, [ref for one in loaded for ref in one.refs], known)

    async def objects_settled(self, sets: Sequence[str]) -> None:
        """Write down that object sets have passed the gates of their phase."""
        record = await read_record(self.api)
        await write_record(self.api, record, record.finished(sets))

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

    def _may_bind(self, error: ApiError, one: ObjectSet) -> bool:
        return self._signs and error.status == 403 and binds_group(one.objects, ADMINS) is not None

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

    async def _apply_when_bound(self, one: ObjectSet, means: objects.Means) -> None:
        for _ in range(BINDING_SECONDS * 2):
            try:
                await objects.apply_set(self.api, one, self._elsewhere(one.name), means)
                return
            except ApiError as error:
                if error.status != 403:
                    raise
            await asyncio.sleep(0.5)
        await objects.apply_set(self.api, one, self._elsewhere(one.name), means)

    async def _orphans(self) -> tuple[Difference, ...]:
        try:
            return await objects.orphan_differences(self.api, self._all_sets, self._elsewhere(""))
        except ApiError as error:
            # Where admins have no rights yet, nothing has been applied that could be left over.
            if error.status == 403:
                return ()
            raise

    async def _unfinished(self, sets: Sequence[str]) -> tuple[ObjectChange, ...]:
        """Return the sets that an earlier run changed and did not get past their gates."""
        left = (await self._recorded()).unfinished
        return tuple(
            ObjectChange(phase.name, f"objects of {name}", "unfinished")
            for phase in self._tree.phases
            for name in phase.objects
            if name in sets and name in left
        )

    async def _recorded(self) -> Record:
        try:
            return await read_record(self.api)
        except ApiError as error:
            if error.status == 403:
                return Record()
            raise

    def _elsewhere(self, name: str) -> tuple[Ref, ...]:
        """Return what the other sets of the tree hold: an object that moved there is not one that left."""
        return tuple(ref for other, refs in self._refs.items() if other != name for ref in refs)

    def _is_last(self, sets: Sequence[str]) -> bool:
        return bool(sets) and sets[-1] == self._all_sets[-1]

    def _change(self, one: Difference) -> ObjectChange:
        phase = next((phase.name for phase in self._tree.phases if one.set_name in phase.objects), "removals")
        return ObjectChange(phase, str(one.ref), one.action, one.diff)

    def _nodes(self, hosts: Collection[str]) -> list[Host]:
        return [host for name, host in self._tree.hosts.items() if name in hosts and host.node]

    @cached_property
    def _all_sets(self) -> tuple[str, ...]:
        return tuple(name for phase in self._tree.phases for name in phase.objects)

    @cached_property
    def _refs(self) -> Mapping[str, tuple[Ref, ...]]:
        there = [name for name in self._all_sets if (self._tree.path / "objects" / name / "index.yaml").is_file()]
        return {name: load_set(self._tree.path, name).refs for name in there}

    @cached_property
    def _before_nodes(self) -> tuple[Ref, ...]:
        """The DaemonSets of the phases before the one in which nodes join: without their pods a node is of no use."""
        names = [phase.name for phase in self._tree.phases]
        before = self._tree.phases[: names.index(self._join_phase)] if self._join_phase in names else ()
        return tuple(
            ref
            for phase in before
            for name in phase.objects
            for ref in self._refs.get(name, ())
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
