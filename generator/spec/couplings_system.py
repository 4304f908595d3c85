"""Rules about the section `system`: what does not go together, each with its reason and the way out, from one table.

A fault stands where the value was written, which may be a weaker level than the one that it does not fit.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from generator.spec.faults import Findings
from generator.spec.model import Cluster, Host, Pool
from generator.spec.sections_system import System
from generator.spec.yaml_source import Path

_LONGEST_HOST_NAME = 64
# OpenSSH 8.0; Include came with 8.2 (its release notes). Where sshd could and sshd_config does not, the host says so.
_WITHOUT_SSH_DROP_INS = ("rhel-8", "rocky-8", "alma-8")
# How distributions end a kernel's release and the name of its package.
_ARCH_WORDS = {"amd64": "amd64|x86_64", "arm64": "arm64|aarch64"}


@dataclass(frozen=True, slots=True)
class Level:
    """One level at which settings hold: a pool, or a host with settings of its own."""

    cluster: Cluster
    pool: Pool
    system: System
    host: Host | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What must not be. `broken` returns what is wrong at a level, "" where nothing is; `at` is the key concerned."""

    at: tuple[str, ...]
    broken: Callable[[Level], str]
    todo: str


def _nobody_serves(level: Level) -> str:
    time = level.system.time
    return f"is empty, and time.mode is {time.mode}" if time.mode != "keep" and not time.servers else ""


def _nobody_owns(level: Level) -> str:
    time = level.system.time
    return "is empty, and time.mode is own" if time.mode == "own" and not time.own else ""


def _no_such_server(level: Level) -> str:
    known = {host.name for host in level.cluster.hosts}
    strange = [name for name in level.system.time.own if name not in known]
    return f"{', '.join(strange)}: no host has that name" if strange and known else ""


def _own_unused(level: Level) -> str:
    time = level.system.time
    return f"names hosts, but time.mode is {time.mode}" if time.own and time.mode != "own" else ""


def _nobody_may_ask(level: Level) -> str:
    time = level.system.time
    return "is empty, and chrony answers nobody then" if time.mode == "own" and time.own and not time.allow else ""


def _server_is_left_out(level: Level) -> str:
    # A host that others ask must itself be one of its own list, or it answers nobody.
    asked = level.cluster.system.time
    hosts = [level.host] if level.host else level.cluster.hosts
    for host in hosts:
        here = host.pool.name == level.pool.name and (level.host is not None or host.system == level.system)
        if here and asked.mode == "own" and host.name in asked.own and not host.system.time.serves:
            return f"{host.name} is asked for the time by the others, and serves none with these settings"
    return ""


def _selinux(level: Level) -> str:
    if level.system.selinux != "keep" and level.pool.os_family == "debian":
        return f"{level.pool.os} runs AppArmor and no SELinux policy"
    return ""


def _swap(level: Level) -> str:
    if level.system.swap != "keep" or not level.pool.is_node:
        return ""
    layers = (level.host.components if level.host else {}, level.pool.components, level.cluster.components)
    for layer in layers:
        if "kubelet" in layer and "failSwapOn" in layer["kubelet"].config:
            accepted = layer["kubelet"].config["failSwapOn"] is False
            return "" if accepted else "the kubelet does not start beside swap (failSwapOn)"
    return "the kubelet does not start beside swap (failSwapOn)"


def _drop_ins(level: Level) -> str:
    if level.system.ssh.harden and level.pool.os in _WITHOUT_SSH_DROP_INS:
        return f"sshd of {level.pool.os} reads no folder of drop-ins"
    return ""


def _long_name(level: Level) -> str:
    if level.system.host_name != "set":
        return ""
    hosts = [level.host] if level.host else [host for host in level.cluster.hosts if host.pool.name == level.pool.name]
    long = [host.name for host in hosts if len(host.name) > _LONGEST_HOST_NAME]
    return f"{long[0]} is longer than the {_LONGEST_HOST_NAME} letters that Linux takes" if long else ""


def _nothing_instead(level: Level) -> str:
    system = level.system
    fitting = [source for source in system.package_sources if source.family == level.pool.os_family]
    if system.replace_package_sources and not fitting:
        return f"leaves {level.pool.os} of pool {level.pool.name} without any source of packages"
    return ""


def _records(level: Level) -> str:
    hosts_file = level.system.hosts_file
    if not hosts_file.all_hosts:
        return ""
    by_name = {host.name: host.addresses for host in level.cluster.hosts}
    for address, names in hosts_file.records.items():
        for name in names:
            if name in by_name and address not in by_name[name]:
                return f"{name} is a host of the cluster at {by_name[name][0]}, and here at {address}"
    return ""


def _proxy_out(level: Level) -> str:
    if level.system.proxy.no_proxy and not level.system.proxy:
        return "says what goes past a proxy, and there is none"
    return ""


def _kernel_of_another_arch(level: Level) -> str:
    foreign = "|".join(words for arch, words in _ARCH_WORDS.items() if arch != level.pool.arch)
    for name in (*level.system.kernel.packages, level.system.kernel.release):
        if re.search(rf"(?<![A-Za-z0-9])({foreign})(?![A-Za-z0-9])", name):
            return f"{name} is no kernel for {level.pool.arch}, which the hosts of pool {level.pool.name} are"
    return ""


