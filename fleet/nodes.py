"""Nodes as the API and their own kubelets show them: registered, Ready, with a certificate of the cluster's CA."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.csr import approve_listed
from fleet.endpoints import TcpOpener
from fleet.kube import Api, Ref
from fleet.tls import client_context, open_tls

KUBELET_PORT = 10250
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """One node to look at: its name in the API, and the address at which its kubelet serves."""

    node: str
    address: str


def node_ref(node: str) -> Ref:
    """Return what names a node."""
    return Ref("v1", "Node", "", node)


def not_ready_because(node: Mapping[str, Any]) -> str:
    """Return why a Node object is not Ready, in the kubelet's own words, "" when it is."""
    for condition in node.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            if condition.get("status") == "True":
                return ""
            words = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")
            return words or f"its condition Ready is {condition.get('status')}"
    return "its kubelet has not reported a condition yet"


async def ready_nodes(api: Api) -> dict[str, bool]:
    """Return for every node of the API whether it is Ready."""
    return {str(node["metadata"]["name"]): not not_ready_because(node) for node in await api.list("v1", "Node")}


async def boot_of(api: Api, node: str) -> str:
    """Return the id of the boot from which a node's kubelet has reported last, "" where it has reported none."""
    live = await api.find(node_ref(node)) or {}
    return str(live.get("status", {}).get("nodeInfo", {}).get("bootID", ""))


async def node_fault(api: Api, check: NodeCheck, opener: TcpOpener, ca: bytes, listed: Mapping[str, str]) -> str:
    """Return why a node is not in service, "" when it is: registered, Ready, serving with a good certificate.

    Serving requests that the rendered list allows are approved on the way; `opener` is the connection to the host.
    """
    node = await api.find(node_ref(check.node))
    if node is None:
        return await _not_registered(api, check.node)
    reason = not_ready_because(node)
    if reason:
        return f"node {check.node} is not Ready: {reason}"
    fault = await serving_fault(check, opener, ca)
    if not fault:
        return ""
    for decision in await approve_listed(api, listed):
        if decision.node == check.node and decision.refusal:
            return f"{fault}; its request {decision.name} is not approved: {decision.refusal}"
    return fault


async def serving_fault(check: NodeCheck, opener: TcpOpener, ca: bytes) -> str:
    """Return what is wrong with the kubelet's server certificate, "" when it proves address and CA."""
    try:
        reader, writer = await opener.open_tcp(check.address, KUBELET_PORT)
        stream = await open_tls(reader, writer, client_context(ca), check.address)
    except ssl.SSLCertVerificationError as error:
        return f"the kubelet's serving certificate is not good for {check.address}: {error.verify_message or error}"
    except ssl.SSLError:
        return "the kubelet has no serving certificate yet"
    except OSError:
        return f"the kubelet does not listen on {check.address}:{KUBELET_PORT}"
    stream.close()
    return ""


async def _not_registered(api: Api, node: str) -> str:
    """Return how far a join has come, from the requests for client certificates that still wait."""
    requests = await api.list(
        "certificates.k8s.io/v1", "CertificateSigningRequest", fields=f"spec.signerName={CLIENT_SIGNER}"
    )
    waiting = [
        csr["metadata"]["name"]
        for csr in requests
        if not csr.get("status", {}).get("certificate")
        and str(csr["spec"].get("username", "")).startswith("system:bootstrap:")
    ]
    if waiting:
        names = ", ".join(waiting)
        return f"node {node} has not registered; client certificate requests wait for kube-controller-manager: {names}"
    return f"node {node} has not registered; its kubelet has not come through to the API"
