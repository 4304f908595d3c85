"""Asks hosts, etcd and API how they are. A host that does not answer is a fact like any other, never an end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fleet import csr
from fleet.cluster_api import ClusterApi
from fleet.cluster_client import OperatorApi, open_cluster_api
from fleet.formation import etcd_gate
from fleet.gates import GateContext
from fleet.guards import open_identity
from fleet.host_gates import https_fault
from fleet.host_scripts import run_script
from fleet.journal import last_entries
from fleet.lock import holder_elsewhere
from fleet.options import selected
from fleet.plan import Plan, formed, make_plan
from fleet.session import AT_ONCE, Session
from fleet.standing import Fleet
from fleet.status import api_facts, etcd
from fleet.status.api_facts import ApiFacts, Health
from fleet.status.etcd import EtcdFacts
from fleet.status.host_facts import HostFacts, facts_from, inquiry
from fleet.tree import Host, Phase, RenderedTree
from generator.errors import FleetError, HostError, PkiError, SealingError

JOURNAL_ENTRIES = 5


@dataclass(frozen=True, slots=True)
class Status:
    """All that was seen. `names` are the hosts that are judged; of `hosts` some only answered for the cluster's sake.

    `plan` is what an apply would do on the hosts that answered; `unreachable` maps hosts to the reason. `etcd` and
    `api` are None where the cluster has not formed or nobody could be asked. `warn_days` is how long before its end a
    certificate is worth a warning.
    """

    tree: RenderedTree
    now: datetime
    names: tuple[str, ...]
    hosts: Mapping[str, HostFacts]
    unreachable: Mapping[str, str]
    plan: Plan
    formed: bool
    health: tuple[Health, ...] = ()
    etcd: EtcdFacts | None = None
    api: ApiFacts | None = None
    lock: str = ""
    journal: tuple[Mapping[str, Any], ...] = ()
    warn_days: int = 30

    @property
    def judged(self) -> Mapping[str, HostFacts]:
        """The hosts that are judged and answered."""
        return {name: self.hosts[name] for name in self.names if name in self.hosts}


async def status_run(fleet: Fleet, *, warn_days: int = 30) -> Status:
    """Ask every host of the limit, and those of etcd and control plane, then the cluster; nothing is changed anywhere.

    Raises WorkspaceError for a limit that fits no host, ApiError for a kubeconfig that cannot be used.
    """
    tree = fleet.tree
    names = selected(tree, fleet.options.limit)
    session = Session(tree, fleet.connector)
    api = await open_cluster_api(tree, fleet.cluster_dir, session.connect, fleet.options, fleet.identity)
    try:
        core = {host.name for role in ("etcd", "control-plane") for host in tree.with_role(role)}
        hosts = await _hosts(tree, session, {*core, *names}, keep=core)
        states = {name: one.state for name, one in hosts.items()}
        plan = make_plan(
            tree, {name: state for name, state in states.items() if name in names}, now=fleet.clock(),
            others={name: state for name, state in states.items() if name not in names},
        )  # fmt: skip
        seen = Status(
            tree=tree, now=fleet.clock(), names=names, hosts=hosts,
            unreachable={name: str(error) for name, error in sorted(session.unreachable.items())},
            plan=plan, formed=formed(tree, states), warn_days=warn_days,
        )  # fmt: skip
        return await _with_cluster(fleet, session, api, seen) if seen.formed else seen
    finally:
        await api.close()
        await session.close()


async def _with_cluster(fleet: Fleet, session: Session, api: OperatorApi, seen: Status) -> Status:
    voters = [host.name for host in fleet.tree.with_role("etcd") if host.name in seen.hosts]
    health, members, facts, lock, journal = await asyncio.gather(
        _health(fleet.tree, session, seen.hosts),
        _etcd(fleet.tree, session, voters),
        _api(fleet, api),
        holder_elsewhere(voters, session.connect),
        _journal(session, voters),
    )
    return replace(seen, health=health, etcd=members, api=facts, lock=lock, journal=journal)


async def _hosts(
    tree: RenderedTree, session: Session, names: Collection[str], *, keep: Collection[str]
) -> dict[str, HostFacts]:
    found: dict[str, HostFacts] = {}
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with slots:
            await session.ask([name])
            try:
                if name in session.states:
                    connection = await session.connect(name)
                    lines = await run_script(connection, "status", stdin=inquiry(tree, tree.hosts[name]))
                    found[name] = facts_from(tree, session.states[name], lines)
            except HostError as error:
                session.unreachable[name] = error
            if name not in keep:
                await session.drop(name)

    await asyncio.gather(*map(one, names))
    return {name: found[name] for name in sorted(found)}


async def _health(tree: RenderedTree, session: Session, hosts: Collection[str]) -> tuple[Health, ...]:
    """Ask what phases.yaml has gates for and what answers anybody: controller managers and schedulers."""

    async def one(phase: Phase, gate: Mapping[str, Any], host: Host) -> Health:
        names = {port.component for port in tree.ports.get(host.name, ()) if port.holds(int(gate["port"]))}
        component = min(names) if names else f"port {gate['port']}"
        context = GateContext(tree, phase, session.connect, _no_api)
        try:
            asked = {**gate, "address": gate.get("address", host.address)}
            fault = await https_fault(context, host, await session.connect(host.name), asked)
        except (FleetError, OSError) as error:
            fault = str(error)
        return Health(host.name, component, fault)

    checks = [
        one(phase, gate, tree.hosts[name])
        for phase in tree.phases
        for gate in phase.gates
        if gate.get("kind") == "https" and gate.get("client") != "admin"
        for name in sorted(hosts)
        if phase.roles & tree.hosts[name].pool.roles
    ]
    return tuple(await asyncio.gather(*checks))


async def _no_api() -> ClusterApi:
    raise FleetError("a gate that anybody may ask needs the API; this is a defect of Slipway, please report it")


async def _etcd(tree: RenderedTree, session: Session, voters: Sequence[str]) -> EtcdFacts | None:
    phase = tree.etcd_phase
    access = etcd_gate(phase) if phase is not None else None
    if phase is None or access is None:
        return None
    members = tree.with_role("etcd")
    unit = next((item.content for item in members[0].items if item.path.endswith(f"/{phase.formation['unit']}")), b"")
    addresses = [host.address for host in members]
    return await etcd.look(voters, addresses, access, session.connect, etcd.quota_of(unit))


async def _api(fleet: Fleet, api: OperatorApi) -> ApiFacts:
    if fleet.options.kubeconfig is None:
        try:
            # The identity may ask for a passphrase; the other questions go on meanwhile.
            await open_identity(fleet)
            api.admin_context()
        except (SealingError, PkiError) as error:
            return ApiFacts(unseen=f"no credentials: {error}")
    return await api_facts.look(api, csr.listed_nodes(fleet.tree.path), fleet.clock())


async def _journal(session: Session, voters: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    for name in voters:
        try:
            return tuple(await last_entries(await session.connect(name), JOURNAL_ENTRIES))
        except HostError:
            continue
    return ()
