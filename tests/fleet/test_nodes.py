"""The gate of a node: Ready in the API, and a kubelet that proves address and CA."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleet import nodes
from fleet.channel import Channel
from fleet.endpoints import Endpoint
from fleet.kube import Api
from fleet.nodes import NodeCheck, node_fault, not_ready_because, serving_fault
from fleet.tls import ByteReader, ByteWriter, client_context
from tests.components.test_csr_approver import node_lines
from tests.fleet.api_stand_in import Pki, Reply, Seen, plain_stream, stand_in
from tests.serving.cases import Case, dns, forged, ip

CHECK = NodeCheck("w1", "127.0.0.1")


class To:
    """Leads every address to one port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open_tcp(self, host: str, port: int) -> tuple[ByteReader, ByteWriter]:
        assert (host, port) == ("127.0.0.1", nodes.KUBELET_PORT)
        return await plain_stream(self.port)


def conditions(*entries: Mapping[str, str]) -> dict[str, Any]:
    return {"status": {"conditions": list(entries)}}


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (conditions({"type": "Ready", "status": "True"}), ""),
        (conditions({"type": "NotReady", "status": "True"}), "its kubelet has not reported a condition yet"),
        ({}, "its kubelet has not reported a condition yet"),
        (conditions({"type": "Ready", "status": "Unknown"}), "its condition Ready is Unknown"),
        (
            conditions(
                {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "cni: Ready False"}
            ),
            "KubeletNotReady: cni: Ready False",
        ),
    ],
)
def test_ready_is_what_the_condition_says(node: dict[str, Any], why: str) -> None:
    assert not_ready_because(node) == why


def kubelet(pki: Pki, context: ssl.SSLContext, action: Callable[[To], Coroutine[Any, Any, str]]) -> str:
    async def main() -> str:
        async with stand_in(context, lambda seen: Reply()) as running:
            return await action(To(running.port))

    return asyncio.run(main())


def test_a_kubelet_proves_its_address_and_ca(pki: Pki, tmp_path: Path) -> None:
    def fault(context: ssl.SSLContext) -> str:
        return kubelet(pki, context, lambda to: serving_fault(CHECK, to, pki.pem))

    assert fault(pki.server_context(tmp_path)) == ""
    wrong = "the kubelet's serving certificate is not good for 127.0.0.1: "
    assert fault(pki.server_context(tmp_path, ("10.0.0.1",))).startswith(wrong)
    assert fault(Pki().server_context(tmp_path)).startswith(wrong)
    # A kubelet without a certificate breaks off the handshake.
    assert fault(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) == "the kubelet has no serving certificate yet"


def test_nobody_listens(pki: Pki) -> None:
    assert asyncio.run(serving_fault(CHECK, To(1), pki.pem)) == "the kubelet does not listen on 127.0.0.1:10250"


READY = b'{"metadata": {"name": "w1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}'
CORE = b'{"resources": [{"name": "nodes", "kind": "Node", "namespaced": false, "verbs": []}]}'
CSRS = (
    b'{"resources": [{"name": "certificatesigningrequests", "kind": "CertificateSigningRequest", "namespaced": false}]}'
)


def fault_with(
    pki: Pki, folder: Path, requests: bytes, node: Reply, *, serving: bool = False
) -> tuple[str, list[Seen]]:
    """The fault of w1 and what the API was asked, with some requests in it."""

    def answer(seen: Seen) -> Reply:
        path = seen.target.partition("?")[0]
        return {
            "/api/v1": Reply(body=CORE),
            "/api/v1/nodes/w1": node,
            "/apis/certificates.k8s.io/v1": Reply(body=CSRS),
            "/apis/certificates.k8s.io/v1/certificatesigningrequests": Reply(body=requests),
        }.get(path, Reply(body=b'{"kind": "CertificateSigningRequest"}'))

    async def main() -> tuple[str, list[Seen]]:
        context = client_context(pki.pem)
        server = pki.server_context(folder)
        kubelet_side = server if serving else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        async with stand_in(server, answer) as running, stand_in(kubelet_side, lambda seen: Reply()) as own:
            endpoint = Endpoint("cp1", "127.0.0.1", running.port, lambda: plain_stream(running.port))
            api = Api(Channel("prod", [endpoint], lambda: context))
            try:
                return await node_fault(api, CHECK, To(own.port), pki.pem, node_lines()), running.seen
            finally:
                await api.close()

    return asyncio.run(main())


def items(*cases: Case) -> bytes:
    import json

    return json.dumps({"items": [case.object(index) for index, case in enumerate(cases)]}).encode()


def test_a_node_in_service(pki: Pki, tmp_path: Path) -> None:
    fault, seen = fault_with(pki, tmp_path, items(), Reply(body=READY), serving=True)
    assert fault == "" and not [one for one in seen if "certificates" in one.target]


def test_a_listed_request_is_approved_while_waiting(pki: Pki, tmp_path: Path) -> None:
    good = Case("x", True, forged(dns("w1"), ip(10, 0, 0, 11)))
    fault, seen = fault_with(pki, tmp_path, items(good), Reply(body=READY))
    assert fault == "the kubelet has no serving certificate yet"
    put = [one for one in seen if one.method == "PUT"]
    assert [one.target for one in put] == [
        "/apis/certificates.k8s.io/v1/certificatesigningrequests/csr-00000/approval?fieldManager=slipway"
    ]
    assert b'"resourceVersion": "7"' in put[0].body and b'"type": "Approved"' in put[0].body


def test_a_forged_request_is_named_in_words(pki: Pki, tmp_path: Path) -> None:
    bad = Case("x", False, forged(dns("w1"), ip(10, 0, 0, 99)))
    fault, seen = fault_with(pki, tmp_path, items(bad), Reply(body=READY))
    assert fault == (
        "the kubelet has no serving certificate yet; its request csr-00000 is not approved: "
        "subject or names are not those of node w1 in the rendered list"
    )
    assert not [one for one in seen if one.method == "PUT"]


def test_a_node_that_has_not_come(pki: Pki, tmp_path: Path) -> None:
    gone = Reply(404, b'{"kind": "Status", "reason": "NotFound"}')
    assert fault_with(pki, tmp_path, items(), gone)[0].startswith(
        "node w1 has not registered; its kubelet has not come"
    )
    waiting = Case("x", False, b"", user="system:bootstrap:abcdef")
    assert fault_with(pki, tmp_path, items(waiting), gone)[0] == (
        "node w1 has not registered; client certificate requests wait for kube-controller-manager: csr-00000"
    )
