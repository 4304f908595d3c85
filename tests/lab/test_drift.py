"""Drift and removal: whatever somebody changes on a host shows in a plan, and an apply puts back what is ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster

pytestmark = pytest.mark.lab

NODES = ("cp1", "cp2", "cp3", "w1", "w2")
DROP_IN = "/etc/systemd/system/kubelet.service.d/99-night.conf"


def plan(lab: LabCluster, *words: str) -> dict[str, Any]:
    done = lab.invoke("plan", "--json", *words)
    assert done.returncode in {0, 2}, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def changes(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    """What a plan would change: host, path or unit, and action."""
    rows: set[tuple[str, str, str]] = set()
    for host, entry in found["hosts"].items():
        for work in entry["phases"].values():
            rows |= {(host, one["key"], one["action"]) for one in work["changes"]}
            rows |= {(host, one["unit"], one["action"]) for one in work["units"]}
        rows |= {(host, one["key"], "removal") for one in entry["removals"]}
    return rows


def apply(lab: LabCluster) -> str:
    done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    assert done.returncode == 0, done.stdout + done.stderr
    again = lab.invoke("plan")
    assert again.returncode == 0, again.stdout + again.stderr
    return done.stderr


def test_everything_that_was_changed_by_hand_is_found_and_put_back(lab: LabCluster) -> None:
    before = lab.unit_starts(NODES)
    kept = lab.sh("w1", "sha256sum /usr/local/bin/kubelet /etc/systemd/system/kubelet.service")
    # Each of these is done in a way that keeps the program running until an apply touches it.
    lab.sh("w1", "echo '# tired' >>/etc/systemd/system/kube-proxy.service")
    lab.sh("w1", "rm /etc/kubernetes/kubelet.yaml")
    lab.sh("w2", "chmod 0666 /etc/kubernetes/pki/ca.crt && chown nobody /etc/kubernetes/pki/ca.crt")
    lab.sh("w2", "systemctl -q stop apiserver-balancer && systemctl -q disable apiserver-balancer")
    lab.sh("cp2", "f=$(readlink -f /usr/local/bin/kube-scheduler); cp $f $f.new; echo x >>$f.new; mv -f $f.new $f")
    lab.sh("cp3", "cp -p /etc/kubernetes/pki/scheduler.key /etc/kubernetes/pki/scheduler.key.new;"
                  " echo >>/etc/kubernetes/pki/scheduler.key.new;"
                  " mv -f /etc/kubernetes/pki/scheduler.key.new /etc/kubernetes/pki/scheduler.key")  # fmt: skip
    proxy = lab.sh("w2", "readlink -f /usr/local/bin/kube-proxy").strip()
    lab.sh("w2", f"chmod 0666 {proxy}")
    found = changes(plan(lab))
    assert ("w1", "/etc/systemd/system/kube-proxy.service", "change") in found
    assert ("w1", "/etc/kubernetes/kubelet.yaml", "create") in found
    assert {("w2", "/etc/kubernetes/pki/ca.crt", "mode"), ("w2", proxy, "mode")} <= found
    assert {("w2", "apiserver-balancer.service", "enable"), ("w2", "apiserver-balancer.service", "start")} <= found
    assert any(host == "cp2" and key.endswith("/kube-scheduler") and act == "change" for host, key, act in found)
    assert ("cp3", "/etc/kubernetes/pki/scheduler.key", "change") in found
    assert {host for host, _, _ in found} <= {"w1", "w2", "cp2", "cp3"}
    shown = lab.invoke("plan").stdout
    assert "-# tired" in shown, "a plan shows the lines of a text"
    assert "PRIVATE KEY" not in shown
    apply(lab)
    assert lab.sh("w1", "sha256sum /usr/local/bin/kubelet /etc/systemd/system/kubelet.service") == kept
    assert lab.sh("w2", "stat -c '%a %U' /etc/kubernetes/pki/ca.crt").split() == ["644", "root"]
    assert lab.sh("w2", f"stat -c '%a %U' {proxy}").split() == ["755", "root"]
    assert lab.sh("w2", "systemctl is-enabled apiserver-balancer; systemctl is-active apiserver-balancer").split() == [
        "enabled", "active",
    ]  # fmt: skip
    after = lab.unit_starts(NODES)
    restarted = {key for key in before if before[key] != after[key]}
    assert {host for host, _ in restarted} <= {"w1", "w2", "cp2", "cp3"}
    assert all("etcd" not in unit and "kube-apiserver" not in unit for _, unit in restarted)


def has(lab: LabCluster, host: str, path: str) -> bool:
    return lab.try_sh(host, f"test -f {path}").returncode == 0


def test_what_somebody_added_is_named_and_left_alone(lab: LabCluster) -> None:
    lab.sh("w1", f"mkdir -p {DROP_IN.rpartition('/')[0]} && printf '[Service]\\nNice=5\\n' >{DROP_IN}")
    lab.sh("w1", "systemctl daemon-reload && echo mine >/etc/kubernetes/by-hand.conf")
    try:
        notes = plan(lab)["notes"]
        assert any(note.startswith(f"w1: {DROP_IN} is not ours and changes how kubelet.service runs") for note in notes)
        assert any(note.startswith("w1: /etc/kubernetes/by-hand.conf is not ours") for note in notes)
        apply(lab)
        assert has(lab, "w1", DROP_IN) and has(lab, "w1", "/etc/kubernetes/by-hand.conf")
    finally:
        lab.sh("w1", f"rm -rf {DROP_IN.rpartition('/')[0]} /etc/kubernetes/by-hand.conf && systemctl daemon-reload")
    assert plan(lab)["notes"] == []


def test_a_masked_unit_is_named_and_comes_back(lab: LabCluster) -> None:
    unit = "/etc/systemd/system/kube-proxy.service"
    lab.sh("w1", f"systemctl -q stop kube-proxy && mv {unit} /root/kept && systemctl -q mask kube-proxy")
    assert ("w1", unit, "change") in changes(plan(lab))
    apply(lab)
    assert lab.sh("w1", "systemctl is-active kube-proxy").strip() == "active"
    assert lab.sh("w1", f"cmp {unit} /root/kept && rm /root/kept") == ""


def test_what_leaves_the_spec_leaves_the_host_last(lab: LabCluster) -> None:
    folder = lab.inputs / "files"
    folder.mkdir(exist_ok=True)
    (folder / "limits.conf").write_text("[Service]\nNice=1\n")
    path = "/etc/systemd/system/kube-proxy.service.d/50-limits.conf"
    entry = {"path": path, "source": "files/limits.conf", "restarts": ["kube-proxy.service"]}
    lab.edit_spec(lambda spec: spec["pools"]["workers"].setdefault("files", []).append(entry))
    assert lab.invoke("render").returncode == 0
    apply(lab)
    assert lab.sh("w2", "systemctl show -P Nice kube-proxy").strip() == "1"
    lab.edit_spec(lambda spec: spec["pools"]["workers"].pop("files"))
    assert lab.invoke("render").returncode == 0
    found = changes(plan(lab))
    assert {(host, path, "delete") for host in ("w1", "w2")} <= found
    assert ("w1", "kube-proxy.service", "restart") in found
    apply(lab)
    assert not has(lab, "w1", path)
    assert lab.sh("w2", "systemctl show -P Nice kube-proxy").strip() == "0"


def test_a_changed_file_that_leaves_is_kept_and_named(lab: LabCluster) -> None:
    folder = lab.inputs / "files"
    (folder / "note.txt").write_text("ours\n")
    entry = {"path": "/etc/slipway-note", "source": "files/note.txt"}
    lab.edit_spec(lambda spec: spec["pools"]["workers"].setdefault("files", []).append(entry))
    assert lab.invoke("render").returncode == 0
    apply(lab)
    lab.sh("w1", "echo precious >/etc/slipway-note")
    lab.edit_spec(lambda spec: spec["pools"]["workers"].pop("files"))
    assert lab.invoke("render").returncode == 0
    said = apply(lab)
    assert "/etc/slipway-note is kept: somebody else has changed it" in said
    assert lab.sh("w1", "cat /etc/slipway-note; rm /etc/slipway-note") == "precious\n"
    assert not has(lab, "w2", "/etc/slipway-note")
    lab.commit("drift is over")
