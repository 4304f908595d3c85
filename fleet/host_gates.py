"""Gates that look at one host over SSH: preflight, units, new-connection, port, https, etcd and other API servers."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.connection import Connection, printable
from fleet.gates import GateContext, gate
from fleet.host_faults import preflight_faults, unit_fault
from fleet.http11 import ConnectionLostError, HttpConnection
from fleet.state import UnitFacts
from fleet.tls import client_context, open_tls
from fleet.tree import Host
from fleet.unit_show import SHOW, unit_blocks
from generator.errors import FleetError, HostError

CLUSTER_CA = "/etc/kubernetes/pki/ca.crt"
STEADY_SECONDS = 3.0


@gate("preflight", timeout=0)
async def preflight(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the host is what its pool says and has the programs that Slipway needs."""
    if context.host is None or context.state is None:
        return ""
    return "; ".join(preflight_faults(context.host, context.state, fetch=context.tree.fetch))


@gate("units", timeout=120)
async def units(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when every unit of the phase is up and has stayed up without a restart for some seconds."""
    _, connection = context.on_host()
    names = [unit.name for unit in context.units if unit.start]
    if not names:
        return ""
    shown = unit_blocks((await connection.run(["systemctl", "show", SHOW, "--", *names])).text)
    first: dict[str, int] = context.memory.setdefault("restarts", {name: one.restarts for name, one in shown.items()})
    for name in names:
        reason = unit_fault(name, shown.get(name, UnitFacts()))
        if reason:
            context.memory["unit"] = name
            context.memory.pop("steady", None)
            return reason
    restarts = {name: shown[name].restarts for name in names}
    now = context.now()
    since, before = context.memory.get("steady", (now, None))
    if before != restarts:
        since = now
        context.memory["steady"] = (now, restarts)
    died = {name: count - first.get(name, 0) for name, count in restarts.items() if count > first.get(name, 0)}
    # A program that dies at once is up at the first look; only time tells, and one that was seen to die needs more.
    if context.patient and now - since < STEADY_SECONDS * (2 if died else 1):
        if died:
            return "; ".join(f"{name} does not stay up, restarted {count} times" for name, count in died.items())
        return f"{', '.join(names)}: up, watched for some seconds"
    return ""


@gate("new-connection", timeout=60)
async def new_connection(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when an SSH connection that is made anew gets in; over that one the host's new rules are confirmed.

    Connections that are open already say nothing: a firewall lets them go on. Where none gets in, nothing is taken
    back from here: the host does so by itself, since whoever is shut out cannot.
    """
    host, _ = context.on_host()
    if not context.patient:
        return ""
    if context.enter is None:
        return "no new connection can be made from here"
    unit = str(parameters["confirm"])
    try:
        connection = await context.enter(host.name)
    except HostError as error:
        return (
            f"no new SSH connection gets in, so the host takes what is new back by itself in a minute or two "
            f"(of a firewall, name your address in firewall.operators; of sshd, look at who may log in): {error}"
        )
    try:
        done = await connection.run(["systemctl", "start", unit])
    finally:
        await connection.close()
    if done.exit:
        context.memory["unit"] = unit
        return f"{unit} does not start: {done.complaint}"
    return ""


@gate("port", timeout=60)
async def port(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when somebody listens; the connection is made from the host itself."""
    host, connection = context.on_host()
    address, number = str(parameters.get("address", host.address)), int(parameters["port"])
    try:
        _, writer = await connection.open_tcp(address, number)
    except ConnectionError as error:
        return f"nobody listens on {address}:{number} ({error})"
    writer.close()
    return ""


@gate("https", timeout=180)
async def https(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when a GET answers 200 over TLS verified against the cluster's CA; the server name is the address."""
    host, connection = context.on_host()
    address = str(parameters.get("address", host.address))
    return await https_fault(context, host, connection, {**parameters, "address": address})


async def https_fault(context: GateContext, host: Host, connection: Connection, parameters: Mapping[str, Any]) -> str:
    """Return why a GET to address, port and path does not answer 200, "" when it does."""
    address, number, path = str(parameters["address"]), int(parameters["port"]), str(parameters.get("path", "/"))
    if parameters.get("client") == "admin":
        tls = (await context.cluster_api()).admin_context()
    else:
        tls = client_context(cluster_ca(host, str(parameters.get("ca", CLUSTER_CA))))
    try:
        reader, writer = await connection.open_tcp(address, number)
        http = HttpConnection(await open_tls(reader, writer, tls, address), address)
        try:
            answer = await http.request("GET", path, {})
        finally:
            http.close()
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of {address}:{number} is not good: {error.verify_message or error}"
    except (ssl.SSLError, ConnectionLostError, OSError) as error:
        return f"{address}:{number} does not answer ({error})"
    if answer.status == 200:
        return ""
    words = printable(" ".join(answer.body.decode("utf-8", "replace").split()))
    failed = [word for word in words.split("[-]")[1:]]
    return f"{address}:{number}{path} answers {answer.status}" + (f": {'; '.join(failed)[:300]}" if failed else "")


def cluster_ca(host: Host, path: str = CLUSTER_CA) -> bytes:
    """Return the CA certificate that the rendered tree puts at a path of the host, PEM."""
    item = host.by_key.get(path)
    if item is None or item.kind != "file":
        raise FleetError(
            f"{host.name}: {path} is not among what the host is to have, so its TLS cannot be verified; "
            f"render the cluster again"
        )
    return item.content


@gate("etcd-health", timeout=120)
async def etcd_health(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the host's own member serves a linearized read, which needs the quorum."""
    _, connection = context.on_host()
    health = await etcd_health_of(connection, parameters, ["127.0.0.1"])
    return "" if health.get("127.0.0.1") else "its etcd member is not healthy"


@gate("etcd-quorum", timeout=60, own=etcd_health)
async def etcd_quorum(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the members on the other hosts are a quorum without this one; a cluster of one has no others."""
    host, connection = context.on_host()
    members = [one for one in context.tree.hosts.values() if context.phase.roles & one.pool.roles]
    others = [one for one in members if one.name != host.name]
    if not others:
        return ""
    health = await etcd_health_of(connection, parameters, [one.address for one in others])
    healthy = [one.name for one in others if health.get(one.address)]
    quorum = len(members) // 2 + 1
    if len(healthy) >= quorum:
        return ""
    sick = ", ".join(one.name for one in others if one.name not in healthy)
    return f"without this member {len(healthy)} of {len(members)} are healthy and {quorum} are needed; sick: {sick}"


async def etcd_health_of(
    connection: Connection, parameters: Mapping[str, Any], addresses: Sequence[str]
) -> Mapping[str, bool]:
    """Return for each address whether etcdctl on the host finds the member there healthy."""
    port_ = int(parameters["port"])
    endpoints = {f"https://{_bracketed(address)}:{port_}": address for address in addresses}
    result = await connection.run(
        etcdctl(parameters, ["endpoint", "health", f"--endpoints={','.join(endpoints)}", "--write-out=json"]),
        timeout=30,
    )
    try:
        found = json.loads(result.stdout or b"[]")
    except ValueError:
        return {}
    return {
        endpoints[str(one.get("endpoint"))]: bool(one.get("health"))
        for one in found
        if str(one.get("endpoint")) in endpoints
    }


def etcdctl(parameters: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Return the command line of etcdctl on a host; the certificates lie there, nothing secret is in it."""
    return [
        "env", "ETCDCTL_API=3", str(parameters["etcdctl"]), f"--cacert={parameters['cacert']}",
        f"--cert={parameters['cert']}", f"--key={parameters['key']}",
        "--dial-timeout=3s", "--command-timeout=5s", *words,
    ]  # fmt: skip


async def own_api_server(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the host's own API server is ready."""
    host, connection = context.on_host()
    own = next((one for one in context.tree.control_plane if one["host"] == host.name), None)
    if own is None:
        return "it has no API server"
    return await https_fault(context, host, connection, _ready(own))


@gate("other-api-server", timeout=60, own=own_api_server)
async def other_api_server(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the API server of another control-plane host is ready; a cluster of one has no others."""
    host, _ = context.on_host()
    others = [one for one in context.tree.control_plane if one["host"] != host.name]
    if not others:
        return ""
    reasons = []
    for other in others:
        name = str(other["host"])
        try:
            reason = await https_fault(context, context.tree.hosts[name], await context.connect(name), _ready(other))
        except FleetError as error:
            reason = str(error)
        if not reason:
            return ""
        reasons.append(f"{name}: {reason}")
    return "no other API server is ready: " + "; ".join(reasons)


def _ready(server: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"address": server["address"], "port": server["port"], "path": "/readyz", "client": "admin"}


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
