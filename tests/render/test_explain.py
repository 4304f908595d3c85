"""explain: value, layer, and the file and line where somebody wrote it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from generator.components.registry import COMPONENTS
from generator.errors import RenderError
from generator.render.explain import explain, explained
from generator.spec import load_text
from generator.spec.model import Cluster
from tests.golden.cases import cluster, variation
from tests.render.workspace import Workspace


def _line_of(text: str, path: Path) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def _explained(model: Cluster, what: str, host: str | None = None, pool: str | None = None) -> list[str]:
    return explained(model, what, COMPONENTS, host=host, pool=pool)


def test_every_layer_is_named_with_its_place() -> None:
    found = _explained(cluster("ha"), "kubelet.flags.v")
    assert found[0] == "kubelet.flags.v = 2: component default"
    assert re.fullmatch(r"in host worker-002: kubelet\.flags\.v = 4: host worker-002 \(cluster\.yaml:\d+\)", found[1])


@pytest.mark.parametrize("what", ["kubelet.config.maxPods", "kubelet.maxPods", "kubelet maxPods"])
def test_a_pool_sees_its_own_value(what: str) -> None:
    found = _explained(cluster("ha"), what, pool="workers")
    assert len(found) == 1
    assert found[0].startswith("kubelet.config.maxPods = 250: pool workers (cluster.yaml:")


def test_a_host_sees_all_layers_at_once() -> None:
    assert _explained(cluster("ha"), "kubelet --v", host="worker-001") == ["kubelet.flags.v = 2: component default"]
    assert _explained(cluster("ha"), "kubelet --v", host="worker-002")[0].startswith(
        "kubelet.flags.v = 4: host worker-002"
    )


def test_unsafe_flags_are_flags() -> None:
    found = _explained(variation("api-server-of-a-large-cluster"), "kube-apiserver.unsafeFlags.bind-address")
    assert found[0].startswith("kube-apiserver.flags.bind-address = ${SLIPWAY_NODE_IP}: cluster (cluster.yaml:")


def test_unit_fields_and_whole_parts() -> None:
    found = _explained(cluster("ha"), "etcd.unit.Service.LimitNOFILE")
    assert found == ["etcd.unit.Service.LimitNOFILE = 65536: component default"]
    assert all(line.startswith("etcd.unit.") for line in _explained(cluster("ha"), "etcd.unit"))


def test_a_component_alone_tells_its_notes() -> None:
    assert any(
        line.startswith("note: ") and "passive" in line for line in _explained(cluster("ha"), "apiserver-balancer")
    )


def test_a_file_is_traced_to_its_folder() -> None:
    found = _explained(cluster("ha"), "/etc/systemd/system/kubelet.service", host="worker-002")
    assert found[0].endswith("in components/kubelet")
    assert found[1].endswith("in hosts/worker-002")
    assert any("is overridden by host worker-002: flags.v" in line for line in found)


def test_an_own_file_is_traced_to_the_line_that_lists_it(workspace: Workspace) -> None:
    (workspace.inputs / "files").mkdir()
    (workspace.inputs / "files" / "x").write_text("x")
    workspace.edit({"files": [{"path": "/etc/motd", "source": "files/x"}]})
    line = _line_of("/etc/motd", workspace.inputs / "cluster.yaml")
    found = explain(workspace.root, "prod", "/etc/motd")
    assert found[-1] == f"written by cluster (clusters/prod/cluster.yaml:{line})"


@pytest.mark.parametrize(
    ("what", "where", "message"),
    [
        ("kubelett", {}, "ha: there is no component 'kubelett'; did you mean kubelet?"),
        ("kubelet.config.maxPodz", {}, "ha: kubelet: nothing sets config.maxPodz; did you mean config.maxPods?"),
        ("kubelet", {"host": "worker-01"}, "ha: there is no host 'worker-01'; did you mean worker-001?"),
        ("kubelet", {"pool": "worker"}, "ha: there is no pool 'worker'; did you mean workers?"),
        (
            "/etc/kubernetes/kubelet.yml",
            {},
            "ha: Slipway puts nothing at /etc/kubernetes/kubelet.yml; did you mean /etc/kubernetes/kubelet.yaml?",
        ),
    ],
)
def test_what_is_not_known_is_answered_with_the_nearest(what: str, where: dict[str, str], message: str) -> None:
    with pytest.raises(RenderError) as caught:
        _explained(cluster("ha"), what, **where)
    assert str(caught.value) == message


def test_a_flag_that_nothing_sets_keeps_the_default_of_its_program() -> None:
    (line,) = _explained(cluster("minimal"), "kube-apiserver.flags.max-mutating-requests-inflight")
    assert line.startswith("kube-apiserver.flags.max-mutating-requests-inflight: set by no layer; the default of ")


@pytest.mark.parametrize("what", ["containerd.flags.x", "kubelet.flags.nope", "trust.nope", "kubelet.config.nope"])
def test_what_nobody_knows_is_refused(what: str) -> None:
    with pytest.raises(RenderError, match="nothing sets"):
        _explained(cluster("minimal"), what)


def test_a_component_is_explained_only_where_it_runs() -> None:
    (worker,) = [host.name for host in cluster("minimal").with_role("worker")]
    with pytest.raises(RenderError, match=f"etcd does not run on host {worker}"):
        _explained(cluster("minimal"), "etcd.flags.name", host=worker)


SYSTEM = """
system: {timeZone: Europe/Berlin, journald: {maxUse: 2G, persistent: true}}
pools:
  control: {roles: [etcd, control-plane]}
  workers: {roles: [worker], system: {journald: {maxUse: null}, timeZone: UTC}}
"""


def _with_system() -> Cluster:
    return load_text(
        "apiVersion: slipway.io/v1\nkind: Cluster\nmetadata: {name: demo}\nversions: {kubernetes: '1.30.0'}\n"
        "hosts:\n  cp1: {pool: control, address: 10.0.0.1}\n"
        "  w[1:2]: {pool: workers, address: '10.0.0.[11:12]', system: {modules: [rbd]}}\n" + SYSTEM
    )


@pytest.mark.parametrize(
    ("what", "host", "lines"),
    [
        ("system.timeZone", "cp1", ["system.timeZone = Europe/Berlin: cluster (cluster.yaml:9)"]),
        ("system.timeZone", "w1", ["system.timeZone = UTC: pool workers (cluster.yaml:12)"]),
        ("system.journald.maxUse", "w2", ["system.journald.maxUse: removed by pool workers (cluster.yaml:12)"]),
        ("system.modules", "w2", ["system.modules = [rbd]: host w[1:2] (cluster.yaml:7)"]),
        ("system.hostName", "w2", ["system.hostName: set by no layer; the default keep holds"]),
        (
            "system.timeZone",
            None,
            [
                "system.timeZone = Europe/Berlin: cluster (cluster.yaml:9)",
                "in pool workers: system.timeZone = UTC: pool workers (cluster.yaml:12)",
            ],
        ),
    ],
)
def test_a_setting_of_the_system_says_who_wrote_it(what: str, host: str | None, lines: list[str]) -> None:
    assert explained(_with_system(), what, COMPONENTS, host=host) == lines


def test_a_setting_that_there_is_not_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(RenderError, match="did you mean timeZone"):
        explained(_with_system(), "system.timezon", COMPONENTS)