FAULTS: tuple[Rule, ...] = (
    Rule(("time", "servers"), _nobody_serves, "name the servers to ask, such as those of your network"),
    Rule(("time", "own"), _nobody_owns, "name two or three hosts that serve the others, or use mode client"),
    Rule(("time", "own"), _no_such_server, "name hosts of this cluster; servers outside go into time.servers"),
    Rule(("time", "own"), _own_unused, "use mode own, or take it out"),
    Rule(("time", "allow"), _nobody_may_ask, "name the ranges of the hosts, such as 10.0.0.0/16"),
    Rule(("time",), _server_is_left_out, "take it off time.own at the top, or give it the same time section"),
    Rule(("selinux",), _selinux, "write it under pools of the Red Hat family or openEuler"),
    Rule(("swap",), _swap, "set failSwapOn: false in the kubelet's config and know what swap does to it, or use off"),
    Rule(("ssh", "harden"), _drop_ins, "write it under the other pools, and harden this one's sshd by hand"),
    Rule(("hostName",), _long_name, "shorten the host's name, or use keep"),
    Rule(
        ("replacePackageSources",), _nothing_instead, "add a source for its family, or say true under other pools alone"
    ),
    Rule(("hostsFile", "records"), _records, "take the record out, or allHosts"),
    Rule(("kernel",), _kernel_of_another_arch, "write kernels under the pools that they are for"),
    Rule(("proxy", "noProxy"), _proxy_out, "name the proxy under http or https, or take it out"),
)


def check_system(cluster: Cluster, findings: Findings) -> None:
    """Check the settings of every pool, and of every host that has its own."""
    told: set[tuple[Path, str]] = set()
    for path, level in _levels(cluster, findings):
        for rule in FAULTS:
            what = rule.broken(level)
            if what:
                at = _written_at(rule.at, path, level, findings)
                if (at, what) not in told:
                    told.add((at, what))
                    findings.fault(at, what, rule.todo)
    _foreign_sources(cluster, findings)
    _askers_shut_out(cluster, findings)


def _levels(cluster: Cluster, findings: Findings) -> Iterator[tuple[Path, Level]]:
    for pool in cluster.pools.values():
        yield ("pools", pool.name, "system"), Level(cluster, pool, pool.system)
    seen: set[Path] = set()
    for host in cluster.hosts:
        path = (*findings.host_paths[host.name], "system")
        if path not in seen and host.system != host.pool.system and path in findings.document.lines:
            seen.add(path)
            yield path, Level(cluster, host.pool, host.system, host)


def _written_at(key: tuple[str, ...], path: Path, level: Level, findings: Findings) -> Path:
    """Return where a value was written: the strongest level that has it, or else the section at hand."""
    places: list[Path] = [path, ("pools", level.pool.name, "system"), ("system",)]
    for length in range(len(key), 0, -1):
        for place in places:
            if (*place, *key[:length]) in findings.document.lines:
                return (*place, *key)
    return (*path, *key)


def _foreign_sources(cluster: Cluster, findings: Findings) -> None:
    # A source that no pool takes is a slip: the list was written for another family.
    having: dict[tuple[Path, str], list[Pool]] = {}
    families: dict[tuple[Path, str], set[str]] = {}
    for path, level in _levels(cluster, findings):
        for source in level.system.package_sources:
            key = (_written_at(("packageSources",), path, level, findings), source.name)
            having.setdefault(key, []).append(level.pool)
            families.setdefault(key, set()).add(source.family)
    for (at, name), pools in having.items():
        if all(pool.os_family not in families[at, name] for pool in pools):
            manager = "apt" if "debian" in families[at, name] else "dnf"
            systems = ", ".join(sorted({pool.os for pool in pools}))
            findings.fault(
                at,
                f"{name} is a source for {manager}, and none of {systems} has it",
                "write the other kind, or move it",
            )


def _askers_shut_out(cluster: Cluster, findings: Findings) -> None:
    # chrony answers nobody else, and a managed firewall lets in nobody else.
    for server in cluster.hosts:
        time = server.system.time
        if not time.serves or not time.allow:
            continue
        ranges = [ipaddress.ip_network(one) for one in time.allow]
        family = ipaddress.ip_address(server.address).version
        left_out = []
        for host in cluster.hosts:
            asks = host.system.time.mode == "own" and not host.system.time.serves
            if not asks or server.name not in host.system.time.own:
                continue
            own = [one for one in map(ipaddress.ip_address, host.addresses) if one.version == family]
            if own and not any(one in network for one in own for network in ranges):
                left_out.append(host.name)
        if left_out:
            more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
            path = (*findings.host_paths[server.name], "system")
            level = Level(cluster, server.pool, server.system, server)
            findings.fault(
                _written_at(("time", "allow"), path, level, findings),
                f"does not hold {', '.join(left_out[:3])}{more}, to whom {server.name} is to give the time",
                "add the range of these hosts, such as 10.0.0.0/16",
            )
