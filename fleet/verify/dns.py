"""DNS from pods: the names of two Services must give their addresses.

A pod asks with the image's own nslookup (its resolv.conf, UDP). Where that cannot run, as in some static builds, the
question goes to the DNS Service over TCP (RFC 1035, §4.2.2) with nothing but nc.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from fleet.connection import printable
from fleet.verify.pods import Pods, TestPod, in_pod
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.services import cluster_ips
from fleet.verify.visits import REQUESTS_AT_ONCE, Verification, each
from fleet.verify.workload import NAME

SECONDS = 5
_ID = 0x5157
_A, _AAAA, _IN = 1, 28, 1
_NOT_FOUND = 127
_CODES = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}
_ADDRESS = re.compile(r"^Address(?: \d+)?:\s*(\S+)", re.MULTILINE)


async def check_dns(run: Verification, pods: Pods, service: Mapping[str, Any]) -> Checked:
    """Look up the Service of the API and that of the test from every pod; skipped while there is no DNS Service."""
    servers = await _dns_service(run)
    if not servers:
        wanted = ", ".join(run.page.dns)
        return Checked(skipped=f"no Service has the address of the cluster's DNS yet ({wanted})")
    names = {
        f"kubernetes.default.svc.{run.page.domain}": run.page.kubernetes[0],
        f"{NAME}.{pods.namespace}.svc.{run.page.domain}": cluster_ips(service)[0],
    }

    async def one(pod: TestPod) -> list[Finding]:
        found: list[Finding] = []
        for name, address in names.items():
            trouble = await _unresolved(run, pods, pod, servers, name, address)
            if trouble:
                todo = "see the DNS pods in kube-system, and the check service from this node"
                found.append(Finding(pod.node, f"its pod does not find {name}: {trouble}", todo))
        return found

    answers = await each(pods.ready, REQUESTS_AT_ONCE, one)
    looked = f"{counted(len(names), 'name')} from {counted(len(pods.ready), 'pod')}"
    return checked(looked, [finding for findings in answers for finding in findings])


async def _dns_service(run: Verification) -> str:
    """Return the address of the DNS Service that is there, "" where none is."""
    for service in await run.api.list("v1", "Service", "kube-system"):
        for address in cluster_ips(service):
            if address in run.page.dns:
                return address
    return ""


async def _unresolved(run: Verification, pods: Pods, pod: TestPod, server: str, name: str, address: str) -> str:
    answer, trouble = await in_pod(run, pods, pod, ["/bin/busybox", "nslookup", f"{name}."])
    if answer is None:
        return trouble
    if answer.exit < _NOT_FOUND:
        # The first address is that of the server itself.
        found = _ADDRESS.findall(answer.text)[1:]
        if _same(address, found):
            return ""
        said = [line for line in printable(answer.text).splitlines() if line.startswith(("**", ";;", "nslookup"))]
        return f"nslookup says {', '.join(found) or (said or [answer.complaint])[0]}, not {address}"
    octets = "".join(f"\\{byte:03o}" for byte in query(name, ipv6=":" in address))
    ask = f"/bin/busybox printf '{octets}' | /bin/busybox nc -w {SECONDS} {server} 53"
    answer, trouble = await in_pod(run, pods, pod, ["/bin/busybox", "sh", "-c", ask])
    if answer is None:
        return trouble
    try:
        found = addresses(answer.stdout)
    except ValueError as error:
        return f"{server} answers over TCP: {error}" if answer.stdout else f"no answer over TCP from {server}"
    return "" if _same(address, found) else f"{server} says {', '.join(found) or 'nothing'}, not {address}"


def query(name: str, *, ipv6: bool = False) -> bytes:
    """Return a question for a name's address as DNS over TCP sends it, its length in front."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.rstrip(".").split("."))
    kind = _AAAA if ipv6 else _A
    message = struct.pack(">HHHHHH", _ID, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, _IN)
    return struct.pack(">H", len(message)) + message


def addresses(answer: bytes) -> list[str]:
    """Return the addresses in an answer over TCP; raises ValueError, in words, where there is none to read."""
    try:
        (length,) = struct.unpack_from(">H", answer)
        message = answer[2 : 2 + length]
        number, flags, asked, given = struct.unpack_from(">HHHH", message)
        if number != _ID or not flags & 0x8000:
            raise ValueError("something that is no answer to the question")
        if flags & 0xF:
            raise ValueError(_CODES.get(flags & 0xF, f"code {flags & 0xF}"))
        at = 12
        for _ in range(asked):
            at = _after_name(message, at) + 4
        found: list[str] = []
        for _ in range(given):
            at = _after_name(message, at)
            kind, _, _, size = struct.unpack_from(">HHIH", message, at)
            at += 10
            if kind in (_A, _AAAA):
                found.append(str(ip_address(message[at : at + size])))
            at += size
        return found
    except (struct.error, IndexError):
        raise ValueError("an answer that is cut off") from None


def _after_name(message: bytes, at: int) -> int:
    while True:
        length = message[at]
        if length & 0xC0:
            return at + 2
        at += 1 + length
        if not length:
            return at


def _same(address: str, found: list[str]) -> bool:
    wanted = ip_address(address)
    for text in found:
        try:
            if ip_address(text) == wanted:
                return True
        except ValueError:
            continue
    return False
