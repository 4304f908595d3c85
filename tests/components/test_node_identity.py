"""The line of a node is what Go writes into the request of that node's kubelet."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from cryptography import x509

from fleet.csr import request_line
from generator.spec.node_identity import node_line
from tests.components.sample import named_host, sample_cluster
from tests.serving.cases import ADDRESSES, FILES, der, extension_request, kubelet_request, names_extension, subject


@pytest.mark.parametrize("node", FILES)
def test_line_holds_what_go_writes(node: str) -> None:
    first, *rest = ADDRESSES[node]
    host = dataclasses.replace(
        named_host(sample_cluster(), "w1"), node_name=node, address=first, secondary_address=next(iter(rest), None)
    )
    body = b"".join(kubelet_request(node).splitlines()[1:-1])
    assert node_line(host) == request_line(base64.b64decode(body))


def test_names_outside_of_printable_string_are_utf8() -> None:
    host = dataclasses.replace(named_host(sample_cluster(), "w1"), node_name="w_1")
    assert node_line(host).split()[0].endswith("0c0f" + b"system:node:w_1".hex())


def test_requests_made_here_are_requests() -> None:
    made = x509.load_der_x509_csr(der(extension_request(names_extension())))
    assert made.subject.public_bytes() == subject()
