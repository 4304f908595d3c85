"""When a node joins anew: its certificate ended, or ends without the kubelet having renewed it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.joining import join_reason
from fleet.state import HostState
from fleet.tree import Host, Phase, Pool, Ssh

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
PATH = "/var/lib/kubelet/pki/kubelet-client-current.pem"
PHASE = Phase("nodes", roles=frozenset({"worker"}), join={"clientCertificate": PATH, "ca": "/ca.crt"})
POOL = Pool("workers", frozenset({"worker"}), (), "debian-12", "amd64", "1", {}, ())
HOST = Host("w1", POOL, "10.0.0.1", "w1", "", {}, Ssh(), ())


def certificate(minutes: float, left: float) -> bytes:
    """A certificate of some minutes, as many of them left."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "system:node:w1")])
    ends = NOW + timedelta(minutes=left)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, ends - timedelta(minutes=minutes), ends)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("minutes", "left", "joins"),
    [
        (15, 9.9, False),  # as long as one lives that is signed for fifteen minutes; the kubelet renews it in time
        (15, 1.0, False),
        (15, 0.5, True),
        (15, -1, True),
        (60 * 24 * 365, 11, False),
        (60 * 24 * 365, 9, True),
    ],
)
def test_a_short_certificate_holds_until_its_kubelet_has_failed_to_renew_it(
    minutes: float, left: float, joins: bool
) -> None:
    state = HostState("w1", certificates={PATH: certificate(minutes, left)})
    reason = join_reason(PHASE, HOST, state, NOW)
    assert bool(reason) is joins, reason
    assert not joins or "ends at 2026-05-01 " in reason
