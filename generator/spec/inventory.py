"""From pools and hosts of the schema to those of the model: ranges expanded, names and addresses checked."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from generator.spec.cloud_init import cloud_init
from generator.spec.faults import Findings
from generator.spec.gpu import Gpu
from generator.spec.model import ExtraFile, Host, Jump, Override, Pool, Ssh, Taint
from generator.spec.node_marks import node_taints, role_labels
from generator.spec.overriding import files, overrides
from generator.spec.ranges import Pattern, RangeFault, pattern
from generator.spec.scalars import is_subdomain
from generator.spec.scalars_network import canonical_address
from generator.spec.schema import ClusterSpec
from generator.spec.schema_disks import DiskSpec
from generator.spec.schema_firewall import ListenerSpec
from generator.spec.schema_pools import GpuSpec, HostSpec, JumpSpec, PoolSpec
from generator.spec.schema_system import SystemSpec
from generator.spec.sections import Disk, OwnListener
from generator.spec.sections_system import System
from generator.spec.structure import suggestion
from generator.spec.system_layers import serving, system_of
from generator.spec.yaml_source import Path

ZONE_LABEL = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Machine:
    """One host after expansion of ranges; `path` is where it stands in the file."""

    name: str
    address: str
    secondary_address: str | None
    pod_subnets: tuple[str, ...]
    spec: HostSpec
    path: Path


def machines(spec: ClusterSpec, findings: Findings) -> list[Machine]:
    """Return all hosts, each once, sorted by name; what cannot be expanded is a fault and left out."""
    found: dict[str, Machine] = {}
    for written, host in spec.hosts.items():
        path: Path = ("hosts", written)
        for machine in _expanded(written, host, path, findings):
            if machine.name in found:
                other = findings.document.line(found[machine.name].path)
                findings.fault(
                    path, f"host {machine.name} is there twice, also on line {other}", "give each host one name"
                )
            else:
                found[machine.name] = machine
                findings.host_paths[machine.name] = path
    return [found[name] for name in sorted(found)]


def _expanded(written: str, host: HostSpec, path: Path, findings: Findings) -> list[Machine]:
    subnets = host.pod_subnet or []
    texts: list[tuple[Path, str]] = [(path, written), ((*path, "address"), host.address)]
    if host.secondary_address is not None:
        texts.append(((*path, "secondaryAddress"), host.secondary_address))
    texts += [
        ((*path, "podSubnet", *([index] if len(subnets) > 1 else [])), text) for index, text in enumerate(subnets)
    ]
    patterns: list[Pattern] = []
    for at, text in texts:
        try:
            patterns.append(pattern(text))
        except RangeFault as fault:
            findings.fault(at, fault.what, fault.todo)
    if len(patterns) < len(texts):
        return []
    length = patterns[0].length
    for (at, text), one in zip(texts[1:], patterns[1:], strict=True):
        if length is None and one.length is not None:
            findings.fault(
                at,
                f"{text} is a range, but {written} is one host",
                f"give the name a range too, like {written}-[1:{one.length}]",
            )
            return []
        if length is not None and one.length is None:
            findings.fault(
                at, f"{text} is one value for {length} hosts", "write a range of the same length, like 10.0.1.[1:50]"
            )
            return []
        if one.length != length:
            findings.fault(at, f"{text} gives {one.length} values for {length} hosts", "let the ranges be equally long")
            return []
    made: list[Machine] = []
    for index in range(length or 1):
        machine = _machine([one.at(index) for one in patterns], host, path, findings)
        if machine is None:
            return made
        made.append(machine)
    return made


def _machine(texts: list[str], host: HostSpec, path: Path, findings: Findings) -> Machine | None:
    name, address, *rest = texts
    if not is_subdomain(name):
        findings.fault(path, f"{name!r} is not a DNS-1123 name", "use lower-case letters, digits, hyphens and dots")
        return None
    try:
        address = canonical_address(address)
    except ValueError:
        findings.fault((*path, "address"), f"{address!r} is not an IP address", "write an IPv4 or IPv6 address")
        return None
    secondary = None
    if host.secondary_address is not None:
        try:
            secondary = canonical_address(rest.pop(0))
        except ValueError:
            findings.fault((*path, "secondaryAddress"), "is not an IP address", "write an IPv4 or IPv6 address")
            return None
    subnets: list[str] = []
    for text in rest:
        try:
            subnets.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            findings.fault(
                (*path, "podSubnet"), f"{text!r} is not a range of addresses: {error}", "write it like 10.244.1.0/24"
            )
            return None
    return Machine(name, address, secondary, tuple(subnets), host, path)


def pools(spec: ClusterSpec, minor: tuple[int, int], system: System, findings: Findings) -> dict[str, Pool]:
    """Return the pools with the labels and taints that their roles bring; `system` is the cluster's."""
    return {
        name: _pool(name, pool, spec, minor, _pool_system(spec, name, pool, system, findings), findings)
        for name, pool in sorted(spec.pools.items())
    }


