"""CoreDNS: the name server of the cluster, which answers at network.dnsIP."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from generator.spec.addons.base import AddonSection
from generator.spec.scalars import complaint
from generator.spec.scalars_network import Domain, canonical_address
from generator.spec.schema_base import Section

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster
    from generator.spec.yaml_source import Path

_WITH_PORT = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")
_REVERSE = ("in-addr.arpa", "ip6.arpa")
RESOLVER_FILE = "/etc/resolv.conf"
"""The file with the name servers of a node, as the kubelet hands it to pods that do not use the cluster's."""


def name_server_address(server: str) -> str:
    """Return the address of a name server that may be written with its port."""
    match = _WITH_PORT.fullmatch(server)
    return (match["six"] or match["four"]) if match is not None else server


def _name_server(text: str) -> str:
    match = _WITH_PORT.fullmatch(text)
    try:
        if match is None:
            return canonical_address(text)
        address = canonical_address(match["six"] or match["four"])
        if not 1 <= int(match["port"]) <= 65535 or (":" in address) != (match["six"] is not None):
            raise ValueError(text)
    except ValueError:
        raise complaint(
            f"{text!r} is not the address of a name server",
            "write it like 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:5353",
        ) from None
    return f"[{address}]:{match['port']}" if ":" in address else f"{address}:{match['port']}"


def _resolver(text: str) -> str:
    if text.startswith("/") and text != RESOLVER_FILE:
        raise complaint(f"{text!r} is a file that pods do not have", f"write {RESOLVER_FILE}, or addresses")
    return text if text == RESOLVER_FILE else _name_server(text)


NameServer = Annotated[str, AfterValidator(_name_server)]
Resolver = Annotated[str, AfterValidator(_resolver)]


class CorednsAutoscaleSection(Section):
    """How many replicas there are where the size of the cluster says so: the larger of both numbers, within bounds."""

    enabled: bool = Field(False, description="Whether the number of replicas follows the size of the cluster.")
    min: Annotated[int, Field(ge=1)] = Field(2, description="Fewest replicas.")
    max: Annotated[int, Field(ge=1)] | None = Field(None, description="Most replicas; no bound unless said.")
    cores_per_replica: Annotated[int, Field(ge=1)] = Field(256, description="Cores of all nodes for each replica.")
    nodes_per_replica: Annotated[int, Field(ge=1)] = Field(16, description="Nodes for each replica.")


class CorednsSection(AddonSection):
    """CoreDNS. Further knobs stand in addons.jsonnet (docs/addons/coredns.md)."""

    enabled: bool = Field(True, description="Whether CoreDNS runs; else something of yours answers at network.dnsIP.")
    replicas: Annotated[int, Field(ge=1)] = Field(2, description="Replicas, where autoscale is off.")
    autoscale: CorednsAutoscaleSection = Field(
        CorednsAutoscaleSection(), description="A number of replicas that follows the cluster."
    )
    upstream: list[Resolver] = Field(
        [RESOLVER_FILE],
        min_length=1,
        max_length=15,
        description="Who is asked for names outside the cluster: /etc/resolv.conf, which is that of the node, or name "
        "servers.",
    )
    stub_domains: dict[Domain, Annotated[list[NameServer], Field(min_length=1, max_length=15)]] = Field(
        {}, description="Name servers of single domains: {corp.example.net: [10.0.0.53]}."
    )
    cache_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        30, description="How long an answer is kept at most; 0 for no cache."
    )
    pods: Literal["disabled", "insecure", "verified"] = Field(
        "insecure",
        description="Names of pods like 10-244-1-2.default.pod.<domain>: none, for every address, or for those of pods "
        "that there are, which CoreDNS then watches.",
    )
    log: bool = Field(False, description="Whether every query is logged.")
    extra_server_blocks: str = Field("", description="Server blocks of your own, added to the Corefile as they are.")


def check_coredns(cluster: Cluster, findings: Findings) -> None:
    """Check what CoreDNS is told about other name servers, and how many replicas there are to be."""
    dns = cluster.addons.coredns
    at: Path = ("addons", "coredns")
    if not dns.enabled:
        return
    if dns.autoscale.enabled:
        if dns.autoscale.max is not None and dns.autoscale.max < dns.autoscale.min:
            what = f"is {dns.autoscale.max}, less than min, which is {dns.autoscale.min}"
            findings.fault((*at, "autoscale", "max"), what, "let max be min or more")
        if (*at, "replicas") in findings.document.lines:
            findings.warn((*at, "replicas"), "is not used: autoscale is on", "take it out, or say autoscale.min")
    for domain in dns.stub_domains:
        if _within(domain, cluster.network.domain):
            what = f"{domain} lies in the cluster's own domain, which CoreDNS answers itself"
            findings.fault((*at, "stubDomains", domain), what, "take it out, or use another network.domain")
    servers = [(("upstream",), dns.upstream), *((("stubDomains", name), own) for name, own in dns.stub_domains.items())]
    for path, asked in servers:
        for server in asked:
            _asks_itself(cluster, server, (*at, *path), findings)
    _own_blocks(cluster, dns, (*at, "extraServerBlocks"), findings)


def _within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _asks_itself(cluster: Cluster, server: str, path: Path, findings: Findings) -> None:
    if server == RESOLVER_FILE:
        return
    address = name_server_address(server)
    if address in cluster.network.dns_ips:
        findings.fault(path, f"{server} is CoreDNS itself, which would ask in a circle", "name another server")
    elif ipaddress.ip_address(address).is_loopback:
        what = f"{server} is loopback, which in a pod is the pod itself"
        findings.fault(path, what, "name the server by an address that pods reach")


def _own_blocks(cluster: Cluster, dns: CorednsSection, path: Path, findings: Findings) -> None:
    text = "\n".join(line.partition("#")[0] for line in dns.extra_server_blocks.splitlines())
    if text.count("{") != text.count("}"):
        what = f"opens {text.count('{')} braces and closes {text.count('}')}"
        findings.fault(path, what, "close each server block")
        return
    stray = _closes_nothing(text)
    if stray:
        findings.fault(path, f"line {stray} closes a brace that none has opened", "take it out, or open its block")
        return
    ours = {".", cluster.network.domain, *_REVERSE, *dns.stub_domains}
    for zone in _zones(text):
        if zone in ours:
            what = f"has a block for {zone!r}, which the Corefile has already"
            findings.fault(path, what, "use upstream, stubDomains or the knob plugins of addons.jsonnet for it")


def _closes_nothing(text: str) -> int:
    """Return the line of the first brace that closes nothing, and with it a block of the Corefile around; else 0."""
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        for letter in line:
            depth += {"{": 1, "}": -1}.get(letter, 0)
            if depth < 0:
                return number
    return 0


def _zones(text: str) -> Iterator[str]:
    """Yield the zones of server blocks: the words before a brace that opens at the outermost level."""
    depth, words = 0, ""
    for letter in text:
        if letter == "{":
            if depth == 0:
                yield from (word.removeprefix("dns://").rpartition(":")[0] or word for word in words.split())
            depth, words = depth + 1, ""
        elif letter == "}":
            depth, words = depth - 1, ""
        elif depth == 0:
            words += letter
