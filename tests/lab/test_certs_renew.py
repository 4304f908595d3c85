"""Renewal of leaves on a running cluster: what is rolled, that nothing restarts, and that expired ones get in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from generator.pki.issuing import Authority, issue_leaf
from generator.pki.keys import PrivateKey
from generator.pki.renew import Choice, renew
from generator.pki.request import Request
from generator.sealing import load_identity
from generator.spec import load
from tests.lab.cluster_under_test import LabCluster, until

pytestmark = pytest.mark.lab

ETCD_PKI, PKI = "/etc/etcd/pki", "/etc/kubernetes/pki"
SERVED = {
    "apiserver": ("{address}:6443", f"{PKI}/apiserver.crt"),
    "controller-manager": ("127.0.0.1:10257", f"{PKI}/controller-manager.crt"),
    "scheduler": ("127.0.0.1:10259", f"{PKI}/scheduler.crt"),
    "etcd/server": ("127.0.0.1:2379", f"{ETCD_PKI}/server.crt"),
    "etcd/peer": ("{address}:2380", f"{ETCD_PKI}/peer.crt"),
}
LIFETIME = 240
"""Seconds that the short certificates live: longer than an apply of them takes."""


def served_and_installed(lab: LabCluster, host: str, kind: str) -> tuple[str, str]:
    """The serial numbers of the certificate that a server shows and of the file that it reads."""
    address, path = SERVED[kind]
    own = f"-cert {ETCD_PKI}/healthcheck-client.crt -key {ETCD_PKI}/healthcheck-client.key"
    shown = (
        f"openssl s_client -connect {address.format(address=lab.addresses[host])} {own} </dev/null 2>/dev/null"
        " | openssl x509 -noout -serial 2>/dev/null || true"
    )
    served, installed = (lab.sh(host, script).strip() for script in (shown, f"openssl x509 -noout -serial -in {path}"))
    return served, installed


def serve_what_is_installed(lab: LabCluster, kinds: Iterable[str] = tuple(SERVED)) -> bool:
    """Whether servers of every control-plane host have taken up their files, which takes them up to a minute."""
    pairs = [served_and_installed(lab, host, kind) for kind in kinds for host in lab.control]
    return all(served == installed for served, installed in pairs)


def rendered_and_committed(lab: LabCluster, message: str) -> list[str]:
    done = lab.invoke("render")
    assert done.returncode == 0, done.stderr
    changed = lab.changed("rendered")
    lab.commit(message)
    return changed


def test_one_kind_on_one_host_changes_that_hosts_pair_and_restarts_nothing(lab: LabCluster) -> None:
    host = lab.control[1]
    before = lab.unit_starts(lab.control)
    old = served_and_installed(lab, host, "apiserver")[0]
    listed = lab.invoke("certs.renew", "--kind", "apiserver", "--host", host, "--dry-run", "--json")
    assert listed.returncode == 2, listed.stderr
    assert [one["name"] for one in json.loads(listed.stdout)] == [f"hosts/{host}/apiserver"]
    assert not lab.changed("clusters")
    renewed = lab.invoke("certs.renew", "--kind", "apiserver", "--host", host)
    assert renewed.returncode == 0, renewed.stderr
    assert "`invoke render`, review, commit, `invoke apply`" in renewed.stdout
    pair = [f"pki/hosts/{host}/apiserver.crt", f"pki/hosts/{host}/apiserver.key.age"]
    assert lab.changed("clusters") == pair
    rootfs = f"hosts/{host}/rootfs{PKI}/apiserver.crt"
    assert set(rendered_and_committed(lab, "one renewed")) == {rootfs, f"hosts/{host}/manifest.yaml", "pki.yaml"}
    planned = lab.invoke("plan", "--json")
    assert planned.returncode == 2, planned.stderr
    plan = json.loads(planned.stdout)
    work = {name: entry["phases"] for name, entry in plan["hosts"].items() if entry["phases"]}
    assert set(work) == {host} and set(work[host]) == {"control-plane"}
    keys = {change["key"] for change in work[host]["control-plane"]["changes"]}
    assert keys == {f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key"}
    assert lab.planned_restarts(planned.stdout) == set()
    applied = lab.invoke("apply", "--yes")
    assert applied.returncode == 0, applied.stderr
    until(lambda: len({*served_and_installed(lab, host, "apiserver")}) == 1, 90)
    assert served_and_installed(lab, host, "apiserver")[0] != old
    assert lab.unit_starts(lab.control) == before


def test_all_leaves_roll_one_host_at_a_time_and_serve_without_a_restart(lab: LabCluster) -> None:
    before = lab.unit_starts(lab.control)
    renewed = lab.invoke("certs.renew")
    assert renewed.returncode == 0, renewed.stderr
    rendered_and_committed(lab, "all renewed")
    applied = lab.invoke("apply", "--yes", "--json")
    assert applied.returncode == 0, applied.stderr
    events = [json.loads(line) for line in applied.stdout.splitlines() if line.startswith("{")]
    for phase in ("etcd", "control-plane"):
        rolled = [event["names"] for event in events if event["event"] == "batch" and event["phase"] == phase]
        assert rolled == [[host] for host in lab.control], phase
    until(lambda: serve_what_is_installed(lab), 120)
    assert lab.unit_starts(lab.control) == before
    again = lab.invoke("plan")
    assert again.returncode == 0, again.stdout
    assert lab.all_ready()


def test_a_ca_is_refused_with_the_reason(lab: LabCluster) -> None:
    done = lab.invoke("certs.renew", "--kind", "ca")
    assert done.returncode == 1
    assert "ca is a certificate authority and is not renewed: hosts trust it" in done.stderr


def issue_short_leaves(lab: LabCluster, patch: pytest.MonkeyPatch) -> datetime:
    """Give every leaf a certificate that ends soon; returns when."""
    moment = datetime.now(UTC)

    def short(request: Request, key: PrivateKey, ca: Authority, now: datetime) -> x509.Certificate:
        ends = Authority(ca.name, ca.certificate, ca.key, moment + timedelta(seconds=LIFETIME))
        return issue_leaf(request, key, ends, now)

    patch.setattr("generator.pki.renew.issue_leaf", short)
    identity = load_identity({"SLIPWAY_IDENTITY": str(lab.workspace.parent / "identity")})
    model = load(lab.workspace, lab.name)
    renew(model, lab.inputs, Choice(), clock=lambda: moment, identity=lambda: identity)
    return moment + timedelta(seconds=LIFETIME)


@pytest.mark.lab_long
def test_one_apply_brings_a_cluster_back_whose_leaves_have_all_expired(
    lab: LabCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        end = issue_short_leaves(lab, patch)
    rendered_and_committed(lab, "leaves that end soon")
    applied = lab.invoke("apply", "--yes")
    assert applied.returncode == 0, applied.stderr
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 5)
    # As after a power cut on the day after: no connection from better times is left.
    for host in lab.control:
        lab.sh(host, "systemctl restart --no-block etcd kube-apiserver kube-controller-manager kube-scheduler")
    time.sleep(20)
    assert not lab.all_ready()
    listed = lab.invoke("certs.list")
    assert listed.returncode == 2 and "expired on" in listed.stderr
    assert "run `invoke certs.renew --expiring`" in listed.stderr
    renewed = lab.invoke("certs.renew", "--expiring")
    assert renewed.returncode == 0, renewed.stderr
    rendered_and_committed(lab, "expired ones renewed")
    applied = lab.invoke("apply", "--yes")
    assert applied.returncode == 0, applied.stdout[-2000:] + applied.stderr
    until(lambda: serve_what_is_installed(lab), 120)
    until(lab.all_ready, 180)