def system_layer(spec: ClusterSpec) -> tuple[str, Path, SystemSpec]:
    """Return the cluster's layer of the section `system`."""
    return ("cluster", ("system",), spec.system)


def _pool_system(spec: ClusterSpec, name: str, pool: PoolSpec, system: System, findings: Findings) -> System:
    is_node = bool({"control-plane", "worker"} & set(pool.roles))
    if is_node and not pool.system.model_fields_set:
        return system
    layers = (system_layer(spec), (f"pool {name}", ("pools", name, "system"), pool.system))
    return system_of(layers, findings, is_node=is_node)


def _host_system(spec: ClusterSpec, machine: Machine, pool: Pool, findings: Findings) -> System:
    if not machine.spec.system.model_fields_set:
        return pool.system
    layers = (
        system_layer(spec),
        (f"pool {pool.name}", ("pools", pool.name, "system"), spec.pools[pool.name].system),
        # A range of hosts is one entry, and its hosts have one layer.
        (f"host {machine.path[-1]}", (*machine.path, "system"), machine.spec.system),
    )
    return system_of(layers, findings, is_node=pool.is_node)


def _pool(
    name: str,
    pool: PoolSpec,
    spec: ClusterSpec,
    minor: tuple[int, int],
    system: System,
    findings: Findings,
) -> Pool:
    roles = frozenset(pool.roles)
    gpu = _gpu(pool.gpu)
    written = None if pool.taints is None else [Taint(one.key, one.value, one.effect) for one in pool.taints]
    path: Path = ("pools", name)
    return Pool(
        name=name,
        roles=roles,
        os=pool.os,
        arch=pool.arch,
        labels=dict(sorted({**role_labels(roles, minor, gpu), **pool.labels}.items())),
        taints=tuple(sorted(set(node_taints(roles, minor, written, gpu)), key=str)),
        max_unavailable=pool.max_unavailable,
        components=overrides(pool.components, (*path, "components"), findings),
        files=files(pool.files, (*path, "files"), findings),
        listeners=_listeners(spec.listeners, pool.listeners),
        disks=_disks(pool.disks),
        system=system,
        cloud_init=cloud_init(spec.cloud_init, pool.cloud_init),
        gpu=gpu,
    )


def _gpu(written: GpuSpec | None) -> Gpu | None:
    if written is None:
        return None
    packages = tuple(sorted(set(written.driver_packages)))
    return Gpu(written.vendor, written.default_runtime, written.taint, packages)


def _listeners(shared: list[ListenerSpec], own: list[ListenerSpec]) -> tuple[OwnListener, ...]:
    """Return the ports of the user's own on hosts of a pool; of one port the pool's own line counts."""
    found = {
        (one.port, one.protocol): OwnListener(one.port, one.protocol, tuple(sorted(set(one.sources))), one.purpose)
        for one in (*shared, *own)
    }
    return tuple(found[key] for key in sorted(found))


def _disks(written: list[DiskSpec]) -> tuple[Disk, ...]:
    disks = [Disk(one.device, one.file_system, one.mount, tuple(sorted(set(one.holds)))) for one in written]
    return tuple(sorted(disks, key=lambda disk: disk.mount))


def hosts(spec: ClusterSpec, found: list[Machine], known_pools: Mapping[str, Pool], findings: Findings) -> list[Host]:
    """Return the hosts of the model; one whose pool does not exist is a fault and left out."""
    ssh = _Entrances(spec, {machine.name: machine for machine in found}, findings)
    shared: dict[Path, tuple[Mapping[str, Override], tuple[ExtraFile, ...], System]] = {}
    made: list[Host] = []
    missing: set[Path] = set()
    for machine in found:
        pool = known_pools.get(machine.spec.pool)
        if pool is None:
            if machine.path not in missing:
                todo = suggestion(machine.spec.pool, known_pools, f"known are: {', '.join(known_pools)}")
                findings.fault((*machine.path, "pool"), f"there is no pool {machine.spec.pool!r}", todo)
            missing.add(machine.path)
            continue
        if machine.path not in shared:
            own = overrides(machine.spec.components, (*machine.path, "components"), findings)
            extra = files(machine.spec.files, (*machine.path, "files"), findings)
            shared[machine.path] = (own, extra, _host_system(spec, machine, pool, findings))
        components, extra, system = shared[machine.path]
        zone = {ZONE_LABEL: machine.spec.zone} if machine.spec.zone is not None else {}
        made.append(
            Host(
                name=machine.name,
                pool=pool,
                address=machine.address,
                secondary_address=machine.secondary_address,
                node_name=machine.name if spec.node_naming == "host" else machine.address,
                zone=machine.spec.zone,
                pod_subnets=machine.pod_subnets,
                labels=dict(sorted({**zone, **machine.spec.labels}.items())),
                ssh=ssh.of(machine),
                components=components,
                files=extra,
                own_disks=_disks(machine.spec.disks),
                system=serving(system, machine.name),
            )
        )
    return made


class _Entrances:
    """How hosts are entered: the cluster's ssh section, with what a host says over it."""

    def __init__(self, spec: ClusterSpec, by_name: Mapping[str, Machine], findings: Findings) -> None:
        self.spec = spec
        self.by_name = {**{machine.address: machine for machine in by_name.values()}, **by_name}
        self.findings = findings

    def of(self, machine: Machine) -> Ssh:
        own, shared = machine.spec.ssh, self.spec.ssh
        user = own.user if own.user is not None else shared.user
        port = own.port if own.port is not None else shared.port
        if own.jumps is not None:
            return Ssh(user, port, self.jumps(own.jumps, machine, (*machine.path, "ssh", "jumps"), own_list=True))
        return Ssh(user, port, self.jumps(shared.jumps, machine, ("ssh", "jumps"), own_list=False))

    def jumps(self, written: list[JumpSpec], machine: Machine, path: Path, *, own_list: bool) -> tuple[Jump, ...]:
        way: list[Jump] = []
        for index, jump in enumerate(written):
            named = self.by_name.get(jump.address)
            if jump.address in {machine.name, machine.address}:
                if own_list:
                    what = f"host {machine.name} cannot be reached through itself"
                    self.findings.fault((*path, index), what, "leave this jump out; [] connects directly")
                return tuple(way)
            way.append(self.hop(jump, named))
        return tuple(way)

    def hop(self, jump: JumpSpec, named: Machine | None) -> Jump:
        shared = self.spec.ssh
        if named is None:
            return Jump(jump.address, jump.port or 22, jump.user or shared.user)
        port = jump.port or named.spec.ssh.port or shared.port
        return Jump(named.address, port, jump.user or named.spec.ssh.user or shared.user)


def cluster_ssh(spec: ClusterSpec, found: list[Machine], findings: Findings) -> Ssh:
    """Return the cluster's ssh section with jumps that name hosts turned into addresses."""
    entrances = _Entrances(spec, {machine.name: machine for machine in found}, findings)
    way = tuple(entrances.hop(jump, entrances.by_name.get(jump.address)) for jump in spec.ssh.jumps)
    return Ssh(spec.ssh.user, spec.ssh.port, way)
